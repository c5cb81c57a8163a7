// SPDX-License-Identifier: MIT

package waitress

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptInherits says that an accepted connection has the TCP options of the socket that listened for it.
const acceptInherits = true

// sysPeek is for both kinds of build: the byte that it reads is nobody else's. unix.Recvfrom would allocate the
// address.
func sysPeek(fd int) (int, unix.Errno) {
	var p byte
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p)), 1, unix.MSG_PEEK, 0, 0)
	return int(n), errno
}

func sysAccept(fd int) (int, syscall.Sockaddr, error) {
	return syscall.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}

// threadUsage returns the processor time that the calling thread has had, and how often it has waited. The scheduler is not told of
// the calls: the first one that it is told of in an idle process wakes its monitor, which then looks around every 20 µs for a
// while.
func threadUsage() (cpu time.Duration, waits int64) {
	var t unix.Timespec
	var r unix.Rusage
	// Neither can fail; and a zero is a task that computes nothing.
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&t)), 0)
	_, _, _ = unix.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_THREAD, uintptr(unsafe.Pointer(&r)), 0)
	return time.Duration(t.Nano()), int64(r.Nvcsw)
}
