// SPDX-License-Identifier: MIT

package meter

import (
	"encoding/json"
	"testing"
	"time"
)

func TestParseStatus(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       int64
		ok         bool
	}{
		{"plain", "Name:\tserver\nVmPeak:\t   9 kB\nVmRSS:\t   16000 kB\nRssAnon:\t 1 kB\n", 16000 << 10, true},
		{"a kernel thread", "Name:\tkthreadd\nThreads:\t1\n", 0, false},
		{"no number", "VmRSS:\t many kB\n", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStatus(tt.text)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("%v, %v; want %v, ok %v", got, err, tt.want, tt.ok)
			}
		})
	}
}

// TestLatency sends two distributions through their text form, as they go from process to process, and merges them.
func TestLatency(t *testing.T) {
	fast, slow := NewLatency(), NewLatency()
	for i := range 900 {
		fast.Record(time.Duration(i+1) * time.Microsecond)
	}
	for range 100 {
		slow.Record(time.Second)
	}
	var all *Latency
	for _, part := range []*Latency{fast, slow} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		got := new(Latency)
		if err := json.Unmarshal(text, got); err != nil {
			t.Fatal(err)
		}
		if got.Count() != part.Count() {
			t.Errorf("%d durations, want %d", got.Count(), part.Count())
		}
		if all == nil {
			all = got
		} else {
			all.Merge(got)
		}
	}
	if n := all.Count(); n != 1000 {
		t.Errorf("%d durations", n)
	}
	for _, tt := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 500 * time.Microsecond}, {0.9, 900 * time.Microsecond}, {0.99, time.Second}} {
		got := all.Quantile(tt.q)
		if off := (got - tt.want).Abs(); off > tt.want/500 {
			t.Errorf("quantile %v is %v, want %v", tt.q, got, tt.want)
		}
	}
}

func TestLatencyLimits(t *testing.T) {
	l := NewLatency()
	l.Record(-time.Second)
	l.Record(time.Hour)
	if l.Count() != 2 {
		t.Errorf("%d durations, want 2", l.Count())
	}
	if got := l.Quantile(1); got < longest || got > longest+longest/500 {
		t.Errorf("the longest is %v, want %v", got, longest)
	}
	if err := new(Latency).UnmarshalText([]byte("!")); err == nil {
		t.Error("no error for a text that is none")
	}
}
