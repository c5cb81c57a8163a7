// SPDX-License-Identifier: MIT

//go:build !fallback

package waitress

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Listener = (*listener)(nil)

// A listener accepts by the net package, which has the socket's options set. The net.Conn is kept with the socket, since
// a handler that hijacks the connection is to have it. (It can't be made later: a socket is tied to one completion port
// for its life, and so are its duplicates. Windows can untie it, Wine can't.)
type listener struct{ source }

// newListener returns a Listener for l, which must be a *net.TCPListener or a *net.UnixListener. It owns l from then
// on.
func newListener(l net.Listener) (reactor.Listener, error) {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
		return &listener{source{from: l}}, nil
	}
	return nil, fmt.Errorf("waitress: %w: %T", errListenerKind, l)
}

func (l *listener) Accept() (reactor.Accepted, error) {
	for {
		c, err := l.from.Accept()
		switch {
		case err == nil:
			fd, err := openSocket(c)
			if err == nil {
				return reactor.Accepted{FD: fd, Peer: addrText(c.RemoteAddr())}, nil
			}
			_ = c.Close() // it has failed already
		case l.ended(err):
			return reactor.Accepted{}, reactor.ErrListenerClosed
		default:
			if err := acceptError(err); err != nil {
				return reactor.Accepted{}, err
			}
		}
	}
}

// acceptError is what the contract calls a failure of the net package's Accept, nil for one that only this connection
// had.
func acceptError(err error) error {
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno { //exhaustive:ignore
	case windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAENETRESET, windows.WSAETIMEDOUT,
		windows.WSAENOTCONN, windows.WSAENETDOWN:
		return nil
	case windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_NOT_ENOUGH_MEMORY, windows.ERROR_NO_SYSTEM_RESOURCES:
		return &systemError{kind: reactor.ErrExhausted, cause: err}
	}
	return err
}
