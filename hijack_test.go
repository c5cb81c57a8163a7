// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestHijack takes the connection at every point of a request where net/http lets it be taken.
func TestHijack(t *testing.T) {
	const before, after, turn = "said before the hijack", "said after it", "over to you"
	policies(t, func(t *testing.T, p Policy) {
		for _, test := range []struct {
			name  string
			raw   string
			write string // what the handler writes, and flushes, first
			rest  string // what it finds in the reader
		}{
			{"at once", "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n", "", ""},
			{"after a write", get, before, ""},
			{"with bytes behind", get + "more", "", "more"},
			{"with the next request behind", get + get, before, get},
			{"with a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789abc", "", "0123456789abc"},
			{"with a body to come", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n0123", "", "0123"},
			{"after a pipeline", "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n" + get, "", ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				taken, done := make(chan struct{}), make(chan struct{})
				ts := serve(t, &Server{Policy: p, Loops: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/plain" {
						hello(w, r)
						return
					}
					defer close(done)
					if test.write != "" {
						_, _ = io.WriteString(w, test.write)
						w.(http.Flusher).Flush()
					}
					c, rw, err := w.(http.Hijacker).Hijack()
					if err != nil {
						t.Error("Hijack:", err)
						return
					}
					defer func() { _ = c.Close() }()
					close(taken)
					if _, ok := c.(*net.TCPConn); !ok {
						t.Errorf("the connection is a %T", c)
					}
					if n := rw.Reader.Buffered(); n != len(test.rest) {
						t.Errorf("%d bytes were read before, want %d", n, len(test.rest))
					}
					if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
						t.Error("Write after Hijack:", err)
					}
					if w.Header().Set("X-Said", "yes"); w.Header().Get("X-Said") != "yes" {
						t.Error("the header is lost, which httputil.ReverseProxy fills after Hijack")
					}
					if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrHijacked) {
						t.Error("the second Hijack:", err)
					}
					want := test.rest + turn
					got := make([]byte, len(want))
					if _, err := io.ReadFull(rw, got); err != nil || string(got) != want {
						t.Errorf("read %q, %v", got, err)
					}
					_, _ = rw.WriteString(after)
					if err := rw.Flush(); err != nil {
						t.Error(err)
					}
				})})
				c := ts.dial(t)
				send(t, c, test.raw)
				wait(t, "the hijack", taken)
				send(t, c, turn)
				all, err := io.ReadAll(c)
				if err != nil {
					t.Error(err)
				}
				wait(t, "the handler", done)
				if !strings.HasSuffix(string(all), after) || !strings.Contains(string(all), test.write) {
					t.Errorf("got %q", all)
				}
				if strings.HasPrefix(test.raw, "GET /plain") != strings.Contains(string(all), "Hello, World!") {
					t.Errorf("got %q", all)
				}
			})
		}
	})
}

// TestHijackOutlives: a hijacked connection is nobody's but its owner's: neither Shutdown nor Close, nor the end of the
// handler, ends it.
func TestHijackOutlives(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		taken := make(chan net.Conn, 1)
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
			}
			taken <- c
			panic(http.ErrAbortHandler)
		})})
		c := ts.dial(t)
		send(t, c, get)
		server := <-taken
		defer func() { _ = server.Close() }()
		if err := ts.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := ts.Close(); err != nil {
			t.Error(err)
		}
		for i := range 100 {
			send(t, c, fmt.Sprintf("question %d\n", i))
			line, err := bufio.NewReader(server).ReadString('\n')
			if err != nil || line != fmt.Sprintf("question %d\n", i) {
				t.Fatalf("%q, %v", line, err)
			}
			if _, err := io.WriteString(server, line); err != nil {
				t.Fatal(err)
			}
			if line, err = bufio.NewReader(c).ReadString('\n'); err != nil || line != fmt.Sprintf("question %d\n", i) {
				t.Fatalf("%q, %v", line, err)
			}
		}
	})
}

// TestShutdownLeavesHijackers: a handler that has hijacked its connection goes on with it, and Shutdown doesn't wait for it.
func TestShutdownLeavesHijackers(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		taken, ended := make(chan struct{}), make(chan struct{})
		ts := serve(t, &Server{Policy: p, Loops: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			defer close(ended)
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			close(taken)
			for {
				line, err := rw.ReadString('\n')
				if err != nil {
					return
				}
				_, _ = rw.WriteString(line)
				_ = rw.Flush()
			}
		})})
		c := ts.dial(t)
		send(t, c, get)
		wait(t, "the hijack", taken)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := ts.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		select {
		case <-ended:
			t.Error("the handler has ended")
		default:
		}
		send(t, c, "still there?\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "still there?\n" {
			t.Errorf("%q, %v", line, err)
		}
		_ = c.Close()
		wait(t, "the handler", ended)
	})
}

// TestHijackClosed: a hijacked connection that its handler closes at once leaves its number to the next one, which the
// server doesn't take for the old one.
func TestHijackClosed(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/take" {
				hello(w, r)
				return
			}
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "taken")
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})})
		for range 50 {
			taken := ts.dial(t)
			send(t, taken, "GET /take HTTP/1.1\r\nHost: x\r\n\r\n")
			if all, err := io.ReadAll(taken); string(all) != "taken" || err != nil {
				t.Fatalf("%q, %v", all, err)
			}
			next := ts.dial(t)
			r := bufio.NewReader(next)
			for range 2 {
				send(t, next, get)
				if _, body := answer(t, r); body != "Hello, World!" {
					t.Fatalf("got %q", body)
				}
			}
			_ = taken.Close()
			_ = next.Close()
		}
	})
}
