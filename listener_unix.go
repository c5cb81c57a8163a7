// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !fallback

package waitress

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Listener = (*listener)(nil)

// A listener accepts from the socket of a net.Listener, by two ways. When nothing is there to be accepted it waits in
// the net.Listener's own Accept: that ends when whoever has the net.Listener closes it, its descriptor is the only one, so
// that nothing listens any more then, and an acceptor that waits is a parked goroutine and nothing else. But what it gives
// is a net.Conn, whose descriptor costs a dozen system calls until it is ours. So those that wait behind the first one
// are accepted directly.
type listener struct {
	source
	control syscall.RawConn // of from's descriptor
	tcp     bool
	accept  func(uintptr) // acceptNext; kept, because a method value is allocated each time it is made

	// The rest belongs to Accept.

	more bool     // others may wait behind the one that was accepted last
	conn net.Conn // accepted, but there was no descriptor left to take it over with

	fd   int              // what acceptNext got
	peer syscall.Sockaddr // from whom
	err  error            // or why it got nothing
	// optioned says that connections come with their options set. Those that were established before the listener's own
	// were set don't; they have all been accepted when there is none to accept.
	optioned bool
}

// newListener returns a Listener for l, which must be a *net.TCPListener, a *net.UnixListener or a *unixListener. It owns
// l from then on.
func newListener(l net.Listener) (reactor.Listener, error) {
	ln := &listener{source: source{from: l}}
	var err error
	inner := l
	if u, ok := l.(*unixListener); ok {
		inner = u.UnixListener
	}
	switch l := inner.(type) {
	case *net.TCPListener:
		ln.tcp = true
		ln.control, err = l.SyscallConn()
	case *net.UnixListener:
		ln.control, err = l.SyscallConn()
	default:
		return nil, fmt.Errorf("waitress: %w: %T", errListenerKind, l)
	}
	if err != nil {
		return nil, err
	}
	if ln.tcp && acceptInherits {
		// Once here saves five system calls a connection.
		if err := ln.control.Control(func(fd uintptr) { setOptions(int(fd)) }); err != nil {
			return nil, err
		}
	}
	ln.accept = ln.acceptNext
	return ln, nil
}

func (l *listener) Accept() (reactor.Accepted, error) {
	for {
		switch {
		case l.closed.Load():
			if l.conn != nil {
				_ = l.conn.Close() // nobody has seen it
				l.conn = nil
			}
			return reactor.Accepted{}, reactor.ErrListenerClosed
		case !l.more:
			return l.acceptFirst()
		case l.control.Control(l.accept) != nil:
			l.more = false // whoever made the net.Listener has closed it, which its Accept will say
			continue
		}
		if errors.Is(l.err, unix.EAGAIN) {
			l.optioned = acceptInherits
			l.more = false
			continue
		}
		if l.err != nil {
			if err := acceptError(l.err); err != nil {
				return reactor.Accepted{}, err
			}
			continue
		}
		if l.tcp && !l.optioned {
			setOptions(l.fd)
		}
		return reactor.Accepted{FD: reactor.FD(l.fd), Peer: peerString(l.peer)}, nil
	}
}

// acceptNext accepts without waiting.
func (l *listener) acceptNext(fd uintptr) { l.fd, l.peer, l.err = sysAccept(int(fd)) }

// acceptFirst waits for a connection. Its options have been set by the net package.
func (l *listener) acceptFirst() (reactor.Accepted, error) {
	if l.conn == nil {
		c, err := l.from.Accept()
		switch {
		case err == nil:
			l.conn = c
		case l.ended(err):
			return reactor.Accepted{}, reactor.ErrListenerClosed
		case passes(err):
			return reactor.Accepted{}, &systemError{kind: reactor.ErrExhausted, cause: err}
		default:
			return reactor.Accepted{}, err
		}
	}
	fd, err := takeDescriptor(l.conn)
	if err != nil {
		return reactor.Accepted{}, acceptError(err) // where that is for want of descriptors, it is tried again
	}
	a := reactor.Accepted{FD: reactor.FD(fd), Peer: addrText(l.conn.RemoteAddr())}
	_ = l.conn.Close() // the other descriptor holds the connection
	l.conn, l.more = nil, true
	return a, nil
}

// takeDescriptor returns a descriptor for what c is connected to, which the net package does not know.
func takeDescriptor(c net.Conn) (fd int, err error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	if cerr := raw.Control(func(own uintptr) { fd, err = socket.Dup(int(own)) }); cerr != nil {
		return -1, cerr
	}
	return fd, err
}

// acceptError is what the contract calls a failure of accept, nil for one that only this connection had.
func acceptError(err error) error {
	switch errno := errnoOf(err); errno { //exhaustive:ignore
	case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENOPROTOOPT,
		unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return nil
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return &systemError{kind: reactor.ErrExhausted, cause: os.NewSyscallError("accept", errno)}
	}
	return os.NewSyscallError("accept", err)
}

// Keep-alive as the net package sets it.
const (
	keepAliveSeconds = 15
	keepAliveCount   = 9
)

// setOptions sets what the net package sets on a TCP connection. It fails if the peer has gone already, which the first
// read will tell as well.
func setOptions(fd int) {
	_ = socket.SetNoDelay(fd, 1)
	if socket.SetKeepAlive(fd, true, keepAliveSeconds, keepAliveSeconds, keepAliveCount) != nil {
		// OpenBSD has the switch, but not the numbers.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	}
}
