// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Listener = (*listener)(nil)

// A listener accepts from the socket of a net.Listener, and waits for it with a poller of its own. It doesn't use
// the net package's Accept, because a socket that belongs to a net.Conn can't be taken out of it.
type listener struct {
	from   net.Listener
	raw    syscall.RawConn // from's, so that the socket stays while we use it
	fd     reactor.FD      // from's socket: a name for the poller
	poller reactor.Poller
	tcp    bool
	closed atomic.Bool

	// mu is held by Accept, so that Close can end the poller after its last Wait.
	mu     sync.Mutex
	events []reactor.Event
}

// newListener returns a Listener for l, which must be a *net.TCPListener or a *net.UnixListener. It owns l from then
// on.
func newListener(l net.Listener) (reactor.Listener, error) {
	ln := &listener{from: l, events: make([]reactor.Event, 4)}
	var err error
	switch l := l.(type) {
	case *net.TCPListener:
		ln.tcp = true
		ln.raw, err = l.SyscallConn()
	case *net.UnixListener:
		ln.raw, err = l.SyscallConn()
	default:
		return nil, fmt.Errorf("waitress: %w: %T", errListenerKind, l)
	}
	if err != nil {
		return nil, err
	}
	if ln.poller, err = newPoller(); err != nil {
		return nil, err
	}
	if cerr := ln.raw.Control(func(fd uintptr) {
		ln.fd = reactor.FD(fd)
		if err = sysNonblock(windows.Handle(fd)); err != nil {
			err = os.NewSyscallError("ioctlsocket", err)
			return
		}
		err = ln.poller.Add(ln.fd, 0)
	}); cerr != nil {
		err = cerr
	}
	if err != nil {
		ln.poller.Close()
		return nil, err
	}
	return ln, nil
}

func (l *listener) Accept() (reactor.Accepted, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.closed.Load() {
			return reactor.Accepted{}, reactor.ErrListenerClosed
		}
		var (
			a    reactor.Accepted
			err  error
			busy bool
		)
		if l.raw.Control(func(fd uintptr) { a, busy, err = l.acceptNext(windows.Handle(fd)) }) != nil {
			// Whoever made the net.Listener has closed it behind our back.
			return reactor.Accepted{}, reactor.ErrListenerClosed
		}
		switch {
		case err != nil || a.FD != 0:
			return a, err
		case busy:
			continue
		}
		if _, err := l.poller.Wait(l.events, -1); err != nil {
			return reactor.Accepted{}, err
		}
	}
}

// acceptNext accepts a connection. It returns none where the poller must be asked, or, if busy, where it must be tried
// again at once.
func (l *listener) acceptNext(s windows.Handle) (a reactor.Accepted, busy bool, err error) {
	var rsa syscall.RawSockaddrAny
	// The new socket could be inherited until it is marked, so no process may be started in between.
	syscall.ForkLock.RLock()
	fd, errno := sysAccept(s, &rsa)
	if errno == 0 {
		_ = windows.SetHandleInformation(fd, windows.HANDLE_FLAG_INHERIT, 0)
	}
	syscall.ForkLock.RUnlock()
	switch errno { //exhaustive:ignore
	case 0:
	case windows.WSAEWOULDBLOCK:
		return a, false, l.poller.Rearm(l.fd, reactor.Readable)
	case windows.WSAEINTR, windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAENETRESET, windows.WSAETIMEDOUT,
		windows.WSAENOTCONN, windows.WSAENETDOWN:
		return a, true, nil
	case windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_NOT_ENOUGH_MEMORY:
		return a, false, &systemError{kind: reactor.ErrExhausted, cause: os.NewSyscallError("accept", errno)}
	default:
		return a, false, os.NewSyscallError("accept", errno)
	}
	if alive := sysNonblock(fd) == nil; !alive {
		_ = windows.Closesocket(fd)
		return a, true, nil
	}
	if l.tcp {
		setOptions(fd)
	}
	sa, err := rsa.Sockaddr()
	if err != nil {
		sa = nil
	}
	return reactor.Accepted{FD: reactor.FD(fd), Peer: peerString(sa)}, false, nil
}

func (l *listener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	_ = l.poller.Wake()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.poller.Close()
	if ferr := l.from.Close(); ferr != nil && !errors.Is(ferr, net.ErrClosed) {
		err = ferr
	}
	return err
}

// keepAliveMilliseconds is until the first probe and between two of them, as the net package sets it.
const keepAliveMilliseconds = 15_000

// setOptions sets what the net package sets on a TCP connection. It fails if the peer has gone already, which the first
// read will tell as well. One call has both times, and every version of the system knows it.
func setOptions(fd windows.Handle) {
	_ = windows.SetsockoptInt(fd, windows.IPPROTO_TCP, windows.TCP_NODELAY, 1)
	_ = windows.SetsockoptInt(fd, windows.SOL_SOCKET, windows.SO_KEEPALIVE, 1)
	times := windows.TCPKeepalive{OnOff: 1, Time: keepAliveMilliseconds, Interval: keepAliveMilliseconds}
	var n uint32
	_ = windows.WSAIoctl(fd, windows.SIO_KEEPALIVE_VALS, (*byte)(unsafe.Pointer(&times)), uint32(unsafe.Sizeof(times)),
		nil, 0, &n, nil, 0)
}
