// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// letHijack makes the channel's connection one that can be taken, for an end of a pipe.
func (ch *channel) letHijack(t *testing.T) {
	own, peer := net.Pipe()
	t.Cleanup(func() {
		own.Close()
		peer.Close()
	})
	ch.listener.Take = func(reactor.FD) (net.Conn, []byte, error) { return own, nil, nil }
}

// TestHijackContext: the request's context tells the connection's own address also when it is asked after the descriptor was
// closed, whose number may be another one's by then.
func TestHijackContext(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		synctest.Test(t, func(t *testing.T) {
			var s *sim
			local := &net.TCPAddr{Port: 1}
			asked := make(chan any, 1)
			s = newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
				ch := s.channels[0]
				ch.letHijack(t)
				ch.listener.LocalAddr = func(reactor.FD, string) net.Addr { return local }
				if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if n := s.reactor.Conns(); n != 0 {
					t.Errorf("%d connections are open", n)
				}
				ch.listener.LocalAddr = func(reactor.FD, string) net.Addr { return &net.TCPAddr{Port: 2} }
				asked <- r.Context().Value(http.LocalAddrContextKey)
			})
			c, _ := s.send(get)
			defer c.Close()
			if a := <-asked; a != net.Addr(local) {
				t.Errorf("the connection's address is %v", a)
			}
		})
	})
}

// TestHijackDeadlines: a deadline that is set while the connection is hijacked is set before, or too late.
func TestHijackDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const runs = 300
		var s *sim
		s = newSim(t, 1, reactortest.Faults{}, simConfig{policy: dispatch.PolicyPool}, func(w http.ResponseWriter, r *http.Request) {
			s.channels[len(s.channels)-1].letHijack(t)
			control := http.NewResponseController(w)
			over := make(chan struct{})
			go func() {
				defer close(over)
				for late := false; !late; {
					late = control.SetReadDeadline(time.Now().Add(time.Hour)) != nil || control.SetWriteDeadline(time.Time{}) != nil
				}
			}()
			if _, _, err := control.Hijack(); err != nil {
				t.Error(err)
			}
			<-over
		})
		for range runs {
			c, _ := s.send(get)
			synctest.Wait()
			c.Close()
		}
	})
}

// TestHijackBody: what has come of a body and was not read is the hijacker's, as it came, with a chunk that was read in part; a
// goroutine that waits for more of the body doesn't hold the hijacker up.
func TestHijackBody(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name, raw string
		read      int
		waits     bool
		want      string
	}{
		{"length", post10 + "TAIL", 4, false, post10[len(post10)-6:] + "TAIL"},
		{"in a chunk", chunked + "5\r\nhello\r\n0\r\n\r\nTAIL", 1, false, "ello\r\n0\r\n\r\nTAIL"},
		{"unread", chunked + "5\r\nhello\r\n", 0, false, "5\r\nhello\r\n"},
		{"length, somebody reads", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc", 0, true, ""},
		{"chunked, somebody reads", chunked + "5\r\nhello\r\n", 0, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				done := make(chan struct{})
				var s *sim
				s = newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					s.channels[0].letHijack(t)
					if _, err := io.ReadFull(r.Body, make([]byte, tt.read)); err != nil {
						t.Error(err)
					}
					var reading sync.WaitGroup
					if tt.waits {
						reading.Go(func() {
							if _, err := io.Copy(io.Discard, r.Body); err == nil {
								t.Error("the body came to its end")
							}
						})
						time.Sleep(time.Second)
					}
					_, rw, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := rw.Peek(rw.Reader.Buffered()); string(got) != tt.want || err != nil {
						t.Errorf("the hijacker has %q, %v, want %q", got, err, tt.want)
					}
					reading.Wait()
				})
				c, _ := s.send(tt.raw)
				defer c.Close()
				<-done
			})
		})
	}
}

// TestHijackPanics: the context ends with the handler, however that ends.
func TestHijackPanics(t *testing.T) {
	for name, end := range map[string]func(){
		"returns": func() {},
		"panics":  func() { panic(http.ErrAbortHandler) },
		"Goexit":  runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				over := make(chan struct{})
				var s *sim
				s = newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
					s.channels[0].letHijack(t)
					context.AfterFunc(r.Context(), func() { close(over) })
					if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
						t.Error(err)
					}
					end()
				})
				c, _ := s.send(get)
				defer c.Close()
				select {
				case <-over:
				case <-time.After(time.Hour):
					t.Error("the context goes on")
				}
			})
		})
	}
}
