// SPDX-License-Identifier: MIT

package httpparse

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestHostPort(t *testing.T) {
	for _, test := range []struct {
		host        string
		hasPort, ok bool
	}{
		{"a", false, true},
		{"a:1", true, true},
		{"a:080", true, true},
		{"a.b.", false, true},
		{"_a-b~", false, true},
		{"[::]", false, true},
		{"[::]:1", true, true},
		{"", false, false},
		{":", false, false},
		{"a:0", false, false},
		{"a:000", false, false},
		{"a:-1", false, false},
		{"a:1 ", false, false},
		{"a:99999999999999999999", false, false},
		{"a!b", false, false},
		{"[]", false, false},
		{"[", false, false},
		{"[a]", false, false},
		{"[::1]1", false, false},
		{"[::1]:", false, false},
		{"a[::1]", false, false},
		{"[[::1]]", false, false},
	} {
		hasPort, ok := hostPort([]byte(test.host))
		if ok != test.ok || ok && hasPort != test.hasPort {
			t.Errorf("hostPort(%q) = %v, %v", test.host, hasPort, ok)
		}
	}
}

// TestIPv6 asks net/netip about addresses that are right, nearly right, and wrong.
func TestIPv6(t *testing.T) {
	check := func(s string) (ok bool) {
		addr, err := netip.ParseAddr(s)
		want := err == nil && addr.Is6() && addr.Zone() == ""
		if got := ipv6([]byte(s)); got != want {
			t.Errorf("ipv6(%q) = %v", s, got)
		}
		return want
	}
	for _, s := range []string{
		"", ":", "::", ":::", "::1", "1::", "1::1", "1::1::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8", "12345::", "g::",
		"::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::1.2.3.04",
		"::1.2.3.", "::.1.2.3", "1.2.3.4", "::1.2.3.4:5", "::1.2.3.4::", "::ffff:1.2.3.0", "fe80::1%25a", "::A:f",
	} {
		check(s)
	}
	random := rand.New(rand.NewPCG(1, 2))
	valid := 0
	for range 200_000 {
		parts := make([]string, random.IntN(10))
		for i := range parts {
			parts[i] = []string{"", "0", "1f", "abcd", "12345", "1.2.3.4"}[min(random.IntN(20), 5)%6]
			if random.IntN(3) > 0 {
				parts[i] = "1"
			}
		}
		if check(strings.Join(parts, ":")) {
			valid++
		}
	}
	if valid < 1000 {
		t.Errorf("only %d of the random addresses were valid", valid)
	}
}
