// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// A connView is the net.Conn that ConnState and ConnContext get of a connection that is a descriptor: it tells the
// connection's addresses, has the descriptor asked, and serves as its identity. The channel is what reads and writes, so the
// view does not, before a handler has hijacked the connection; after that it is the handler's net.Conn by another name.
type connView struct {
	channel *channel
	taken   atomic.Pointer[net.Conn] // nil before Hijack

	open   sync.Mutex // held while somebody uses the descriptor, so that it is not closed meanwhile
	closed bool       // guarded by open; the descriptor may be another connection's

	local atomic.Pointer[net.Addr] // what LocalAddr returns from the end on; nil before
}

// end says that the descriptor will be closed. It waits for those who use it.
func (v *connView) end() {
	a := v.findLocal()
	v.local.Store(&a)
	v.open.Lock()
	v.closed = true
	v.open.Unlock()
}

var errView = errors.New("waitress: the server reads and writes this connection")

// conn returns what Hijack gave, or nil.
func (v *connView) conn() net.Conn {
	if c := v.taken.Load(); c != nil {
		return *c
	}
	return nil
}

func (v *connView) Read(p []byte) (int, error) {
	if c := v.conn(); c != nil {
		return c.Read(p)
	}
	return 0, errView
}

func (v *connView) Write(p []byte) (int, error) {
	if c := v.conn(); c != nil {
		return c.Write(p)
	}
	return 0, errView
}

// Close ends the connection at once. Any goroutine.
func (v *connView) Close() error {
	if c := v.conn(); c != nil {
		return c.Close()
	}
	v.channel.Cut()
	return nil
}

func (v *connView) LocalAddr() net.Addr {
	if c := v.conn(); c != nil {
		return c.LocalAddr()
	}
	a := v.findLocal()
	if kept := v.local.Load(); kept != nil { // the descriptor that was asked may have been another connection's
		a = *kept
	}
	return a
}

func (v *connView) findLocal() net.Addr {
	l := v.channel.listener
	if find := l.LocalAddr; find != nil {
		if a := find(v.channel.FD(), l.network); a != nil {
			return a
		}
	}
	return l.addr
}

func (v *connView) RemoteAddr() net.Addr {
	return peerAddr{v.channel.listener.network, v.channel.Peer()}
}

func (v *connView) SetDeadline(t time.Time) error {
	if c := v.conn(); c != nil {
		return c.SetDeadline(t)
	}
	return errView
}

func (v *connView) SetReadDeadline(t time.Time) error {
	if c := v.conn(); c != nil {
		return c.SetReadDeadline(t)
	}
	return errView
}

func (v *connView) SetWriteDeadline(t time.Time) error {
	if c := v.conn(); c != nil {
		return c.SetWriteDeadline(t)
	}
	return errView
}

// SyscallConn implements syscall.Conn: what the system knows of the peer, and options of the socket, are had by Control, until
// the connection is closed. Its Read and Write are refused as the view's are.
func (v *connView) SyscallConn() (syscall.RawConn, error) { return rawView{v}, nil }

// A rawView is a connView's syscall.RawConn.
type rawView struct{ view *connView }

// taken returns the RawConn of what Hijack gave, or nil.
func (r rawView) taken() (syscall.RawConn, error) {
	c := r.view.conn()
	if c == nil {
		return nil, nil
	}
	own, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return own.SyscallConn()
}

// Control has f use the descriptor, which is not closed before f returns. f must not wait.
func (r rawView) Control(f func(fd uintptr)) error {
	v := r.view
	v.open.Lock()
	defer v.open.Unlock()
	switch own, err := r.taken(); {
	case err != nil:
		return err
	case own != nil:
		return own.Control(f)
	case v.closed:
		return net.ErrClosed
	}
	handle := uintptr(v.channel.FD())
	if find := v.channel.listener.Handle; find != nil {
		handle = find(v.channel.FD())
	}
	f(handle)
	return nil
}

func (r rawView) Read(f func(fd uintptr) (done bool)) error {
	switch own, err := r.taken(); {
	case err != nil:
		return err
	case own != nil:
		return own.Read(f)
	}
	return errView
}

func (r rawView) Write(f func(fd uintptr) (done bool)) error {
	switch own, err := r.taken(); {
	case err != nil:
		return err
	case own != nil:
		return own.Write(f)
	}
	return errView
}

// A peerAddr is a remote address by its text.
type peerAddr struct{ network, text string }

func (a peerAddr) Network() string { return a.network }
func (a peerAddr) String() string  { return a.text }

var (
	_ net.Conn         = (*connView)(nil)
	_ syscall.Conn     = (*connView)(nil)
	_ reactor.Protocol = (*channel)(nil)
)
