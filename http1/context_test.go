// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestContextOfDeparture says what of the peer's doings ends a request's context while its handler runs, and what does not.
// It is the same as with net/http, which is asked too, but for two things: a reset is seen although something still waits to be
// read; and a request that waits keeps the end of the stream from cancelling the one before it wherever it waits, where
// net/http looks only at what it has not read.
func TestContextOfDeparture(t *testing.T) {
	const body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
	end := func(c client) { c.CloseWrite() }
	reset := func(c client) {
		if c, ok := c.(*reactortest.Client); ok {
			c.Reset()
			return
		}
		c.(*memConn).out.finish(errors.New("reset"))
		c.(*memConn).in.finish(errors.New("reset"))
	}
	send := func(more string) func(c client) { return func(c client) { io.WriteString(c, more) } }
	both := func(f ...func(c client)) func(c client) {
		return func(c client) {
			for _, f := range f {
				f(c)
				synctest.Wait()
			}
		}
	}
	for _, tt := range []struct {
		name string
		raw  string
		how  string // what the handler does first: "read" the body, up to its "cut", "close" it, or "flush" the answer's head
		then func(c client)
		want bool
		here bool // not with net/http
	}{
		{"nothing", get, "", send(""), false, false},
		{"end", get, "", end, true, false},
		{"reset", get, "", reset, true, false},
		{"another request", get, "", send(get), false, false},
		{"another request and the end", get, "", both(send(get), end), false, false},
		{"another request at hand, and the end", get + get, "", end, false, true},
		{"another request at hand, and a reset", get + get, "", reset, true, true},
		{"unread body at hand, and the end", post10, "", end, false, false},
		{"large unread body, and the end", body + text(100000), "", end, false, false},
		{"large unread body, and a reset", body + text(100), "", reset, true, true},
		{"body read, end", post10, "read", end, true, false},
		{"chunked body read, end", chunks, "read", end, true, false},
		{"large body read, end", body + text(100000), "read", end, true, false},
		{"body read when the end is there", body, "read", both(send(text(100000)), end), true, false},
		{"chunked body read when the end is there", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "read", both(send("3\r\nabc\r\n0\r\n\r\n"), end), true, false},
		{"body read, another request, end", post10 + get, "read", end, false, true},
		{"body read, an empty line, end", post10 + "\r\n", "read", end, true, false},
		{"body cut off", post10[:len(post10)-5], "cut", end, true, false},
		{"chunked body cut off", chunks[:len(chunks)-5], "cut", end, true, false},
		{"body closed, end", post10, "close", end, true, false},
		{"chunked body closed, end", chunks, "close", end, true, false},
		{"body closed, another request, end", post10 + get, "close", end, false, true},
		{"unread body at hand, flushed, end", post10, "flush", end, true, false},
		{"unread body at hand, flushed, another request, end", post10 + get, "flush", end, false, true},
		{"large unread body, flushed, end", body + text(1000), "flush", end, false, true},
		{"body cut off and closed", post10[:len(post10)-5], "close", end, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got bool
			handler := func(w http.ResponseWriter, r *http.Request) {
				switch tt.how {
				case "read":
					time.Sleep(time.Minute)
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						t.Error(err)
					}
				case "cut":
					if _, err := io.Copy(io.Discard, r.Body); err != io.ErrUnexpectedEOF {
						t.Error(err)
					}
				case "close":
					r.Body.Close()
				case "flush":
					w.(http.Flusher).Flush()
				}
				select {
				case <-r.Context().Done():
					got = true
				case <-time.After(time.Hour):
				}
				if got != (r.Context().Err() == context.Canceled) {
					t.Errorf("context: %v", r.Context().Err())
				}
			}
			first := true
			once := func(w http.ResponseWriter, r *http.Request) {
				if first {
					first = false
					handler(w, r)
				}
			}
			check := func(c client, what string, want bool) {
				t.Helper()
				newTap(c)
				io.WriteString(c, tt.raw)
				synctest.Wait()
				time.Sleep(time.Second)
				tt.then(c)
				time.Sleep(2 * time.Hour)
				c.CloseWrite()
				time.Sleep(time.Second)
				c.Close()
				synctest.Wait()
				if got != want {
					t.Errorf("%s: cancelled %v, want %v", what, got, want)
				}
				first, got = true, false
			}
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, 1, reactortest.Faults{SendBuffer: 1 << 20, RecvBuffer: 1 << 20}, simConfig{}, once)
				check(s.dial(), "here", tt.want)
			})
			if !tt.here {
				synctest.Test(t, func(t *testing.T) {
					p := newPeer(t, nil, once)
					check(p.dial(), "net/http", tt.want)
					p.end()
				})
			}
		})
	}
}

func TestContextEnds(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var ctx, child context.Context
		after := make(chan struct{})
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(_ http.ResponseWriter, r *http.Request) {
			ctx = r.Context()
			var cancel context.CancelFunc
			child, cancel = context.WithTimeout(ctx, time.Hour)
			_ = cancel // it ends with its parent
			context.AfterFunc(child, func() { close(after) })
			if ctx.Err() != nil || child.Err() != nil {
				t.Errorf("%v, %v", ctx.Err(), child.Err())
			}
		})
		c, _ := s.send(get)
		defer c.Close()
		synctest.Wait()
		<-after
		<-ctx.Done()
		<-child.Done()
		if ctx.Err() != context.Canceled || child.Err() != context.Canceled || context.Cause(child) != context.Canceled {
			t.Errorf("%v, %v", ctx.Err(), child.Err())
		}
		ran := make(chan struct{})
		if stop := context.AfterFunc(ctx, func() { close(ran) }); stop() {
			t.Error("stopped what was late")
		}
		<-ran
	})
}

func TestContextOfBase(t *testing.T) {
	type key struct{}
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		if p == dispatch.PolicyInline {
			t.Skip("the handler waits")
		}
		cause := errors.New("maintenance")
		base, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
		done := make(chan struct{})
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, base: base}, func(_ http.ResponseWriter, r *http.Request) {
			defer close(done)
			ctx := r.Context()
			if v := ctx.Value(key{}); v != "value" {
				t.Errorf("value %v", v)
			}
			if s, ok := ctx.Value(http.ServerContextKey).(*http.Server); !ok || s.Handler == nil {
				t.Error("no server")
			}
			if a, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr); !ok || a.String() != "192.0.2.1:80" {
				t.Errorf("local address %v", a)
			}
			if _, ok := ctx.Deadline(); ok {
				t.Error("a deadline")
			}
			child, stop := context.WithCancel(ctx)
			defer stop()
			<-child.Done()
			if ctx.Err() != context.Canceled || child.Err() != context.Canceled || context.Cause(ctx) != cause {
				t.Errorf("%v, %v, %v", ctx.Err(), child.Err(), context.Cause(ctx))
			}
		})
		c, _ := s.send(get)
		defer c.Close()
		time.Sleep(time.Second)
		cancel(cause)
		<-done
	})
}

// TestContextWithoutGoroutines: contexts derived from a request's need none to follow it.
func TestContextWithoutGoroutines(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(_ http.ResponseWriter, r *http.Request) {
			before := runtime.NumGoroutine()
			for range 100 {
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				stop := context.AfterFunc(ctx, func() {})
				defer stop()
			}
			if n := runtime.NumGoroutine(); n > before {
				t.Errorf("%d more goroutines", n-before)
			}
		})
		c, tap := s.send(with("Connection: close"))
		defer c.Close()
		tap.ended()
	})
}

func TestConnContext(t *testing.T) {
	type key struct{}
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		n := 0
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			n++
			return context.WithValue(ctx, key{}, fmt.Sprint(n, c.LocalAddr(), c.RemoteAddr()))
		}}}, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Context().Value(key{}), " ", r.RemoteAddr)
		})
		for i := range 2 {
			c, tap := s.send(get + with("Connection: close"))
			want := fmt.Sprintf("%d 192.0.2.1:80 %v %v", i+1, c.LocalAddr(), c.LocalAddr())
			if got, _ := tap.ended(); strings.Count(got, want) != 2 {
				t.Errorf("got %q, want %q twice", got, want)
			}
			c.Close()
		}
	})
}

// TestContextOfConn: what ConnContext returns is what the contexts of the connection's requests follow, and of no other's.
func TestContextOfConn(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		if p == dispatch.PolicyInline {
			t.Skip("the handler waits")
		}
		cause := errors.New("logged out")
		var cancels []context.CancelCauseFunc
		ended := make(chan string, 1)
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			cancels = append(cancels, cancel)
			return ctx
		}}}, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended <- fmt.Sprint(r.RemoteAddr, " ", context.Cause(r.Context()))
		})
		first, _ := s.send(get)
		synctest.Wait()
		second, _ := s.send(get)
		synctest.Wait()
		cancels[1](cause)
		if got, want := <-ended, fmt.Sprint(second.LocalAddr(), " ", cause); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		synctest.Wait()
		select {
		case who := <-ended:
			t.Error("ended too:", who)
		default:
		}
		first.Close()
		<-ended
		second.Close()
	})
}

// TestCloseNotify: the channel tells of a client that goes, whenever it was asked for, and of nothing else.
func TestCloseNotify(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(notify func() <-chan bool, leave func(), r *http.Request) (gone bool)
		want bool
	}{
		{"before", func(notify func() <-chan bool, leave func(), r *http.Request) bool {
			c := notify()
			leave()
			return <-c && <-r.Context().Done() == struct{}{}
		}, true},
		{"after", func(notify func() <-chan bool, leave func(), r *http.Request) bool {
			leave()
			<-r.Context().Done()
			return <-notify()
		}, true},
		{"stays", func(notify func() <-chan bool, _ func(), _ *http.Request) bool {
			c := notify()
			synctest.Wait()
			return len(c) > 0
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c *reactortest.Client
				var notify <-chan bool
				got := make(chan bool, 1)
				s := newSim(t, 1, reactortest.Faults{}, simConfig{}, func(w http.ResponseWriter, r *http.Request) {
					f := func() <-chan bool {
						notify = w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
						return notify
					}
					got <- test.run(f, func() { c.Close() }, r)
				})
				c = s.dial()
				_, _ = io.WriteString(c, get)
				if gone := <-got; gone != test.want {
					t.Errorf("told: %v", gone)
				}
				synctest.Wait()
				if len(notify) > 0 { // one that stayed is not gone because its request is done
					t.Error("told at the end")
				}
				c.Close()
			})
		})
	}
}

// TestContextAddressOfDeparted: the connection's own address is told as long as the handler has it, also when the client has left.
func TestContextAddressOfDeparted(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		local := &net.TCPAddr{Port: 1}
		done := make(chan struct{})
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, loops: 2}, func(_ http.ResponseWriter, r *http.Request) {
			if p != dispatch.PolicyInline { // where nobody sees the client leave
				<-r.Context().Done()
			}
			if a := r.Context().Value(http.LocalAddrContextKey); a != net.Addr(local) {
				t.Errorf("the connection's address is %v", a)
			}
			close(done)
		})
		c := s.dial()
		synctest.Wait()
		s.channels[0].listener.LocalAddr = func(reactor.FD, string) net.Addr { return local }
		io.WriteString(c, get)
		synctest.Wait()
		c.Close()
		<-done
	})
}
