// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRun measures everything once, for a moment: whatever the numbers are, there is one for each metric of each engine.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the servers")
	}
	t.Setenv("TMPDIR", t.TempDir())
	c, err := parseFlags([]string{"-rounds", "1", "-duration", "100ms", "-idle", "50"})
	if err != nil {
		t.Fatal(err)
	}
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
