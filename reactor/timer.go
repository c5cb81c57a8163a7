// SPDX-License-Identifier: MIT

package reactor

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// A wheel is a loop's hierarchical timing wheel. A connection is in it at most once, at or before its earliest deadline:
// deadlines are plain words in the connection which are moved without touching the wheel as long as they move to
// later, and when a connection's entry comes up it is put where its deadlines say by then. So a keep-alive connection
// that serves requests all day costs the wheel one look per idle timeout, and a request costs it nothing.
//
//	level 0   64 slots of 1 tick     (4 ms)      entries due within 256 ms
//	level 1   64 slots of 64 ticks   (256 ms)    within 16 s
//	level 2   64 slots of 4096 ticks (16 s)      within 17 min
//	level 3   64 slots of 2^18 ticks (17 min)    within 19 h
//	level 4   64 slots of 2^24 ticks (19 h)      within 49 days; what is later waits in the last slot
//
// An entry of a higher level moves down when its slot begins. Firing is late by up to a tick, never early.
type wheel struct {
	mu     sync.Mutex
	now    int64 // the tick up to which everything has fired; guarded by mu
	next   int64 // the tick at which something is to be done, or never; guarded by mu
	levels [wheelLevels]wheelLevel
}

type wheelLevel struct {
	used  uint64 // bit i: slots[i] is not empty
	slots [wheelSlots]*Conn
}

const (
	wheelLevels = 5
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	tick        = 4 * time.Millisecond

	// never is the tick and the deadline of what is not to happen.
	never = math.MaxInt64
)

// tickAfter is the first tick that is not before t nanoseconds.
func tickAfter(t int64) int64 {
	if t > never-int64(tick) {
		return never
	}
	return (t + int64(tick) - 1) / int64(tick)
}

// tickFor is the tick at which a connection is to be looked at for its deadline t: the first that is not before t, or, where t is
// far from now, an earlier one that many share. Most deadlines have been moved to later by then, and 15,000 connections that came
// one after the other are looked at in a few wake-ups instead of as many as there are ticks; who is left is put nearer to t.
func tickFor(t, now int64) int64 {
	at := tickAfter(t)
	switch delta := at - now/int64(tick); {
	case at == never:
	case delta >= 1<<(wheelBits+5):
		at &^= 1<<(wheelBits+3) - 1 // 8 s and more: every 2 s
	case delta >= 1<<(wheelBits+1):
		at &^= 1<<wheelBits - 1 // half a second and more: every 256 ms
	}
	return at
}

// An entry is a connection's place in the wheel. All fields but at are guarded by the wheel's mu.
type entry struct {
	prev, next *Conn
	level      int8 // -1: not in the wheel
	slot       uint8
}

// add puts c at tick at, wherever it was before, and says whether the wheel has something to do earlier now.
func (w *wheel) add(c *Conn, at int64) (earlier bool) {
	w.remove(c)
	w.insert(c, at)
	c.wheelAt.Store(at)
	// Not at itself: an entry of a higher level is to be moved down when its slot begins, which may be before w.next even
	// if at is not.
	if next := w.nextTick(); next < w.next {
		w.next = next
		return true
	}
	return false
}

// insert links c into the slot for tick at.
func (w *wheel) insert(c *Conn, at int64) {
	delta := max(at-w.now, 1)
	level := 0
	for level < wheelLevels-1 && delta >= 1<<(wheelBits*(level+1)) {
		level++
	}
	if delta >= 1<<(wheelBits*wheelLevels) { // beyond the wheel: it comes up early and is put back
		at = w.now + 1<<(wheelBits*wheelLevels) - 1
	} else {
		at = w.now + delta
	}
	slot := uint8(at >> (wheelBits * level) & (wheelSlots - 1))
	l := &w.levels[level]
	c.timer = entry{next: l.slots[slot], level: int8(level), slot: slot}
	if c.timer.next != nil {
		c.timer.next.timer.prev = c
	}
	l.slots[slot] = c
	l.used |= 1 << slot
}

// remove takes c out, if it is in.
func (w *wheel) remove(c *Conn) {
	e := &c.timer
	if e.level < 0 {
		return
	}
	l := &w.levels[e.level]
	if e.prev != nil {
		e.prev.timer.next = e.next
	} else {
		l.slots[e.slot] = e.next
		if e.next == nil {
			l.used &^= 1 << e.slot
		}
	}
	if e.next != nil {
		e.next.timer.prev = e.prev
	}
	*e = entry{level: -1}
	c.wheelAt.Store(never)
}

// nextTick is when something is to be done next: the start of the nearest slot that is not empty, of any level.
func (w *wheel) nextTick() int64 {
	next := int64(never)
	for i := range w.levels {
		l := &w.levels[i]
		if l.used == 0 {
			continue
		}
		shift := wheelBits * i
		pos := w.now >> shift // the slot we are in, of this level; it has been handled
		ahead := bits.TrailingZeros64(bits.RotateLeft64(l.used, -int((pos+1)&(wheelSlots-1)))) + 1
		next = min(next, (pos+int64(ahead))<<shift)
	}
	return next
}

// advance moves the wheel to tick to and appends to due the connections whose entries came up on the way. They are out
// of the wheel then.
func (w *wheel) advance(to int64, due []*Conn) []*Conn {
	for w.next <= to {
		w.now = w.next
		for level := wheelLevels - 1; level >= 0; level-- {
			shift := wheelBits * level
			if w.now&(1<<shift-1) != 0 {
				continue // a slot of this level does not begin at this tick
			}
			l := &w.levels[level]
			slot := w.now >> shift & (wheelSlots - 1)
			c := l.slots[slot]
			l.slots[slot] = nil
			l.used &^= 1 << slot
			for c != nil {
				following := c.timer.next
				at := c.wheelAt.Load()
				c.timer = entry{level: -1}
				if at > w.now {
					w.insert(c, at)
				} else {
					c.wheelAt.Store(never)
					due = append(due, c)
				}
				c = following
			}
		}
		w.next = w.nextTick()
	}
	w.now = max(w.now, to)
	return due
}
