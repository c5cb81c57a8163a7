// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// TestRun measures every engine once, for a moment and with little load, since other tests run at the same time. Whatever
// the numbers are, there is one for each metric, but for those that need more requests than there may be time for.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the servers")
	}
	t.Setenv("TMPDIR", t.TempDir())
	c, err := parseFlags([]string{"-rounds", "1", "-seconds", "0.2", "-idle", "50", "-scenarios", "idle,idle-tls,start", "-rates", "0.5"})
	if err != nil {
		t.Fatal(err)
	}
	c.scenarios = append(c.scenarios,
		scenario{"small", "", 0, requests{
			closed: []meter.Group{{Conns: 2, Depth: 2, Kinds: []meter.Kind{browserKind}}},
			open:   []meter.Group{rated(2, 1000, helloKind)},
		}.measure},
		scenario{"app", "", needHandlers | needFiles, requests{
			closed: []meter.Group{plain(2, jsonKind, post(1<<10), post(1<<20), sleepKind, file1M)},
			open:   []meter.Group{closing(rated(2, 50, closeKind))},
		}.measure},
	)
	r, err := run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]metric{
		"idle":     {idleRSS, idleHeap, idleCPU},
		"idle-tls": {idleRSS, idleHeap, idleCPU},
		"start":    {firstAnswer},
		"small":    {requestRate, cpuPerRequest, allocsPerRequest, residentMiB, openP50, openCPU, loadCPU},
		"app":      {requestRate, cpuPerRequest, allocsPerRequest, residentMiB, openP50, openCPU, loadCPU},
	}
	found := map[string]*row{}
	for _, at := range r.rows() {
		found[at.scenario+" "+at.metric.String()] = &at
	}
	for _, sc := range c.scenarios {
		for _, m := range want[sc.name] {
			for _, e := range c.engines {
				at := found[sc.name+" "+m.String()]
				if e.has&sc.needs == sc.needs && (at == nil || at.results[e.name] == nil) {
					t.Errorf("not measured: %s, %s, %s", sc.name, m, e.name)
				}
			}
		}
	}
	mustBeEmpty(t)
}

// TestInterrupt ends a run in the middle of a measurement that would take an hour.
func TestInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the servers")
	}
	t.Setenv("TMPDIR", t.TempDir())
	c, err := parseFlags([]string{"-engines", "nethttp", "-scenarios", "keepalive-1", "-seconds", "3600"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(2*time.Second, cancel)
	defer timer.Stop()
	if _, err := run(ctx, c); err == nil {
		t.Error("no error")
	}
	mustBeEmpty(t)
}

// mustBeEmpty says whether a run has left files behind.
func mustBeEmpty(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if strings.HasPrefix(f.Name(), "bench-") {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}
