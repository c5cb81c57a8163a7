// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package waitress

import "golang.org/x/sys/unix"

// acceptInherits says that an accepted connection has the TCP options of the socket that listened for it. Some of these
// systems do that, but not all.
const acceptInherits = false

// Reads and writes go through unix, since two of these systems let a program make calls through their libc only.

func sysRead(fd int, p []byte) (int, unix.Errno) {
	n, err := unix.Read(fd, p)
	return n, errnoOf(err)
}

func sysWrite(fd int, p []byte) (int, unix.Errno) {
	n, err := unix.Write(fd, p)
	return n, errnoOf(err)
}

func sysPeek(fd int) (int, unix.Errno) {
	var p [1]byte
	n, _, err := unix.Recvfrom(fd, p[:], unix.MSG_PEEK)
	return n, errnoOf(err)
}
