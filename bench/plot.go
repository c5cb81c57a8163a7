// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/waitress-go/waitress/bench/internal/svg"
)

// colors can be told apart by the colour-blind too. Engines keep theirs in all plots.
var colors = map[string]string{
	"waitress-pool": "#0072b2", "waitress-inline": "#56b4e9", "waitress-adaptive": "#009e73", "waitress-native": "#332288",
	"waitress-native-inline": "#88ccee",
	"nethttp":                "#222222", "gnet": "#999999", "fasthttp": "#d55e00", "hertz": "#e69f00", "nbio": "#cc79a7",
	"nginx": "#8c6d31", "limit": "#bbbbbb",
}

func colorOf(engine string) string {
	if c, ok := colors[engine]; ok {
		return c
	}
	return "#666666"
}

// legend names the engines in as many lines as they take, and returns where the last one ends.
func legend(c *svg.Canvas, engines []string, left, top, width float64) float64 {
	x, y := left, top
	for _, e := range engines {
		needs := 28 + 6.5*float64(len(e))
		if x+needs > left+width {
			x, y = left, y+18
		}
		c.Dot(x+5, y-4, 5, colorOf(e), e)
		c.Text(x+14, y, "start", "", e)
		x += needs
	}
	return y
}

// A panel is one column of the overview: a metric's ratios to the base, where less is better.
type panel struct {
	title   string
	metrics []metric // the first that a scenario has
}

var panels = []panel{
	{"server CPU per request", []metric{cpuPerRequest, openCPU}},
	{"99th percentile of latency", []metric{openP99, closedP99}},
	{"memory per idle connection", []metric{idleRSS}},
}

const (
	rowHeight   = 24.0
	labelWidth  = 110.0
	panelWidth  = 300.0
	panelGap    = 24.0
	panelMargin = 8.0
)

// overview draws the ratios to the base of all scenarios that have some: the README's picture.
func (r *report) overview() string {
	type drawn struct {
		panel
		rows []row
	}
	var shown []drawn
	most := 0
	width := panelGap
	for _, p := range panels {
		d := drawn{p, r.panelRows(p)}
		if len(d.rows) > 0 {
			shown = append(shown, d)
			most = max(most, len(d.rows))
			width += labelWidth + panelWidth + panelGap
		}
	}
	width = max(width, 600)
	c := &svg.Canvas{}
	c.Text(panelGap, 26, "start", svg.Bold+` font-size="15"`, "Ratios to "+r.Base+": further left is better")
	top := legend(c, r.Engines, panelGap, 50, width-2*panelGap) + 34
	left := panelGap
	for _, d := range shown {
		c.Text(left+labelWidth, top, "start", svg.Bold, d.title)
		ratios(c, d.rows, r.Engines, left, top+10)
		left += labelWidth + panelWidth + panelGap
	}
	bottom := top + 10 + rowHeight*float64(most) + 44
	c.Text(panelGap, bottom, "start", ` fill="#666" font-size="11"`, fmt.Sprintf(
		"Medians of %d rounds of %v s, lines from the lowest to the highest. %s, %d cores, %s, %s.",
		r.Rounds, r.Seconds, r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go))
	return c.SVG(width, bottom+16)
}

// panelRows returns one row a scenario that has ratios for the panel.
func (r *report) panelRows(p panel) []row {
	var rows []row
	all := r.rows()
	for _, at := range all {
		first := slices.IndexFunc(p.metrics, func(m metric) bool {
			return slices.ContainsFunc(all, func(o row) bool { return o.scenario == at.scenario && o.metric == m && o.hasRatio() })
		})
		if first >= 0 && p.metrics[first] == at.metric {
			rows = append(rows, at)
		}
	}
	return rows
}

func (at row) hasRatio() bool {
	for _, res := range at.results {
		if res.Ratio != nil && res.Ratio.Low > 0 {
			return true
		}
	}
	return false
}

// ratios draws one panel's rows.
func ratios(c *svg.Canvas, rows []row, engines []string, left, top float64) {
	s := svg.Scale{Low: 0.5, High: 2, A: left + labelWidth + panelMargin, B: left + labelWidth + panelWidth - panelMargin}
	for _, at := range rows {
		for _, res := range at.results {
			if res.Ratio != nil && res.Ratio.Low > 0 {
				s.Low, s.High = min(s.Low, res.Ratio.Low), max(s.High, res.Ratio.High)
			}
		}
	}
	bottom := top + rowHeight*float64(len(rows))
	for _, v := range s.Ticks() {
		c.Line(s.At(v), top, s.At(v), bottom, "#e4e4e4", 1)
		c.Text(s.At(v), bottom+14, "middle", ` fill="#666" font-size="10"`, svg.Short(v)+"×")
	}
	c.Line(s.At(1), top, s.At(1), bottom, "#222", 1.5)
	for i, at := range rows {
		y := top + rowHeight*(float64(i)+0.5)
		c.Line(left+labelWidth, top+rowHeight*float64(i), left+labelWidth+panelWidth, top+rowHeight*float64(i), "#e4e4e4", 1)
		c.Text(left+labelWidth-6, y+4, "end", "", at.scenario)
		for j, e := range engines {
			res := at.results[e]
			if res == nil || res.Ratio == nil || res.Ratio.Low <= 0 {
				continue
			}
			// A little apart, so that equal ones are seen.
			y := y + (float64(j)-float64(len(engines)-1)/2)*min(2, (rowHeight-8)/float64(len(engines)))
			c.Line(s.At(res.Ratio.Low), y, s.At(res.Ratio.High), y, colorOf(e), 1.5)
			c.Dot(s.At(res.Ratio.Median), y, 4, colorOf(e), e+": "+res.text(at.metric))
		}
	}
}

// curves draws the latencies of a scenario's open loop by their quantiles; "" if it has none.
func (r *report) curves(scenario string) string {
	const width, height, left, right, top, bottom = 560.0, 300.0, 60.0, 20.0, 46.0, 30.0
	points := make([]row, 0, len(quantiles))
	s := svg.Scale{Low: math.MaxFloat64, A: height - bottom, B: top}
	for _, at := range r.rows() {
		if at.scenario != scenario || !slices.ContainsFunc(quantiles, func(q quantile) bool { return q.metric == at.metric }) {
			continue
		}
		points = append(points, at)
		for _, res := range at.results {
			s.Low, s.High = min(s.Low, res.Value.Median), max(s.High, res.Value.Median)
		}
	}
	if len(points) < 2 || s.Low <= 0 {
		return ""
	}
	s.Low, s.High = s.Low/1.2, s.High*1.2
	x := func(i int) float64 { return left + (width-left-right)*float64(i)/float64(len(points)-1) }
	c := &svg.Canvas{}
	c.Text(left, 20, "start", svg.Bold, "Latency in the open loop, µs")
	for _, v := range s.Ticks() {
		c.Line(left, s.At(v), width-right, s.At(v), "#e4e4e4", 1)
		c.Text(left-6, s.At(v)+4, "end", ` fill="#666" font-size="10"`, svg.Short(v))
	}
	for i, at := range points {
		c.Text(x(i), height-10, "middle", ` fill="#666" font-size="10"`, titleOf(at.metric))
	}
	for _, e := range r.Engines {
		var path []string
		for i, at := range points {
			if res := at.results[e]; res != nil && len(path) == i {
				path = append(path, fmt.Sprintf("%.1f,%.1f", x(i), s.At(res.Value.Median)))
				c.Dot(x(i), s.At(res.Value.Median), 3, colorOf(e), e+", "+titleOf(at.metric)+": "+res.text(at.metric))
			}
		}
		c.Add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(path, " "), colorOf(e))
	}
	return c.SVG(width, height)
}

// titleOf is a quantile's short name.
func titleOf(m metric) string {
	for _, q := range quantiles {
		if q.metric == m {
			return q.title
		}
	}
	return m.String()
}

// bars draws one metric of one scenario, an engine a bar.
func (r *report) bars(at row) string {
	const width, left, right, step = 560.0, 130.0, 190.0, 20.0
	most := 0.0
	for _, res := range at.results {
		most = max(most, res.Value.High)
	}
	if most <= 0 {
		return ""
	}
	c := &svg.Canvas{}
	c.Text(8, 18, "start", svg.Bold, at.metric.String())
	y := 28.0
	x := func(v float64) float64 { return left + (width-left-right)*max(v, 0)/most }
	for _, e := range r.Engines {
		res := at.results[e]
		if res == nil {
			continue
		}
		c.Text(left-8, y+12, "end", "", e)
		c.Add(`<rect x="%.1f" y="%.1f" width="%.1f" height="13" fill="%s"/>`, left, y+2, x(res.Value.Median)-left, colorOf(e))
		c.Line(x(res.Value.Low), y+8.5, x(res.Value.High), y+8.5, "#000", 1)
		c.Text(x(res.Value.High)+6, y+12, "start", ` font-size="11"`, res.text(at.metric))
		y += step
	}
	return c.SVG(width, y+8)
}
