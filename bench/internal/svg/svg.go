// SPDX-License-Identifier: MIT

// Package svg draws plots by hand: dots and lines on a logarithmic axis are less work than a library would be, and none that
// draws is worth being in the module graph of everybody who uses the server.
package svg

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Bold is a style of Canvas.Text.
const Bold = ` font-weight="bold"`

// A Canvas collects an SVG's elements.
type Canvas struct {
	strings.Builder
}

// Add adds an element.
func (c *Canvas) Add(format string, args ...any) {
	fmt.Fprintf(c, format+"\n", args...)
}

// Line adds a line.
func (c *Canvas) Line(x1, y1, x2, y2 float64, color string, width float64) {
	c.Add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"/>`, x1, y1, x2, y2, color, width)
}

// Text adds text. It has the anchor start, middle or end.
func (c *Canvas) Text(x, y float64, anchor, style, s string) {
	c.Add(`<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`, x, y, anchor, style, html.EscapeString(s))
}

// Dot adds a dot that tells its title.
func (c *Canvas) Dot(x, y, radius float64, color, title string) {
	c.Add(`<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"><title>%s</title></circle>`, x, y, radius, color, html.EscapeString(title))
}

// SVG puts the elements into a picture of that size.
func (c *Canvas) SVG(width, height float64) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" `+
		`font-family="system-ui, sans-serif" font-size="12" fill="#222">`+"\n"+
		`<rect width="%.0f" height="%.0f" fill="#fff"/>`+"\n%s</svg>\n", width, height, width, height, width, height, c.String())
}

// A Scale is logarithmic: from Low at A to High at B.
type Scale struct{ Low, High, A, B float64 }

// At returns where v is, or the nearest end of the scale.
func (s Scale) At(v float64) float64 {
	v = min(max(v, s.Low), s.High)
	return s.A + (s.B-s.A)*math.Log(v/s.Low)/math.Log(s.High/s.Low)
}

// Ticks returns 1, 2 and 5 of every power of ten within the scale, or less of these where it is long.
func (s Scale) Ticks() []float64 {
	steps := []float64{1, 2, 5}
	if s.High/s.Low > 300 {
		steps = steps[:1]
	}
	var all []float64
	for p := math.Floor(math.Log10(s.Low)); p <= math.Ceil(math.Log10(s.High)); p++ {
		for _, step := range steps {
			if v := step * math.Pow(10, p); v >= s.Low*0.999 && v <= s.High*1.001 {
				all = append(all, v)
			}
		}
	}
	return all
}

// Short is a number as an axis has it.
func Short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	default:
		return fmt.Sprintf("%.4g", v)
	}
}
