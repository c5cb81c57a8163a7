// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !fallback

package waitress

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/panjf2000/gnet/v2/pkg/socket"
	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.File = diskFile(0)

// A diskFile is a descriptor of a regular file. It shares its position with the one that it was made from, and so never
// uses that.
type diskFile int

// dupFile returns a descriptor of its own for the file that c is.
func dupFile(c syscall.Conn) (reactor.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	own, dupErr := -1, error(nil)
	if err := raw.Control(func(fd uintptr) { own, dupErr = socket.Dup(int(fd)) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, os.NewSyscallError("dup", dupErr)
	}
	return diskFile(own), nil
}

// ReadAt implements io.ReaderAt.
func (f diskFile) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(int(f), p[done:], offset+int64(done))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return done, os.NewSyscallError("pread", err)
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

// Close implements io.Closer.
func (f diskFile) Close() error { return os.NewSyscallError("close", unix.Close(int(f))) }

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
		at := offset + int64(sent)
		k, err := unix.Sendfile(int(fd), int(file), &at, n-sent)
		sent += max(k, 0)                     // where it has failed, too, some systems have sent something
		switch errno := errnoOf(err); errno { //exhaustive:ignore
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
