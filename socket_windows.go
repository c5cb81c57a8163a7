// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Sockets = sockets{}

// sockets are the operations on connected stream sockets. It has no state: the descriptor is all.
type sockets struct{}

func newSockets() reactor.Sockets { return sockets{} }

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
		n, errno := sysRecv(windows.Handle(fd), p, flags)
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
		n, errno := sysSend(windows.Handle(fd), part)
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

func (sockets) CloseWrite(fd reactor.FD) error {
	if err := windows.Shutdown(windows.Handle(fd), windows.SHUT_WR); err != nil {
		return socketError("shutdown", errnoOf(err))
	}
	return nil
}

// Abort finds the connection gone where the peer was faster.
func (sockets) Abort(fd reactor.FD) error {
	err := windows.Shutdown(windows.Handle(fd), windows.SHUT_RDWR)
	if err != nil && !errors.Is(socketError("shutdown", errnoOf(err)), reactor.ErrReset) {
		return os.NewSyscallError("shutdown", err)
	}
	return hangup(fd)
}

func (sockets) Close(fd reactor.FD) error {
	return os.NewSyscallError("closesocket", windows.Closesocket(windows.Handle(fd)))
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

// errnoOf returns what package windows gave as an error: 0, or always an Errno.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return windows.WSAEINVAL
}

// localAddr returns the address that fd is bound to, as net.Conn.LocalAddr does, or nil if it has none. network is what
// the address of a Unix socket says of its kind: "unix".
func localAddr(fd reactor.FD, network string) net.Addr {
	sa, err := syscall.Getsockname(syscall.Handle(fd))
	if err != nil {
		return nil
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port, Zone: peerZone(sa.ZoneId)}
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: network}
	}
	return nil
}

// netConn returns a *net.TCPConn or *net.UnixConn for the connection that fd is. It has a socket of its own; fd stays
// the caller's to close. The file takes a third one for a moment, since it must own what it is made of. It closes that
// as a file and not as a socket, so a few bytes that Winsock keeps of it remain: there is no other way from outside the
// standard library to a net.Conn from a socket.
func netConn(fd reactor.FD) (net.Conn, error) {
	var info windows.WSAProtocolInfo
	if err := windows.WSADuplicateSocket(windows.Handle(fd), windows.GetCurrentProcessId(), &info); err != nil {
		return nil, os.NewSyscallError("WSADuplicateSocket", err)
	}
	own, err := windows.WSASocket(-1, -1, -1, &info, 0, windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
	if err != nil {
		return nil, os.NewSyscallError("WSASocket", err)
	}
	file := os.NewFile(uintptr(own), "connection")
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("waitress: this system makes no net.Conn of a socket: %w", err)
	}
	return c, nil
}
