// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		args string
		want string // the engines, or part of the error
		ok   bool
	}{
		{"default", "", names(own()), true},
		{"chosen, in the table's order", "-engines gnet,nethttp", "nethttp, gnet", true},
		{"peers", "-engines nbio,fasthttp", "fasthttp, nbio", true},
		{"unknown engine", "-engines nethttp,apache", `no "apache"; there are waitress-pool`, false},
		{"unknown scenario", "-scenarios x", `no "x"`, false},
		{"the same twice", "-engines gnet,gnet", `"gnet" twice`, false},
		{"another base", "-engines gnet,nethttp -base gnet", "nethttp, gnet", true},
		{"no base", "-engines gnet -scenarios keepalive-64", "gnet", true},
		{"a base that is none", "-base foo", "-base foo is not measured", false},
		{"a base that is not measured", "-engines gnet -base nethttp", "-base nethttp is not measured; that are gnet", false},
		{"scenarios that the engine has no way to answer", "-engines gnet -scenarios slow-readers", "nothing is left", false},
		{"one of them", "-engines gnet -scenarios slow-readers,keepalive-64", "gnet", true},
		{"processors below 0", "-gomaxprocs -3", "-gomaxprocs", false},
		{"a file, and engines", "-from x.json -engines gnet", "-engines says", false},
		{"a file, and a base", "-from x.json -html y -base gnet", "-base says", false},
		{"a file", "-from x.json -html y", "", true},
		{"no rounds", "-rounds 0", "-rounds", false},
		{"no time", "-seconds 0", "-seconds", false},
		{"an argument too many", "now", `"now"`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseFlags(strings.Fields(tt.args))
			switch {
			case (err == nil) != tt.ok:
				t.Errorf("error: %v", err)
			case tt.ok && names(c.engines) != tt.want:
				t.Errorf("engines: %s, want %s", names(c.engines), tt.want)
			case !tt.ok && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error: %v, want %s", err, tt.want)
			}
		})
	}
}

// TestUnavailable chooses engines that are in the table, but not there.
func TestUnavailable(t *testing.T) {
	t.Setenv("PATH", "") // no tool is there
	all, err := pickEngines("all")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines {
		_, err := pickEngines(e.name)
		if available := e.tool == ""; (err == nil) != available || strings.Contains(names(all), e.name) != available {
			t.Errorf("%s: %v; all has %s", e.name, err, names(all))
		}
	}
}

func TestSpreadOf(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want spread
	}{
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{9, 1}, spread{5, 1, 9}},
		{[]float64{100, 1, 3}, spread{3, 1, 100}},
		{[]float64{4, 1, 2, 100}, spread{3, 1, 100}},
	} {
		if got := spreadOf(tt.in); got != tt.want {
			t.Errorf("spread of %v is %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestBrowserHead(t *testing.T) {
	if n, fields := len(browserHead), strings.Count(browserHead, "\r\n")-2; n != 700 || fields != 12 {
		t.Errorf("%d bytes, %d fields", n, fields)
	}
}

func TestQuantile(t *testing.T) {
	l, s := meter.NewLatency(), sample{}
	for range 1000 {
		l.Record(time.Millisecond)
	}
	s.quantile(openP999, l, 0.999)
	s.quantile(openP9999, l, 0.9999) // is more than a thousand durations can tell
	if _, more := s[openP9999]; more || s[openP999] < 999 || s[openP999] > 1001 {
		t.Errorf("%v", s)
	}
}

func TestFormat(t *testing.T) {
	for _, tt := range []struct {
		m    metric
		v    float64
		want string
	}{
		{requestRate, 0, "0"},
		{requestRate, 999.6, "1,000"},
		{requestRate, 1234567, "1,234,567"},
		{idleRSS, -1234.4, "-1,234"},
		{cpuPerRequest, 12345.67, "12,345.7"},
		{allocsPerRequest, 0.016, "0.02"},
	} {
		if got := tt.m.format(tt.v); got != tt.want {
			t.Errorf("%v of %v is %s, want %s", tt.m, tt.v, got, tt.want)
		}
	}
}

// someReport has three rounds of two scenarios; in the second round gnet failed, and inline always did.
func someReport() *report {
	machine := meter.Machine{CPU: "a <CPU>", Cores: 2, Kernel: "Linux 1", Go: "go1", Busy: "0.10"}
	c := &config{rounds: 3, duration: time.Second, idle: 15000, base: "nethttp"}
	c.engines, _ = pickEngines("waitress-inline,nethttp,gnet")
	c.scenarios, _ = pick(scenarios, "keepalive-64,pipelined-16,idle")
	found := samples{}
	for round, x := range []float64{1000, 2000, 4000} {
		for i, e := range []string{"nethttp", "gnet"} {
			if e == "gnet" && round == 1 {
				continue
			}
			x := x * float64(1+2*i)
			found.add(cell{"keepalive-64", e}, round, 3, sample{
				requestRate: x, cpuPerRequest: x / 100, openP50: x / 10, openP90: x / 8, openP99: x / 4, closedP50: x / 9, idleCPU: 0,
			})
			found.add(cell{"pipelined-16", e}, round, 3, sample{closedP50: x / 9, closedP99: x})
		}
		found.add(cell{"idle", "nethttp"}, round, 3, sample{idleRSS: x})
	}
	return newReport(c, machine, []string{"gnet v1"}, found)
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := someReport().write(&config{}, &out); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.txt"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, golden); out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// TestJSON has a report read back say the same.
func TestJSON(t *testing.T) {
	r, out := someReport(), new(bytes.Buffer)
	if err := r.write(&config{json: true}, out); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readReport(name)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, want %+v", got, r)
	}
	for _, text := range []string{"", "[]", `{"results":[{"metric":"x"}]}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readReport(name); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

// TestPlots looks at what can be told without eyes: they are well-formed, and each engine with results has its dots.
func TestPlots(t *testing.T) {
	r := someReport()
	folder := t.TempDir()
	c := &config{html: filepath.Join(folder, "page.html"), svg: filepath.Join(folder, "plot.svg")}
	if err := r.write(c, io.Discard); err != nil {
		t.Fatal(err)
	}
	plots := map[string]string{"overview": read(t, c.svg), "curves": r.curves("keepalive-64")}
	for _, at := range r.rows() {
		if at.metric != idleCPU {
			plots["bars of "+at.metric.String()] = r.bars(at)
		}
	}
	for name, text := range plots {
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
		if !strings.HasPrefix(text, "<svg ") || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: %.200s", name, text)
		}
	}
	// keepalive-64 has time and latency, pipelined-16 latency.
	if n := strings.Count(plots["overview"], "<title>gnet: "); n != 3 {
		t.Errorf("%d dots of gnet in the overview", n)
	}
	if n := strings.Count(plots["curves"], "<title>gnet, "); n != 3 {
		t.Errorf("%d dots of gnet in the curves", n)
	}
	page := read(t, c.html)
	for _, part := range []string{"a &lt;CPU&gt;", plots["curves"], "<h2>pipelined-16</h2>", "<td>7,500 ×3.00 (3.00..3.00)</td>"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %.80s", part)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "<link") || strings.Contains(page, "src=") {
		t.Error("the page needs something from elsewhere")
	}
	if r.curves("idle") != "" {
		t.Error("curves without an open loop")
	}
}

// TestNothing has a report without results write something nevertheless.
func TestNothing(t *testing.T) {
	c, err := parseFlags([]string{"-scenarios", "idle"})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	c.html, c.svg = filepath.Join(folder, "page.html"), filepath.Join(folder, "plot.svg")
	if err := newReport(c, meter.Machine{}, nil, samples{}).write(c, io.Discard); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
