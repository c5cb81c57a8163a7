// SPDX-License-Identifier: MIT

package http1

import (
	"net"
	"net/http"
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
