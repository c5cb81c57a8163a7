// SPDX-License-Identifier: MIT

package reactor

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A clockwork is a wheel beside the plainest thing that does the same: a list of who is due when.
type clockwork struct {
	t     testing.TB
	wheel wheel
	now   int64
	conns []*Conn
	due   map[*Conn]int64 // when each that is in the wheel should fire
}

func newClockwork(t testing.TB, conns int) *clockwork {
	w := &clockwork{t: t, due: map[*Conn]int64{}}
	w.wheel.next = never
	for i := range conns {
		c := &Conn{fd: FD(i)}
		c.timer.level = -1
		c.wheelAt.Store(never)
		w.conns = append(w.conns, c)
	}
	return w
}

func (w *clockwork) add(c *Conn, at int64) {
	w.t.Helper()
	before := w.wheel.next
	earlier := w.wheel.add(c, at)
	if earlier != (w.wheel.next < before) {
		w.t.Fatalf("add at %d says earlier: %v, next went from %d to %d", at, earlier, before, w.wheel.next)
	}
	if w.wheel.next > max(at, w.wheel.now+1) {
		w.t.Fatalf("add at %d: the wheel has nothing to do before %d", at, w.wheel.next)
	}
	if got := c.wheelAt.Load(); got != at {
		w.t.Fatalf("add at %d: wheelAt is %d", at, got)
	}
	// What is due already fires with the next tick.
	w.due[c] = max(at, w.wheel.now+1)
	w.check()
}

func (w *clockwork) remove(c *Conn) {
	w.t.Helper()
	w.wheel.remove(c)
	if c.wheelAt.Load() != never || c.timer.level != -1 {
		w.t.Fatalf("removed, and at %d on level %d", c.wheelAt.Load(), c.timer.level)
	}
	delete(w.due, c)
	w.check()
}

// advance moves both to tick to, and compares what fires. How often the wheel had something to do is returned.
func (w *clockwork) advance(to int64) (looks int) {
	w.t.Helper()
	for looks = 0; w.wheel.next <= to; looks++ {
		// One look at a time, so that what fires too late within a long gap is seen.
		at := w.wheel.next
		for _, c := range w.wheel.advance(at, nil) {
			if due, in := w.due[c]; !in || due != at {
				w.t.Fatalf("conn %d, due at %d (in: %v), fired at %d", c.fd, due, in, at)
			}
			if c.wheelAt.Load() != never || c.timer.level != -1 {
				w.t.Fatalf("fired, and at %d on level %d", c.wheelAt.Load(), c.timer.level)
			}
			delete(w.due, c)
		}
		if w.wheel.next <= at {
			w.t.Fatalf("at %d, next is %d", at, w.wheel.next)
		}
		w.check()
	}
	if left := w.wheel.advance(to, nil); len(left) > 0 {
		w.t.Fatalf("%d fired before next", len(left))
	}
	for c, at := range w.due {
		if at <= to {
			w.t.Fatalf("conn %d, due at %d, has not fired at %d", c.fd, at, to)
		}
	}
	w.now = max(w.now, to)
	return looks
}

// check compares the slots with the list, and with their bits.
func (w *clockwork) check() {
	w.t.Helper()
	count := 0
	for i := range w.wheel.levels {
		l := &w.wheel.levels[i]
		for slot, c := range l.slots {
			if (c != nil) != (l.used>>slot&1 != 0) {
				w.t.Fatalf("level %d slot %d: used bit is wrong", i, slot)
			}
			var prev *Conn
			for ; c != nil; prev, c = c, c.timer.next {
				count++
				if _, in := w.due[c]; !in || c.timer.prev != prev || int(c.timer.level) != i || int(c.timer.slot) != slot {
					w.t.Fatalf("level %d slot %d: conn %d in: %v, entry %+v", i, slot, c.fd, in, c.timer)
				}
			}
		}
	}
	if count != len(w.due) {
		w.t.Fatalf("%d in the wheel, want %d", count, len(w.due))
	}
	if bits.Len64(uint64(w.wheel.now)) > 62 {
		w.t.Fatalf("now is %d", w.wheel.now)
	}
}

func TestWheelSingle(t *testing.T) {
	const beyond = int64(1) << (wheelBits * wheelLevels)
	for _, start := range []int64{0, 1, 63, 64, 4095, 4096, 1<<24 - 1, 1 << 24, beyond - 1, beyond, 3*beyond + 77} {
		for _, delta := range []int64{
			-5, 0, 1, 2, 62, 63, 64, 65, 127, 4095, 4096, 4097, 1 << 18, 1<<18 + 1, 1<<24 - 1, 1 << 24, beyond - 1, beyond,
			beyond + 1, 2*beyond + 5,
		} {
			t.Run(fmt.Sprintf("start=%d/delta=%d", start, delta), func(t *testing.T) {
				w := newClockwork(t, 1)
				w.advance(start)
				w.add(w.conns[0], start+delta)
				looks := w.advance(start + max(delta, 1))
				if len(w.due) > 0 {
					t.Error("did not fire")
				}
				// Once a level, and once more for every round that is too long for the wheel.
				if most := wheelLevels * (1 + int(delta/beyond)*2); looks > most {
					t.Errorf("%d looks, want at most %d", looks, most)
				}
			})
		}
	}
}

func TestWheelNeverEmptyHanded(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(w *clockwork)
	}{
		{"an entry of level 1 that begins before one of level 0", func(w *clockwork) {
			w.advance(50)
			w.add(w.conns[0], 110)
			w.add(w.conns[1], 120)
			w.advance(110)
			w.advance(120)
		}},
		{"the same one level up", func(w *clockwork) {
			w.advance(4000)
			w.add(w.conns[0], 8000)
			w.add(w.conns[1], 8100)
			w.advance(9000)
		}},
		{"moved to earlier and later", func(w *clockwork) {
			w.add(w.conns[0], 5000)
			w.add(w.conns[0], 10)
			w.add(w.conns[0], 70)
			w.advance(69)
			w.add(w.conns[0], 71)
			w.advance(71)
		}},
		{"many at one tick", func(w *clockwork) {
			for _, c := range w.conns {
				w.add(c, 1000)
			}
			w.advance(999)
			if len(w.due) != len(w.conns) {
				w.t.Fatal("some fired early")
			}
			w.advance(1000)
		}},
		{"one slot, taken apart from all sides", func(w *clockwork) {
			for _, c := range w.conns {
				w.add(c, 1000)
			}
			for _, i := range []int{0, len(w.conns) - 1, 7, 8, 6} {
				w.remove(w.conns[i])
				w.remove(w.conns[i])
			}
			w.advance(1000)
		}},
		{"removed before it is looked at", func(w *clockwork) {
			w.add(w.conns[0], 1000)
			w.remove(w.conns[0])
			w.add(w.conns[1], 1001)
			w.advance(100000)
		}},
		{"a long gap", func(w *clockwork) {
			for i, c := range w.conns {
				w.add(c, 1+int64(i)*977)
			}
			w.advance(1 << 40)
			w.add(w.conns[0], 1<<40+5)
			w.advance(1<<40 + 5)
		}},
		{"going back", func(w *clockwork) {
			w.add(w.conns[0], 1000)
			w.advance(500)
			w.advance(400)
			w.add(w.conns[1], 450)
			w.advance(2000)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newClockwork(t, 100)
			test.do(w)
			if len(w.due) > 0 {
				t.Errorf("%d have not fired", len(w.due))
			}
		})
	}
}

// churn does what random says to a clockwork.
func (w *clockwork) churn(steps int, random func(n int) int) {
	span := func() int64 {
		n := random(1 << 30)
		return int64(n) >> random(31)
	}
	for range steps {
		c := w.conns[random(len(w.conns))]
		switch random(8) {
		case 0, 1, 2, 3:
			w.add(c, w.now+span()-2)
		case 4:
			w.remove(c)
		case 5:
			w.advance(w.now + span())
		case 6:
			w.advance(w.now + int64(random(5)))
		case 7:
			if w.wheel.next != never {
				w.advance(w.wheel.next)
			}
		}
	}
	w.advance(w.now + 1<<32)
	if len(w.due) > 0 || w.wheel.next != never {
		w.t.Fatalf("%d have not fired, next is %d", len(w.due), w.wheel.next)
	}
}

func TestWheelAgainstList(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			newClockwork(t, 1+random.IntN(20)).churn(300, random.IntN)
		})
	}
}

func FuzzWheel(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x32\x01\x00\x00\x6e\x02\x00\x00\x78"))
	f.Fuzz(func(t *testing.T, p []byte) {
		newClockwork(t, 4).churn(len(p)/4, func(n int) int {
			x := 0
			for i := n - 1; i > 0 && len(p) > 0; i >>= 8 {
				x, p = x<<8|int(p[0]), p[1:]
			}
			return x % n
		})
	})
}

func TestTickAfter(t *testing.T) {
	for _, test := range []struct{ at, want int64 }{
		{0, 0},
		{1, 1},
		{int64(tick), 1},
		{int64(tick) + 1, 2},
		{-1, 0},
		{never, never},
		{never - 1, never},
	} {
		if got := tickAfter(test.at); got != test.want {
			t.Errorf("tickAfter(%d) = %d, want %d", test.at, got, test.want)
		}
	}
	if at := tickAfter(math.MinInt64); at >= 0 {
		t.Errorf("tickAfter of the distant past is %d", at)
	}
}

// TestWheelOrder: what is due earlier fires earlier, also when the wheel catches up.
func TestWheelOrder(t *testing.T) {
	w := newClockwork(t, 50)
	random := rand.New(rand.NewPCG(1, 0))
	at := map[*Conn]int64{}
	for _, c := range w.conns {
		at[c] = 1 + random.Int64N(100000)
		w.wheel.add(c, at[c])
	}
	due := w.wheel.advance(200000, nil)
	if !slices.IsSortedFunc(due, func(a, b *Conn) int { return int(at[a] - at[b]) }) || len(due) != len(w.conns) {
		t.Errorf("%d fired, in the wrong order", len(due))
	}
}

// TestTickFor: a look is never late, always ahead, and shared by those whose deadlines are far; from look to look a connection
// comes to its deadline in a few steps.
func TestTickFor(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		now := random.Int64N(int64(time.Hour))
		deadline := now + 1 + random.Int64N(1<<random.IntN(40))
		for looks := 1; now < deadline; looks++ {
			at := tickFor(deadline, now)
			if at > tickAfter(deadline) || at <= now/int64(tick) || looks > 20 {
				t.Fatalf("look %d, %v before the deadline: after %d ticks", looks, time.Duration(deadline-now), at-now/int64(tick))
			}
			now = at * int64(tick)
		}
	}
	looks := make(map[int64]bool)
	for i := range int64(15_000) { // that open within half a minute, and have 10 s
		opened := i * int64(30*time.Second) / 15_000
		looks[tickFor(opened+int64(10*time.Second), opened)] = true
	}
	if len(looks) > 16 {
		t.Errorf("15,000 connections are looked at %d times", len(looks))
	}
	if tickFor(never, 0) != never {
		t.Error("never is some time")
	}
}
