// SPDX-License-Identifier: MIT

package dispatch

import (
	"slices"
	"sync/atomic"
	"time"
)

// laneTime is how long a task counts as one that will be gone soon, and for how long nothing must have run on a loop for the
// lane to be as wide as there are processors.
const laneTime = 10 * time.Millisecond

// A lane is what heavy tasks (Dispatcher.Heavy) go through in an elastic pool: as many at once as there are processors but
// one, so that a loop that has something to do finds a processor free and does not wait until one of them ends. The others
// wait in a queue of their own, in which they lose nothing: they could only have taken turns.
//
// It keeps no processor idle that nobody else wants, and no task waiting for one that waits for it:
//
//   - when nothing has run on a loop for laneTime, a task may begin on the last processor too;
//   - a task that has not ended after laneTime leaves the lane, and the next one may begin. So long ones share the processors
//     as they would without a lane, and one that waits for another, through a request to the same server say, gets it.
//
// A timer looks for both while a task waits, and only then.
type lane struct {
	width int // immutable: heavy tasks at once where quick ones run too; 0: there is no lane
	most  int // immutable: where they don't: the processors

	ran atomic.Bool // a task ran on a loop since the lane last asked

	tasks   queue       // guarded by the pool's mu, as is all that follows
	running int         // threads that run heavy tasks
	inside  []*thread   // those of them whose tasks have not left the lane
	busy    int64       // when the lane last heard that a task had run on a loop, on the pool's clock
	timer   *time.Timer // calls pool.laneTick; nil before there was any need
	ticking bool        // it will
}

func (l *lane) init(procs int, open bool) {
	if l.most = procs; open {
		l.width = max(1, procs-1)
	}
}

// SubmitHeavy is Submit for a task of a kind that is heavy. In an elastic pool of the adaptive policy it waits until one of few
// heavy tasks has ended, or has proved to be a long one; else there is no difference.
func (d *Dispatcher) SubmitHeavy(t Task) error {
	return d.pool.submit(t, rankHeavy)
}

// lanePush lets t wait in the lane. Under mu.
func (p *pool) lanePush(t Task) {
	l := &p.lane
	l.tasks.push(queued{task: t})
	// A thread may be sent for it, and find that it must not begin after all.
	if len(l.inside) >= l.width {
		p.laneWatch()
	}
}

// Crowded says whether there may be a heavy task on every processor, so that a loop that has something to do has to wait for one.
// Where there is no lane any task may be one.
func (d *Dispatcher) Crowded() bool {
	p := &d.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lane.width == 0 {
		return p.running >= p.lane.most
	}
	return p.lane.running >= p.lane.most
}

// laneWaiting is how many tasks of the lane could begin: all that wait if one can, since who takes it asks again. Under mu.
func (p *pool) laneWaiting() int {
	l := &p.lane
	switch n := len(l.inside); {
	case l.tasks.count == 0:
		return 0
	case n < l.width:
		return l.tasks.count
	case n >= l.most:
		return 0
	}
	now := p.clock()
	if l.ran.Swap(false) {
		l.busy = now
	}
	if now-l.busy < int64(laneTime) {
		return 0
	}
	return l.tasks.count
}

// laneTake lets th run the lane's next task. Under mu.
func (p *pool) laneTake(th *thread) Task {
	l := &p.lane
	th.heavy, th.entered = true, p.clock()
	l.running++
	l.inside = append(l.inside, th)
	t := l.tasks.pop().task
	if l.tasks.count > 0 {
		p.laneWatch()
	}
	return t
}

// laneLeave is for a thread whose heavy task has ended. Under mu.
func (p *pool) laneLeave(th *thread) {
	l := &p.lane
	th.heavy = false
	l.running--
	if i := slices.Index(l.inside, th); i >= 0 {
		l.inside = slices.Delete(l.inside, i, i+1)
	}
}

// laneWatch makes the lane look in a while, unless it will. Under mu.
func (p *pool) laneWatch() {
	l := &p.lane
	if l.ticking {
		return
	}
	l.ticking = true
	if l.timer == nil {
		l.timer = time.AfterFunc(laneTime, p.laneTick)
	} else {
		l.timer.Reset(laneTime)
	}
}

// laneTick takes tasks that have been long out of the lane, and sends a thread for the next one.
func (p *pool) laneTick() {
	p.mu.Lock()
	l := &p.lane
	l.ticking = false
	if l.tasks.count == 0 {
		p.mu.Unlock()
		return
	}
	before := p.clock() - int64(laneTime)
	l.inside = slices.DeleteFunc(l.inside, func(th *thread) bool { return th.entered <= before })
	th, start := p.summon()
	p.laneWatch()
	p.mu.Unlock()
	p.send(th, start)
}
