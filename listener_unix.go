// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !fallback

package waitress

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Listener = (*listener)(nil)

// A listener accepts from the socket of a net.Listener, by two ways. Where connections are rare it waits in the net.Listener's
// own Accept: that ends when whoever has the net.Listener closes it, its descriptor is the only one, so that nothing listens
// any more then, and an acceptor that waits is a parked goroutine and nothing else. But what it gives is a net.Conn, whose
// descriptor costs a dozen system calls until it is ours, of which the first wakes the scheduler's monitor. So those that
// wait behind it are accepted directly, and so are those that come soon after, where a Poller can wait for the listening
// descriptor:
//
//	rare ── a connection ──▶ direct ── nothing to accept ──▶ watched ── nothing for acceptQuiet ──▶ rare
//	                           ▲───────── more came ────────────┘
//
// Nobody tells the Poller when the net.Listener's maker closes it. While it is watched that is noticed acceptQuiet later.
type listener struct {
	source
	control  syscall.RawConn // of from's descriptor
	tcp      bool
	accept   func(uintptr)               // acceptNext; kept, because a method value is allocated each time it is made
	quiet    time.Duration               // acceptQuiet
	watching sync.Mutex                  // held while Accept waits with watch, and by Close to close it
	watch    atomic.Pointer[acceptWatch] // nil before its first use, and at the end

	// The rest belongs to Accept.

	state acceptState
	conn  net.Conn // accepted, but there was no descriptor left to take it over with

	fd   int              // what acceptNext got
	peer syscall.Sockaddr // from whom
	err  error            // or why it got nothing
	// optioned says that connections come with their options set. Those that were established before the listener's own
	// were set don't; they have all been accepted when there is none to accept.
	optioned bool
}

// acceptQuiet is how long no connection must have come for the listener to wait for the next one in the net.Listener's Accept. It
// bounds how often an acceptor wakes for nothing while some come, and how late it is told that the net.Listener was closed.
const acceptQuiet = 250 * time.Millisecond

// An acceptWatch is the Poller that knows the listening descriptor.
type acceptWatch struct{ reactor.Poller }

// An acceptState says how a listener comes by its next connection.
type acceptState uint8

const (
	acceptRare    acceptState = iota // waits in the net.Listener's Accept
	acceptDirect                     // others may wait behind the one that was accepted last: asks for them
	acceptWatched                    // nothing was there: waits with the Poller
)

// newListener returns a Listener for l, which must be a *net.TCPListener, a *net.UnixListener or a *unixListener. It owns
// l from then on.
func newListener(l net.Listener) (reactor.Listener, error) {
	ln := &listener{source: source{from: l}, quiet: acceptQuiet}
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

// Close implements reactor.Listener.
func (l *listener) Close() error {
	err := l.source.Close()
	if w := l.watch.Load(); w != nil {
		err = errors.Join(err, w.Wake())
	}
	l.watching.Lock()
	defer l.watching.Unlock()
	if w := l.watch.Swap(nil); w != nil {
		err = errors.Join(err, w.Close())
	}
	return err
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
		case l.state == acceptRare:
			return l.acceptFirst()
		case l.state == acceptWatched:
			l.state = l.await()
			continue
		case l.control.Control(l.accept) != nil:
			l.state = acceptRare // whoever made the net.Listener has closed it, which its Accept will say
			continue
		}
		if errors.Is(l.err, unix.EAGAIN) {
			l.optioned = acceptInherits
			l.state = acceptWatched
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

// await waits until there is something to accept, and returns how to accept it; or until nothing has come for quiet, or
// Close woke it. What can't be watched is waited for in the net.Listener's Accept, which also says what is wrong with it.
func (l *listener) await() acceptState {
	if !canWatchListener {
		return acceptRare
	}
	l.watching.Lock()
	defer l.watching.Unlock()
	w := l.watch.Load()
	if w == nil {
		var err error
		if w, err = l.newWatch(); err != nil {
			return acceptRare
		}
		l.watch.Store(w)
	}
	if l.closed.Load() {
		return acceptRare // Close may not have seen w, and waits to close it
	}
	var events [1]reactor.Event
	if n, err := w.Wait(events[:], l.quiet); n == 0 || err != nil {
		return acceptRare
	}
	return acceptDirect
}

// newWatch returns a Poller that has the listening descriptor, and nothing else.
func (l *listener) newWatch() (*acceptWatch, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	cerr := l.control.Control(func(fd uintptr) { err = p.Add(reactor.FD(fd), 0) })
	if err = errors.Join(cerr, err); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &acceptWatch{p}, nil
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
	l.conn, l.state = nil, acceptDirect
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
