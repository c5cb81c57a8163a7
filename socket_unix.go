// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !fallback

package waitress

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Sockets = sockets{}

// sockets are the operations on connected stream sockets, TCP and Unix. It has no state: the descriptor is all.
type sockets struct{}

func newSockets() reactor.Sockets { return sockets{} }

func (sockets) Read(fd reactor.FD, p []byte) (int, error) {
	for {
		if n, errno := sysRead(int(fd), p); errno != unix.EINTR {
			return received("read", n, errno)
		}
	}
}

func (sockets) Peek(fd reactor.FD) (int, error) {
	for {
		if n, errno := sysPeek(int(fd)); errno != unix.EINTR {
			return received("recvfrom", n, errno)
		}
	}
}

// received is what the contract calls the result of a call that receives.
func received(call string, n int, errno unix.Errno) (int, error) {
	switch {
	case errno != 0:
		return 0, socketError(call, errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (sockets) Write(fd reactor.FD, p []byte) (int, error) {
	for {
		n, errno := sysWrite(int(fd), p)
		switch {
		case errno == 0:
			return n, nil
		case errno != unix.EINTR:
			return 0, socketError("write", errno)
		}
	}
}

// SendFile asks until the kernel says why it sends no more: after a part it may have been interrupted, or at the end of the
// file. Systems that have no sendfile, and those whose sendfile does not take such a file or such a socket, say so at the
// first call.
func (sockets) SendFile(fd reactor.FD, f reactor.File, offset int64, n int) (int, error) {
	file, ok := f.(diskFile)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	sent := 0
	for sent < n {
		k, errno := sysSendfile(int(fd), int(file), offset+int64(sent), n-sent)
		sent += max(k, 0) // where it has failed, too, some systems have sent something
		switch errno {    //exhaustive:ignore
		case 0:
			if k == 0 {
				return sent, io.ErrUnexpectedEOF
			}
		case unix.EINTR:
		case unix.EAGAIN:
			if sent > 0 {
				return sent, nil
			}
			return 0, reactor.ErrAgain
		default:
			if errno == unix.EINVAL || errno.Is(errors.ErrUnsupported) {
				return sent, errors.ErrUnsupported
			}
			return sent, socketError("sendfile", errno)
		}
	}
	return sent, nil
}

func (sockets) CloseWrite(fd reactor.FD) error {
	if errno := sysShutdown(int(fd), unix.SHUT_WR); errno != 0 {
		return socketError("shutdown", errno)
	}
	return nil
}

// Abort finds the connection gone where the peer was faster.
func (sockets) Abort(fd reactor.FD) error {
	if errno := sysShutdown(int(fd), unix.SHUT_RDWR); errno != 0 && errno != unix.ENOTCONN {
		return os.NewSyscallError("shutdown", errno)
	}
	return nil
}

// Close is not tried again after EINTR: the descriptor is gone all the same, and its number may be another's.
func (sockets) Close(fd reactor.FD) error {
	if errno := sysClose(int(fd)); errno != 0 && errno != unix.EINTR {
		return os.NewSyscallError("close", errno)
	}
	return nil
}

// socketError is what the contract calls a failure of call. The two common ones cost nothing.
func socketError(call string, errno unix.Errno) error {
	switch errno { //exhaustive:ignore
	case unix.EAGAIN:
		return reactor.ErrAgain
	case unix.ECONNRESET, unix.EPIPE, unix.ETIMEDOUT, unix.ECONNABORTED, unix.ECONNREFUSED, unix.ENOTCONN,
		unix.ESHUTDOWN, unix.ENETDOWN, unix.ENETUNREACH, unix.ENETRESET, unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return &systemError{kind: reactor.ErrReset, cause: os.NewSyscallError(call, errno)}
	}
	return os.NewSyscallError(call, errno)
}

// localAddr returns the address that fd is bound to, as net.Conn.LocalAddr does, or nil if it has none. network is what
// the address of a Unix socket says of its kind: "unix".
func localAddr(fd reactor.FD, network string) net.Addr {
	sa, err := unix.Getsockname(int(fd))
	if err != nil {
		return nil
	}
	addr := socket.SockaddrToTCPOrUnixAddr(sa)
	if u, ok := addr.(*net.UnixAddr); ok {
		u.Net = network
	}
	return addr
}

// socketHandle is what the system calls fd.
func socketHandle(fd reactor.FD) uintptr { return uintptr(fd) }

// netConn returns a *net.TCPConn or *net.UnixConn for the connection that fd is. It has a descriptor of its own; fd
// stays the caller's to close. The file takes a third one for a moment, since it must own what it is made of.
func netConn(fd reactor.FD) (net.Conn, error) {
	own, err := socket.Dup(int(fd))
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	file := os.NewFile(uintptr(own), "connection")
	defer file.Close()
	return net.FileConn(file)
}
