// SPDX-License-Identifier: MIT

package dispatch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// runs learns n runs of k where it is placed, and returns how many of them were on the loop.
func (p *predictor) runs(k Kind, n int, quick bool) (here int) {
	for range n {
		at := p.place(k)
		if at == Here {
			here++
		}
		p.learn(k, at, quick)
	}
	return here
}

// TestPredictor tells stories of kinds that turn out quick and slow, and where they ran.
func TestPredictor(t *testing.T) {
	kinds := map[string]Kind{"/a/": 1 | 2<<16, "/a/1": 3 | 2<<16, "/a/2": 4 | 2<<16, "/a/3": 5 | 2<<16, "/b/2": 6 | 7<<16}
	type chapter struct {
		wait  time.Duration // before
		route string
		n     int
		quick bool
		here  int // of n
	}
	for name, story := range map[string][]chapter{
		"trust comes after so many quick runs": {
			{0, "/a/", trust + 10, true, 10},
		},
		"a slow run on a thread begins it anew": {
			{0, "/a/", trust - 1, true, 0},
			{0, "/a/", 1, false, 0},
			{0, "/a/", trust + 10, true, 10},
		},
		"who is caught needs as many again, if he was trusted for long": {
			{0, "/a/", trust, true, 0},
			{soon, "/a/", 1, false, 1},
			{0, "/a/", trust + 10, true, 10},
		},
		"who is caught early needs twice as many each time": {
			{0, "/a/", trust, true, 0},
			{0, "/a/", 1, false, 1},
			{0, "/a/", 2*trust + 10, true, 10},
			{0, "/a/", 1, false, 1},
			{0, "/a/", 4*trust + 10, true, 10},
		},
		"distrust passes": {
			{0, "/a/", trust, true, 0},
			{0, "/a/", 1, false, 1},
			{0, "/a/", 2 * trust, true, 0},
			{soon, "/a/", 1, false, 1},
			{0, "/a/", trust + 10, true, 10},
		},
		"a new route is judged by its folder": {
			{0, "/a/1", trust, true, 0},
			{0, "/a/2", 10, true, 10},
			{0, "/b/2", 10, true, 0},
		},
		"but not one that was slow": {
			{0, "/a/1", trust, true, 0},
			{0, "/a/2", 2, false, 1},
			{0, "/a/2", trust - 1, true, 0},
			{0, "/a/1", 10, true, 10},
		},
		"nor by a folder in which one was slow": {
			{0, "/a/1", trust, true, 0},
			{0, "/a/2", 1, false, 1},
			{0, "/a/3", 10, true, 0},
		},
		"quick ones and slow ones of the same kind stay on threads": {
			{0, "/a/", 10, true, 0},
			{0, "/a/", 1, false, 0},
			{0, "/a/", 50, true, 0},
			{0, "/a/", 1, false, 0},
			{0, "/a/", 50, true, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPredictor()
				for i, c := range story {
					time.Sleep(c.wait)
					if here := p.runs(kinds[c.route], c.n, c.quick); here != c.here {
						t.Fatalf("chapter %d: %d of %d runs of %s on the loop, want %d", i, here, c.n, c.route, c.here)
					}
				}
			})
		})
	}
}

func TestKinds(t *testing.T) {
	p := newPredictor()
	differ := 0
	for i := range 100 {
		route := fmt.Sprint("/folder/", i)
		k := p.kind("GET", route)
		if k != p.kind("GET", fmt.Sprint("/folder/", i)) {
			t.Fatal("a kind is not what it was")
		}
		if k != p.kind("POST", route) {
			differ++
		}
		if k>>16 != p.kind("GET", "/folder/")>>16 {
			t.Fatal("the folder is not the same")
		}
		for _, empty := range []string{"", "/", "*", "a", "//"} {
			p.kind(empty, empty)
		}
	}
	if differ < 95 {
		t.Errorf("the group makes a difference to %d of 100", differ)
	}
}

func TestAdaptiveAllocates(t *testing.T) {
	d := newTest(t, Config{Policy: PolicyAdaptive})
	if n := testing.AllocsPerRun(200, func() {
		k := d.Kind("GET", "/some/path")
		d.Learn(k, d.Place(k), true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPlace(b *testing.B) {
	d := newTest(b, Config{Policy: PolicyAdaptive})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k := d.Kind("GET", "/some/path")
			d.Learn(k, d.Place(k), true)
		}
	})
}
