// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || netbsd || openbsd || (linux && (race || msan || asan))

package waitress

import "golang.org/x/sys/unix"

// Reads and writes go through unix. Two of these systems let a program make calls through their libc only, and under Linux
// the detectors see what a call does to memory only if unix tells them.

func sysRead(fd int, p []byte) (int, unix.Errno) {
	n, err := unix.Read(fd, p)
	return n, errnoOf(err)
}

func sysWrite(fd int, p []byte) (int, unix.Errno) {
	n, err := unix.Write(fd, p)
	return n, errnoOf(err)
}
