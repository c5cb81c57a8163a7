// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package waitress

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A kevent is the system's struct. The types of its fields differ between the systems, so nothing else looks into it.
type kevent unix.Kevent_t

const (
	filterRead  = unix.EVFILT_READ
	filterWrite = unix.EVFILT_WRITE

	keventAdd    = unix.EV_ADD
	keventClear  = unix.EV_CLEAR
	keventDelete = unix.EV_DELETE
	keventEOF    = unix.EV_EOF
	keventError  = unix.EV_ERROR
)

func (k *kevent) set(fd, filter, flags int) {
	unix.SetKevent((*unix.Kevent_t)(k), fd, filter, flags)
}

func (k *kevent) fd() int     { return int(k.Ident) }
func (k *kevent) filter() int { return int(k.Filter) }
func (k *kevent) flags() int  { return int(k.Flags) }

// errno is why the stream ended, with keventEOF; 0 if it just ended. With keventError it is why the change failed.
func (k *kevent) errno() unix.Errno {
	if k.flags()&keventError != 0 {
		return unix.Errno(k.Data)
	}
	return unix.Errno(k.Fflags)
}

func sysKqueue() (int, error) {
	fd, err := unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

func sysKevent(kq int, changes, events []kevent, timeout time.Duration) (int, unix.Errno) {
	var ts *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		ts = &t
	}
	n, err := unix.Kevent(kq, keventSlice(changes), keventSlice(events), ts)
	return n, errnoOf(err)
}

func keventSlice(list []kevent) []unix.Kevent_t {
	return unsafe.Slice((*unix.Kevent_t)(unsafe.SliceData(list)), len(list))
}
