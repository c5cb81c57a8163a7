// SPDX-License-Identifier: MIT

package dispatch

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A laneSim is a Dispatcher with a lane for some number of processors, and heavy tasks that last until they are told to end.
type laneSim struct {
	*Dispatcher
	t     *testing.T
	began []string                 // which tasks have begun, in this order
	ends  map[string]chan struct{} // closed, it ends the task
}

func newLane(t *testing.T, procs int, c Config) *laneSim {
	d := newTest(t, c)
	d.pool.lane.init(procs, d.pool.lane.width > 0)
	return &laneSim{Dispatcher: d, t: t, ends: map[string]chan struct{}{}}
}

// heavy submits heavy tasks with these names, of a letter each.
func (l *laneSim) heavy(names string) {
	l.t.Helper()
	for _, name := range names {
		end := make(chan struct{})
		l.ends[string(name)] = end
		task := &funcTask{
			run: func() {
				l.pool.mu.Lock()
				l.began = append(l.began, string(name))
				l.pool.mu.Unlock()
				<-end
				switch name {
				case 'X':
					runtime.Goexit()
				case 'P':
					panic("heavy")
				}
			},
			panicked: func(any, []byte) {},
		}
		if err := l.SubmitHeavy(task); err != nil {
			l.t.Error(err)
		}
	}
}

// quick lets a task run where it was made.
func (l *laneSim) quick() { l.Learn(0, Here, true) }

// want checks which tasks have begun since the last call, in any order.
func (l *laneSim) want(names string) {
	l.t.Helper()
	synctest.Wait()
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	slices.Sort(l.began)
	began := ""
	for _, name := range l.began {
		began += name
	}
	if began != names {
		l.t.Errorf("%q have begun, want %q", began, names)
	}
	l.began = nil
}

// end ends tasks.
func (l *laneSim) end(names string) {
	for _, name := range names {
		close(l.ends[string(name)])
	}
	synctest.Wait()
}

// TestLane tells what heavy tasks do to each other, and what they leave to others.
func TestLane(t *testing.T) {
	adaptive := Config{Policy: PolicyAdaptive}
	for name, story := range map[string]struct {
		procs  int
		config Config
		run    func(l *laneSim)
	}{
		"one processor is left to the loops, if they want it": {4, adaptive, func(l *laneSim) {
			l.quick()
			l.heavy("abcdef")
			l.want("abc")
			for range 100 {
				time.Sleep(laneTime / 10)
				l.quick()
				l.heavy("z")
				l.pool.mu.Lock()
				if n := len(l.pool.lane.inside); n > 3 {
					l.t.Errorf("%d in the lane", n)
				}
				l.pool.mu.Unlock()
				l.end("z")
			}
			l.end("abcdef")
		}},
		"who comes first is first": {2, adaptive, func(l *laneSim) {
			l.quick()
			l.heavy("abcd")
			l.want("a")
			l.end("a")
			l.want("b")
			l.end("b")
			l.want("c")
			l.end("c")
			l.want("d")
			l.end("d")
		}},
		"others do not wait for it": {2, adaptive, func(l *laneSim) {
			l.quick()
			l.heavy("abc")
			l.want("a")
			done := false
			submit(l.t, l.Dispatcher, func() { done = true })
			synctest.Wait()
			if !done {
				l.t.Error("a task that is not heavy has not run")
			}
			l.end("abc")
		}},
		"all processors, if the loops do not want theirs": {3, adaptive, func(l *laneSim) {
			l.heavy("abcdef")
			l.want("ab")
			time.Sleep(laneTime / 2)
			l.want("")
			l.end("a")
			l.want("c")
			time.Sleep(laneTime / 2)
			// The lane has two, of which one leaves; a third may begin, since nothing has run.
			l.want("de")
			l.end("bcdef")
		}},
		"long ones leave the lane": {2, adaptive, func(l *laneSim) {
			l.quick()
			l.heavy("abcd")
			for _, name := range []string{"a", "b", "c", "d"} {
				l.want(name)
				l.quick()
				time.Sleep(laneTime)
			}
			if !l.Crowded() {
				l.t.Error("four of them leave a processor free")
			}
			l.end("abcd")
		}},
		"one processor": {1, adaptive, func(l *laneSim) {
			l.heavy("ab")
			l.want("a")
			time.Sleep(laneTime / 2)
			l.end("a")
			l.want("b")
			if !l.Crowded() {
				l.t.Error("the processor is free")
			}
			l.end("b")
			if l.Crowded() {
				l.t.Error("the processor is not free")
			}
		}},
		"one waits for another": {1, adaptive, func(l *laneSim) {
			done := make(chan struct{})
			inner := &funcTask{run: func() { close(done) }}
			if err := l.SubmitHeavy(&funcTask{run: func() {
				if err := l.SubmitHeavy(inner); err != nil {
					l.t.Error(err)
				}
				<-done
			}}); err != nil {
				l.t.Error(err)
			}
			<-done
		}},
		"something runs on a loop while a thread is on its way": {2, adaptive, func(l *laneSim) {
			l.heavy("a")
			l.want("a")
			time.Sleep(2 * laneTime)
			l.heavy("b") // may begin on the last processor
			l.quick()    // may not
			synctest.Wait()
			time.Sleep(laneTime)
			l.want("b") // "a" has left the lane
			l.end("ab")
		}},
		"one panics, one exits": {2, adaptive, func(l *laneSim) {
			l.quick()
			l.heavy("PXa")
			l.want("P")
			l.end("P")
			l.want("X")
			l.end("X")
			l.want("a")
			l.end("a")
			if l.Crowded() {
				l.t.Error("crowded at the end")
			}
		}},
		"Close waits for those that wait": {2, adaptive, func(l *laneSim) {
			l.quick()
			l.heavy("abc")
			ctx, cancel := context.WithTimeout(context.Background(), laneTime/2)
			defer cancel()
			if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				l.t.Error(err)
			}
			if err := l.SubmitHeavy(&funcTask{}); !errors.Is(err, ErrClosed) {
				l.t.Error(err)
			}
			l.want("a")
			if n := l.Stats().Queued; n != 2 {
				l.t.Errorf("%d wait", n)
			}
			l.end("abc")
			l.want("bc")
		}},
		"no lane in a pool": {2, Config{}, func(l *laneSim) {
			l.heavy("abcd")
			l.want("abcd")
			l.end("abcd")
		}},
		"a bound is a bound": {2, Config{Policy: PolicyAdaptive, Threads: 3, Queue: 1}, func(l *laneSim) {
			l.heavy("a")
			l.want("a")
			if l.Crowded() {
				l.t.Error("a processor is free")
			}
			l.heavy("bcd")
			l.want("bc")
			if !l.Crowded() {
				l.t.Error("no processor is free")
			}
			if err := l.SubmitHeavy(&funcTask{}); !errors.Is(err, ErrQueueFull) {
				l.t.Error(err)
			}
			l.end("abc")
			l.want("d")
			l.end("d")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLane(t, story.procs, story.config)
				story.run(l)
				closeTest(t, l.Dispatcher)
			})
		})
	}
}

// TestWeigh: a kind is weighed once when it is slow, and then now and then; what was found holds until it is trusted or caught.
func TestWeigh(t *testing.T) {
	d := newTest(t, Config{Policy: PolicyAdaptive})
	k, sibling := d.Kind("GET", "/reports/1"), d.Kind("GET", "/reports/2")
	is := func(what string, weigh, heavy bool) {
		t.Helper()
		if got := d.Weigh(k); got != weigh {
			t.Errorf("%s: Weigh %v", what, got)
		}
		if got := d.Heavy(k); got != heavy {
			t.Errorf("%s: Heavy %v", what, got)
		}
	}
	is("at first", false, false)
	d.Learn(k, OnThread, true)
	is("quick", false, false)
	d.Learn(k, OnThread, false)
	is("slow", false, false)
	for range fewBrief - 1 {
		d.Lasted(k, brief-1)
		d.Learn(k, OnThread, false)
	}
	is("slow a few times", false, false)
	d.Lasted(k, brief)
	for range fewBrief - 1 {
		d.Lasted(k, Slow)
	}
	is("one lasted", false, false)
	d.Lasted(k, Slow)
	for range maxWeighing {
		if !d.Weigh(k) {
			t.Error("slow and brief, and is not weighed")
		}
	}
	is("so many are weighed", false, false)
	for range maxWeighing {
		d.Weighed(k, false)
	}
	d.Learn(k, OnThread, false)
	weigh := func() {
		for found := false; !found; {
			found = d.Weigh(k)
		}
	}
	weigh()
	d.Weighed(k, true)
	if !d.Heavy(k) {
		t.Error("not heavy")
	}
	if !d.Heavy(sibling) {
		t.Error("a new path is not as its folder")
	}
	const asked = 100 * weighEvery
	n := 0
	for range asked {
		if d.Weigh(k) {
			n++
			d.Weighed(k, true)
		}
	}
	if n < asked/weighEvery/2 || n > 2*asked/weighEvery {
		t.Errorf("weighed %d times of %d", n, asked)
	}
	weigh()
	d.Weighed(k, false)
	if d.Heavy(k) || d.Heavy(sibling) {
		t.Error("heavy still")
	}
	weigh()
	d.Weighed(k, true)
	d.Lasted(k, brief)
	is("lasts", false, false)
	for range fewBrief {
		d.Lasted(k, Slow)
	}
	weigh()
	d.Weighed(k, true)
	weigh()
	for d.Place(k) != Here {
		d.Learn(k, OnThread, true)
	}
	is("trusted", false, false)
	d.Weighed(k, true) // a run that began before
	is("trusted, and weighed late", false, false)
	d.Learn(k, Here, false)
	is("caught", false, false)
	if n := d.predictor.weighing.Load(); n != 0 {
		t.Errorf("%d are weighed at the end", n)
	}

	inline := newTest(t, Config{Policy: PolicyInline})
	inline.Lasted(0, brief)
	if inline.Weigh(0) || inline.Heavy(0) {
		t.Error("a policy that does not learn knows something")
	}
	inline.Weighed(0, true)
}
