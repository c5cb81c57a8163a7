// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/waitress-go/waitress/bench/internal/svg"
)

// Where the plots are, and how large. Both are as wide as each other.
const (
	width, height = 860.0, 340.0
	panelWidth    = 330.0
	top, bottom   = 76.0, 290.0
	grey          = "#e4e4e4"
	small         = ` fill="#666" font-size="10"`
)

// A series is one of the two servers.
type series struct {
	name, color string
	results     []result
}

// plot draws goodput and latency by the load that is offered.
func plot(all, shedding []result) string {
	both := []series{
		{"every request served", "#d55e00", all},
		{fmt.Sprintf("QueueTarget %v", target), "#0072b2", shedding},
	}
	c := &svg.Canvas{}
	c.Text(24, 24, "start", svg.Bold+` font-size="15"`, fmt.Sprintf("Offered more than %.0f requests a second", capacity))
	x := 24.0
	for _, s := range both {
		c.Dot(x+5, 42, 5, s.color, s.name)
		c.Text(x+14, 46, "start", "", s.name)
		x += 190
	}
	panel(c, 60, fmt.Sprintf("answers within %v, a second", deadline), []float64{0, 50, 100, 150, 200}, svg.Short,
		func(v float64) float64 { return bottom - (bottom-top)*v/(1.1*capacity) }, both,
		func(r result) (float64, bool) { return r.goodput, true })
	latency := svg.Scale{Low: 20, High: 1000, A: bottom, B: top}
	panel(c, 490, "99th percentile of these, ms", latency.Ticks(), svg.Short, latency.At, both,
		// Few answers have no percentiles.
		func(r result) (float64, bool) {
			return float64(r.p99) / float64(time.Millisecond), r.goodput > capacity/100
		})
	c.Text(24, height-8, "start", ` fill="#666" font-size="11"`, fmt.Sprintf(
		"%d threads, handlers of %v; open loop; clients leave after %v. Made by go run ./bench/overload.", threads, work, deadline))
	return c.SVG(width, height)
}

// panel draws one value of the results, of those that have it; y says where it is.
func panel(c *svg.Canvas, left float64, title string, ticks []float64, label func(float64) string, y func(float64) float64,
	both []series, value func(result) (v float64, ok bool),
) {
	x := func(load float64) float64 { return left + panelWidth*load/loads[len(loads)-1] }
	c.Text(left, top-10, "start", svg.Bold, title)
	for _, v := range ticks {
		c.Line(left, y(v), left+panelWidth, y(v), grey, 1)
		c.Text(left-6, y(v)+4, "end", small, label(v))
	}
	for v := 0.0; v <= loads[len(loads)-1]; v++ {
		c.Line(x(v), top, x(v), bottom, grey, 1)
		c.Text(x(v), bottom+14, "middle", small, svg.Short(v)+"×")
	}
	c.Text(left+panelWidth/2, bottom+28, "middle", small, "load, in multiples of what can be done")
	for _, s := range both {
		var path []string
		for _, r := range s.results {
			v, ok := value(r)
			if !ok {
				continue
			}
			path = append(path, fmt.Sprintf("%.1f,%.1f", x(r.load), y(v)))
			c.Dot(x(r.load), y(v), 3.5, s.color, fmt.Sprintf("%s, %g×: %.0f", s.name, r.load, v))
		}
		c.Add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, strings.Join(path, " "), s.color)
	}
}
