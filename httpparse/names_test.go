// SPDX-License-Identifier: MIT

package httpparse

import (
	"math/rand/v2"
	"net/textproto"
	"strings"
	"testing"

	"github.com/waitress-go/waitress/internal/invariant"
)

func TestNames(t *testing.T) {
	for id := nameNone + 1; id < numNames; id++ {
		name := id.String()
		if canonical := textproto.CanonicalMIMEHeaderKey(name); name != canonical {
			t.Errorf("%d is %q, canonical is %q", id, name, canonical)
		}
		if len(name) < minName || len(name) > maxName {
			t.Errorf("%q has %d octets", name, len(name))
		}
		for _, spelt := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := lookup([]byte(spelt)); got != id {
				t.Errorf("lookup(%q) = %d %q, want %d", spelt, got, got, id)
			}
		}
		// A name that differs in one octet is another name, if it is one at all.
		for i := range name {
			for c := range 256 {
				other := name[:i] + string([]byte{byte(c)}) + name[i+1:]
				if !ValidFieldName(other) || strings.EqualFold(other, name) {
					continue
				}
				if got := lookup([]byte(other)); got != 0 && !strings.EqualFold(got.String(), other) {
					t.Errorf("lookup(%q) = %q", other, got)
				}
			}
		}
	}
	for _, name := range []string{"", "A", "Hos", "Hostt", "X-Unknown", strings.Repeat("a", 1000)} {
		if got := lookup([]byte(name)); got != 0 {
			t.Errorf("lookup(%q) = %q", name, got)
		}
	}
	if s := NameID(0).String() + NameID(255).String(); s != "" {
		t.Errorf("no name is called %q", s)
	}
}

// TestNameFactor sees that every name has a slot of its own, and otherwise finds a factor that gives each one.
func TestNameFactor(t *testing.T) {
	factor := uint64(nameFactor)
	random := rand.New(rand.NewPCG(1, 2))
	for collides(factor) {
		factor = random.Uint64() | 1
	}
	if factor != nameFactor {
		t.Errorf("two names have the same slot; they have not with nameFactor = %#x", factor)
	}
}

func collides(factor uint64) bool {
	var taken [len(nameTable)]bool
	for id := nameNone + 1; id < numNames; id++ {
		place := slot(nameKeys[id].first, nameKeys[id].last, factor)
		if taken[place] {
			return true
		}
		taken[place] = true
	}
	return false
}

func TestNamesDoNotAllocate(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	length := 0
	if n := testing.AllocsPerRun(10, func() {
		for id := nameNone; id < numNames; id++ {
			length += len(id.String())
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
