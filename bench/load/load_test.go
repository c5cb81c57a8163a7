// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func greet(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello, World!") }

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestAnswerLen(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 13 \r\nX: y\r\n\r\nHello, World!"
	for _, tt := range []struct {
		name, in string
		want     int
		ok       bool
	}{
		{"whole", whole, len(whole), true},
		{"two", whole + whole, len(whole), true},
		{"no end of the head", "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n", 0, true},
		{"content cut", whole[:len(whole)-1], 0, true},
		{"nothing", "", 0, true},
		{"refusal", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 13\r\n\r\nHello, World!", 0, false},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nHello, World!", 0, false},
		{"no number", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nHello, World!", 0, false},
		{"other content", strings.Replace(whole, "World", "Walls", 1), 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := answerLen([]byte(tt.in))
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("%d, %v; want %d, ok %v", got, err, tt.want, tt.ok)
			}
		})
	}
}

// TestCut gives a client its answers a byte at a time.
func TestCut(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	go func() {
		_, _ = io.ReadFull(there, make([]byte, 2*len("GET / HTTP/1.1\r\nHost: h\r\n\r\n")))
		for _, b := range []byte(strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!", 2)) {
			_, _ = there.Write([]byte{b})
		}
	}()
	c := newClient(here, "h", 2)
	if err := c.exchange(); err != nil {
		t.Fatal(err)
	}
	if c.n != 0 {
		t.Errorf("%d bytes left", c.n)
	}
}

func TestClosedLoop(t *testing.T) {
	var served atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		greet(w, r)
	})
	load, err := closedLoop(t.Context(), addr, 4, 3, 20*time.Millisecond, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n := served.Load(); load.Answered != n {
		t.Errorf("answered %d, served %d", load.Answered, n)
	}
	if load.Measured == 0 || load.Measured > load.Answered || load.Latency.Count() != load.Measured/3 {
		t.Errorf("measured %d of %d, %d latencies", load.Measured, load.Answered, load.Latency.Count())
	}
}

func TestClosedLoopFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }},
		{"closed", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := closedLoop(t.Context(), serve(t, tt.h), 2, 1, 0, 50*time.Millisecond)
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestClosedLoopEndsEarly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := closedLoop(ctx, serve(t, greet), 2, 1, 0, time.Minute); err == nil {
		t.Error("no error")
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestHoldIdle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states := make(chan http.ConnState, 1000)
	s := httptest.NewUnstartedServer(http.HandlerFunc(greet))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
	s.Start()
	t.Cleanup(s.Close)
	err := holdIdle(ctx, s.Listener.Addr().String(), 100, func() error {
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
