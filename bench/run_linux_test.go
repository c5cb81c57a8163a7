// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRun measures every engine once, for a moment and with little load, since other tests run at the same time. Whatever
// the numbers are, there is one for each metric.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the servers")
	}
	t.Setenv("TMPDIR", t.TempDir())
	c, err := parseFlags([]string{"-rounds", "1", "-duration", "500ms", "-idle", "50", "-scenarios", "idle"})
	if err != nil {
		t.Fatal(err)
	}
	c.scenarios = append(c.scenarios, scenario{"small", "", loadMetrics, closedLoop(2, 2)})
	r, err := run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.table() {
		for _, text := range row {
			if text == "none" {
				t.Errorf("not measured: %s", strings.Join(row, ", "))
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
	c, err := parseFlags([]string{"-engines", reference, "-scenarios", "keepalive-1", "-duration", "1h"})
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
