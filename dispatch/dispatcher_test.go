// SPDX-License-Identifier: MIT

package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/internal/invariant"
)

// A funcTask runs a function, passes what Panicked gets to another, and calls a third when it is shed.
type funcTask struct {
	run      func()
	panicked func(v any, stack []byte)
	shed     func()
}

func (f *funcTask) Shed() { f.shed() }

func (f *funcTask) Run() { f.run() }

func (f *funcTask) Panicked(v any, stack []byte) {
	if f.panicked == nil {
		panic(fmt.Sprintf("unexpected: Panicked(%v)\n%s", v, stack))
	}
	f.panicked(v, stack)
}

// newTest returns a Dispatcher that is closed at the test's end, and must then come to rest.
func newTest(t testing.TB, c Config) *Dispatcher {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, d) })
	return d
}

// closeTest closes d, and checks that nothing is left.
func closeTest(t testing.TB, d *Dispatcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		t.Fatalf("Close: %v; %+v", err, d.Stats())
	}
	if s := d.Stats(); s.Threads != 0 || s.Idle != 0 || s.Running != 0 || s.Queued != 0 {
		t.Errorf("after Close: %+v", s)
	}
}

func submit(t testing.TB, d *Dispatcher, run func()) {
	t.Helper()
	if err := d.Submit(&funcTask{run: run}); err != nil {
		t.Errorf("Submit: %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	for _, test := range []struct {
		config Config
		names  string
	}{
		{Config{Policy: 9}, "Policy"},
		{Config{Threads: -1}, "Threads"},
		{Config{Threads: 1, Queue: -1}, "Queue"},
		{Config{Queue: 1}, "Queue"},
	} {
		if d, err := New(test.config); d != nil || err == nil || !strings.Contains(err.Error(), test.names+":") {
			t.Errorf("New(%+v) = %v, %v; want an error naming %s", test.config, d, err, test.names)
		}
	}
}

// TestElasticBarrier submits tasks of which none ends before all have begun, in groups of random sizes, from tasks as
// well as from outside. A pool that lets one task wait for another to end never finishes.
func TestElasticBarrier(t *testing.T) {
	for seed := range int64(20) {
		random := rand.New(rand.NewSource(seed))
		d := newTest(t, Config{})
		var done sync.WaitGroup
		for range 1 + random.Intn(20) {
			n := 1 + random.Intn(200)
			nested := random.Intn(2) == 0
			var barrier sync.WaitGroup
			barrier.Add(n)
			done.Add(n)
			member := func() {
				defer done.Done()
				barrier.Done()
				barrier.Wait()
			}
			if nested {
				done.Add(1)
				submit(t, d, func() {
					defer done.Done()
					for range n {
						submit(t, d, member)
					}
					barrier.Wait()
				})
			} else {
				for range n {
					submit(t, d, member)
				}
			}
			if random.Intn(3) == 0 {
				done.Wait()
			}
		}
		done.Wait()
	}
}

func TestBoundedOrder(t *testing.T) {
	d := newTest(t, Config{Threads: 1})
	var got []int
	for i := range 1000 {
		submit(t, d, func() { got = append(got, i) })
	}
	closeTest(t, d)
	if len(got) != 1000 || !slices.IsSorted(got) {
		t.Errorf("one thread ran %d tasks, in order: %v", len(got), slices.IsSorted(got))
	}
}

func TestBound(t *testing.T) {
	for seed := range int64(10) {
		random := rand.New(rand.NewSource(seed))
		bound := 1 + random.Intn(8)
		d := newTest(t, Config{Threads: bound})
		var inside, most, ran atomic.Int64
		for range 500 {
			sleep, end := time.Duration(random.Intn(50))*time.Microsecond, random.Intn(5)
			task := &funcTask{run: func() {
				defer inside.Add(-1)
				ran.Add(1)
				now := inside.Add(1)
				for {
					if old := most.Load(); now <= old || most.CompareAndSwap(old, now) {
						break
					}
				}
				time.Sleep(sleep)
				if end == 0 {
					runtime.Goexit()
				}
			}, panicked: func(any, []byte) {}}
			if err := d.Submit(task); err != nil {
				t.Fatal(err)
			}
			if s := d.Stats(); s.Threads > bound {
				t.Fatalf("seed %d: %d threads with a bound of %d", seed, s.Threads, bound)
			}
		}
		closeTest(t, d)
		if most.Load() > int64(bound) || ran.Load() != 500 {
			t.Errorf("seed %d: %d of 500 tasks ran, at most %d at once, bound %d", seed, ran.Load(), most.Load(), bound)
		}
	}
}

// TestQueueFull fills a pool to its last place, however far its threads have come, and again after one place is free.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const threads, queue = 3, 5
		for _, settle := range []bool{false, true} {
			d := newTest(t, Config{Threads: threads, Queue: queue})
			release := make(chan struct{})
			task := &funcTask{run: func() { <-release }}
			for i := range threads + queue {
				if err := d.Submit(task); err != nil {
					t.Fatalf("Submit %d: %v", i, err)
				}
				if settle {
					synctest.Wait()
				}
			}
			for range 2 {
				if err := d.Submit(task); !errors.Is(err, ErrQueueFull) {
					t.Errorf("Submit to a full pool: %v", err)
				}
			}
			release <- struct{}{}
			synctest.Wait()
			if err := d.Submit(task); err != nil {
				t.Errorf("Submit with one place free: %v", err)
			}
			if err := d.Submit(task); !errors.Is(err, ErrQueueFull) {
				t.Errorf("Submit to a full pool: %v", err)
			}
			if s := d.Stats(); s.Refused != 3 || s.Submitted != threads+queue+1 {
				t.Errorf("stats: %+v", s)
			}
			close(release)
		}
	})
}

func TestDepth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var depths []int
		d := newTest(t, Config{Threads: 2, Depth: func(waiting int) { depths = append(depths, waiting) }})
		release := make(chan struct{})
		hold := func() { <-release }
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(depths, want) {
				t.Errorf("Depth was called with %v, want %v", depths, want)
			}
			depths = nil
		}
		for range 3 { // two run, one waits behind none
			submit(t, d, hold)
		}
		expect()
		submit(t, d, hold)
		expect(2)
		for range 3 {
			submit(t, d, hold)
		}
		expect() // within the second
		for range 5 {
			release <- struct{}{}
		}
		synctest.Wait()
		time.Sleep(depthInterval)
		submit(t, d, hold) // waits behind none, and tells of the five before
		expect(5)
		time.Sleep(depthInterval)
		submit(t, d, hold)
		expect(2)
		close(release)
		synctest.Wait()
		time.Sleep(depthInterval)
		for range 2 {
			submit(t, d, func() {})
		}
		expect()
	})
}

// TestPanics mixes tasks that end in every way with ones that return. Each costs itself only, on few threads and many.
func TestPanics(t *testing.T) {
	type outcome struct {
		name string
		run  func()
		want any // what Panicked gets; nil when it must not be called
	}
	boom := errors.New("boom")
	outcomes := []outcome{
		{name: "return", run: func() {}},
		{name: "panic", run: func() { panic(boom) }, want: boom},
		{name: "panic nil", run: func() { panic(nil) }, want: &runtime.PanicNilError{}}, //nolint:govet // on purpose
		{name: "runtime error", run: func() { _ = 1 / (len(boom.Error()) - len("boom")) }, want: runtime.Error(nil)},
		{name: "goexit", run: runtime.Goexit, want: ErrGoexit},
		{name: "panic while goexit", run: func() { defer func() { panic(boom) }(); runtime.Goexit() }, want: boom},
		{name: "goexit while panic", run: func() { defer runtime.Goexit(); panic(boom) }, want: ErrGoexit},
		{name: "recovered", run: func() { defer func() { _ = recover() }(); panic(boom) }},
	}
	same := func(v, want any) bool {
		switch v := v.(type) {
		case *runtime.PanicNilError:
			_, ok := want.(*runtime.PanicNilError)
			return ok
		case runtime.Error:
			return want == nil
		default:
			return v == want
		}
	}
	for _, threads := range []int{0, 1, 3} {
		t.Run(fmt.Sprintf("threads=%d", threads), func(t *testing.T) {
			d := newTest(t, Config{Threads: threads})
			const rounds = 50
			var ran, ended atomic.Int64
			want := 0
			for range rounds {
				for _, o := range outcomes {
					fails := o.name != "return" && o.name != "recovered"
					if fails {
						want++
					}
					task := &funcTask{run: func() { ran.Add(1); o.run() }}
					task.panicked = func(v any, stack []byte) {
						ended.Add(1)
						if !fails || !same(v, o.want) {
							t.Errorf("%s: Panicked(%v)", o.name, v)
						}
						if (v == ErrGoexit) != (stack == nil) {
							t.Errorf("%s: Panicked(%v) with a stack of %d bytes", o.name, v, len(stack))
						}
						if stack != nil && !strings.Contains(string(stack), "TestPanics") {
							t.Errorf("%s: the stack does not show where:\n%s", o.name, stack)
						}
					}
					if err := d.Submit(task); err != nil {
						t.Error(err)
					}
				}
			}
			closeTest(t, d)
			if ran.Load() != rounds*int64(len(outcomes)) || ended.Load() != int64(want) {
				t.Errorf("%d tasks ran and %d panicked, want %d and %d",
					ran.Load(), ended.Load(), rounds*len(outcomes), want)
			}
			if s := d.Stats(); s.Panicked != uint64(want) {
				t.Errorf("stats: %+v, want Panicked: %d", s, want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	d := newTest(t, Config{Policy: PolicyInline})
	if !d.Run(&funcTask{run: func() {}}) {
		t.Error("Run of a task that returned: false")
	}
	var got any
	keep := func(v any, _ []byte) { got = v }
	if d.Run(&funcTask{run: func() { panic("boom") }, panicked: keep}) || got != "boom" {
		t.Errorf("Run of a task that panicked: true, or Panicked(%v)", got)
	}
	returned := false
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(&funcTask{run: runtime.Goexit, panicked: keep})
		returned = true
	}()
	<-ended
	if returned || got != ErrGoexit {
		t.Errorf("Run of a task that called Goexit returned (%v), or Panicked(%v)", returned, got)
	}
	closeTest(t, d)
	if !d.Run(&funcTask{run: func() {}}) {
		t.Error("Run after Close: false")
	}
	if s := d.Stats(); s.Started != 0 || s.Panicked != 2 {
		t.Errorf("stats: %+v", s)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, threads := range []int{0, 1, 2} {
			d := newTest(t, Config{Threads: threads})
			release := make(chan struct{})
			ran := 0
			var mu sync.Mutex
			for range 5 {
				submit(t, d, func() {
					<-release
					mu.Lock()
					defer mu.Unlock()
					ran++
					if err := d.Submit(&funcTask{}); !errors.Is(err, ErrClosed) {
						t.Errorf("Submit in a task after Close: %v", err)
					}
				})
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begin := time.Now()
			if err := d.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Minute {
				t.Errorf("Close with tasks running: %v after %v", err, time.Since(begin))
			}
			if err := d.Submit(&funcTask{}); !errors.Is(err, ErrClosed) {
				t.Errorf("Submit after Close: %v", err)
			}
			go func() {
				time.Sleep(time.Second)
				close(release)
			}()
			closeTest(t, d)
			if ran != 5 {
				t.Errorf("%d of 5 tasks ran before Close returned nil", ran)
			}
			// Nothing is left, so a context that has ended already does not matter.
			if err := d.Close(ctx); err != nil {
				t.Errorf("Close again: %v", err)
			}
		}
	})
}

// TestIdle checks that idle threads park up to the limit and end above it, and that all end at Close.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTest(t, Config{})
		limit := idlePerProc * runtime.GOMAXPROCS(0)
		release := make(chan struct{})
		for range 3 * limit {
			submit(t, d, func() { <-release })
		}
		synctest.Wait()
		if s := d.Stats(); s.Threads != 3*limit || s.Running != 3*limit {
			t.Errorf("with %d blocked tasks: %+v", 3*limit, s)
		}
		close(release)
		synctest.Wait()
		if s := d.Stats(); s.Threads != limit || s.Idle != limit {
			t.Errorf("after a burst: %+v, want %d idle", s, limit)
		}
		// The most recent thread is used again, so one task after another needs no second one.
		woken := d.Stats().Woken
		for range 10 {
			submit(t, d, func() {})
			synctest.Wait()
		}
		if s := d.Stats(); s.Woken != woken+10 || s.Threads != limit {
			t.Errorf("after ten single tasks: %+v", s)
		}
	})
}

// TestReap: of the idle threads those stay that a load needs again and again, and a few for ever.
func TestReap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTest(t, Config{})
		burst := func(n int) {
			release := make(chan struct{})
			for range n {
				submit(t, d, func() { <-release })
			}
			synctest.Wait()
			close(release)
			synctest.Wait()
		}
		const need = 4 * idleKept
		burst(3 * need)
		for range 10 {
			time.Sleep(reapEvery / 2)
			burst(need)
		}
		if s := d.Stats(); s.Idle != need+idleKept || s.Threads != s.Idle || s.Started != 3*need {
			t.Errorf("under a load that needs %d threads: %+v", need, s)
		}
		time.Sleep(2*reapEvery + 1)
		synctest.Wait()
		if s := d.Stats(); s.Idle != idleKept || s.Threads != idleKept {
			t.Errorf("after it: %+v, want %d", s, idleKept)
		}
		if d.pool.reaping {
			t.Error("the reaper goes on looking for nothing")
		}
		burst(need) // the stack is whole
	})
}

// TestStress runs random mixes of tasks from several goroutines and counts that each ran exactly once.
func TestStress(t *testing.T) {
	for seed := range int64(12) {
		random := rand.New(rand.NewSource(seed))
		c := Config{Threads: random.Intn(4) * random.Intn(8)}
		if c.Threads > 0 {
			c.Queue = random.Intn(2) * random.Intn(100)
			c.Depth = func(waiting int) {
				if waiting < 2 {
					t.Errorf("seed %d: Depth(%d)", seed, waiting)
				}
			}
		}
		d := newTest(t, c)
		var taken, refused, ran, failed atomic.Int64
		var submitters sync.WaitGroup
		for i := range 1 + random.Intn(4) {
			random := rand.New(rand.NewSource(seed<<8 + int64(i)))
			submitters.Go(func() {
				for range 500 {
					kind, nap := random.Intn(20), time.Duration(random.Intn(100))*time.Microsecond
					task := &funcTask{run: func() {
						ran.Add(1)
						switch kind {
						case 0:
							panic(kind)
						case 1:
							runtime.Goexit()
						case 2, 3:
							time.Sleep(nap)
						case 4:
							runtime.Gosched()
						}
					}, panicked: func(any, []byte) { failed.Add(1) }}
					switch err := d.Submit(task); {
					case err == nil:
						taken.Add(1)
					case errors.Is(err, ErrQueueFull) && c.Queue > 0:
						refused.Add(1)
					default:
						t.Errorf("seed %d: Submit: %v", seed, err)
					}
					if random.Intn(30) == 0 {
						time.Sleep(nap)
					}
				}
			})
		}
		submitters.Wait()
		closeTest(t, d)
		s := d.Stats()
		if ran.Load() != taken.Load() || s.Submitted != uint64(taken.Load()) || s.Refused != uint64(refused.Load()) ||
			s.Panicked != uint64(failed.Load()) {
			t.Errorf("seed %d: %d ran of %d taken, %d refused, %d failed; %+v",
				seed, ran.Load(), taken.Load(), refused.Load(), failed.Load(), s)
		}
	}
}

// TestCloseRace closes while others submit: what was taken runs, what was not is told so.
func TestCloseRace(t *testing.T) {
	for range 200 {
		d := newTest(t, Config{})
		var taken, ran atomic.Int64
		var submitters sync.WaitGroup
		for range 2 {
			submitters.Go(func() {
				for d.Submit(&funcTask{run: func() { ran.Add(1) }}) == nil {
					taken.Add(1)
				}
			})
		}
		runtime.Gosched()
		closeTest(t, d)
		submitters.Wait()
		if ran.Load() != taken.Load() {
			t.Fatalf("%d ran of %d taken", ran.Load(), taken.Load())
		}
	}
}

func TestSubmitAllocs(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	d := newTest(t, Config{})
	done := make(chan struct{}, 1)
	task := &funcTask{run: func() { done <- struct{}{} }}
	if n := testing.AllocsPerRun(1000, func() {
		if d.Submit(task) != nil {
			t.Error("not taken")
		}
		<-done
	}); n != 0 {
		t.Errorf("Submit allocates %v times", n)
	}
}
