// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// drain is what Shutdown does to connections. It returns how long it took, at most an hour.
func (s *sim) drain() time.Duration {
	start := time.Now()
	s.server.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := s.reactor.Drain(ctx); err != nil {
		s.t.Errorf("%v\n%s", err, s.network.State())
	}
	return time.Since(start)
}

func TestDrain(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/unread" {
				io.Copy(io.Discard, r.Body)
			}
			if r.URL.Path == "/slow" {
				time.Sleep(time.Minute)
			}
			fmt.Fprint(w, "ok")
		})
		fresh, freshTap := s.send("")
		idle, idleTap := s.send(get)
		unread, unreadTap := s.send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
		lined, linedTap := s.send(post10 + "\r\n")
		slow := "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
		active, activeTap := s.send(slow)
		synctest.Wait()
		time.Sleep(time.Second)
		var sending sync.WaitGroup
		sending.Go(func() {
			time.Sleep(time.Second)
			io.WriteString(active, text(100000)+get)
		})
		if d := s.drain(); d < time.Minute || d > time.Minute+2*time.Second+late {
			t.Errorf("drained after %v", d)
		}
		sending.Wait()
		for _, tap := range []*tap{freshTap, idleTap, linedTap, unreadTap} {
			if got, _ := tap.ended(); strings.Contains(got, "close") {
				t.Errorf("got %q", got)
			}
		}
		if got, _ := activeTap.ended(); strings.Count(got, "HTTP/1.1 200 OK") != 1 || !strings.Contains(got, "Connection: close\r\n") || !strings.HasSuffix(got, "ok") {
			t.Errorf("got %q", got)
		}
		for _, c := range []*reactortest.Client{fresh, idle, lined, unread, active} {
			c.Close()
		}
	})
}

// TestDrainDeliversOutput: an answer that waits for its client is no idleness.
func TestDrainDeliversOutput(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{SendBuffer: 1000, RecvBuffer: 1000}, simConfig{policy: p, watermark: 1 << 20}, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, text(100000))
		})
		c := s.dial()
		defer c.Close()
		io.WriteString(c, get)
		synctest.Wait()
		var reading sync.WaitGroup
		reading.Go(func() {
			time.Sleep(time.Minute)
			stream, err := c.ReadAll()
			if _, bodies := answers(t, stream); err != nil || len(bodies) != 1 || bodies[0] != text(100000) {
				t.Errorf("%d bytes and %v", len(stream), err)
			}
		})
		around(t, "drained", s.drain(), time.Minute)
		reading.Wait()
	})
}

// TestDrainRaces: the shutdown begins just when a task has found that the connection is to be kept, and has not let go of it.
func TestDrainRaces(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var s *sim
		var drained sync.WaitGroup
		s = newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				drained.Go(func() {
					if d := s.drain(); d > time.Second+late {
						t.Errorf("drained after %v", d)
					}
				})
				time.Sleep(time.Millisecond)
			}
		}}}, sayOK)
		c, tap := s.send(get)
		tap.ended()
		drained.Wait()
		c.Close()
	})
}

func TestAbort(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		if p == dispatch.PolicyInline {
			t.Skip("the handler waits")
		}
		done := make(chan struct{}, 2)
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 0 {
				if _, err := io.ReadAll(r.Body); err == nil {
					t.Error("the body was read")
				}
			}
			<-r.Context().Done()
			if err := http.NewResponseController(w).Flush(); err == nil {
				t.Error("the answer could be sent")
			}
			done <- struct{}{}
		})
		b, _ := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
		pipelined, _ := s.send("")
		synctest.Wait()
		a, _ := s.send(get) // which may have the loop to itself for a while
		synctest.Wait()
		s.server.Drain()
		s.reactor.Abort()
		if d := s.drain(); d > late {
			t.Errorf("gone after %v", d)
		}
		<-done
		<-done
		for _, c := range []*reactortest.Client{a, b, pipelined} {
			c.Close()
		}
	})
}

func TestKeepAlivesDisabled(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, sayOK)
		s.server.SetKeepAlivesEnabled(false)
		for _, raw := range []string{get, get10ka} {
			c, tap := s.send(raw + raw)
			got, _ := tap.ended()
			if strings.Count(got, "200 OK") != 1 || strings.Contains(got, "keep-alive") || strings.Contains(raw, "1.1") != strings.Contains(got, "Connection: close") {
				t.Errorf("got %q", got)
			}
			c.Close()
		}
		s.server.SetKeepAlivesEnabled(true)
		c, tap := s.send(get + with("Connection: close"))
		if got, _ := tap.ended(); strings.Count(got, "200 OK") != 2 {
			t.Errorf("got %q", got)
		}
		c.Close()
	})
}

// TestConnState: the same states in the same order as net/http's.
func TestConnState(t *testing.T) {
	type recorder struct {
		mu     sync.Mutex
		states []string
	}
	for _, tt := range []struct{ name, raw, want string }{
		{"nothing", "", ""},
		{"one", get, ""},
		{"two", get + get, ""},
		{"body", post10 + chunks + get, ""},
		{"close", with("Connection: close"), ""},
		{"1.0", get10, ""},
		{"refused", with("no colon"), ""},
		{"cut", "GET / HT", ""},
		{"empty line after one", post10 + "\r\n", ""},
		{"panic", strings.Replace(get, "/path", "/panic", 1), ""},
		{"unread", strings.Replace(post10, "/", "/none", 1) + get, ""},
		{"expectation", with("Expect: x"), ""},
		// net/http does not report the second StateActive when it finds the bytes in its buffer.
		{"refused after one", get + with("no colon"), "new active idle active closed"},
		{"cut after one", get + "GET / HT", "new active idle active closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := func(c client, rec *recorder) string {
				tap := newTap(c)
				io.WriteString(c, tt.raw)
				synctest.Wait()
				c.CloseWrite()
				<-tap.end
				time.Sleep(2 * time.Second)
				c.Close()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				rec.mu.Lock()
				defer rec.mu.Unlock()
				return strings.Join(rec.states, " ")
			}
			note := func(rec *recorder) func(net.Conn, http.ConnState) {
				return func(_ net.Conn, s http.ConnState) {
					rec.mu.Lock()
					defer rec.mu.Unlock()
					rec.states = append(rec.states, s.String())
				}
			}
			var want string
			synctest.Test(t, func(t *testing.T) {
				rec := new(recorder)
				p := newPeer(t, nil, serveStream)
				p.server.ConnState = note(rec)
				want = run(p.dial(), rec)
				p.end()
			})
			if tt.want != "" {
				want = tt.want
			}
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				rec := new(recorder)
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{ConnState: note(rec)}}, serveStream)
				if got := run(s.dial(), rec); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

// TestUnreadChunks: an answer that went out before the unread body was there did not end the connection; so it is kept,
// within reason.
func TestUnreadChunks(t *testing.T) {
	for _, test := range []struct {
		size, want int
	}{{maxDrain + 1<<16, 2}, {maxChunkedDrain + 1<<16, 1}} {
		inBubbles(t, func(t *testing.T, p dispatch.Policy) {
			s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, sayOK)
			c, tap := s.send("")
			_, _ = io.WriteString(c, postChunked(test.size)+get) // it fails where the server has had enough
			_ = c.CloseWrite()
			if got, _ := tap.ended(); strings.Count(got, "HTTP/1.1 200 OK") != test.want {
				t.Errorf("%d bytes: got %q", test.size, got)
			}
			c.Close()
		})
	}
}

// TestKeepAlivesDisabledWhileIdle: a connection that is idle when keep-alives are switched off is closed, one that has not served
// yet is left alone until it has.
func TestKeepAlivesDisabledWhileIdle(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, sayOK)
		idle, idleTap := s.send(get)
		fresh, freshTap := s.send("")
		synctest.Wait()
		s.server.SetKeepAlivesEnabled(false)
		s.reactor.CloseIdle()
		if got, d := idleTap.ended(); strings.Contains(got, "close") || d > late {
			t.Errorf("idle: got %q after %v", got, d)
		}
		time.Sleep(newGrace + time.Second)
		_, _ = io.WriteString(fresh, get+get)
		if got, _ := freshTap.ended(); strings.Count(got, "HTTP/1.1 200 OK") != 1 || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("new: got %q", got)
		}
		idle.Close()
		fresh.Close()
	})
}

// TestDrainNew: Shutdown leaves a connection some time for its first request, from its accept on.
func TestDrainNew(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, sayOK)
		c, _ := s.send("")
		synctest.Wait()
		time.Sleep(2 * time.Second)
		around(t, "drained", s.drain(), newGrace-2*time.Second)
		c.Close()
	})
}

// A wakePoller calls wake before each Wake, and counts the Waits.
type wakePoller struct {
	reactor.Poller
	wake  func(p *wakePoller)
	waits atomic.Int64
}

func (p *wakePoller) Wake() error {
	p.wake(p)
	return p.Poller.Wake()
}

func (p *wakePoller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	p.waits.Add(1)
	return p.Poller.Wait(events, timeout)
}

// TestDrainBeforeRelease: a task has made its connection idle, and is about to give it back, when the loop tells all others of the
// shutdown. It is told then, too, and closes.
func TestDrainBeforeRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *sim
		var answered, drained atomic.Bool
		wake := func(p *wakePoller) {
			if !answered.Load() || drained.Swap(true) {
				return
			}
			// The task schedules its idle timeout.
			before := p.waits.Load()
			s.server.Drain()
			p.Poller.Wake()
			s.reactor.CloseIdle()
			for p.waits.Load() < before+3 {
				p.Poller.Wake()
				runtime.Gosched()
			}
		}
		s = newSim(t, 1, reactortest.Faults{}, simConfig{
			policy: dispatch.PolicyPool, Config: Config{IdleTimeout: time.Hour},
			poller: func(p reactor.Poller) reactor.Poller { return &wakePoller{Poller: p, wake: wake} },
		}, func(http.ResponseWriter, *http.Request) { answered.Store(true) })
		c, _ := s.send(get)
		defer c.Close()
		time.Sleep(time.Minute)
		if !drained.Load() {
			t.Error("the idle timeout was not scheduled")
		}
		if n := s.reactor.Conns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}
