// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

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

// WriteAt implements io.WriterAt, for a spool.
func (f diskFile) WriteAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pwrite(int(f), p[done:], offset+int64(done))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, os.NewSyscallError("pwrite", err)
		}
		done += max(n, 0)
	}
	return done, nil
}

// newSpool makes a temporary file that has no name any more, and so is gone with the process at the latest.
func newSpool(dir string) (reactor.Spool, error) {
	f, err := os.CreateTemp(dir, "waitress-")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	own, err := dupFile(f)
	if err != nil {
		return nil, err
	}
	return own.(diskFile), nil
}

// Close implements io.Closer.
func (f diskFile) Close() error { return os.NewSyscallError("close", unix.Close(int(f))) }
