// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package waitress

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Listener = (*listener)(nil)

// A listener accepts from the socket of a net.Listener. The net package lets nobody wait for its own descriptor of that
// socket (Read of a listener's SyscallConn is always refused), so the listener has a second one, and waits for
// that in the runtime's poller: an acceptor that waits is a parked goroutine and nothing else.
type listener struct {
	from    net.Listener
	control syscall.RawConn // of from's descriptor
	file    *os.File        // the second descriptor
	raw     syscall.RawConn // file's
	tcp     bool
	closed  atomic.Bool
	accept  func(uintptr) bool // acceptNext; kept, because a method value is allocated each time it is made

	// The rest belongs to Accept.

	fd   int              // what acceptNext got
	peer syscall.Sockaddr // from whom
	err  error            // or why it got nothing
	// optioned says that connections come with their options set. Those that were established before the listener
	// got its own don't; they have all been accepted when there is none to accept.
	optioned bool
}

// newListener returns a Listener for l, which must be a *net.TCPListener, a *net.UnixListener or a *unixListener. It owns
// l from then on.
func newListener(l net.Listener) (reactor.Listener, error) {
	ln := &listener{from: l}
	var err error
	inner := l
	if u, ok := l.(*unixListener); ok {
		inner = u.UnixListener
	}
	switch l := inner.(type) {
	case *net.TCPListener:
		ln.tcp = true
		if ln.control, err = l.SyscallConn(); err == nil {
			ln.file, err = l.File()
		}
	case *net.UnixListener:
		if ln.control, err = l.SyscallConn(); err == nil {
			ln.file, err = l.File()
		}
	default:
		return nil, fmt.Errorf("waitress: %w: %T", errListenerKind, l)
	}
	if err != nil {
		return nil, err
	}
	if ln.raw, err = ln.file.SyscallConn(); err != nil {
		ln.file.Close()
		return nil, err
	}
	if ln.tcp && acceptInherits {
		// Once here saves five system calls a connection.
		if err := ln.raw.Control(func(fd uintptr) { setOptions(int(fd)) }); err != nil {
			ln.file.Close()
			return nil, err
		}
	}
	ln.accept = ln.acceptNext
	return ln, nil
}

func (l *listener) Accept() (reactor.Accepted, error) {
	for {
		err := l.raw.Read(l.accept)
		if l.closed.Load() {
			if err == nil && l.err == nil {
				unix.Close(l.fd)
			}
			return reactor.Accepted{}, reactor.ErrListenerClosed
		}
		if err != nil {
			return reactor.Accepted{}, err
		}
		if l.err != nil {
			if err := acceptError(l.err); err != nil {
				return reactor.Accepted{}, err
			}
			continue
		}
		if l.control.Control(func(uintptr) {}) != nil {
			// Whoever made the net.Listener has closed it behind our back. Nothing tells us before a connection does.
			unix.Close(l.fd)
			l.Close()
			return reactor.Accepted{}, reactor.ErrListenerClosed
		}
		if l.tcp && !l.optioned {
			setOptions(l.fd)
		}
		return reactor.Accepted{FD: reactor.FD(l.fd), Peer: peerString(l.peer)}, nil
	}
}

// acceptNext is called by file's Read: first before it parks the goroutine, then whenever a connection may have come.
// It returns true to end the Read.
func (l *listener) acceptNext(fd uintptr) bool {
	l.fd, l.peer, l.err = sysAccept(int(fd))
	if errors.Is(l.err, unix.EAGAIN) {
		l.optioned = acceptInherits
		return false
	}
	return true
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

func (l *listener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	err := l.file.Close()
	if ferr := l.from.Close(); ferr != nil && !errors.Is(ferr, net.ErrClosed) {
		err = ferr
	}
	return err
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
