// SPDX-License-Identifier: MIT

package dispatch

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waitress-go/waitress/internal/invariant"
)

const (
	// idlePerProc is how many threads park for each processor (GOMAXPROCS when the pool was made) before further
	// ones end instead. It covers the usual number of handlers that block at the same time; a greater burst pays a
	// goroutine start a task, a fraction of what its blocking costs.
	idlePerProc = 16

	// idleKept is how many threads stay parked for ever, and how many more than the load has needed. The others end at the
	// reaper's next look, which it takes at this interval while there are any: long enough to span the pauses within a
	// load, and short enough that little is left of one.
	idleKept  = 2
	reapEvery = 20 * time.Millisecond

	// depthInterval is the least time between two calls of Config.Depth.
	depthInterval = time.Second
)

// A pool is a queue and the threads that empty it. A thread is in one of four conditions:
//
//	searching   on its way to the queue, from the moment it was started or unparked until it has looked; one at most
//	running     inside a task
//	idle        parked on its wake channel, on the stack p.idle; never while the queue holds a task
//	ending      has decided to end; counted in live until its deferred end has run
//
// The invariant that makes waiting tasks safe: while the queue holds a task, a thread is searching, or the pool is at
// its bound and every thread is running (and looks at the queue when its task ends) or ending (and makes its own
// replacement). Everything that adds a task, takes one, or loses a thread calls summon, which restores it. Of the lane's
// tasks those count that may begin; time alone may let one more begin, which the lane's timer sees.
type pool struct {
	bound    int            // immutable: threads there may be, 0 for any number
	room     int            // immutable: tasks there may be, queued and running together, 0 for any number
	idleMax  int            // immutable: threads that may be idle
	depth    func(int)      // immutable: Config.Depth
	target   int64          // immutable: Config.Target and Interval in nanoseconds
	interval int64          // immutable
	start    time.Time      // immutable: when the pool's clock began
	panicked *atomic.Uint64 // the Dispatcher's

	mu        sync.Mutex
	tasks     queue         // guarded by mu, as is all that follows
	urgent    queue         // those that go before
	lane      lane          // and those that let others go before
	idle      *thread       // the one that parked last is first: its stack and caches are warmest
	idleCount int           //
	idleLeast int           // the least idleCount since the reaper's last look
	reaper    *time.Timer   // calls reap; nil before there was any need
	reaping   bool          // it will
	live      int           // threads in any condition
	running   int           // threads inside a task
	searching bool          // a thread is searching
	closed    bool          // no task is accepted any more, and an idle thread ends
	ended     chan struct{} // closed when closed is set and live is 0

	depthPeak  int       // the largest depth since Depth was called, 0 for none
	depthAfter time.Time // when Depth may be called again

	// Since when every task has waited for longer than the target, on the pool's clock, or 0; and whether that was long enough
	// to shed what waits for longer from then on. An empty queue ends both.
	standing int64
	shedding bool

	submitted, refused, shed, started, woken uint64
}

// A thread is a goroutine of the pool.
type thread struct {
	wake    chan struct{} // a value sends a parked thread searching; closed, it ends
	below   *thread       // the next on the stack of idle ones; guarded by pool.mu
	running bool          // its own: it is counted in pool.running
	heavy   bool          // its task is a heavy one. Under mu, as is
	entered int64         // when that entered the lane, on the pool's clock
}

func (p *pool) init(c Config, panicked *atomic.Uint64) {
	p.bound = c.Threads
	if c.Queue > 0 {
		p.room = c.Threads + c.Queue
	}
	p.idleMax = idlePerProc * runtime.GOMAXPROCS(0)
	p.depth = c.Depth
	p.target, p.interval, p.start = int64(c.Target), int64(c.Interval), time.Now()
	p.lane.init(runtime.GOMAXPROCS(0), c.Policy == PolicyAdaptive && c.Threads == 0)
	p.panicked = panicked
	p.ended = make(chan struct{})
}

// waiting is how many tasks wait for a thread. Under mu.
func (p *pool) waiting() int { return p.tasks.count + p.urgent.count + p.laneWaiting() }

// clock is the time since the pool was made, in nanoseconds.
func (p *pool) clock() int64 { return int64(time.Since(p.start)) }

// A rank says where a task waits.
type rank uint8

const (
	rankCommon rank = iota
	rankUrgent      // before all others
	rankHeavy       // in the lane, if there is one
)

func (p *pool) submit(t Task, r rank) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	// Running tasks count too, because a thread that has not reached the queue yet must not make it look full: whether
	// a task is refused depends on the tasks there are, not on how fast threads woke.
	if p.room > 0 && r != rankUrgent && p.running+p.waiting() >= p.room {
		p.refused++
		p.mu.Unlock()
		return ErrQueueFull
	}
	p.submitted++
	switch {
	case r == rankUrgent:
		p.urgent.push(queued{task: t})
	case r == rankHeavy && p.lane.width > 0:
		p.lanePush(t)
	case p.target > 0:
		p.tasks.push(queued{t, p.clock()})
	default:
		p.tasks.push(queued{task: t})
	}
	th, start := p.summon()
	waiting := p.submitDepth()
	p.mu.Unlock()

	p.send(th, start)
	if waiting > 0 {
		p.depth(waiting)
	}
	return nil
}

// submitDepth returns what to call Depth with, or 0 to leave it. p.mu is held, and a task has just been queued.
func (p *pool) submitDepth() int {
	if p.depth == nil || p.bound == 0 {
		return 0
	}
	free := p.bound - p.live + p.idleCount
	if p.searching {
		free++
	}
	if ahead := p.tasks.count - 1; ahead > free {
		p.depthPeak = max(p.depthPeak, p.tasks.count)
	}
	// The peak of a burst is reported by the first task after the interval, even when the queue is short by then.
	if p.depthPeak == 0 {
		return 0
	}
	now := time.Now()
	if now.Before(p.depthAfter) {
		return 0
	}
	waiting := p.depthPeak
	p.depthPeak, p.depthAfter = 0, now.Add(depthInterval)
	return waiting
}

// summon restores the invariant: it chooses the thread that must search, if one must and none does. The caller
// releases p.mu and passes the result to send, so that no lock is held while the runtime readies a goroutine.
func (p *pool) summon() (th *thread, start bool) {
	if invariant.Enabled {
		p.check()
	}
	if p.searching || p.waiting() == 0 {
		return nil, false
	}
	if th = p.idle; th != nil {
		p.idle, th.below = th.below, nil
		p.idleCount--
		p.idleLeast = min(p.idleLeast, p.idleCount)
		p.searching = true
		p.woken++
		return th, false
	}
	if p.bound == 0 || p.live < p.bound {
		p.live++
		p.searching = true
		p.started++
		return nil, true
	}
	return nil, false
}

// check panics when the counts of threads contradict each other.
func (p *pool) check() {
	known := p.idleCount + p.running
	if p.searching {
		known++
	}
	if known > p.live || p.bound > 0 && p.live > p.bound || (p.idle != nil) != (p.idleCount > 0) {
		panic("dispatch: the pool has lost count of its threads")
	}
}

// send carries out what summon has chosen. A summoned thread is off the stack of idle ones, so nobody else sends to it
// and its channel of one has room.
func (p *pool) send(th *thread, start bool) {
	switch {
	case th != nil:
		th.wake <- struct{}{}
	case start:
		go p.thread()
	}
}

// thread is the life of one thread. It is born searching.
func (p *pool) thread() {
	th := &thread{wake: make(chan struct{}, 1)}
	defer p.threadEnd(th) // also after runtime.Goexit in a task
	for {
		t, shed := p.take(th)
		switch {
		case t == nil:
			return
		case shed:
			t.Shed()
		default:
			guard(t, p.panicked)
		}
	}
}

// take returns the next task for th, which is searching or has just ended a task, and whether it is to be shed; it parks th
// while there is none. It returns nil when the thread should end.
func (p *pool) take(th *thread) (t Task, shed bool) {
	p.mu.Lock()
	if th.running {
		p.threadRan(th)
	} else {
		p.searching = false
	}
	for {
		if p.waiting() > 0 {
			t, shed = p.next(th)
			th.running = true
			p.running++
			// The next thread leaves before this task starts, because this task may wait for the next one.
			next, start := p.summon()
			p.mu.Unlock()
			p.send(next, start)
			return t, shed
		}
		if p.closed || p.idleCount >= p.idleMax {
			p.mu.Unlock()
			return nil, false
		}
		th.below, p.idle = p.idle, th
		p.idleCount++
		if p.idleCount > idleKept && !p.reaping {
			p.reapLater()
		}
		p.mu.Unlock()
		if _, ok := <-th.wake; !ok {
			return nil, false
		}
		p.mu.Lock()
		p.searching = false
	}
}

// threadRan notes that the task of th has ended. Under mu.
func (p *pool) threadRan(th *thread) {
	th.running = false
	p.running--
	if th.heavy {
		p.laneLeave(th)
	}
}

// reapLater makes the reaper look in a while. Under mu.
func (p *pool) reapLater() {
	p.reaping, p.idleLeast = true, p.idleCount
	if p.reaper == nil {
		p.reaper = time.AfterFunc(reapEvery, p.reap)
	} else {
		p.reaper.Reset(reapEvery)
	}
}

// reap ends the threads that have been idle since its last look. They are at the bottom of the stack.
func (p *pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaping = false
	if p.closed {
		return
	}
	if surplus := p.idleLeast - idleKept; surplus > 0 {
		last := p.idle
		for range p.idleCount - surplus - 1 {
			last = last.below
		}
		for th := last.below; th != nil; th = th.below {
			close(th.wake)
		}
		last.below = nil
		p.idleCount -= surplus
	}
	if p.idleCount > idleKept {
		p.reapLater()
	}
}

// next returns the task whose turn it is, which th is to run, and whether it is to be shed. There is one. Under mu.
func (p *pool) next(th *thread) (t Task, shed bool) {
	switch {
	case p.urgent.count > 0:
		return p.urgent.pop().task, false
	case p.tasks.count == 0:
		return p.laneTake(th), false
	}
	q := p.tasks.pop()
	if p.target == 0 {
		return q.task, false
	}
	now := p.clock()
	late := now-q.at >= p.target
	switch {
	case !late:
		p.standing = 0
	case p.standing == 0:
		p.standing = now
	case now-p.standing >= p.interval:
		p.shedding = true
	}
	if shed = late && p.shedding; shed {
		p.shed++
	}
	if p.tasks.count == 0 { // those who come after this one begin anew
		p.standing, p.shedding = 0, false
	}
	return q.task, shed
}

// threadEnd takes a thread off the books. A task may have been queued after the thread last looked, and a bounded pool
// had no other thread for it then; and a thread that a task ended may have been the only one.
func (p *pool) threadEnd(th *thread) {
	p.mu.Lock()
	if th.running {
		p.threadRan(th)
	}
	p.live--
	next, start := p.summon()
	if p.closed && p.live == 0 {
		close(p.ended)
	}
	p.mu.Unlock()
	p.send(next, start)
}

func (p *pool) close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for th := p.idle; th != nil; th = th.below {
			close(th.wake)
		}
		p.idle, p.idleCount = nil, 0
		if p.reaper != nil {
			p.reaper.Stop()
		}
		if p.live == 0 {
			close(p.ended)
		}
	}
	p.mu.Unlock()
	select {
	case <-p.ended:
		return nil
	default:
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
