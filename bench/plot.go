// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The plots are SVG written by hand: dots and lines on one logarithmic axis are less work than a library would be, and
// none that draws is worth being in the module graph of everybody who uses the server.

// colors can be told apart by the colour-blind too. Engines keep theirs in all plots.
var colors = map[string]string{
	"waitress-pool": "#0072b2", "waitress-inline": "#56b4e9", "waitress-adaptive": "#009e73", "waitress-native": "#332288",
	"nethttp": "#222222", "gnet": "#999999", "fasthttp": "#d55e00", "hertz": "#e69f00", "nbio": "#cc79a7",
	"nginx": "#8c6d31", "limit": "#bbbbbb",
}

func colorOf(engine string) string {
	if c, ok := colors[engine]; ok {
		return c
	}
	return "#666666"
}

// A canvas collects an SVG's elements.
type canvas struct {
	strings.Builder
}

func (c *canvas) add(format string, args ...any) {
	fmt.Fprintf(c, format+"\n", args...)
}

func (c *canvas) line(x1, y1, x2, y2 float64, color string, width float64) {
	c.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"/>`, x1, y1, x2, y2, color, width)
}

// text has the anchor start, middle or end.
func (c *canvas) text(x, y float64, anchor, style, s string) {
	c.add(`<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`, x, y, anchor, style, html.EscapeString(s))
}

func (c *canvas) dot(x, y, radius float64, color, title string) {
	c.add(`<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"><title>%s</title></circle>`, x, y, radius, color, html.EscapeString(title))
}

// svg puts the elements into a picture of that size.
func (c *canvas) svg(width, height float64) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" `+
		`font-family="system-ui, sans-serif" font-size="12" fill="#222">`+"\n"+
		`<rect width="%.0f" height="%.0f" fill="#fff"/>`+"\n%s</svg>\n", width, height, width, height, width, height, c.String())
}

const bold = ` font-weight="bold"`

// legend names the engines in as many lines as they take, and returns where the last one ends.
func (c *canvas) legend(engines []string, left, top, width float64) float64 {
	x, y := left, top
	for _, e := range engines {
		needs := 28 + 6.5*float64(len(e))
		if x+needs > left+width {
			x, y = left, y+18
		}
		c.dot(x+5, y-4, 5, colorOf(e), e)
		c.text(x+14, y, "start", "", e)
		x += needs
	}
	return y
}

// A scale is logarithmic: from low at a to high at b.
type scale struct{ low, high, a, b float64 }

func (s scale) at(v float64) float64 {
	v = min(max(v, s.low), s.high)
	return s.a + (s.b-s.a)*math.Log(v/s.low)/math.Log(s.high/s.low)
}

// ticks returns 1, 2 and 5 of every power of ten within the scale, or less of these where it is long.
func (s scale) ticks() []float64 {
	steps := []float64{1, 2, 5}
	if s.high/s.low > 300 {
		steps = steps[:1]
	}
	var all []float64
	for p := math.Floor(math.Log10(s.low)); p <= math.Ceil(math.Log10(s.high)); p++ {
		for _, step := range steps {
			if v := step * math.Pow(10, p); v >= s.low*0.999 && v <= s.high*1.001 {
				all = append(all, v)
			}
		}
	}
	return all
}

// short is a number as an axis has it.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	default:
		return fmt.Sprintf("%.4g", v)
	}
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
	c := &canvas{}
	c.text(panelGap, 26, "start", bold+` font-size="15"`, "Ratios to "+r.Base+": further left is better")
	top := c.legend(r.Engines, panelGap, 50, width-2*panelGap) + 34
	left := panelGap
	for _, d := range shown {
		c.text(left+labelWidth, top, "start", bold, d.title)
		c.ratios(d.rows, r.Engines, left, top+10)
		left += labelWidth + panelWidth + panelGap
	}
	bottom := top + 10 + rowHeight*float64(most) + 44
	c.text(panelGap, bottom, "start", ` fill="#666" font-size="11"`, fmt.Sprintf(
		"Medians of %d rounds of %v s, lines from the lowest to the highest. %s, %d cores, %s, %s.",
		r.Rounds, r.Seconds, r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go))
	return c.svg(width, bottom+16)
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
func (c *canvas) ratios(rows []row, engines []string, left, top float64) {
	s := scale{0.5, 2, left + labelWidth + panelMargin, left + labelWidth + panelWidth - panelMargin}
	for _, at := range rows {
		for _, res := range at.results {
			if res.Ratio != nil && res.Ratio.Low > 0 {
				s.low, s.high = min(s.low, res.Ratio.Low), max(s.high, res.Ratio.High)
			}
		}
	}
	bottom := top + rowHeight*float64(len(rows))
	for _, v := range s.ticks() {
		c.line(s.at(v), top, s.at(v), bottom, "#e4e4e4", 1)
		c.text(s.at(v), bottom+14, "middle", ` fill="#666" font-size="10"`, short(v)+"×")
	}
	c.line(s.at(1), top, s.at(1), bottom, "#222", 1.5)
	for i, at := range rows {
		y := top + rowHeight*(float64(i)+0.5)
		c.line(left+labelWidth, top+rowHeight*float64(i), left+labelWidth+panelWidth, top+rowHeight*float64(i), "#e4e4e4", 1)
		c.text(left+labelWidth-6, y+4, "end", "", at.scenario)
		for j, e := range engines {
			res := at.results[e]
			if res == nil || res.Ratio == nil || res.Ratio.Low <= 0 {
				continue
			}
			// A little apart, so that equal ones are seen.
			y := y + (float64(j)-float64(len(engines)-1)/2)*min(2, (rowHeight-8)/float64(len(engines)))
			c.line(s.at(res.Ratio.Low), y, s.at(res.Ratio.High), y, colorOf(e), 1.5)
			c.dot(s.at(res.Ratio.Median), y, 4, colorOf(e), e+": "+res.text(at.metric))
		}
	}
}

// curves draws the latencies of a scenario's open loop by their quantiles; "" if it has none.
func (r *report) curves(scenario string) string {
	const width, height, left, right, top, bottom = 560.0, 300.0, 60.0, 20.0, 46.0, 30.0
	points := make([]row, 0, len(quantiles))
	s := scale{math.MaxFloat64, 0, height - bottom, top}
	for _, at := range r.rows() {
		if at.scenario != scenario || !slices.ContainsFunc(quantiles, func(q quantile) bool { return q.metric == at.metric }) {
			continue
		}
		points = append(points, at)
		for _, res := range at.results {
			s.low, s.high = min(s.low, res.Value.Median), max(s.high, res.Value.Median)
		}
	}
	if len(points) < 2 || s.low <= 0 {
		return ""
	}
	s.low, s.high = s.low/1.2, s.high*1.2
	x := func(i int) float64 { return left + (width-left-right)*float64(i)/float64(len(points)-1) }
	c := &canvas{}
	c.text(left, 20, "start", bold, "Latency in the open loop, µs")
	for _, v := range s.ticks() {
		c.line(left, s.at(v), width-right, s.at(v), "#e4e4e4", 1)
		c.text(left-6, s.at(v)+4, "end", ` fill="#666" font-size="10"`, short(v))
	}
	for i, at := range points {
		c.text(x(i), height-10, "middle", ` fill="#666" font-size="10"`, titleOf(at.metric))
	}
	for _, e := range r.Engines {
		var path []string
		for i, at := range points {
			if res := at.results[e]; res != nil && len(path) == i {
				path = append(path, fmt.Sprintf("%.1f,%.1f", x(i), s.at(res.Value.Median)))
				c.dot(x(i), s.at(res.Value.Median), 3, colorOf(e), e+", "+titleOf(at.metric)+": "+res.text(at.metric))
			}
		}
		c.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(path, " "), colorOf(e))
	}
	return c.svg(width, height)
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
	c := &canvas{}
	c.text(8, 18, "start", bold, at.metric.String())
	y := 28.0
	x := func(v float64) float64 { return left + (width-left-right)*max(v, 0)/most }
	for _, e := range r.Engines {
		res := at.results[e]
		if res == nil {
			continue
		}
		c.text(left-8, y+12, "end", "", e)
		c.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="13" fill="%s"/>`, left, y+2, x(res.Value.Median)-left, colorOf(e))
		c.line(x(res.Value.Low), y+8.5, x(res.Value.High), y+8.5, "#000", 1)
		c.text(x(res.Value.High)+6, y+12, "start", ` font-size="11"`, res.text(at.metric))
		y += step
	}
	return c.svg(width, y+8)
}
