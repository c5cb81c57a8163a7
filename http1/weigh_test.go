// SPDX-License-Identifier: MIT

package http1

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// fresh returns a path that the adaptive policy has not met, nor anything that it takes for the same, and its kind.
func (s *sim) fresh() (string, dispatch.Kind) {
	for i := 0; ; i++ {
		path := fmt.Sprintf("/%d/report", i)
		if k := s.dispatch.Kind(http.MethodGet, path); s.dispatch.Place(k) == dispatch.OnThread {
			return path, k
		}
	}
}

// TestWeighing: which kinds of handlers are heavy. A path is weighed when it was slow a few times.
func TestWeighing(t *testing.T) {
	for name, run := range map[string]struct {
		took, cpu time.Duration
		waits     int64
		weighed   bool
		heavy     bool
	}{
		"computes":                               {5 * time.Millisecond, 5 * time.Millisecond, 0, true, true},
		"sleeps":                                 {5 * time.Millisecond, 0, 1, true, false},
		"computes, and waits for longer":         {9 * time.Millisecond, 3 * time.Millisecond, 2, true, false},
		"waits, and computes for longer":         {5 * time.Millisecond, 4 * time.Millisecond, 3, true, true},
		"computes, and has to share a processor": {9 * time.Millisecond, 3 * time.Millisecond, 0, true, true},
		"takes little all the same":              {1200 * time.Microsecond, 400 * time.Microsecond, 0, true, false},
		"lasts":                                  {time.Second, time.Second, 0, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var cpu time.Duration // guarded by mu
				var waits int64       // guarded by mu
				asked := 0            // guarded by mu
				s := newSim(t, 0, reactortest.Faults{}, simConfig{policy: dispatch.PolicyAdaptive, Config: Config{
					ThreadUsage: func() (time.Duration, int64) {
						mu.Lock()
						defer mu.Unlock()
						asked++
						return cpu, waits
					},
				}}, func(http.ResponseWriter, *http.Request) {
					time.Sleep(run.took)
					mu.Lock()
					defer mu.Unlock()
					cpu += run.cpu
					waits += run.waits
				})
				path, kind := s.fresh()
				weighed := false
				for i := 0; i < 100 && !weighed; i++ {
					if s.dispatch.Heavy(kind) {
						t.Errorf("heavy before request %d", i)
					}
					mu.Lock()
					asked = 0
					mu.Unlock()
					if all := s.roundTrip("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(all, "HTTP/1.1 200 ") {
						t.Error(all)
					}
					synctest.Wait() // how it went is told after its answer
					mu.Lock()
					weighed = asked == 2
					mu.Unlock()
				}
				if weighed != run.weighed {
					t.Errorf("weighed: %v", weighed)
				}
				if s.dispatch.Heavy(kind) != run.heavy {
					t.Errorf("heavy: %v", !run.heavy)
				}
			})
		})
	}
}

// TestHeavyRequests: requests of a heavy kind wait for each other where quick ones run too, and nobody else waits for them.
func TestHeavyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		procs := runtime.GOMAXPROCS(0)
		var mu sync.Mutex
		running, most := 0, 0 // guarded by mu
		s := newSim(t, 0, reactortest.Faults{}, simConfig{policy: dispatch.PolicyAdaptive}, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				return
			}
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			running--
			mu.Unlock()
		})
		path, kind := s.fresh()
		heavy := "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"
		for !s.dispatch.Weigh(kind) {
			s.dispatch.Learn(kind, dispatch.OnThread, false)
			s.dispatch.Lasted(kind, dispatch.Slow)
		}
		s.dispatch.Weighed(kind, true)
		s.roundTrip("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		var clients sync.WaitGroup
		for range 3 * procs {
			clients.Go(func() {
				if all := s.roundTrip(heavy); !strings.HasPrefix(all, "HTTP/1.1 200 ") {
					t.Error(all)
				}
			})
		}
		done := make(chan struct{})
		go func() {
			clients.Wait()
			close(done)
		}()
		for ticks := time.Tick(time.Millisecond); ; {
			select {
			case <-done:
			case <-ticks:
				began := time.Now()
				if all := s.roundTrip("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(all, "HTTP/1.1 200 ") || time.Since(began) > 0 {
					t.Errorf("after %v: %s", time.Since(began), all)
				}
				continue
			}
			break
		}
		if want := max(1, procs-1); most != want {
			t.Errorf("%d ran at once, want %d of %d", most, want, procs)
		}
	})
}

// TestOverstayed: what kind of request has held up a loop is known as soon as that is seen, not when the handler returns.
func TestOverstayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 20
		end := make(chan struct{})
		var begun sync.WaitGroup
		begun.Add(clients)
		s := newSim(t, 0, reactortest.Faults{}, simConfig{policy: dispatch.PolicyAdaptive}, func(http.ResponseWriter, *http.Request) {
			begun.Done()
			<-end
		})
		start := time.Now()
		for range clients {
			c, _ := s.send(get)
			defer c.Close()
		}
		begun.Wait()
		if d := time.Since(start); d > 2*50*time.Millisecond {
			t.Errorf("the last of %d began after %v", clients, d)
		}
		close(end)
		synctest.Wait()
	})
}
