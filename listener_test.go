// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/waitress-go/waitress/reactor"
)

// listenOn listens or skips the test where the system has no such network.
func listenOn(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	if network == "unix" {
		// Not t.TempDir: its names are too long for a socket's, and not every system removes it.
		dir, err := os.MkdirTemp("", "waitress")
		if err != nil {
			t.Fatal(err)
		}
		addr = filepath.Join(dir, "socket")
		t.Cleanup(func() {
			os.Remove(addr)
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), network, addr)
	if err != nil {
		t.Skipf("no %s on %s here: %v", network, addr, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func newTestListener(t *testing.T, l net.Listener) reactor.Listener {
	t.Helper()
	ln, err := newListener(l)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	})
	return ln
}

func dialTo(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func acceptOn(t *testing.T, ln reactor.Listener) reactor.Accepted {
	t.Helper()
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { newSockets().Close(a.FD) })
	return a
}

// listenerNetworks are those that a server listens on, and the addresses to reach it by.
var listenerNetworks = []struct{ name, network, listen, dial string }{
	{"IPv4", "tcp4", "127.0.0.1:0", "127.0.0.1"},
	{"IPv6", "tcp6", "[::1]:0", "[::1]"},
	{"IPv4 on both", "tcp", "[::]:0", "127.0.0.1"},
	{"IPv6 on both", "tcp", "[::]:0", "[::1]"},
	{"Unix", "unix", "", ""},
	{"link-local IPv6", "tcp6", "[::]:0", "zone"},
}

// listenerDial returns where l is reached by the address dial.
func listenerDial(t *testing.T, l net.Listener, dial string) string {
	t.Helper()
	switch dial {
	case "":
		return l.Addr().String()
	case "zone":
		dial = linkLocal(t)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return dial + ":" + port
}

// linkLocal returns an address of this machine that has a zone.
func linkLocal(t *testing.T) string {
	t.Helper()
	ifis, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	for _, ifi := range ifis {
		addrs, err := ifi.Addrs()
		if err != nil {
			continue
		}
		for _, addr := range addrs {
			n, ok := addr.(*net.IPNet)
			if ok && n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() && ifi.Flags&net.FlagUp != 0 {
				return "[" + n.IP.String() + "%" + ifi.Name + "]"
			}
		}
	}
	t.Skip("no interface has a link-local address")
	return ""
}

func TestListenerAccept(t *testing.T) {
	sockets := newSockets()
	for _, test := range listenerNetworks {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, test.network, test.listen)
			ln := newTestListener(t, l)
			for range 3 {
				c := dialTo(t, test.network, listenerDial(t, l, test.dial))
				a := acceptOn(t, ln)
				if want := c.LocalAddr().String(); test.network != "unix" && a.Peer != want {
					t.Errorf("peer %q, want %q", a.Peer, want)
				}
				addr, remote := localAddr(a.FD, l.Addr().Network()), c.RemoteAddr()
				if addr == nil || addr.Network() != remote.Network() || addr.String() != remote.String() {
					t.Errorf("local address %v, want %v", addr, remote)
				}
				if _, err := sockets.Read(a.FD, make([]byte, 1)); !errors.Is(err, reactor.ErrAgain) {
					t.Errorf("read of nothing: %v", err)
				}
				if n, err := sockets.Write(a.FD, []byte("hello")); n != 5 || err != nil {
					t.Errorf("write: %d, %v", n, err)
				}
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestListenerPeer compares with what net/http calls the same peer.
func TestListenerPeer(t *testing.T) {
	for _, test := range listenerNetworks {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, test.network, test.listen)
			l2 := listenOn(t, test.network, test.listen)
			remote := make(chan string, 1)
			s := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				remote <- r.RemoteAddr
			})}
			served := make(chan error, 1)
			go func() { served <- s.Serve(l2) }()
			defer func() {
				_ = s.Close()
				<-served
			}()
			addr := listenerDial(t, l2, test.dial) // here, since it may end the test's goroutine
			transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, test.network, addr)
			}}
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()

			dialTo(t, test.network, listenerDial(t, l, test.dial))
			got, want := acceptOn(t, newTestListener(t, l)).Peer, <-remote
			if i := strings.LastIndex(want, ":"); i >= 0 {
				want = want[:i]
				got = got[:max(0, strings.LastIndex(got, ":"))]
			}
			if got != want {
				t.Errorf("peer %q, net/http says %q", got, want)
			}
		})
	}
}

func TestListenerClose(t *testing.T) {
	for _, test := range listenerNetworks {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, test.network, test.listen)
			addr := listenerDial(t, l, test.dial)
			ln := newTestListener(t, l)
			accepted := make(chan error, 2)
			go func() {
				a, err := ln.Accept()
				if err == nil {
					newSockets().Close(a.FD)
				}
				accepted <- err
				_, err = ln.Accept() // waits
				accepted <- err
			}()
			dialTo(t, test.network, addr)
			if err := <-accepted; err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					if err := ln.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			if err := <-accepted; !errors.Is(err, reactor.ErrListenerClosed) {
				t.Errorf("Accept during Close: %v", err)
			}
			wg.Wait()
			if _, err := ln.Accept(); !errors.Is(err, reactor.ErrListenerClosed) {
				t.Errorf("Accept after Close: %v", err)
			}
			if c, err := (&net.Dialer{}).DialContext(t.Context(), test.network, addr); err == nil {
				c.Close()
				t.Error("somebody still listens")
			}
			if test.network == "unix" {
				if _, err := os.Stat(addr); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the socket's file is still there: %v", err)
				}
			}
		})
	}
}

func TestListenerMany(t *testing.T) {
	conns := systemCapabilities().conns
	l := listenOn(t, "tcp", "127.0.0.1:0")
	ln := newTestListener(t, l)
	addr := l.Addr().String()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range conns / 4 {
				c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
				if err != nil {
					t.Error(err)
					ln.Close()
					return
				}
				c.Close()
			}
		})
	}
	for range conns / 4 * 4 {
		a, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		newSockets().Close(a.FD)
	}
	wg.Wait()
}

// TestListenerOwnerClosed closes the net.Listener that a listener was made from, while that waits in Accept: it ends, and
// nobody listens any more.
func TestListenerOwnerClosed(t *testing.T) {
	for _, test := range listenerNetworks {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, test.network, test.listen)
			addr := listenerDial(t, l, test.dial)
			ln := newTestListener(t, l)
			dialTo(t, test.network, addr)
			acceptOn(t, ln)
			closeOwner(t, ln, l, test.network, addr)
		})
	}
}

// closeOwner closes what ln was made from, while ln accepts.
func closeOwner(t *testing.T, ln reactor.Listener, from net.Listener, network, addr string) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		ended <- err
	}()
	from.Close()
	if err := <-ended; !errors.Is(err, reactor.ErrListenerClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, reactor.ErrListenerClosed) {
		t.Errorf("Accept once more: %v", err)
	}
	if c, err := (&net.Dialer{}).DialContext(t.Context(), network, addr); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
}

func TestListenerReset(t *testing.T) {
	l := listenOn(t, "tcp", "127.0.0.1:0")
	ln := newTestListener(t, l)
	if err := (tcpPeer{dialTo(t, "tcp", l.Addr().String()).(*net.TCPConn)}).Reset(); err != nil {
		t.Fatal(err)
	}
	c := dialTo(t, "tcp", l.Addr().String())
	for {
		// Some systems still give a connection that was reset before it was accepted.
		if acceptOn(t, ln).Peer == c.LocalAddr().String() {
			return
		}
	}
}

func TestListenerOptions(t *testing.T) {
	l := listenOn(t, "tcp", "127.0.0.1:0")
	early := dialTo(t, "tcp", l.Addr().String())
	second := dialTo(t, "tcp", l.Addr().String())
	ln := newTestListener(t, l)
	for _, test := range []struct {
		name string
		conn net.Conn
	}{
		{"established before", early},
		{"established before, behind another", second},
		{"established after", dialTo(t, "tcp", l.Addr().String())},
	} {
		checkOptions(t, test.name, acceptOn(t, ln).FD)
	}
	// The queue was empty in between.
	accepted := make(chan reactor.Accepted)
	go func() {
		defer close(accepted)
		for range 2 {
			a, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			accepted <- a
		}
	}()
	for range 2 {
		dialTo(t, "tcp", l.Addr().String())
		a, ok := <-accepted
		if !ok {
			return
		}
		checkOptions(t, "waited for", a.FD)
		newSockets().Close(a.FD)
	}
}

type otherListener struct{ net.Listener }

func TestListenerKind(t *testing.T) {
	l := listenOn(t, "tcp", "127.0.0.1:0")
	_, err := newListener(otherListener{l})
	if !errors.Is(err, errListenerKind) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

func TestNetConn(t *testing.T) {
	for _, test := range listenerNetworks {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, test.network, test.listen)
			ln := newTestListener(t, l)
			c := dialTo(t, test.network, listenerDial(t, l, test.dial))
			a, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			conn, err := netConn(a.FD)
			newSockets().Close(a.FD)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			switch conn.(type) {
			case *net.TCPConn, *net.UnixConn:
			default:
				t.Errorf("a %T", conn)
			}
			if got := conn.RemoteAddr().String(); got != a.Peer {
				t.Errorf("remote address %q, want %q", got, a.Peer)
			}
			p := make([]byte, 5)
			if _, err := io.ReadFull(conn, p); err != nil || string(p) != "hello" {
				t.Errorf("read %q, %v", p, err)
			}
			if _, err := conn.Write([]byte("world")); err != nil {
				t.Error(err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(c)
			if string(got) != "world" || err != nil {
				t.Errorf("peer read %q, %v", got, err)
			}
		})
	}
}
