// SPDX-License-Identifier: MIT

//go:build !kqsim

package waitress

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysClose is of a socket that nobody waits for (no SO_LINGER), so it doesn't wait either.
func sysClose(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errno
}

// sysEpollCtl changes what an epoll descriptor watches.
func sysEpollCtl(epfd, op, fd int, event *unix.EpollEvent) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(event)), 0, 0)
	return errno
}

// sysEpollWait asks what is ready and doesn't wait, so the scheduler need not hear of it. PWAIT, because not every
// architecture has the plain call.
func sysEpollWait(epfd int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}
