// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A cell is where the samples of one scenario and engine stand.
type cell struct{ scenario, engine string }

// samples has one sample a round for each cell, nil where the measurement failed.
type samples map[cell][]sample

func (s samples) add(at cell, round, rounds int, found sample) {
	if s[at] == nil {
		s[at] = make([]sample, rounds)
	}
	s[at][round] = found
}

// rounds is how many there were, since a run may be ended early.
func (s samples) rounds() int {
	most := 0
	for _, all := range s {
		for round, found := range all {
			if found != nil {
				most = max(most, round+1)
			}
		}
	}
	return most
}

// A report is what a run has found. It is what -json prints and -from reads.
type report struct {
	Machine  meter.Machine `json:"machine"`
	Versions []string      `json:"versions"` // of the engines that are other modules
	Rounds   int           `json:"rounds"`
	Seconds  float64       `json:"seconds"` // of one load
	Idle     int           `json:"idle_connections"`
	Base     string        `json:"base"`
	Engines  []string      `json:"engines"`
	Results  []result      `json:"results"` // by scenario, then by metric, then by engine
}

// A result is what the rounds say of one metric of one engine.
type result struct {
	Scenario string    `json:"scenario"`
	Metric   string    `json:"metric"`
	Engine   string    `json:"engine"`
	Value    spread    `json:"value"`
	Ratio    *spread   `json:"ratio,omitempty"` // to the base, within a round
	Values   []float64 `json:"values"`          // of the rounds that did not fail
}

// A spread is what several rounds agree on, and how well.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// spreadOf sums up values, of which there must be one.
func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

func newReport(c *config, machine meter.Machine, versions []string, found samples) *report {
	r := &report{
		Machine: machine, Versions: versions, Rounds: found.rounds(), Seconds: c.duration.Seconds(), Idle: c.idle, Base: c.base,
	}
	for _, e := range c.engines {
		r.Engines = append(r.Engines, e.name)
	}
	for _, sc := range c.scenarios {
		for m := range metrics {
			for _, e := range c.engines {
				if res, ok := found.summarize(sc.name, e.name, c.base, metric(m)); ok {
					r.Results = append(r.Results, res)
				}
			}
		}
	}
	return r
}

// summarize returns false where no round has a value.
func (s samples) summarize(scenario, engine, base string, m metric) (result, bool) {
	res := result{Scenario: scenario, Engine: engine, Metric: metrics[m].key}
	others := s[cell{scenario, base}]
	var ratios []float64
	for round, found := range s[cell{scenario, engine}] {
		v, ok := found[m]
		if !ok {
			continue
		}
		res.Values = append(res.Values, v)
		if others != nil && others[round][m] > 0 && engine != base {
			ratios = append(ratios, v/others[round][m])
		}
	}
	if len(res.Values) == 0 {
		return res, false
	}
	res.Value = spreadOf(res.Values)
	if len(ratios) > 0 {
		x := spreadOf(ratios)
		res.Ratio = &x
	}
	return res, true
}

// readReport reads what -json has printed.
func readReport(name string) (*report, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, res := range r.Results {
		if _, ok := metricOf(res.Metric); !ok {
			return nil, fmt.Errorf("%s: no metric %q", name, res.Metric)
		}
	}
	return r, nil
}

// write prints the report and writes the files that c names.
func (r *report) write(c *config, w io.Writer) error {
	if c.svg != "" {
		if err := os.WriteFile(c.svg, []byte(r.overview()), 0o644); err != nil {
			return err
		}
	}
	if c.html != "" {
		page, err := r.page()
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.html, page, 0o644); err != nil {
			return err
		}
	}
	if c.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "\t")
		return e.Encode(r)
	}
	_, err := io.WriteString(w, r.about()+"\n"+align(r.table()))
	return err
}

// about says in some lines of text where and how the report was made.
func (r *report) about() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %s, %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go)
	for _, v := range r.Versions {
		fmt.Fprintf(&b, ", %s", v)
	}
	fmt.Fprintf(&b, "; load average before: %s.\n", r.Machine.Busy)
	fmt.Fprintf(&b, "Rounds: %d, loads of %v s, idle connections: %s.\n", r.Rounds, r.Seconds, withCommas(strconv.Itoa(r.Idle)))
	fmt.Fprintf(&b, "Medians; × is the median of the ratios to %s in the same round, and in parentheses are the lowest and the highest.\n", r.Base)
	b.WriteString("Latencies are of the open loop where there is one.\n")
	return b.String()
}

// A row is one metric of one scenario.
type row struct {
	scenario string
	metric   metric
	results  map[string]*result // by engine
}

// rows has all that r has results for.
func (r *report) rows() []row {
	var all []row
	for i := range r.Results {
		res := &r.Results[i]
		m, _ := metricOf(res.Metric)
		if n := len(all); n == 0 || all[n-1].scenario != res.Scenario || all[n-1].metric != m {
			all = append(all, row{res.Scenario, m, map[string]*result{}})
		}
		all[len(all)-1].results[res.Engine] = res
	}
	return all
}

// table has a row for each metric of each scenario that is no detail, and a column for each engine.
func (r *report) table() [][]string {
	rows := [][]string{append([]string{"scenario", "metric"}, r.Engines...)}
	all := r.rows()
	for _, at := range all {
		// Where there is no open loop, the latencies of the closed one have to do.
		closed := at.metric == closedP50 || at.metric == closedP99
		alone := closed && !slices.ContainsFunc(all, func(o row) bool { return o.scenario == at.scenario && o.metric == openP50 })
		if metrics[at.metric].detail && !alone {
			continue
		}
		line := []string{at.scenario, at.metric.String()}
		for _, e := range r.Engines {
			text := "-"
			if res := at.results[e]; res != nil {
				text = res.text(at.metric)
			}
			line = append(line, text)
		}
		rows = append(rows, line)
	}
	return rows
}

// text is a result as the table shows it: "41,250 ×1.31 (1.24..1.40)", or for the base "31,330 (29,100..33,000)".
func (res *result) text(m metric) string {
	s := m.format(res.Value.Median)
	several := len(res.Values) > 1
	switch {
	case res.Ratio != nil && several:
		s += fmt.Sprintf(" ×%.2f (%.2f..%.2f)", res.Ratio.Median, res.Ratio.Low, res.Ratio.High)
	case res.Ratio != nil:
		s += fmt.Sprintf(" ×%.2f", res.Ratio.Median)
	case several && res.Value.High > 0:
		s += fmt.Sprintf(" (%s..%s)", m.format(res.Value.Low), m.format(res.Value.High))
	}
	return s
}

// align lays rows out as a Markdown table, which people can read as it is too; numbers to the right. The first row is the
// head.
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
