// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// memory is an address in this process.
type memory struct{}

func (memory) Network() string { return "memory" }
func (memory) String() string  { return "memory" }

// A memListener accepts connections that are made in memory.
type memListener struct {
	conns chan net.Conn
	done  chan struct{}
	addr  net.Addr
	// wrap makes what is accepted of the server's end; nil: that end itself.
	wrap func(net.Conn) net.Conn
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{}), addr: memory{}}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		if l.wrap != nil {
			c = l.wrap(c)
		}
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close panics when it is called twice, as some do.
func (l *memListener) Close() error {
	close(l.done)
	return nil
}

func (l *memListener) Addr() net.Addr { return l.addr }

// offer makes the listener accept c.
func (l *memListener) offer(c net.Conn) error {
	select {
	case l.conns <- c:
		return nil
	case <-l.done:
		return net.ErrClosed
	}
}

// dial connects by a net.Pipe.
func (l *memListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	if err := l.offer(server); err != nil {
		return nil, err
	}
	return client, nil
}

// A duplexConn is one end of two net.Pipes, so that it can be closed on one side, or reset.
type duplexConn struct {
	net.Conn          // to read from
	to       net.Conn // to write to
	reset    *resetFlag
}

type resetFlag struct {
	once sync.Once
	done chan struct{}
}

func newDuplex() (client, server *duplexConn) {
	toClient, fromServer := net.Pipe()
	toServer, fromClient := net.Pipe()
	reset := &resetFlag{done: make(chan struct{})}
	return &duplexConn{toClient, fromClient, reset}, &duplexConn{toServer, fromServer, reset}
}

// failure is err, or what it is when the connection was reset.
func (c *duplexConn) failure(err error) error {
	select {
	case <-c.reset.done:
		return errors.New("reset")
	default:
		return err
	}
}

func (c *duplexConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = c.failure(err)
	}
	return n, err
}

func (c *duplexConn) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	if err != nil {
		err = c.failure(err)
	}
	return n, err
}

func (c *duplexConn) CloseWrite() error { return c.to.Close() }

func (c *duplexConn) Close() error {
	_ = c.to.Close()
	return c.Conn.Close()
}

func (c *duplexConn) Reset() error {
	c.reset.once.Do(func() { close(c.reset.done) })
	return c.Close()
}

func (c *duplexConn) SetDeadline(t time.Time) error {
	_ = c.to.SetWriteDeadline(t)
	return c.Conn.SetReadDeadline(t)
}

// netPair accepts server by a netListener, and returns its descriptor.
func netPair(t *testing.T, x *netSockets, server net.Conn) reactor.FD {
	t.Helper()
	l := newMemListener()
	ln := newNetListener(l, x)
	defer ln.Close()
	if err := l.offer(server); err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a.FD
}

// TestPollerNet is the conformance suite on connections that goroutines wait for.
func TestPollerNet(t *testing.T) {
	system := func(pair func(t *testing.T, x *netSockets) (reactor.FD, pollerPeer)) pollerSystem {
		x := newNetSockets()
		return pollerSystem{
			newPoller: x.newPoller,
			sockets:   x,
			pair:      func(t *testing.T) (reactor.FD, pollerPeer) { return pair(t, x) },
			capabilities: capabilities{
				conns: 200, granularity: systemCapabilities().granularity,
				allocates: true, // a goroutine for each Write that finds no writer
				// The reader sees the end only after what came before has been read.
				endIsLast: true, resetIsLast: true, resetEnds: systemCapabilities().resetEnds,
				resetIsEOF: systemCapabilities().resetIsEOF,
			},
		}
	}
	t.Run("TCP", func(t *testing.T) {
		testPoller(t, system(func(t *testing.T, x *netSockets) (reactor.FD, pollerPeer) {
			l := listenOn(t, "tcp", "127.0.0.1:0")
			defer l.Close()
			c := dialTo(t, "tcp", l.Addr().String())
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return netPair(t, x, server), tcpPeer{c.(*net.TCPConn)}
		}))
	})
	t.Run("pipes", func(t *testing.T) {
		testPoller(t, system(func(t *testing.T, x *netSockets) (reactor.FD, pollerPeer) {
			client, server := newDuplex()
			return netPair(t, x, server), client
		}))
	})
}

// A netRig is one connection of netSockets, with no poller.
type netRig struct {
	*testing.T
	x    *netSockets
	fd   reactor.FD
	peer net.Conn
}

// newNetRig connects by a net.Pipe, of which wrap, if not nil, makes the server's connection.
func newNetRig(t *testing.T, wrap func(net.Conn) net.Conn) *netRig {
	t.Helper()
	client, server := net.Pipe()
	if wrap != nil {
		server = wrap(server)
	}
	x := newNetSockets()
	return &netRig{t, x, netPair(t, x, server), client}
}

// over waits until the net.Conn is closed.
func (r *netRig) over() {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if err := r.x.wait(ctx); err != nil {
		r.Fatal(err)
	}
}

// TestNetClose: a closed connection delivers what was written before, and its number is free at once.
func TestNetClose(t *testing.T) {
	r := newNetRig(t, nil)
	const size = netOutput
	if n, err := r.x.Write(r.fd, pollerPattern(size+1)); n != size || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	if err := r.x.Close(r.fd); err != nil {
		t.Fatal(err)
	}
	if _, err := r.x.Write(r.fd, []byte("x")); err == nil {
		t.Error("the number is still in use")
	}
	got, err := io.ReadAll(r.peer)
	if err != nil || string(got) != string(pollerPattern(size)) {
		t.Errorf("the peer got %d bytes of %d, %v", len(got), size, err)
	}
	r.over()
}

// TestNetNumbers: numbers are small, and are used again.
func TestNetNumbers(t *testing.T) {
	x := newNetSockets()
	var fds []reactor.FD
	for i := range 10 {
		client, server := net.Pipe()
		defer client.Close()
		fd := netPair(t, x, server)
		if int(fd) != i {
			t.Fatalf("number %d for connection %d", fd, i)
		}
		fds = append(fds, fd)
	}
	for range 3 {
		if err := x.Close(fds[4]); err != nil {
			t.Fatal(err)
		}
		client, server := net.Pipe()
		defer client.Close()
		if fd := netPair(t, x, server); fd != fds[4] {
			t.Errorf("number %d, want the free one, %d", fd, fds[4])
		}
	}
	for _, fd := range fds {
		if err := x.Close(fd); err != nil {
			t.Error(err)
		}
	}
}

// TestNetCloseWrite: a connection that can't be closed on one side is closed when its output has left.
func TestNetCloseWrite(t *testing.T) {
	r := newNetRig(t, nil)
	if _, err := r.x.Write(r.fd, []byte("goodbye")); err != nil {
		t.Fatal(err)
	}
	if err := r.x.CloseWrite(r.fd); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r.peer); string(got) != "goodbye" || err != nil {
		t.Errorf("the peer got %q, %v", got, err)
	}
	r.over()
	if _, err := r.x.Read(r.fd, make([]byte, 1)); err == nil || errors.Is(err, reactor.ErrAgain) {
		t.Error("read of a closed connection:", err)
	}
	if err := r.x.Close(r.fd); err != nil {
		t.Error(err)
	}
}

// sizedReads tells how large the buffer of each Read is.
type sizedReads struct {
	net.Conn
	sizes chan int
}

func (c sizedReads) Read(p []byte) (int, error) {
	c.sizes <- len(p)
	return c.Conn.Read(p)
}

// TestNetInput: the buffer of the reader grows while it is filled, and is small again for a connection that is idle.
func TestNetInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sizes := make(chan int, 10)
		r := newNetRig(t, func(c net.Conn) net.Conn { return sizedReads{c, sizes} })
		for i, test := range []struct{ size, read int }{
			{netInput, netInput},
			{4 * netInput, 4 * netInput},
			{netMaxInput, netMaxInput},
			{netMaxInput, 1},
			{netInput, 1},
			{netInput, netInput},
			{4 * netInput, 1},
			{netInput, 1},
		} {
			if size := <-sizes; size != test.size {
				t.Errorf("Read %d has %d bytes, want %d", i, size, test.size)
			}
			if _, err := r.peer.Write(make([]byte, test.read)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n, err := r.x.Read(r.fd, make([]byte, netMaxInput)); n != test.read || err != nil {
				t.Fatalf("read: %d, %v", n, err)
			}
		}
		if err := r.x.Close(r.fd); err != nil {
			t.Error(err)
		}
		_ = r.peer.Close()
	})
}

// emptyReads returns nothing, and no error, from each Read.
type emptyReads struct{ net.Conn }

func (emptyReads) Read([]byte) (int, error) { return 0, nil }

func TestNetNoProgress(t *testing.T) {
	r := newNetRig(t, func(c net.Conn) net.Conn { return emptyReads{c} })
	r.over()
	if _, err := r.x.Read(r.fd, make([]byte, 1)); err == nil || errors.Is(err, reactor.ErrAgain) {
		t.Error("read:", err)
	}
	_ = r.x.Close(r.fd)
}
