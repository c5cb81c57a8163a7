// SPDX-License-Identifier: MIT

package reactor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// watchTick is how often the loops are looked at while user code runs on them now and then. A tick wakes a thread when it is
	// started and another when it comes, which where the process is idle costs as much as a request. So the loops are looked at
	// every rareTick where user code has been run less than every rareAfter: few wait then for who stays too long.
	watchTick = 20 * time.Millisecond
	rareTick  = 50 * time.Millisecond
	rareAfter = 2 * time.Millisecond

	// quantum is how long user code that such a tick has found on a loop may stay there from then on.
	quantum = time.Millisecond
)

// A watch sees to it that user code which takes its time on a loop loses the loop, and nobody else waits for it. Each loop
// has a word, busy, which is odd while user code runs on it and is another number each time. The watch compares: who
// is there at two ticks with the same number has been there all the time between. Nothing ticks while there is no user
// code on any loop, and nobody reads a clock for it.
//
//	          Enter                       tick: somebody is there
//	idle ────────────────▶ every watchTick ──────────────────────▶ every quantum
//	                       (or rareTick)
//	  ▲                          │   ▲                                  │
//	  └──────────────────────────┘   └──────────────────────────────────┘
//	   tick: nobody is there          tick: somebody else is there, or nobody; who still is loses the loop
type watch struct {
	ticking atomic.Bool

	mu    sync.Mutex
	timer *time.Timer // guarded by mu; nil before the first start, and after stop
	ended bool        // guarded by mu
	begun int64       // guarded by mu; when it was started last
	runs  uint64      // guarded by mu; how often user code had been run by then
}

// Enter says that the caller, the goroutine that is the loop, is about to run user code for c, which may take any time.
// The connection becomes the caller's task until Leave. If that is long in coming, another goroutine becomes the loop, and
// Config.Overstayed gets kind, which means nothing here.
func (t *Turn) Enter(c *Conn, kind uint32) {
	l := t.loop
	c.Claim()
	l.kind.Store(kind)
	t.user = l.busy.Load() + 1
	l.busy.Store(t.user)
	if w := &l.reactor.watch; !w.ticking.Load() {
		w.start(l.reactor)
	}
}

// A Fate is what became of a turn while user code ran.
type Fate uint8

const (
	// Kept: the caller is still the loop.
	Kept Fate = iota
	// GivenAway: it waited for its client, and gave the loop away before that (Detach).
	GivenAway
	// TakenAway: it took too long.
	TakenAway
)

// Leave ends what Enter began, on the goroutine that called it. If the turn was kept, c is the loop's again; if not, the
// turn is lost, and c stays the caller's task. Nobody else may use the turn any more.
func (t *Turn) Leave(c *Conn) Fate {
	fate := Kept
	switch {
	case t.loop.busy.CompareAndSwap(t.user, t.user+1):
		c.Reclaim()
	case t.gave:
		fate, t.gave, t.lost = GivenAway, false, true
	default:
		fate, t.lost = TakenAway, true
	}
	t.user = 0
	return fate
}

// start makes the watch tick, unless it does.
func (w *watch) start(r *Reactor) {
	if !w.ticking.CompareAndSwap(false, true) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch next := w.next(r); {
	case w.ended:
	case w.timer == nil:
		w.timer = time.AfterFunc(next, r.tick)
	default:
		w.timer.Reset(next)
	}
}

// next is how long the first tick of this start is away. Under mu.
func (w *watch) next(r *Reactor) time.Duration {
	now, runs := r.now(), uint64(0)
	for _, l := range r.loops {
		runs += l.busy.Load() / 2
	}
	rare := now-w.begun > int64(runs-w.runs)*int64(rareAfter)
	w.begun, w.runs = now, runs
	if rare {
		return rareTick
	}
	return watchTick
}

// stop ends the watch for good.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// tick looks at the loops, on the timer's goroutine.
func (r *Reactor) tick() {
	next := time.Duration(0)
	for _, l := range r.loops {
		switch busy := l.busy.Load(); {
		case busy%2 == 0:
		case busy == l.seen:
			l.takeOver(busy, r.config.Overstayed)
		default:
			l.seen = busy
			next = quantum
		}
	}
	if next == 0 {
		// Who enters after this starts the watch, and who was faster is seen here.
		r.watch.ticking.Store(false)
		for _, l := range r.loops {
			if l.busy.Load()%2 == 1 {
				r.watch.start(r)
				return
			}
		}
		return
	}
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	if !r.watch.ended {
		r.watch.timer.Reset(next)
	}
}

// takeOver makes a fresh goroutine the loop, if the user code that busy stands for is still there, and says so. tell, if there is
// one, gets its kind before the loop goes on, which may be with more of that.
func (l *Loop) takeOver(busy uint64, tell func(kind uint32)) bool {
	kind := l.kind.Load() // busy's, if the loop can be taken yet
	if !l.busy.CompareAndSwap(busy, busy+1) {
		return false
	}
	if tell != nil {
		tell(kind)
	}
	l.turn.handOn() // nobody else uses it: its goroutine is in user code, and finds out when it leaves
	return true
}

// Stir lets the loops look for events before the caller, a task that has kept a processor to itself for long, goes on. The
// Go scheduler does not look at its own poller while there is any other goroutine to run, so that with as many such tasks
// as processors the loops would wait for it to be reminded, which is every 10 ms.
func (c *Conn) Stir() {
	for _, l := range c.home().reactor.loops {
		l.wake()
	}
	runtime.Gosched()
}
