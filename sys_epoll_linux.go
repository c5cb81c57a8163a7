// SPDX-License-Identifier: MIT

//go:build !kqsim

package waitress

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func sysClose(fd int) unix.Errno { return errnoOf(unix.Close(fd)) }

// sysEpollWait asks what is ready and doesn't wait, so the scheduler need not hear of it. PWAIT, because not every
// architecture has the plain call.
func sysEpollWait(epfd int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}
