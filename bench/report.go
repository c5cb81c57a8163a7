// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A cell is where the samples of one scenario and engine stand.
type cell struct{ scenario, engine string }

// A report is what a run has found: for each cell one sample a round, nil where the measurement failed.
type report struct {
	machine  meter.Machine
	versions []string
	config   *config
	samples  map[cell][]sample
}

func (r *report) add(at cell, round int, s sample) {
	if r.samples[at] == nil {
		r.samples[at] = make([]sample, r.config.rounds)
	}
	r.samples[at][round] = s
}

// A result is what the rounds say of one metric of one engine.
type result struct {
	Scenario string    `json:"scenario"`
	Engine   string    `json:"engine"`
	Metric   string    `json:"metric"`
	Median   float64   `json:"median"`
	Spread   float64   `json:"spread"`          // half of what lies between the lowest and the highest value
	Ratio    *float64  `json:"ratio,omitempty"` // to the reference: the median of the rounds' ratios
	Values   []float64 `json:"values"`          // of the rounds that did not fail
}

// summarize returns false where no round has a value.
func (r *report) summarize(sc scenario, e engine, m metric) (result, bool) {
	res := result{Scenario: sc.name, Engine: e.name, Metric: metrics[m].key}
	base := r.samples[cell{sc.name, reference}]
	var ratios []float64
	for round, s := range r.samples[cell{sc.name, e.name}] {
		if s == nil {
			continue
		}
		res.Values = append(res.Values, s[m])
		if base != nil && base[round] != nil && base[round][m] > 0 && e.name != reference {
			ratios = append(ratios, s[m]/base[round][m])
		}
	}
	if len(res.Values) == 0 {
		return res, false
	}
	res.Median = median(res.Values)
	res.Spread = (slices.Max(res.Values) - slices.Min(res.Values)) / 2
	if len(ratios) > 0 {
		x := median(ratios)
		res.Ratio = &x
	}
	return res, true
}

// median returns the middle value, or the mean of the two in the middle. There must be one.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// print writes the report as a Markdown table, which people can read as it is too, or as JSON.
func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return r.printJSON(w)
	}
	c := r.config
	fmt.Fprintf(w, "%s, %d cores, %s, %s", r.machine.CPU, r.machine.Cores, r.machine.Kernel, r.machine.Go)
	for _, v := range r.versions {
		fmt.Fprintf(w, ", %s", v)
	}
	fmt.Fprintf(w, "; load average before: %s.\n", r.machine.Busy)
	fmt.Fprintf(w, "Rounds: %d, of %v. Load by: %s. Idle connections: %s.\n", c.rounds, c.duration, c.driver, withCommas(strconv.Itoa(c.idle)))
	fmt.Fprintf(w, "Medians ± half the range; × is the ratio to %s in the same round.\n\n", reference)
	_, err := io.WriteString(w, align(r.table()))
	return err
}

// table has a row for each metric of each scenario, and a column for each engine.
func (r *report) table() [][]string {
	head := []string{"scenario", "metric"}
	for _, e := range r.config.engines {
		head = append(head, e.name)
	}
	rows := [][]string{head}
	for _, sc := range r.config.scenarios {
		for _, m := range sc.metrics {
			row := []string{sc.name, m.String()}
			for _, e := range r.config.engines {
				res, ok := r.summarize(sc, e, m)
				if !ok {
					row = append(row, "none")
					continue
				}
				row = append(row, res.text(m))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// text is a result as the table shows it: "41,250 ±3 % ×1.31".
func (res *result) text(m metric) string {
	s := m.format(res.Median)
	if len(res.Values) > 1 && res.Median != 0 {
		s += fmt.Sprintf(" ±%.0f %%", math.Abs(100*res.Spread/res.Median))
	}
	if res.Ratio != nil {
		s += fmt.Sprintf(" ×%.2f", *res.Ratio)
	}
	return s
}

// align lays rows out as a Markdown table, numbers to the right. The first row is the head.
func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, s := range row {
			fill := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(s))
			if i < 2 {
				b.WriteString("| " + s + fill + " ")
			} else {
				b.WriteString("| " + fill + s + " ")
			}
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			if i < 2 {
				b.WriteString("| " + strings.Repeat("-", width) + " ")
			} else {
				b.WriteString("| " + strings.Repeat("-", width-1) + ": ")
			}
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// printJSON writes everything that was found.
func (r *report) printJSON(w io.Writer) error {
	var results []result
	for _, sc := range r.config.scenarios {
		for _, m := range sc.metrics {
			for _, e := range r.config.engines {
				if res, ok := r.summarize(sc, e, m); ok {
					results = append(results, res)
				}
			}
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(struct {
		Machine  meter.Machine `json:"machine"`
		Versions []string      `json:"versions"`
		Driver   string        `json:"driver"`
		Seconds  float64       `json:"seconds"` // of one measurement
		Idle     int           `json:"idle_connections"`
		Results  []result      `json:"results"`
	}{r.machine, r.versions, r.config.driver, r.config.duration.Seconds(), r.config.idle, results})
}
