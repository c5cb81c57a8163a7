// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress/reactor"
)

// A limitListener has a slot for each connection, as netutil.LimitListener has, and hides what it wraps.
type limitListener struct {
	net.Listener
	slots chan struct{}
}

func (l limitListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitConn{Conn: c, release: func() { <-l.slots }}, nil
}

type limitConn struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *limitConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}

// wrapListener wraps each connection that another accepts.
type wrapListener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// bareConn has no deadlines, and no addresses.
type bareConn struct{ net.Conn }

var errNoDeadline = errors.New("no deadlines here")

func (bareConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (bareConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (bareConn) SetWriteDeadline(time.Time) error { return errNoDeadline }
func (bareConn) LocalAddr() net.Addr              { return nil }
func (bareConn) RemoteAddr() net.Addr             { return nil }

// testCertificate is a key and a certificate for 127.0.0.1 that it signed itself.
var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
}

// A netKind is a kind of listener that has no plain descriptors.
type netKind struct {
	name       string
	listen     func(t *testing.T) net.Listener
	dial       func(l net.Listener) (net.Conn, error)
	tls        bool
	closeWrite bool // the server can tell the end of its stream, and see the client's
}

func dialTCP(l net.Listener) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }

func dialMemory(l net.Listener) (net.Conn, error) {
	return l.(*memListener).dial(context.Background(), "", "")
}

var netKinds = []netKind{
	{
		name: "limited",
		listen: func(t *testing.T) net.Listener {
			return limitListener{listenOn(t, "tcp", "127.0.0.1:0"), make(chan struct{}, 100)}
		},
		dial: dialTCP,
	},
	{
		name: "wrapped",
		listen: func(t *testing.T) net.Listener {
			return wrapListener{listenOn(t, "tcp", "127.0.0.1:0"), func(c net.Conn) net.Conn {
				return struct{ *net.TCPConn }{c.(*net.TCPConn)}
			}}
		},
		dial:       dialTCP,
		closeWrite: true,
	},
	{
		name: "TLS",
		listen: func(t *testing.T) net.Listener {
			return tls.NewListener(listenOn(t, "tcp", "127.0.0.1:0"), &tls.Config{
				Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12,
			})
		},
		dial: func(l net.Listener) (net.Conn, error) {
			return tls.Dial("tcp", l.Addr().String(), clientTLS())
		},
		tls:        true,
		closeWrite: true,
	},
	{
		name:   "memory",
		listen: func(*testing.T) net.Listener { return newMemListener() },
		dial:   dialMemory,
	},
	{
		name: "bare",
		listen: func(*testing.T) net.Listener {
			l := newMemListener()
			l.addr = nil
			l.wrap = func(c net.Conn) net.Conn { return bareConn{c} }
			return l
		},
		dial: dialMemory,
	},
	{
		name:   "two pipes",
		listen: func(*testing.T) net.Listener { return newMemListener() },
		dial: func(l net.Listener) (net.Conn, error) {
			client, server := newDuplex()
			return client, l.(*memListener).offer(server)
		},
		closeWrite: true,
	},
}

// A netServer is a Server that serves one listener of a kind.
type netServer struct {
	*Server
	netKind
	l      net.Listener
	served chan error
}

func (k netKind) serve(t *testing.T, s *Server) *netServer {
	t.Helper()
	ns := &netServer{s, k, k.listen(t), make(chan error, 1)}
	go func() { ns.served <- s.Serve(ns.l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
		if err := <-ns.served; !errors.Is(err, ErrServerClosed) {
			t.Error("Serve:", err)
		}
	})
	return ns
}

func (s *netServer) connect(t *testing.T) net.Conn {
	t.Helper()
	c, err := s.dial(s.l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// eachNetKind runs f for each kind of listener under each policy.
func eachNetKind(t *testing.T, f func(t *testing.T, k netKind, p Policy)) {
	t.Helper()
	for _, k := range netKinds {
		t.Run(k.name, func(t *testing.T) {
			policies(t, func(t *testing.T, p Policy) { f(t, k, p) })
		})
	}
}

// TestServeNet asks by http.Client, which keeps its connections, with bodies of several sizes in both directions.
func TestServeNet(t *testing.T) {
	eachNetKind(t, func(t *testing.T, k netKind, p Policy) {
		s := k.serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !k.tls:
				if r.TLS != nil {
					t.Error("TLS where there is none")
				}
			case r.TLS == nil || !r.TLS.HandshakeComplete || r.TLS.Version == 0:
				t.Errorf("TLS: %v", r.TLS)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = fmt.Fprintf(w, "%s %s ", r.Method, r.URL)
			_, _ = w.Write(body)
		})})
		dial := func(context.Context, string, string) (net.Conn, error) { return k.dial(s.l) }
		client := &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial}}
		defer client.CloseIdleConnections()
		scheme := "http"
		if k.tls {
			scheme = "https"
		}
		for _, n := range []int{0, 1, 5000, 70_000, 1 << 20} {
			sent := pollerPattern(n)
			resp, err := client.Post(scheme+"://example.com/a?b=c", "text/plain", bytes.NewReader(sent))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if string(body) != "POST /a?b=c "+string(sent) {
				t.Errorf("a body of %d bytes: got %d others", n, len(body))
			}
		}
	})
}

// TestServeNetRaw: a pipeline, and then a client that is told the end, if its answer has no other.
func TestServeNetRaw(t *testing.T) {
	eachNetKind(t, func(t *testing.T, k netKind, p Policy) {
		s := k.serve(t, &Server{Policy: p, Handler: http.HandlerFunc(hello)})
		c := s.connect(t)
		go func() { _, _ = io.WriteString(c, strings.Repeat(get, 20)+"GET / HTTP/1.0\r\n\r\n") }()
		all, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(all, []byte("Hello, World!")); n != 21 {
			t.Errorf("%d answers of 21", n)
		}
	})
}

func TestServeNetHalfClose(t *testing.T) {
	eachNetKind(t, func(t *testing.T, k netKind, p Policy) {
		if !k.closeWrite {
			return
		}
		s := k.serve(t, &Server{Policy: p, Handler: http.HandlerFunc(hello)})
		for range 10 {
			c := s.connect(t)
			go func() {
				_, _ = io.WriteString(c, get+get+get)
				_ = c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(all, []byte("Hello, World!")); n != 3 {
				t.Fatalf("%d answers of 3", n)
			}
		}
	})
}

// TestServeNetLateReaders: 3 MB for each of several clients, none of which reads before all have asked.
func TestServeNetLateReaders(t *testing.T) {
	eachNetKind(t, func(t *testing.T, k netKind, p Policy) {
		const n, size = 4, 3 << 20
		pattern := pollerPattern(size)
		s := k.serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(pattern)
		})})
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = s.connect(t)
			send(t, conns[i], "GET / HTTP/1.0\r\n\r\n")
		}
		for i, c := range conns {
			if _, body := answer(t, bufio.NewReader(c)); body != string(pattern) {
				t.Fatalf("client %d: %d bytes, not those sent", i, len(body))
			}
		}
	})
}

// TestServeNetDisconnect: the context of a request ends when its client goes.
func TestServeNetDisconnect(t *testing.T) {
	for _, k := range netKinds {
		t.Run(k.name, func(t *testing.T) {
			started, ended := make(chan struct{}), make(chan struct{})
			s := k.serve(t, &Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(started)
				<-r.Context().Done()
				close(ended)
			})})
			c := s.connect(t)
			send(t, c, get)
			wait(t, "the handler", started)
			_ = c.Close()
			wait(t, "the end of the request's context", ended)
		})
	}
}

// TestServeNetShutdown: the idle connection is closed, and the request that has started gets its answer, all of it.
func TestServeNetShutdown(t *testing.T) {
	eachNetKind(t, func(t *testing.T, k netKind, p Policy) {
		pattern := pollerPattern(200_000)
		started, release := make(chan struct{}), make(chan struct{})
		s := k.serve(t, &Server{Policy: p, Loops: 4, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				close(started)
				<-release
			}
			_, _ = w.Write(pattern)
		})})
		idle, active := s.connect(t), s.connect(t)
		fresh := bufio.NewReader(idle)
		send(t, idle, get)
		answer(t, fresh)
		send(t, active, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		wait(t, "the handler", started)

		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error("Shutdown:", err)
			}
		}()
		if _, err := fresh.ReadByte(); !errors.Is(err, io.EOF) {
			t.Error("the idle connection was not closed:", err)
		}
		close(release)
		resp, body := answer(t, bufio.NewReader(active))
		if body != string(pattern) || !resp.Close {
			t.Errorf("the request that had started got %d bytes, close %v", len(body), resp.Close)
		}
		_ = active.Close() // else the server lingers for it
		_ = idle.Close()
		wait(t, "Shutdown", done)
	})
}

// TestServeNetClose: Close ends connections in each state at once: idle, in a handler, and with output nobody reads.
func TestServeNetClose(t *testing.T) {
	for _, k := range netKinds {
		t.Run(k.name, func(t *testing.T) {
			started := make(chan struct{}, 2)
			ended := make(chan struct{}, 2)
			s := k.serve(t, &Server{OutbufHighWatermark: 64 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/wait":
					started <- struct{}{}
					<-r.Context().Done()
				case "/full":
					started <- struct{}{}
					for p := make([]byte, 1<<20); ; {
						if _, err := w.Write(p); err != nil {
							break
						}
					}
				default:
					hello(w, r)
					return
				}
				ended <- struct{}{}
			})})
			idle, active, full := s.connect(t), s.connect(t), s.connect(t)
			send(t, idle, get)
			r := bufio.NewReader(idle)
			answer(t, r)
			send(t, active, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
			wait(t, "a handler", started)
			send(t, full, "GET /full HTTP/1.1\r\nHost: x\r\n\r\n")
			wait(t, "a handler", started)
			if err := s.Close(); err != nil {
				t.Error("Close:", err)
			}
			wait(t, "the end of a handler", ended)
			wait(t, "the end of a handler", ended)
			mustBeClosed(t, "the idle connection", r)
			mustBeClosed(t, "the active connection", active)
			_, _ = io.Copy(io.Discard, full) // the next read tells how that ended
			mustBeClosed(t, "the connection with output", full)
		})
	}
}

// A stuckConn takes nothing: its Write waits until Close, or for ever.
type stuckConn struct {
	net.Conn
	writing chan struct{} // gets a token from each Write
	closed  chan struct{}
	release chan struct{} // a Write returns when this is closed; nil: when the connection is
}

func (c *stuckConn) Write([]byte) (int, error) {
	c.writing <- struct{}{}
	if c.release != nil {
		<-c.release
	} else {
		<-c.closed
	}
	return 0, net.ErrClosed
}

func (c *stuckConn) Close() error {
	close(c.closed) // panics the second time
	return c.Conn.Close()
}

func (c *stuckConn) SetDeadline(time.Time) error { return errNoDeadline }

// TestServeNetStuck: an answer that can't be written ends its connection in the write-stall time and the time to deliver
// what was taken, on any clock; the others don't feel it.
func TestServeNetStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		writing := make(chan struct{}, 10)
		l := newMemListener()
		s := &Server{WriteStallTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 1<<20))
		})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		release := make(chan struct{})
		for _, release := range []chan struct{}{nil, release} {
			client, server := net.Pipe()
			c := &stuckConn{Conn: server, writing: writing, closed: make(chan struct{}), release: release}
			if err := l.offer(c); err != nil {
				t.Fatal(err)
			}
			send(t, client, get)
			<-writing
			start := time.Now()
			<-c.closed
			if took, most := time.Since(start), 5*time.Second+netCloseTimeout+time.Second; took > most {
				t.Errorf("closed after %v, want %v at most", took, most)
			}
			_ = client.Close()
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error("Shutdown:", err)
		}
		<-served
		close(release) // a net.Conn whose Close doesn't end its Write keeps that goroutine, and only that
	})
}

// TestServeNetCut: Close ends at once what is stuck in a Write, whether its handler still runs or the connection lasts only for
// what is left of its answer.
func TestServeNetCut(t *testing.T) {
	for _, test := range []struct {
		name  string
		size  int // of the answer
		conns int // that the Server counts
	}{
		{"in a handler", 1 << 20, 1},
		{"behind its answer", 10, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newMemListener()
				s := &Server{OutbufHighWatermark: 64 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write(make([]byte, test.size))
				})}
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }()
				client, server := net.Pipe()
				c := &stuckConn{Conn: server, writing: make(chan struct{}, 10), closed: make(chan struct{})}
				if err := l.offer(c); err != nil {
					t.Fatal(err)
				}
				send(t, client, "GET / HTTP/1.0\r\n\r\n")
				time.Sleep(netCloseTimeout / 2) // in the bubble
				if n := s.conns(); n != test.conns {
					t.Errorf("%d connections", n)
				}
				start := time.Now()
				if err := s.Close(); err != nil {
					t.Error("Close:", err)
				}
				<-c.closed
				if d := time.Since(start); d != 0 {
					t.Errorf("closed after %v", d)
				}
				_ = client.Close()
				<-served
			})
		})
	}
}

// TestServeNetDelivers: Shutdown waits for what a connection that has ended has yet to deliver.
func TestServeNetDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		s := &Server{Handler: http.HandlerFunc(hello)}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		c, err := l.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, "GET / HTTP/1.0\r\n\r\n")
		time.Sleep(netCloseTimeout / 2) // in the bubble
		if n := s.conns(); n != 0 {
			t.Errorf("%d connections", n)
		}
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		if len(down) > 0 {
			t.Error("Shutdown did not wait")
		}
		if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
			t.Errorf("got %q", body)
		}
		if err := <-down; err != nil {
			t.Error("Shutdown:", err)
		}
		<-served
	})
}

// TestServeNetGreets: Shutdown waits for a connection that was accepted before it, and whose peer is not known yet.
func TestServeNetGreets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		s := &Server{Handler: http.HandlerFunc(hello)}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		client, server := net.Pipe()
		if err := l.offer(&lateAddrConn{Conn: server}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		if len(down) > 0 {
			t.Error("Shutdown did not wait")
		}
		send(t, client, "!")
		send(t, client, get)
		if resp, body := answer(t, bufio.NewReader(client)); body != "Hello, World!" || !resp.Close {
			t.Errorf("got %q, close %v", body, resp.Close)
		}
		_ = client.Close()
		if err := <-down; err != nil {
			t.Error("Shutdown:", err)
		}
		<-served
	})
}

// TestServeNetIdle: the idle timeout passes on a bubble's own clock, and not before.
func TestServeNetIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		s := &Server{IdleTimeout: time.Hour, Handler: http.HandlerFunc(hello)}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		c, err := l.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		for range 3 {
			send(t, c, get)
			if _, body := answer(t, r); body != "Hello, World!" {
				t.Fatalf("got %q", body)
			}
			time.Sleep(59 * time.Minute) // in the bubble
		}
		send(t, c, get)
		answer(t, r)
		start := time.Now()
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Error("read:", err)
		}
		if d := time.Since(start); d < time.Hour || d > time.Hour+time.Minute {
			t.Errorf("closed after %v", d)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error("Shutdown:", err)
		}
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Error("Serve:", err)
		}
	})
}

// TestServeNetSilent: a client that never finishes what comes before HTTP is given up, and holds up nobody meanwhile.
func TestServeNetSilent(t *testing.T) {
	for _, test := range []struct {
		name string
		wrap func(net.Conn) net.Conn
	}{
		{"handshake", func(c net.Conn) net.Conn {
			return tls.Server(c, &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12})
		}},
		{"proxy header", func(c net.Conn) net.Conn { return &lateAddrConn{Conn: c} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			testCertificate() // made outside of the bubble
			synctest.Test(t, func(t *testing.T) {
				l := newMemListener()
				s := &Server{ReadHeaderTimeout: -1, Handler: http.HandlerFunc(hello)}
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }()
				client, server := net.Pipe()
				if err := l.offer(test.wrap(server)); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				other, err := l.dial(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				send(t, other, get)
				answer(t, bufio.NewReader(other))
				_ = other.Close()
				if d := time.Since(start); d > time.Second {
					t.Errorf("another client waited for %v", d)
				}
				if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Error("read:", err)
				}
				if d := time.Since(start); d != netGreeting {
					t.Errorf("closed after %v", d)
				}
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error("Shutdown:", err)
				}
				<-served
			})
		})
	}
}

// A lateAddrConn knows its address when the first byte has come, as those behind a proxy do.
type lateAddrConn struct {
	net.Conn
	once sync.Once
}

func (c *lateAddrConn) RemoteAddr() net.Addr {
	c.once.Do(func() { _, _ = c.Conn.Read(make([]byte, 1)) })
	return memory{}
}

// A stuckAddrConn does not tell its address, closed or not, until it is released.
type stuckAddrConn struct {
	net.Conn
	release chan struct{}
}

func (c stuckAddrConn) RemoteAddr() net.Addr {
	<-c.release
	return memory{}
}

// TestServeNetAddresses: a handler sees what the connection says of itself.
func TestServeNetAddresses(t *testing.T) {
	for _, test := range []struct {
		name string
		wrap func(net.Conn) net.Conn
		sent string
		want string
	}{
		{"pipe", nil, "", "pipe pipe"},
		{"late", func(c net.Conn) net.Conn { return &lateAddrConn{Conn: c} }, "!", "memory pipe"},
		{"none", func(c net.Conn) net.Conn { return bareConn{c} }, "", " memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newMemListener()
			var own net.Conn
			l.wrap = func(c net.Conn) net.Conn {
				if own = c; test.wrap != nil {
					own = test.wrap(c)
				}
				return own
			}
			serveOn(t, &Server{
				ConnState: func(c net.Conn, _ http.ConnState) {
					if c != own {
						t.Errorf("a %T, and not what the listener accepted", c)
					}
				},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = fmt.Fprint(w, r.RemoteAddr, " ", r.Context().Value(http.LocalAddrContextKey))
				}),
			}, l)
			c, err := dialMemory(l)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			send(t, c, test.sent+get)
			if _, body := answer(t, bufio.NewReader(c)); body != test.want {
				t.Errorf("got %q, want %q", body, test.want)
			}
		})
	}
}

// TestServeNetBoth: one Server has both kinds of listeners, and one Shutdown ends both.
func TestServeNetBoth(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(hello)}
	plain := serve(t, s)
	mem := newMemListener()
	serveOn(t, s, mem)
	one := plain.dial(t)
	two, err := dialMemory(mem)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{one, two} {
		send(t, c, get)
		answer(t, bufio.NewReader(c))
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{one, two} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Error("read:", err)
		}
	}
}

// failListener fails in Accept with each of its errors, and then closes.
type failListener struct {
	*memListener
	errs []error
}

type temporaryError struct{}

func (temporaryError) Error() string   { return "temporary" }
func (temporaryError) Timeout() bool   { return false }
func (temporaryError) Temporary() bool { return true }

func (l *failListener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.memListener.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

func TestNetListenerErrors(t *testing.T) {
	other := errors.New("other")
	l := &failListener{newMemListener(), []error{temporaryError{}, &net.OpError{Op: "accept", Err: temporaryError{}}, other}}
	ln := newNetListener(l, newNetSockets())
	for range 2 {
		if _, err := ln.Accept(); !errors.Is(err, reactor.ErrExhausted) {
			t.Errorf("Accept: %v", err)
		}
	}
	for range 2 {
		if _, err := ln.Accept(); !errors.Is(err, other) {
			t.Errorf("Accept: %v", err)
		}
	}
	for range 2 {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		if _, err := ln.Accept(); !errors.Is(err, reactor.ErrListenerClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	}
}

// TestNetListenerLast: what was accepted before Close is handed over after it, also where its address comes a little late,
// but not much later.
func TestNetListenerLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		ln := newNetListener(l, newNetSockets())
		offer := func(wrap func(net.Conn) net.Conn) net.Conn {
			client, server := net.Pipe()
			if err := l.offer(wrap(server)); err != nil {
				t.Fatal(err)
			}
			return client
		}
		plain := func(c net.Conn) net.Conn { return c }
		late := func(c net.Conn) net.Conn { return &lateAddrConn{Conn: c} }
		release := make(chan struct{})
		defer close(release)
		clients := []net.Conn{offer(plain), offer(plain), offer(late)}
		slow, stuck := offer(late), offer(func(c net.Conn) net.Conn { return stuckAddrConn{c, release} })
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		closed := time.Now()
		send(t, clients[2], "!")
		for range clients {
			a, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if err := ln.sockets.Close(a.FD); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(closed); d != 0 {
			t.Errorf("they came after %v", d)
		}
		for range 2 {
			if _, err := ln.Accept(); !errors.Is(err, reactor.ErrListenerClosed) {
				t.Errorf("Accept: %v", err)
			}
		}
		if d := time.Since(closed); d != netLastGreeting {
			t.Errorf("it ended after %v", d)
		}
		for _, c := range append(clients, slow, stuck) {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Error("read:", err)
			}
		}
	})
}

// TestNetListenerCut: a cut does not wait for those that were accepted last.
func TestNetListenerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemListener()
		ln := newNetListener(l, newNetSockets())
		client, server := net.Pipe()
		if err := l.offer(&lateAddrConn{Conn: server}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		ln.sockets.cut()
		if _, err := ln.Accept(); !errors.Is(err, reactor.ErrListenerClosed) {
			t.Errorf("Accept: %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it ended after %v", d)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Error("read:", err)
		}
	})
}

// TestServeNetFails: the error of a listener that is over is Serve's, and the listener is closed once.
func TestServeNetFails(t *testing.T) {
	other := errors.New("other")
	l := &failListener{newMemListener(), []error{temporaryError{}, other}}
	s := &Server{Handler: http.HandlerFunc(hello), Logger: zap.NewNop()}
	defer func() { _ = s.Close() }()
	if err := s.Serve(l); !errors.Is(err, other) {
		t.Error("Serve:", err)
	}
	select {
	case <-l.done:
	default:
		t.Error("the listener is still open")
	}
}

// TestServeOwnerCloses stops serving by closing the listener: the connections go on, and when the last one has gone no
// goroutine is left, which the end of the bubble shows; nobody calls Close. The Server can serve again.
func TestServeOwnerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Handler: http.HandlerFunc(hello)}
		for range 2 {
			l := newMemListener()
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }()
			c, err := l.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			send(t, c, get)
			answer(t, r)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Error("Serve:", err)
			}
			send(t, c, get)
			answer(t, r)
			_ = c.Close()
		}
	})
}

// TestServeNetHijack: a handler gets the listener's own net.Conn, without deadlines, with what was sent ahead, and the
// server leaves it alone from then on.
func TestServeNetHijack(t *testing.T) {
	for _, head := range []string{"", "HTTP/1.1 200 OK\r\n\r\n"} {
		eachNetKind(t, func(t *testing.T, k netKind, p Policy) {
			var mu sync.Mutex
			var states []http.ConnState
			conns := make(map[net.Conn]bool)
			s := k.serve(t, &Server{
				Policy: p,
				ConnState: func(c net.Conn, state http.ConnState) {
					mu.Lock()
					defer mu.Unlock()
					states = append(states, state)
					conns[c] = true
				},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if head != "" {
						w.Header()["Date"] = nil
						w.Header().Set("Connection", "close")
						w.WriteHeader(http.StatusOK)
						_ = http.NewResponseController(w).Flush()
					}
					c, rw, err := w.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					go func() {
						defer func() { _ = c.Close() }()
						for {
							line, err := rw.ReadString('\n')
							if err != nil {
								t.Error(err)
								return
							}
							if line == "end\n" {
								break
							}
							_, _ = rw.WriteString("got " + line)
							_ = rw.Flush()
						}
						mu.Lock()
						defer mu.Unlock()
						if len(conns) != 1 || !conns[c] && !k.bare() {
							t.Errorf("the connection is a %T, and ConnState was told of %v", c, conns)
						}
						want := []http.ConnState{http.StateNew, http.StateActive, http.StateHijacked}
						if !slices.Equal(states, want) {
							t.Errorf("states %v, want %v", states, want)
						}
						_, _ = io.WriteString(c, "bye\n")
					}()
				}),
			})
			c := s.connect(t)
			r := bufio.NewReader(c)
			send(t, c, get+"ahead\n") // a pipe's Write returns when all of it was read
			if head != "" {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != http.StatusOK {
					t.Error(resp.Status)
				}
			}
			expectLine := func(want string) {
				t.Helper()
				if line, err := r.ReadString('\n'); line != want || err != nil {
					t.Fatalf("got %q, %v, want %q", line, err, want)
				}
			}
			expectLine("got ahead\n")
			for _, word := range []string{"one\n", "two\n"} {
				send(t, c, word)
				expectLine("got " + word)
			}
			send(t, c, "end\n")
			expectLine("bye\n")
		})
	}
}

// bare says whether the connections have no deadlines.
func (k *netKind) bare() bool { return k.name == "bare" }

// TestServeNetLast: what a listener has accepted is served, also when it fails at once after it.
func TestServeNetLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := &Server{Handler: http.HandlerFunc(hello)}
		l := newMemListener()
		conns := []net.Conn{server}
		err := s.Serve(acceptFunc{l, func() (net.Conn, error) {
			if len(conns) == 0 {
				return nil, io.EOF
			}
			c := conns[0]
			conns = conns[1:]
			return c, nil
		}})
		if !errors.Is(err, io.EOF) {
			t.Error("Serve:", err)
		}
		send(t, client, get)
		answer(t, bufio.NewReader(client))
		_ = client.Close()
	})
}

// acceptFunc is a listener with another Accept.
type acceptFunc struct {
	net.Listener
	accept func() (net.Conn, error)
}

func (l acceptFunc) Accept() (net.Conn, error) { return l.accept() }
