// SPDX-License-Identifier: MIT

//go:build !kqsim && !fallback

package waitress

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// A countedListener counts how often it was asked for a connection.
type countedListener struct {
	net.Listener
	accepts int
}

func (l *countedListener) Accept() (net.Conn, error) {
	l.accepts++
	return l.Listener.Accept()
}

// watchListener returns a listener that watches for as long as quiet, and what it is made from.
func watchListener(t *testing.T, network, addr string, quiet time.Duration) (*listener, *countedListener) {
	t.Helper()
	l := newTestListener(t, listenOn(t, network, addr)).(*listener)
	l.quiet = quiet
	from := &countedListener{Listener: l.from}
	l.from = from
	return l, from
}

// TestListenerWatched has connections come one after the other, some while the listener waits: all but the first of those that
// come soon are accepted from the descriptor. TCP options, non-blocking mode and the peer's address are the same.
func TestListenerWatched(t *testing.T) {
	const conns = 40
	for _, test := range []struct {
		name, network, listen string
		quiet                 time.Duration
		accepts               int // of the net.Listener; 0: depends on who is faster
	}{
		{"soon", "tcp", "127.0.0.1:0", time.Hour, 1},
		{"late", "tcp", "127.0.0.1:0", 0, 0},
		{"soon, Unix", "unix", "", time.Hour, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, from := watchListener(t, test.network, test.listen, test.quiet)
			accepted := make(chan reactor.Accepted)
			go func() {
				defer close(accepted)
				for {
					a, err := l.Accept()
					if err != nil {
						if !errors.Is(err, reactor.ErrListenerClosed) {
							t.Error(err)
						}
						return
					}
					accepted <- a
				}
			}()
			for range conns {
				c := dialTo(t, test.network, from.Addr().String())
				a, ok := <-accepted
				if !ok {
					t.FailNow()
				}
				if test.network == "tcp" {
					checkOptions(t, "accepted", a.FD)
					if a.Peer != c.LocalAddr().String() {
						t.Errorf("the peer is %s, not %s", a.Peer, c.LocalAddr())
					}
				}
				newSockets().Close(a.FD)
			}
			if err := l.Close(); err != nil { // ends the wait
				t.Error(err)
			}
			for range accepted {
			}
			if n := from.accepts; test.accepts != 0 && n != test.accepts {
				t.Errorf("the net.Listener was asked %d times, not %d", n, test.accepts)
			}
			if l.watch.Load() != nil {
				t.Error("the watch is not closed")
			}
		})
	}
}

// TestListenerWatchedOwner closes the net.Listener that is watched: that is noticed when nothing has come for a while.
func TestListenerWatchedOwner(t *testing.T) {
	if acceptQuiet != 250*time.Millisecond {
		t.Errorf("%v is not what Serve says", acceptQuiet)
	}
	l, from := watchListener(t, "tcp", "127.0.0.1:0", time.Millisecond)
	addr := from.Addr().String()
	dialTo(t, "tcp", addr)
	acceptOn(t, l)
	l.state = acceptWatched
	l.quiet = acceptQuiet
	closeOwner(t, l, from, "tcp", addr)
}
