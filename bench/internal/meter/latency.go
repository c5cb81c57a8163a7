// SPDX-License-Identifier: MIT

package meter

import (
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// What a Latency tells apart: from 128 ns to half a minute, with an error of a thousandth.
const (
	shortest = 128 * time.Nanosecond
	longest  = 30 * time.Second
	digits   = 3
)

// A Latency is a distribution of durations. One goroutine at a time may use it. Its text is the HdrHistogram format V2,
// compressed, which other tools read too; the unit is a nanosecond.
type Latency struct {
	h *hdr.Histogram
}

// NewLatency returns an empty distribution.
func NewLatency() *Latency {
	return &Latency{hdr.New(int64(shortest), int64(longest), digits)}
}

// Record counts d, or the longest duration that can be told if d is above it.
func (l *Latency) Record(d time.Duration) {
	// RecordValue fails for what is out of range, and nothing is.
	_ = l.h.RecordValue(int64(min(max(d, 0), longest)))
}

// Merge counts all that from has counted.
func (l *Latency) Merge(from *Latency) { l.h.Merge(from.h) }

// Count returns how many durations were counted.
func (l *Latency) Count() int64 { return l.h.TotalCount() }

// Quantile returns the duration that the share q, 0 to 1, of all durations did not exceed.
func (l *Latency) Quantile(q float64) time.Duration {
	return time.Duration(l.h.ValueAtQuantile(100 * q))
}

// MarshalText implements encoding.TextMarshaler.
func (l *Latency) MarshalText() ([]byte, error) {
	return l.h.Encode(hdr.V2CompressedEncodingCookieBase)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Latency) UnmarshalText(text []byte) error {
	h, err := hdr.Decode(text)
	if err == nil {
		l.h = h
	}
	return err
}
