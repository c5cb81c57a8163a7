// SPDX-License-Identifier: MIT

//go:build linux && !race && !msan && !asan

package waitress

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reads and writes that cannot wait, so the scheduler is not told that they might: the goroutine keeps its P and saves
// about 100 ns a call. A large one is told of, because it copies for so long that a stop of the world would feel it.
// recvfrom and sendto take 100 ns less than read and write, which ask more of the file before they come to the socket,
// and MSG_NOSIGNAL spares the process a signal for each connection that its peer has left.
const rawMax = 64 << 10

func sysRead(fd int, p []byte) (int, unix.Errno) {
	if len(p) > rawMax {
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		return int(n), errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
	return int(n), errno
}

func sysWrite(fd int, p []byte) (int, unix.Errno) {
	if len(p) > rawMax {
		n, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		return int(n), errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}
