// SPDX-License-Identifier: MIT

package adjust

import (
	"flag"
	"math"
	"testing"
)

var _ flag.Value = (*Size)(nil)

func TestSize(t *testing.T) {
	for _, test := range []struct {
		text string
		want Size
		back string // how it is written then; "" if as it was
	}{
		{"0", 0, ""},
		{"1000", 1000, ""},
		{"-1", -1, ""},
		{"1024", 1024, "1K"},
		{"512K", 512 << 10, ""},
		{"512k", 512 << 10, "512K"},
		{"512KB", 512 << 10, "512K"},
		{"512KiB", 512 << 10, "512K"},
		{" 8 M ", 8 << 20, "8M"},
		{"1G", 1 << 30, ""},
		{"2T", 2 << 40, ""},
		{"1.5K", 1536, "1536"},
		{"12B", 12, "12"},
		{"-4K", -4096, "-4K"},
		{"7E", 7 << 60, ""},
		{"9223372036854775807", math.MaxInt64, ""},
	} {
		var n Size
		if err := n.Set(test.text); err != nil || n != test.want {
			t.Errorf("%q: %d, %v, want %d", test.text, n, err, test.want)
		}
		back := test.back
		if back == "" {
			back = test.text
		}
		if n.String() != back {
			t.Errorf("%q is written %q", test.text, n)
		}
	}
	for _, text := range []string{
		"", "K", "B", "1.5", "x", "512X", "1KK", "0x10", "1_000", "1e3", "NaN", "NaNK", "InfK", "8E", "9223372036854775808", "99999999E", "1 2",
	} {
		n := Size(7)
		if err := n.Set(text); err == nil || n != 7 {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1", "512K", "1.5G", "-0x1p-2K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var n, again Size
		if n.Set(s) != nil {
			return
		}
		if err := again.Set(n.String()); err != nil || again != n {
			t.Errorf("%q is %d, written %q, which is %d, %v", s, n, n, again, err)
		}
	})
}
