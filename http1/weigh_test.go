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

// TestWeighing: which kinds of handlers are heavy. A path is slow at its first request, and is weighed at its second.
func TestWeighing(t *testing.T) {
	for name, run := range map[string]struct {
		took, cpu time.Duration
		waits     int64
		heavy     bool
	}{
		"computes":                               {5 * time.Millisecond, 5 * time.Millisecond, 0, true},
		"sleeps":                                 {5 * time.Millisecond, 0, 1, false},
		"computes, and waits for longer":         {9 * time.Millisecond, 3 * time.Millisecond, 2, false},
		"waits, and computes for longer":         {5 * time.Millisecond, 4 * time.Millisecond, 3, true},
		"computes, and has to share a processor": {9 * time.Millisecond, 3 * time.Millisecond, 0, true},
		"is slow, and takes little all the same": {600 * time.Microsecond, 400 * time.Microsecond, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var cpu time.Duration // guarded by mu
				var waits int64       // guarded by mu
				s := newSim(t, 0, reactortest.Faults{}, simConfig{policy: dispatch.PolicyAdaptive, Config: Config{
					ThreadUsage: func() (time.Duration, int64) {
						mu.Lock()
						defer mu.Unlock()
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
				for i := range 2 {
					if s.dispatch.Heavy(kind) {
						t.Errorf("heavy before request %d", i+1)
					}
					if all := s.roundTrip("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(all, "HTTP/1.1 200 ") {
						t.Error(all)
					}
					synctest.Wait() // how it went is told after its answer
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
		s.dispatch.Learn(kind, dispatch.OnThread, false)
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
