// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.File = diskFile(0)

// A diskFile is a handle of a regular file.
type diskFile windows.Handle

// dupFile returns a handle of its own for the file that c is. The file is opened once more: a duplicate of the handle would
// have the same position, which every read moves, also one that says where it begins.
func dupFile(c syscall.Conn) (reactor.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	own, openErr := windows.InvalidHandle, error(nil)
	if err := raw.Control(func(fd uintptr) { own, openErr = sysReopen(windows.Handle(fd)) }); err != nil {
		return nil, err
	}
	if openErr != nil {
		return nil, os.NewSyscallError("ReOpenFile", openErr)
	}
	return diskFile(own), nil
}

// ReadAt implements io.ReaderAt.
func (f diskFile) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		at := offset + int64(done)
		o := windows.Overlapped{Offset: uint32(at), OffsetHigh: uint32(at >> 32)}
		var n uint32
		err := windows.ReadFile(windows.Handle(f), p[done:], &n, &o)
		switch {
		case errors.Is(err, windows.ERROR_HANDLE_EOF), err == nil && n == 0:
			return done, io.EOF
		case err != nil:
			return done, os.NewSyscallError("ReadFile", err)
		}
		done += int(n)
	}
	return done, nil
}

// Close implements io.Closer.
func (f diskFile) Close() error {
	return os.NewSyscallError("CloseHandle", windows.CloseHandle(windows.Handle(f)))
}
