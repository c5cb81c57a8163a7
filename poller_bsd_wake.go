// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || netbsd || openbsd || (linux && kqsim)

package waitress

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A wakePipe makes a kqueue report something. A pipe, because EVFILT_USER is not on every one of these systems.
type wakePipe struct {
	read, write int

	// full is true from the wake that writes a byte until the byte was read: there never is a second one.
	full atomic.Bool
}

func (w *wakePipe) open() error {
	var fds [2]int
	syscall.ForkLock.RLock()
	err := unix.Pipe(fds[:])
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("pipe", err)
	}
	w.read, w.write = fds[0], fds[1]
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			w.close()
			return os.NewSyscallError("fcntl", err)
		}
	}
	return nil
}

// wake may be called by any goroutine.
func (w *wakePipe) wake() error {
	if w.full.Swap(true) {
		return nil // whoever filled it writes, or has written
	}
	for {
		if _, err := unix.Write(w.write, []byte{0}); !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("write", err)
		}
	}
}

// drain is called by the loop when the byte is there. A wake that comes meanwhile counts as done: the loop is awake.
func (w *wakePipe) drain() {
	var p [8]byte
	for {
		if _, err := unix.Read(w.read, p[:]); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	w.full.Swap(false) // takes over what the wakers did before
}

func (w *wakePipe) close() {
	unix.Close(w.read)
	unix.Close(w.write)
}
