// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

const (
	testWarmup   = 20 * time.Millisecond
	testDuration = 300 * time.Millisecond
)

func greet(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello, World!") }

var helloKind = meter.Kind{Name: "hello", Head: "GET / HTTP/1.1\r\nHost: h\r\n\r\n", Share: 1, Content: "Hello, World!"}

// load makes a load of the groups on h.
func load(t *testing.T, h http.HandlerFunc, groups ...meter.Group) (*meter.Load, error) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return drive(t.Context(), &meter.Order{
		Addr: s.Listener.Addr().String(), Warmup: testWarmup, Duration: testDuration, MaxDelay: 10 * time.Second, Groups: groups,
	})
}

func TestClosedLoop(t *testing.T) {
	upload := meter.Kind{Name: "upload", Head: "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n", Body: 3_000_000, Share: 3, Content: "3000000"}
	for _, tt := range []struct {
		name  string
		group meter.Group
	}{
		{"one", meter.Group{Conns: 1, Kinds: []meter.Kind{helloKind}}},
		{"many", meter.Group{Conns: 20, Kinds: []meter.Kind{helloKind}}},
		{"pipelined", meter.Group{Conns: 4, Depth: 5, Kinds: []meter.Kind{helloKind}}},
		{"mixed with bodies", meter.Group{Conns: 4, Kinds: []meter.Kind{helloKind, upload}}},
		{"a connection per request", meter.Group{Conns: 4, Close: true, Kinds: []meter.Kind{{
			Name: "hello", Head: "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Share: 1, Content: "Hello, World!",
		}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var served, conns atomic.Int64
			var seen sync.Map
			l, err := load(t, func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				if _, old := seen.LoadOrStore(r.RemoteAddr, true); !old {
					conns.Add(1)
				}
				if n, _ := io.Copy(io.Discard, r.Body); n > 0 {
					_, _ = io.WriteString(w, "3000000")
					return
				}
				greet(w, r)
			}, tt.group)
			if err != nil {
				t.Fatal(err)
			}
			if l.Answered() != served.Load() || l.CPU <= 0 || l.Lag.Count() != 0 {
				t.Errorf("answered %d, served %d; %v of processor time, %d lags", l.Answered(), served.Load(), l.CPU, l.Lag.Count())
			}
			all := l.Kind("")
			if all.Measured == 0 || all.Measured > all.Answered || all.Latency.Count() != all.Measured/int64(max(tt.group.Depth, 1)) {
				t.Errorf("measured %d of %d, %d latencies", all.Measured, all.Answered, all.Latency.Count())
			}
			// At the edges, an answer can have its content inside and its end outside, or the other way round.
			if n, conns := all.Bytes, int64(tt.group.Conns); n == 0 || n > all.Answered*13 || n < (all.Measured-conns)*7 {
				t.Errorf("%d bytes of content in %d answers", n, all.Measured)
			}
			// A closed connection's port may be used again.
			if n := conns.Load(); !tt.group.Close && n != int64(tt.group.Conns) || n < int64(tt.group.Conns) {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// due counts what an open loop owes between two times, from the same seed.
func due(t *testing.T, g meter.Group, from, until time.Duration) int64 {
	t.Helper()
	group, err := newGroup(g, 1)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for group.due.at < until {
		if group.due.at >= from {
			n++
		}
		group.due = group.arrivalAfter(group.due.at)
	}
	return n
}

// TestOpenLoop has a server that stalls at its first request. All that was due meanwhile is asked for nevertheless, and
// has waited since it was due.
func TestOpenLoop(t *testing.T) {
	const stall = 100 * time.Millisecond
	for _, closing := range []bool{false, true} {
		g := meter.Group{Conns: 2, Rate: 500, Close: closing, Kinds: []meter.Kind{helloKind}}
		if closing {
			g.Kinds = []meter.Kind{{Name: "hello", Head: "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Share: 1, Content: "Hello, World!"}}
		}
		var mu sync.Mutex
		var stalled bool
		l, err := load(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if !stalled {
				stalled = true
				<-time.After(stall)
			}
			greet(w, r)
		}, g)
		if err != nil {
			t.Fatal(err)
		}
		end := testWarmup + testDuration
		if want := due(t, g, 0, end); l.Answered() != want {
			t.Errorf("answered %d of %d", l.Answered(), want)
		}
		all := l.Kind("")
		if want := due(t, g, testWarmup, end); all.Measured != want || all.Latency.Count() != want {
			t.Errorf("measured %d, %d latencies, of %d", all.Measured, all.Latency.Count(), want)
		}
		// What was due in the first half of the stall has waited for half of it at least.
		slow := float64(due(t, g, testWarmup, stall/2)) / float64(all.Measured)
		if got := all.Latency.Quantile(1 - slow/2); got < stall/2 {
			t.Errorf("a share of %.2f was late, but the quantile there is %v", slow, got)
		}
	}
}

func TestLoadFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }},
		{"content", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello, Walls!") }},
		{"aborted", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"closed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			greet(w, r)
		}},
		{"more than was asked for", func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(c, helloAnswer+"H")
			_ = c.Close()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, rate := range []float64{0, 1000} {
				if _, err := load(t, tt.h, meter.Group{Conns: 2, Rate: rate, Kinds: []meter.Kind{helloKind}}); err == nil {
					t.Errorf("no error at rate %v", rate)
				}
			}
		})
	}
}

func TestGroupsRefused(t *testing.T) {
	kinds := []meter.Kind{helloKind}
	for _, g := range []meter.Group{
		{Conns: 0, Kinds: kinds},
		{Conns: 1},
		{Conns: 1, Kinds: []meter.Kind{{}}},
		{Conns: 1, Depth: 2, Rate: 1, Kinds: kinds},
		{Conns: 1, Sip: 1, Kinds: kinds},
	} {
		if _, err := newGroup(g, 1); err == nil {
			t.Errorf("no error for %+v", g)
		}
	}
}

// TestNoAnswer has a server that never answers.
func TestNoAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // it accepts nobody, but the kernel does
	o := &meter.Order{Addr: listener.Addr().String(), Duration: time.Millisecond, MaxDelay: time.Millisecond}
	o.Groups = []meter.Group{{Conns: 1, Kinds: []meter.Kind{helloKind}}}
	if _, err := drive(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Error(err)
	}
	o.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(10*time.Millisecond, cancel)
	defer timer.Stop()
	if _, err := drive(ctx, o); err == nil {
		t.Error("no error when told to stop")
	}
}

// TestSip reads answers that are larger than all buffers on the way, and has others quick beside it.
func TestSip(t *testing.T) {
	const length = 8 << 20
	var slow atomic.Int64
	l, err := load(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			greet(w, r)
			return
		}
		slow.Add(1)
		w.Header().Set("Content-Length", "8388608")
		_, _ = w.Write(make([]byte, length)) // the end of the load ends it
	}, meter.Group{Conns: 2, Sip: 4 << 10, SipEvery: 10 * time.Millisecond, Kinds: []meter.Kind{
		{Name: "slow", Head: "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n", Share: 1, Length: length},
	}}, meter.Group{Conns: 2, Kinds: []meter.Kind{helloKind}})
	if err != nil {
		t.Fatal(err)
	}
	if n := l.Kind("slow").Answered; n != 0 || slow.Load() != 2 {
		t.Errorf("%d slow answers, %d asked for", n, slow.Load())
	}
	if l.Kind("hello").Measured == 0 {
		t.Error("nobody was quick")
	}
}

func TestHold(t *testing.T) {
	for _, secure := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		states := make(chan http.ConnState, 1000)
		s := httptest.NewUnstartedServer(http.HandlerFunc(greet))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
		if secure {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		o := &meter.Order{
			Addr: s.Listener.Addr().String(), Hold: 100, TLS: secure, MaxDelay: 10 * time.Second,
			Groups: []meter.Group{{Kinds: []meter.Kind{helloKind}}},
		}
		err := hold(ctx, o, func() error {
			// The answers have come, though the server may not have noted it yet.
			for idle := 0; idle < 100; {
				if state := <-states; state == http.StateIdle {
					idle++
				} else if state == http.StateClosed {
					t.Error("a connection was closed")
				}
			}
			cancel()
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestQueue(t *testing.T) {
	var q queue[int]
	next := 0
	for i := range 1000 {
		q.push(i)
		if i%3 > 0 {
			if got := q.pop(); got != next {
				t.Fatalf("%d, want %d", got, next)
			}
			next++
		}
	}
	if q.len() != 1000-next || cap(q.items) > 1024 {
		t.Errorf("%d left in %d", q.len(), cap(q.items))
	}
}
