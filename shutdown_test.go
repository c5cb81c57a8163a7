// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestLameDuck: a Server that is told to stop says so first, serves whoever comes all the same, keeps no connection after its
// answer, and loses none; then it shuts down.
func TestLameDuck(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s *Server, cancel context.CancelFunc) // of the time as a lame duck
		want error
	}{
		{"until its context ends", func(_ *Server, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"until it is closed", func(s *Server, _ context.CancelFunc) { _ = s.Close() }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Server{LameDuck: time.Hour}
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, s.Ready()) })
			if s.Ready() {
				t.Error("ready before it serves")
			}
			ts := serve(t, s)
			kept := ts.dial(t)
			r := bufio.NewReader(kept)
			send(t, kept, get)
			if resp, body := answer(t, r); body != "true" || resp.Close {
				t.Errorf("before: ready %s, close %v", body, resp.Close)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Shutdown(ctx) }()
			for began := time.Now(); s.Ready(); {
				if time.Since(began) > patience {
					t.Fatal("still ready")
				}
			}
			send(t, kept, get)
			if resp, body := answer(t, r); body != "false" || !resp.Close {
				t.Errorf("on a connection that was kept: ready %s, close %v", body, resp.Close)
			}
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
				t.Error("that connection was not closed:", err)
			}
			fresh := ts.dial(t)
			send(t, fresh, get)
			if resp, body := answer(t, bufio.NewReader(fresh)); body != "false" || !resp.Close {
				t.Errorf("on a new connection: ready %s, close %v", body, resp.Close)
			}
			s.SetKeepAlivesEnabled(true)
			open := ts.dial(t) // and sends nothing: Shutdown has something to wait for
			more := ts.dial(t)
			send(t, more, get)
			if resp, _ := answer(t, bufio.NewReader(more)); !resp.Close {
				t.Error("a connection is kept after SetKeepAlivesEnabled")
			}
			select {
			case err := <-done:
				t.Fatal("Shutdown has returned:", err)
			default:
			}
			test.end(s, cancel)
			select {
			case err := <-done:
				if !errors.Is(err, test.want) {
					t.Error("Shutdown:", err)
				}
			case <-time.After(patience):
				t.Fatal("Shutdown did not return")
			}
			_ = open.Close()
			if c, err := net.Dial("tcp", ts.addr); err == nil {
				_ = c.Close()
				t.Error("the listener is still open")
			}
		})
	}
}

// TestShutdownFlushes: what a slow client has not taken yet is delivered during Shutdown, though its handler is long done.
func TestShutdownFlushes(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		written := make(chan struct{})
		ts := serve(t, &Server{
			Policy: p, OutbufHighWatermark: 2 * len(body),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				_, _ = w.Write(body)
				close(written)
			}),
		})
		c := ts.dial(t)
		send(t, c, get)
		wait(t, "the handler", written)
		done := make(chan error, 1)
		go func() { done <- ts.Shutdown(context.Background()) }()
		for began := time.Now(); ; {
			if other, err := net.Dial("tcp", ts.addr); err != nil {
				break
			} else if _ = other.Close(); time.Since(began) > patience {
				t.Fatal("Shutdown does not begin")
			}
		}
		select {
		case err := <-done:
			t.Fatal("Shutdown did not wait for the client:", err)
		default:
		}
		if _, got := answer(t, bufio.NewReader(c)); got != string(body) {
			t.Errorf("got %d of %d bytes", len(got), len(body))
		}
		if err := <-done; err != nil {
			t.Error("Shutdown:", err)
		}
	})
}

// drainVariable says what drainProgram is to show.
const drainVariable = "WAITRESS_TEST_DRAIN"

// drainProgram serves until SIGTERM, and tells when it has ended how many requests its handler was given. "lame" gives it a
// little LameDuck, "stuck" a handler that never returns and next to no ShutdownTimeout. It prints what it logs.
func drainProgram() int {
	var served atomic.Int64
	core, logs := observer.New(zap.WarnLevel)
	s := &Server{Listen: []string{"127.0.0.1:0"}, Logger: zap.New(core)}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		hello(w, r)
	})
	switch os.Getenv(drainVariable) {
	case "lame":
		s.LameDuck = 20 * time.Millisecond
	case "stuck":
		s.ShutdownTimeout = 50 * time.Millisecond
		s.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			fmt.Println("stuck")
			select {}
		})
	}
	if err := s.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	for _, e := range logs.All() {
		fmt.Println(e.Message, e.ContextMap())
	}
	fmt.Println("served", served.Load())
	return 0
}

// longTests says whether what is done a few times otherwise is to be done fifty times.
func longTests(few int) int {
	if os.Getenv("WAITRESS_TEST_LONG") != "" {
		return 50
	}
	return few
}

// TestStopUnderLoad stops processes by SIGTERM while clients ask them, over connections that are kept and over new ones: each
// request that the handler was given is answered in full.
func TestStopUnderLoad(t *testing.T) {
	if systemCapabilities().noSignals {
		t.Skip("no signals")
	}
	for i := range longTests(4) {
		mode := []string{"", "lame"}[i%2]
		t.Run(strconv.Itoa(i)+mode, func(t *testing.T) { stopUnderLoad(t, mode) })
	}
}

func stopUnderLoad(t *testing.T, mode string) {
	t.Helper()
	t.Setenv(drainVariable, mode)
	p := start(t, "drain", signalable)
	const clients = 4 // of each kind
	var load sync.WaitGroup
	var answered atomic.Int64
	loaded := make(chan struct{}, 2*clients)
	for n := range 2 * clients {
		load.Go(func() { askUntilGone(t, p.addr, n%2 == 0, &answered, func() { loaded <- struct{}{} }) })
	}
	for range 2 * clients {
		wait(t, "the load", loaded)
	}
	if err := sendSignal(p.Process, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	load.Wait()
	said := p.line()
	if want := fmt.Sprint("served ", answered.Load()); said != want {
		t.Errorf("the program says %q, the clients %q", said, want)
	}
	if err := p.Wait(); err != nil {
		t.Error("exit:", err)
	}
}

// askUntilGone asks until nobody listens any more, counts the answers, and calls loaded once when it has had some. Without an
// answer may be only what no handler was given: requests in the backlog, which ends with the listener, and one that is sent
// on a kept connection as it is being closed. The program's count tells others.
func askUntilGone(t *testing.T, addr string, kept bool, answered *atomic.Int64, loaded func()) {
	request := get
	if !kept {
		request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	}
	for n := 0; ; {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(c)
		for over := false; !over; {
			if _, err := io.WriteString(c, request); err != nil {
				break
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				break
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != "Hello, World!" {
				t.Errorf("an answer was cut: %q, %v", body, err)
			}
			_ = resp.Body.Close()
			answered.Add(1)
			if n++; n == 100 {
				loaded()
			}
			over = resp.Close
		}
		_ = c.Close()
	}
}

// TestStuckHandler: a handler that never returns holds up neither the end of the program nor hides: the log says how much was cut.
func TestStuckHandler(t *testing.T) {
	if systemCapabilities().noSignals {
		t.Skip("no signals")
	}
	t.Setenv(drainVariable, "stuck")
	p := start(t, "drain", signalable)
	c := p.dial()
	send(t, c, get)
	if line := p.line(); line != "stuck" {
		t.Fatalf("got %q", line)
	}
	if err := sendSignal(p.Process, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line := p.line(); line != "cutting what has not finished within ShutdownTimeout map[connections:1]" {
		t.Errorf("it said %q", line)
	}
	if _, err := io.ReadAll(p.stdout); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Error("exit:", err)
	}
}
