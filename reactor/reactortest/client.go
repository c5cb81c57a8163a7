// SPDX-License-Identifier: MIT

package reactortest

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// errRefused is wrapped by the error of a Dial that finds no Listener.
var errRefused = errors.New("reactortest: connection refused")

// A Client is the client's end of a connection: a net.Conn, and what net.TCPConn has besides. A client that stalls is
// one that does not call Read. Its methods may be called by any goroutine. All of it is guarded by Network.mu.
type Client struct {
	endpoint
	local, remote net.Addr      // immutable
	changed       chan struct{} // closed when something changes for who waits; nil when nobody does
	readBy        time.Time     // deadlines; zero for none
	writeBy       time.Time
}

var _ net.Conn = (*Client)(nil)

func (c *Client) arrived() { c.notify() }
func (c *Client) ended()   { c.notify() }
func (c *Client) roomed()  { c.notify() }
func (c *Client) hungup()  { c.notify() }

func (c *Client) notify() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// wait releases Network.mu until something has changed or the deadline has passed.
func (c *Client) wait(deadline time.Time) {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	changed := c.changed
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	c.n.unlock()
	select {
	case <-changed:
	case <-expired:
	case <-c.n.ended:
	}
	c.n.mu.Lock()
}

// refuse returns why an operation can't be done however ready the connection is.
func (c *Client) refuse(deadline time.Time) error {
	switch {
	case c.closed || c.n.closed:
		return net.ErrClosed
	case !deadline.IsZero() && !time.Now().Before(deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *Client) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Read waits for bytes, the end of the stream (io.EOF), a reset (an error that is reactor.ErrReset) or the deadline.
func (c *Client) Read(p []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.unlock()
	for {
		if err := c.refuse(c.readBy); err != nil {
			return 0, c.fail("read", err)
		}
		switch {
		case len(p) == 0:
			return 0, nil
		case len(c.in.buf) > 0:
			return c.in.take(p), nil
		case c.reset:
			return 0, c.fail("read", reactor.ErrReset)
		case c.in.fin:
			return 0, io.EOF
		}
		c.wait(c.readBy)
	}
}

// ReadAll reads to the end of the stream. The error is nil there.
func (c *Client) ReadAll() ([]byte, error) { return io.ReadAll(c) }

// Write waits until all of p is under way, or a reset or the deadline has come.
func (c *Client) Write(p []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.unlock()
	sent := 0
	for {
		if err := c.refuse(c.writeBy); err != nil {
			return sent, c.fail("write", err)
		}
		if c.reset || c.out.finSent {
			return sent, c.fail("write", reactor.ErrReset)
		}
		k := min(len(p)-sent, c.out.room())
		c.out.send(p[sent:sent+k], c.n.faults.Fragment)
		if sent += k; sent == len(p) {
			return sent, nil
		}
		c.n.settle() // what arrives at once makes room at once
		if c.out.room() == 0 {
			c.wait(c.writeBy)
		}
	}
}

// CloseWrite ends the stream to the server behind what was written.
func (c *Client) CloseWrite() error {
	c.n.mu.Lock()
	defer c.n.unlock()
	if err := c.refuse(time.Time{}); err != nil {
		return c.fail("close", err)
	}
	if c.reset {
		return c.fail("close", reactor.ErrReset)
	}
	c.out.sendFin()
	return nil
}

// Close closes the client's descriptor. As with TCP, bytes that it has not read, or that arrive later, are answered
// with a reset.
func (c *Client) Close() error {
	c.n.mu.Lock()
	defer c.n.unlock()
	if err := c.refuse(time.Time{}); err != nil {
		return c.fail("close", err)
	}
	c.close()
	c.notify()
	return nil
}

// Reset closes the client's descriptor with a reset, as a process that was killed or SO_LINGER with time 0 would.
func (c *Client) Reset() {
	c.n.mu.Lock()
	defer c.n.unlock()
	c.closed, c.deaf = true, true
	c.sendReset()
	c.notify()
}

// Unread returns how many bytes have arrived and were not read.
func (c *Client) Unread() int {
	c.n.mu.Lock()
	defer c.n.unlock()
	return len(c.in.buf)
}

// LocalAddr returns the client's address, which is the server's Accepted.Peer.
func (c *Client) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the Listener's address.
func (c *Client) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines, also for calls that wait already.
func (c *Client) SetDeadline(t time.Time) error { return c.setDeadlines(&t, &t) }

// SetReadDeadline sets when Read fails with os.ErrDeadlineExceeded.
func (c *Client) SetReadDeadline(t time.Time) error { return c.setDeadlines(&t, nil) }

// SetWriteDeadline sets when Write fails with os.ErrDeadlineExceeded.
func (c *Client) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *Client) setDeadlines(read, write *time.Time) error {
	c.n.mu.Lock()
	defer c.n.unlock()
	if err := c.refuse(time.Time{}); err != nil {
		return c.fail("set", err)
	}
	if read != nil {
		c.readBy = *read
	}
	if write != nil {
		c.writeBy = *write
	}
	c.notify()
	return nil
}
