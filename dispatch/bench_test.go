// SPDX-License-Identifier: MIT

package dispatch

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// A countTask counts itself off. Empty as it is, a benchmark of it shows the cost of handing over and nothing else.
type countTask struct{ left sync.WaitGroup }

func (c *countTask) Run()                 { c.left.Done() }
func (c *countTask) Panicked(any, []byte) {}
func (c *countTask) Shed()                {}

// BenchmarkSubmit compares ways to run an empty task elsewhere, submitted in bursts as a loop does that read a batch
// of sockets: burst=1 waits for every task, burst=64 for every 64. wakes/task counts parked threads sent to the queue.
//
//	go test -run '^$' -bench Submit -cpu 1,2 ./dispatch
func BenchmarkSubmit(b *testing.B) {
	for _, submitters := range []int{1, 2} {
		for _, burst := range []int{1, 64} {
			name := fmt.Sprintf("submitters=%d/burst=%d/", submitters, burst)
			b.Run(name+"elastic", func(b *testing.B) { benchmarkPool(b, Config{}, submitters, burst) })
			b.Run(name+"bounded", func(b *testing.B) { benchmarkPool(b, Config{Threads: 8}, submitters, burst) })
			b.Run(name+"go", func(b *testing.B) {
				benchmarkBursts(b, submitters, burst, func(t Task) { go t.Run() })
			})
			b.Run(name+"channel", func(b *testing.B) {
				tasks := make(chan Task, 1024)
				var threads sync.WaitGroup
				for range 8 {
					threads.Go(func() {
						for t := range tasks {
							t.Run()
						}
					})
				}
				benchmarkBursts(b, submitters, burst, func(t Task) { tasks <- t })
				close(tasks)
				threads.Wait()
			})
		}
	}
}

func benchmarkPool(b *testing.B, c Config, submitters, burst int) {
	d := newTest(b, c)
	benchmarkBursts(b, submitters, burst, func(t Task) {
		if err := d.Submit(t); err != nil {
			b.Error(err)
		}
	})
	s := d.Stats()
	b.ReportMetric(float64(s.Woken)/float64(s.Submitted), "wakes/task")
	b.ReportMetric(float64(s.Started), "threads")
}

func benchmarkBursts(b *testing.B, submitters, burst int, submit func(Task)) {
	b.ReportAllocs()
	var next atomic.Int64
	var all sync.WaitGroup
	for range submitters {
		all.Go(func() {
			task := &countTask{}
			for next.Add(int64(burst)) <= int64(b.N+burst-1) {
				task.left.Add(burst)
				for range burst {
					submit(task)
				}
				task.left.Wait()
			}
		})
	}
	all.Wait()
}

// BenchmarkRun is the cost of the guard.
func BenchmarkRun(b *testing.B) {
	d := newTest(b, Config{Policy: PolicyInline})
	task := &funcTask{run: func() {}}
	for b.Loop() {
		d.Run(task)
	}
	runtime.KeepAlive(task)
}
