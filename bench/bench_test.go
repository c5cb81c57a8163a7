// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		args string
		want string // the engines, or part of the error
		ok   bool
	}{
		{"default", "", names(engines), true},
		{"chosen, in the table's order", "-engines gnet,nethttp", "nethttp, gnet", true},
		{"unknown engine", "-engines nethttp,apache", `no "apache"; there are waitress-pool`, false},
		{"unknown scenario", "-scenarios x", `no "x"`, false},
		{"the same twice", "-engines gnet,gnet", `no "gnet"`, false},
		{"unknown driver", "-driver ab", `no "ab"`, false},
		{"no rounds", "-rounds 0", "-rounds", false},
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

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{9, 1}, 5}, {[]float64{100, 1, 3}, 3}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := median(tt.in); got != tt.want {
			t.Errorf("median of %v is %v, want %v", tt.in, got, tt.want)
		}
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

// newReport has three rounds of a scenario with two metrics, in the second of which gnet failed.
func newReport() *report {
	sc := scenario{name: "some", metrics: []metric{requestRate, idleCPU}}
	r := &report{
		machine: meter.Machine{CPU: "a CPU", Cores: 2, Kernel: "Linux 1", Go: "go1", Busy: "0.10"},
		config:  &config{rounds: 3, duration: time.Second, driver: "own", idle: 15000, engines: engines[1:4], scenarios: []scenario{sc}},
		samples: map[cell][]sample{},
	}
	for round, rate := range []float64{1000, 2000, 4000} {
		r.add(cell{"some", reference}, round, sample{requestRate: rate, idleCPU: 0})
		if round != 1 {
			r.add(cell{"some", "gnet"}, round, sample{requestRate: 3 * rate, idleCPU: 0.5})
		}
	}
	return r
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := newReport().print(&out, false); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimLeft(`
a CPU, 2 cores, Linux 1, go1; load average before: 0.10.
Rounds: 3, of 1s. Load by: own. Idle connections: 15,000.
Medians ± half the range; × is the ratio to nethttp in the same round.

| scenario | metric            | waitress-inline |     nethttp |              gnet |
| -------- | ----------------- | --------------: | ----------: | ----------------: |
| some     | requests/s        |            none | 2,000 ±75 % | 7,500 ±60 % ×3.00 |
| some     | CPU % of one core |            none |         0.0 |          0.5 ±0 % |
`, "\n")
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := newReport().print(&out, true); err != nil {
		t.Fatal(err)
	}
	var got struct{ Results []result }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Results) != 4 {
		t.Fatalf("%d results, want 4: %+v", len(got.Results), got.Results)
	}
	gnet := got.Results[1]
	if gnet.Engine != "gnet" || gnet.Metric != "requests_per_second" || gnet.Median != 7500 || gnet.Spread != 4500 ||
		gnet.Ratio == nil || math.Abs(*gnet.Ratio-3) > 1e-9 || len(gnet.Values) != 2 {
		t.Errorf("%+v", gnet)
	}
}

func TestParseWrk(t *testing.T) {
	const head = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 1 connections\n" +
		"  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency    99.00us   50.00us   2.00ms   99.00%\n" +
		"  Latency Distribution\n     50%   85.00us\n     75%   90.00us\n     90%  100.00us\n     99%    1.25ms\n"
	const total = "  20010 requests in 2.00s, 2.50MB read\n"
	for _, tt := range []struct {
		name, out string
		want      load
		ok        bool
	}{
		{"plain", head + total + "Requests/sec:   10005.00\n", load{20010, 10005, 85 * time.Microsecond, 1250 * time.Microsecond}, true},
		{"refused requests", head + total + "  Non-2xx or 3xx responses: 7\n", load{}, false},
		{"broken connections", head + total + "  Socket errors: connect 0, read 3, write 0, timeout 0\n", load{}, false},
		{"something else", "wrk 4.2\n", load{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseWrk(tt.out)
			if (err == nil) != tt.ok || got != tt.want {
				t.Errorf("%+v, %v; want %+v, ok %v", got, err, tt.want, tt.ok)
			}
		})
	}
}
