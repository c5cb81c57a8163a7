// SPDX-License-Identifier: MIT

package svg

import (
	"math"
	"slices"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		low, high float64
		want      []float64
	}{
		{0.5, 2, []float64{0.5, 1, 2}},
		{0.03, 30, []float64{0.1, 1, 10}},
		{90, 1100, []float64{100, 200, 500, 1000}},
	} {
		got := Scale{Low: tt.low, High: tt.high}.Ticks()
		if !slices.EqualFunc(got, tt.want, func(a, b float64) bool { return math.Abs(a-b) < b/1e6 }) {
			t.Errorf("%v to %v: %v, want %v", tt.low, tt.high, got, tt.want)
		}
	}
}
