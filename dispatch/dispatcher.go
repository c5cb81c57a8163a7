// SPDX-License-Identifier: MIT

package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Errors of Submit. The task was not taken: neither Run nor Panicked will be called.
var (
	// ErrQueueFull: a bounded pool has as many tasks as it may have.
	ErrQueueFull = errors.New("dispatch: queue full")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("dispatch: closed")
)

// A Config says how a Dispatcher works. The zero value is an elastic pool that runs every task on a thread.
type Config struct {
	// Policy says where tasks run.
	Policy Policy

	// Threads bounds the task threads; 0 means elastic: as many as there are tasks that block.
	Threads int

	// Queue bounds the tasks that wait for one of the Threads; 0 means that any number may. A pool with bounds has at
	// most Threads+Queue tasks at once, and refuses the next. An elastic pool has no queue to bound.
	Queue int

	// Target and Interval bound how long tasks of a bounded pool wait: when for an Interval no task has waited for less than
	// Target, those that have waited for longer are shed (Task.Shed) until the queue is empty. So a burst is served, and what
	// is served of a load that the threads can't keep up with is fresh. 0: no task is shed.
	Target, Interval time.Duration

	// Depth, when not nil, is called with the number of waiting tasks when one was queued behind more others than there
	// are threads free to take them, of the Threads there may be. It is called by Submit, at most once a second, with
	// the largest number since the last call: what was larger within the second is told by the first Submit after it.
	// Two goroutines call it at once only if a call takes longer than a second.
	Depth func(waiting int)
}

// validate returns an error that names the first wrong setting.
func (c Config) validate() error {
	switch {
	case int(c.Policy) >= len(policies):
		return fmt.Errorf("dispatch: Policy: no such policy: %v", c.Policy)
	case c.Threads < 0:
		return fmt.Errorf("dispatch: Threads: %d is negative", c.Threads)
	case c.Queue < 0:
		return fmt.Errorf("dispatch: Queue: %d is negative", c.Queue)
	case c.Queue > 0 && c.Threads == 0:
		return errors.New("dispatch: Queue: an elastic pool has no bound (set Threads too)")
	case c.Target < 0:
		return fmt.Errorf("dispatch: Target: %v is negative", c.Target)
	case c.Target > 0 && c.Threads == 0:
		return errors.New("dispatch: Target: in an elastic pool no task waits (set Threads too)")
	case c.Target > 0 && c.Interval < c.Target:
		return fmt.Errorf("dispatch: Interval: %v is shorter than the Target, %v", c.Interval, c.Target)
	}
	return nil
}

// A Dispatcher runs tasks by one policy. It has a pool under every policy, since some tasks need a thread wherever
// others run; the pool has no threads before it has had tasks. All methods may be called by any goroutine.
type Dispatcher struct {
	policy    Policy
	predictor *predictor // of PolicyAdaptive, or nil
	panicked  atomic.Uint64
	pool      pool
}

// New returns a Dispatcher, or an error that names the setting that is wrong.
func New(c Config) (*Dispatcher, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	d := &Dispatcher{policy: c.Policy}
	if c.Policy == PolicyAdaptive {
		d.predictor = newPredictor()
	}
	d.pool.init(c, &d.panicked)
	return d, nil
}

// Adaptive says whether the policy learns: then Kind, and Learn, are worth calling.
func (d *Dispatcher) Adaptive() bool { return d.predictor != nil }

// Kind returns what Place and Learn know a task by: a group, such as an HTTP method, and a route, such as a path. It allocates
// nothing. Under a policy that does not learn it is 0.
func (d *Dispatcher) Kind(group, route string) Kind {
	if d.predictor == nil {
		return 0
	}
	return d.predictor.kind(group, route)
}

// Place says where a task of this kind should run.
func (d *Dispatcher) Place(k Kind) Place {
	switch {
	case d.predictor != nil:
		return d.predictor.place(k)
	case d.policy == PolicyInline:
		return Here
	}
	return OnThread
}

// Learn tells how a task of this kind has gone: where it ran, and whether it was quick. On a thread that is less than Slow;
// on a loop it is slow if it lost the loop. What a task waits for that is none of its own business, such as its client,
// should be kept out of it. Under a policy that does not learn it does nothing.
func (d *Dispatcher) Learn(k Kind, ran Place, quick bool) {
	if d.predictor == nil {
		return
	}
	d.predictor.learn(k, ran, quick)
	if ran == Here && !d.pool.lane.ran.Load() {
		d.pool.lane.ran.Store(true)
	}
}

// Lasted tells how long a run of this kind took on a thread, if that was Slow or longer.
func (d *Dispatcher) Lasted(k Kind, took time.Duration) {
	if d.predictor != nil {
		d.predictor.lasted(k, took)
	}
}

// Weigh says whether it should be found out how much processor time the next run of this kind takes, on a thread: of slow kinds
// whose runs do not last that is asked once, and then now and then, where there is a lane for them. If it should, Weighed has to be
// called when the run has ended, however it did.
func (d *Dispatcher) Weigh(k Kind) bool { return d.pool.lane.width > 0 && d.predictor.weigh(k) }

// Weighed tells what Weigh has asked for: whether the task was slow since it kept a processor, and not since it waited.
func (d *Dispatcher) Weighed(k Kind, heavy bool) {
	if d.predictor != nil {
		d.predictor.weighed(k, heavy)
	}
}

// Heavy says whether a task of this kind is expected to keep a processor: then it should be given to SubmitHeavy.
func (d *Dispatcher) Heavy(k Kind) bool { return d.predictor != nil && d.predictor.heavy(k) }

// Submit gives t to a task thread. It does not wait, and allocates nothing but threads and queue slots that were not
// there before. It returns ErrQueueFull, ErrClosed or nil.
func (d *Dispatcher) Submit(t Task) error {
	return d.pool.submit(t, rankCommon)
}

// SubmitUrgent is Submit for a task that goes before all others that wait, but for urgent ones, and is neither refused nor
// shed: a health check.
func (d *Dispatcher) SubmitUrgent(t Task) error {
	return d.pool.submit(t, rankUrgent)
}

// Run runs t on this goroutine, whether or not the Dispatcher is closed, and reports whether t.Run returned. When
// t.Run panicked, t.Panicked has been called. When it ended the goroutine with runtime.Goexit, t.Panicked has been
// called with ErrGoexit and Run does not return: a caller that is a loop needs a deferred function to go on elsewhere.
func (d *Dispatcher) Run(t Task) (ok bool) {
	return guard(t, &d.panicked)
}

// Close lets the pool take no more tasks, lets idle threads end, and waits until all tasks that were taken have run
// and their threads have ended, or until ctx ends: then it returns ctx.Err() and the tasks go on, queued ones too. It
// may be called again, to wait again. A task that calls it waits for itself.
func (d *Dispatcher) Close(ctx context.Context) error {
	return d.pool.close(ctx)
}

// Stats are numbers of one moment and, below them, counts since New.
type Stats struct {
	Threads int // task threads, whatever they do
	Idle    int // of these, parked
	Running int // of these, inside a task
	Queued  int // tasks that wait for a thread, or for other heavy ones

	Submitted uint64 // tasks that Submit took
	Refused   uint64 // tasks that Submit answered with ErrQueueFull
	Shed      uint64 // tasks that waited for too long
	Panicked  uint64 // tasks that panicked or called runtime.Goexit, with Submit or Run
	Started   uint64 // threads started
	Woken     uint64 // times that a parked thread was sent to the queue
}

// Stats returns the numbers of now.
func (d *Dispatcher) Stats() Stats {
	p := &d.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Threads: p.live, Idle: p.idleCount, Running: p.running, Queued: p.tasks.count + p.urgent.count + p.lane.tasks.count,
		Submitted: p.submitted, Refused: p.refused, Shed: p.shed, Panicked: d.panicked.Load(), Started: p.started, Woken: p.woken,
	}
}
