// SPDX-License-Identifier: MIT

//go:build linux && (race || msan || asan)

package waitress

import "golang.org/x/sys/unix"

// The detectors see what a read or a write does to memory only if unix tells them.

func sysRead(fd int, p []byte) (int, unix.Errno) {
	n, err := unix.Read(fd, p)
	return n, errnoOf(err)
}

func sysWrite(fd int, p []byte) (int, unix.Errno) {
	n, err := unix.Write(fd, p)
	return n, errnoOf(err)
}
