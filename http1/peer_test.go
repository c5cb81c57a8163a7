// SPDX-License-Identifier: MIT

package http1

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A peer is net/http's own server, on connections in memory. What it answers is what the channel is measured by.
type peer struct {
	t        *testing.T
	server   *http.Server
	accepted chan net.Conn
	served   chan error

	mu   sync.Mutex
	logs strings.Builder // guarded by mu
}

func newPeer(t *testing.T, state func(net.Conn, http.ConnState), handler http.HandlerFunc) *peer {
	p := &peer{t: t, accepted: make(chan net.Conn), served: make(chan error, 1)}
	p.server = &http.Server{Handler: handler, ConnState: state, ErrorLog: log.New(p, "", 0)}
	go func() { p.served <- p.server.Serve(p) }()
	return p
}

func (p *peer) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.Write(text)
}

func (p *peer) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.String()
}

// Accept, Close and Addr make p the net.Listener of its own server.
func (p *peer) Accept() (net.Conn, error) {
	c, ok := <-p.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *peer) Close() error   { return nil }
func (p *peer) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (p *peer) dial() *memConn {
	a, b := newMemConns()
	p.accepted <- b
	return a
}

func (p *peer) end() {
	close(p.accepted)
	<-p.served
	if err := p.server.Close(); err != nil {
		p.t.Error(err)
	}
}

// A memConn is one end of a connection that takes whatever is written, at once. It has what net/http asks of a TCP
// connection but for ReadFrom, and a bubble sees that who reads it is blocked.
type memConn struct {
	in, out *memStream
}

type memStream struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buf      []byte
	end      error // after buf
	deadline time.Time
	timer    *time.Timer
}

func newMemConns() (a, b *memConn) {
	up, down := newMemStream(), newMemStream()
	return &memConn{in: down, out: up}, &memConn{in: up, out: down}
}

func newMemStream() *memStream {
	s := new(memStream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *memStream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = err
	}
	s.changed.Broadcast()
}

func (c *memConn) Read(p []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			return n, nil
		case s.end != nil:
			return 0, s.end
		}
		s.changed.Wait()
	}
}

func (c *memConn) Write(p []byte) (int, error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return 0, io.ErrClosedPipe
	}
	s.buf = append(s.buf, p...)
	s.changed.Broadcast()
	return len(p), nil
}

func (c *memConn) CloseWrite() error {
	c.out.finish(io.EOF)
	return nil
}

func (c *memConn) Close() error {
	c.out.finish(io.EOF)
	c.in.finish(net.ErrClosed)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if d := time.Until(t); !t.IsZero() && d > 0 {
		s.timer = time.AfterFunc(d, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast()
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

func (c *memConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (c *memConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(198, 51, 100, 0), Port: 49152}
}

// The client's side of both servers, as the comparison needs it.
type client interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// A tap reads all that comes from a connection, for a test that wants to know what has come so far.
type tap struct {
	mu  sync.Mutex
	got []byte // guarded by mu
	err error  // guarded by mu; nil until the end
	end chan struct{}
}

func newTap(c io.Reader) *tap {
	t := &tap{end: make(chan struct{})}
	go func() {
		defer close(t.end)
		p := make([]byte, 4096)
		for {
			n, err := c.Read(p)
			t.mu.Lock()
			t.got = append(t.got, p[:n]...)
			t.err = err
			t.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return t
}

// soFar returns what has come, and the error after it or nil.
func (t *tap) soFar() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.got), t.err
}
