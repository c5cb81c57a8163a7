// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || netbsd || openbsd || (linux && kqsim)) && !fallback

package waitress

import (
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A wakePipe makes a kqueue report something. A pipe, because EVFILT_USER is not on every one of these systems.
type wakePipe struct {
	read, write int

	// full is true from the wake that writes a byte until the byte was read: there never is a second one.
	full atomic.Bool
}

func (w *wakePipe) open() (err error) {
	w.read, w.write, err = sysPipe()
	return os.NewSyscallError("pipe", err)
}

// wake may be called by any goroutine.
func (w *wakePipe) wake() error {
	if w.full.Swap(true) {
		return nil // whoever filled it writes, or has written
	}
	for {
		_, errno := sysWrite(w.write, []byte{0})
		switch errno { //exhaustive:ignore
		case 0:
			return nil
		case unix.EINTR:
		default:
			return os.NewSyscallError("write", errno)
		}
	}
}

// drain is called by the loop when the byte is there. A wake that comes meanwhile counts as done: the loop is awake.
func (w *wakePipe) drain() {
	var p [8]byte
	for {
		if _, errno := sysRead(w.read, p[:]); errno != unix.EINTR {
			break
		}
	}
	w.full.Swap(false) // takes over what the wakers did before
}

func (w *wakePipe) close() {
	sysClose(w.read)
	sysClose(w.write)
}
