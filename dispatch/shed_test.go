// SPDX-License-Identifier: MIT

package dispatch

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestShedding offers a pool more than it can do, and looks at what it does: as much as it can, of tasks that have not waited
// for long.
func TestShedding(t *testing.T) {
	const (
		threads  = 2
		work     = 10 * time.Millisecond
		target   = 50 * time.Millisecond
		interval = 200 * time.Millisecond
		run      = 10 * time.Second
		capacity = int(run/work) * threads
	)
	for _, test := range []struct {
		name     string
		load     float64 // of what the threads can do
		burst    int     // tasks at once, before the load
		target   time.Duration
		shedSome bool
	}{
		{"half", 0.5, 0, target, false},
		{"all but", 0.95, 0, target, false},
		{"burst that an interval is enough for", 0, 2 * int(interval/work), target, false},
		{"burst", 0.5, 1000, target, true},
		{"twice", 2, 0, target, true},
		{"four times", 4, 0, target, true},
		{"more, and nothing is shed", 1.5, 0, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newTest(t, Config{Threads: threads, Target: test.target, Interval: interval})
				began := time.Now()
				done, fresh, shed := make(chan time.Duration, 4*capacity), 0, make(chan struct{}, 4*capacity)
				offer := func() {
					at := time.Now()
					task := &funcTask{run: func() {
						done <- time.Since(at)
						time.Sleep(work)
					}, shed: func() { shed <- struct{}{} }}
					if err := d.Submit(task); err != nil {
						t.Error(err)
					}
				}
				for range test.burst {
					offer()
				}
				offered := int(test.load * float64(capacity))
				for i := range offered {
					time.Sleep(time.Until(began.Add(time.Duration(i) * run / time.Duration(offered))))
					offer()
				}
				time.Sleep(time.Until(began.Add(run)))
				inTime := len(done)
				closeTest(t, d)
				if test.shedSome != (len(shed) > 0) || int(d.Stats().Shed) != len(shed) {
					t.Errorf("%d were shed, and %d counted", len(shed), d.Stats().Shed)
				}
				for range inTime {
					if <-done <= target+work {
						fresh++
					}
				}
				if want := min(offered, capacity) * 9 / 10; test.target > 0 && fresh < want {
					t.Errorf("%d of %d were done in time, want %d", fresh, offered, want)
				}
			})
		})
	}
}

// TestSheddingForgets: what a queue has come to before it was empty is nothing to those that come after.
func TestSheddingForgets(t *testing.T) {
	type offer struct {
		at    time.Duration
		tasks int
		work  time.Duration
	}
	const ms = time.Millisecond
	for _, test := range []struct {
		name   string
		offers []offer
		shed   int
	}{
		// The second waits for 60 ms, and the queue is empty while it runs. So does the third, ten seconds later.
		{"one waits, and much later another one", []offer{{0, 1, 60 * ms}, {0, 1, 10 * time.Second}, {10 * time.Second, 1, ms}}, 0},
		// One task in 30 ms: the third has waited for 60 ms, and 210 ms later the tenth is shed, and all behind it.
		{"an overload", []offer{{0, 20, 30 * ms}}, 11},
		{"an overload, and a burst an hour later", []offer{{0, 20, 30 * ms}, {time.Hour, 4, 30 * ms}}, 11},
		{"an overload, and another one an hour later", []offer{{0, 20, 30 * ms}, {time.Hour, 20, 30 * ms}}, 22},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newTest(t, Config{Threads: 1, Target: 50 * ms, Interval: 200 * ms})
				began, shed := time.Now(), 0
				for _, o := range test.offers {
					time.Sleep(time.Until(began.Add(o.at)))
					for range o.tasks {
						if err := d.Submit(&funcTask{run: func() { time.Sleep(o.work) }, shed: func() { shed++ }}); err != nil {
							t.Error(err)
						}
					}
				}
				closeTest(t, d)
				if shed != test.shed {
					t.Errorf("%d were shed, want %d", shed, test.shed)
				}
			})
		})
	}
}

// TestUrgent: urgent tasks go before all others, in their own order, and are neither refused nor shed.
func TestUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTest(t, Config{Threads: 1, Queue: 2, Target: time.Millisecond, Interval: time.Millisecond})
		var got []int
		hold := make(chan struct{})
		task := func(n int) *funcTask {
			return &funcTask{run: func() { got = append(got, n); time.Sleep(time.Second) }, shed: func() { got = append(got, -n) }}
		}
		submit(t, d, func() { <-hold })
		for n := 1; n <= 2; n++ {
			if err := d.Submit(task(n)); err != nil {
				t.Error(err)
			}
		}
		for n := 3; n <= 5; n++ {
			if err := d.SubmitUrgent(task(n)); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		close(hold)
		closeTest(t, d)
		want := []int{3, 4, 5, 1, -2}
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Fatalf("ran %v, want %v", got, want)
			}
		}
	})
}
