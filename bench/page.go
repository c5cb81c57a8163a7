// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/waitress-go/waitress/bench/internal/svg"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A section is one scenario's part of the page.
type section struct {
	Name, About string
	Plots       []template.HTML
}

// page makes one file of HTML with all that r has, which needs nothing from anywhere else.
func (r *report) page() ([]byte, error) {
	var sections []*section
	for _, at := range r.rows() {
		if n := len(sections); n == 0 || sections[n-1].Name != at.scenario {
			s := &section{Name: at.scenario}
			for _, sc := range scenarios {
				if sc.name == at.scenario {
					s.About = sc.about
				}
			}
			sections = append(sections, s)
			if curves := r.curves(at.scenario); curves != "" {
				s.Plots = append(s.Plots, template.HTML(curves))
			}
		}
		s := sections[len(sections)-1]
		if bars := r.bars(at); bars != "" && !metrics[at.metric].detail {
			s.Plots = append(s.Plots, template.HTML(bars))
		}
	}
	names := &svg.Canvas{}
	height := legend(names, r.Engines, 8, 18, 1100) + 10
	table := r.table()
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, map[string]any{
		"About": r.about(), "Overview": template.HTML(r.overview()), "Legend": template.HTML(names.SVG(1120, height)),
		"Sections": sections, "Head": table[0], "Rows": table[1:],
	})
	return out.Bytes(), err
}
