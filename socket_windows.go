// SPDX-License-Identifier: MIT

//go:build !fallback

package waitress

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Sockets = sockets{}

// sockets are the operations on connected stream sockets. Their state is the table: a descriptor is a number in it.
type sockets struct{}

func newSockets() reactor.Sockets { return sockets{} }

// openedSockets has the connections of all servers. Descriptors are not the sockets' own numbers, of which one is given
// to the next connection as soon as a handler that has hijacked a connection closes it, while the loop still knows that.
var openedSockets socketTable[openedSocket]

type openedSocket struct {
	handle windows.Handle
	conn   net.Conn // owns handle
}

// openSocket gives c a descriptor, and owns it from then on.
func openSocket(c net.Conn) (reactor.FD, error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	s := openedSocket{conn: c}
	if cerr := raw.Control(func(fd uintptr) {
		s.handle = windows.Handle(fd)
		err = sysNonblock(s.handle, true)
	}); cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, os.NewSyscallError("ioctlsocket", err)
	}
	return openedSockets.add(s), nil
}

// handleOf returns the socket of fd. Of a descriptor that is closed, or hijacked, it is one that every call refuses.
func handleOf(fd reactor.FD) windows.Handle {
	if s := openedSockets.get(fd); s.conn != nil {
		return s.handle
	}
	return windows.InvalidHandle
}

func (sockets) Read(fd reactor.FD, p []byte) (int, error) {
	n, err := recv(fd, p, 0)
	if n == 0 && err != reactor.ErrAgain { //nolint:errorlint // recv returns the value itself
		metEnd(fd)
	}
	return n, err
}

func (sockets) Peek(fd reactor.FD) (int, error) {
	return recv(fd, make([]byte, 1), windows.MSG_PEEK)
}

func recv(fd reactor.FD, p []byte, flags int) (int, error) {
	for {
		n, errno := sysRecv(handleOf(fd), p, flags)
		switch {
		case errno == 0 && n > 0:
			return n, nil
		case errno == 0:
			return 0, io.EOF
		case errno != windows.WSAEINTR:
			return 0, socketError("recv", errno)
		}
	}
}

// sendMax is how much is given to the kernel at once. It takes whatever a call brings, once it has room for some of it,
// and would keep a large response in memory that can't be paged.
const sendMax = 256 << 10

func (sockets) Write(fd reactor.FD, p []byte) (int, error) {
	for done := 0; ; {
		part := p[done:min(done+sendMax, len(p))]
		n, errno := sysSend(handleOf(fd), part)
		switch {
		case errno == 0:
			if done += n; n < len(part) || done == len(p) {
				return done, nil
			}
		case errno == windows.WSAEINTR:
		case done > 0:
			return done, nil // the next call will fail the same way
		default:
			return 0, socketError("send", errno)
		}
	}
}

// SendFile has no counterpart here: TransmitFile waits, or tells of its end by a completion of its own.
func (sockets) SendFile(reactor.FD, reactor.File, int64, int) (int, error) {
	return 0, errors.ErrUnsupported
}

func (sockets) CloseWrite(fd reactor.FD) error {
	if err := windows.Shutdown(handleOf(fd), windows.SHUT_WR); err != nil {
		return socketError("shutdown", errnoOf(err))
	}
	return nil
}

// Abort finds the connection gone where the peer was faster.
func (sockets) Abort(fd reactor.FD) error {
	err := windows.Shutdown(handleOf(fd), windows.SHUT_RDWR)
	if err != nil && !errors.Is(socketError("shutdown", errnoOf(err)), reactor.ErrReset) {
		return os.NewSyscallError("shutdown", err)
	}
	return hangup(fd)
}

func (sockets) Close(fd reactor.FD) error {
	s := openedSockets.take(fd, true)
	if s.conn == nil {
		return nil // it is hijacked
	}
	return s.conn.Close()
}

// socketError is what the contract calls a failure of call.
func socketError(call string, errno syscall.Errno) error {
	switch errno { //exhaustive:ignore
	case windows.WSAEWOULDBLOCK:
		return reactor.ErrAgain
	case windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAENETRESET, windows.WSAETIMEDOUT,
		windows.WSAENOTCONN, windows.WSAESHUTDOWN, windows.WSAEDISCON, windows.WSAECONNREFUSED,
		windows.WSAENETDOWN, windows.WSAENETUNREACH, windows.WSAEHOSTDOWN, windows.WSAEHOSTUNREACH:
		return &systemError{kind: reactor.ErrReset, cause: os.NewSyscallError(call, errno)}
	}
	return os.NewSyscallError(call, errno)
}

// localAddr returns the address that fd is bound to, or nil if it has none.
func localAddr(fd reactor.FD, _ string) net.Addr {
	if s := openedSockets.get(fd); s.conn != nil {
		return s.conn.LocalAddr()
	}
	return nil
}

// socketHandle is what the system calls fd, as long as that is open.
func socketHandle(fd reactor.FD) uintptr { return uintptr(handleOf(fd)) }

// netConn returns the *net.TCPConn or *net.UnixConn that fd's connection was accepted as. It is the caller's. fd stays
// to be closed, which doesn't concern the connection any more.
func netConn(fd reactor.FD) (net.Conn, error) {
	s := openedSockets.take(fd, false)
	if s.conn == nil {
		return nil, net.ErrClosed
	}
	// As the net package knows it.
	if err := sysNonblock(s.handle, false); err != nil {
		return nil, errors.Join(os.NewSyscallError("ioctlsocket", err), s.conn.Close())
	}
	return s.conn, nil
}
