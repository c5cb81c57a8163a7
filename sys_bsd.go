// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package waitress

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// acceptInherits says that an accepted connection has the TCP options of the socket that listened for it. Some of these
// systems do that, but not all.
const acceptInherits = false

func sysPeek(fd int) (int, unix.Errno) {
	var p [1]byte
	n, _, err := unix.Recvfrom(fd, p[:], unix.MSG_PEEK)
	return n, errnoOf(err)
}

func sysClose(fd int) unix.Errno { return errnoOf(unix.Close(fd)) }

func sysShutdown(fd, how int) unix.Errno { return errnoOf(unix.Shutdown(fd, how)) }

// sysPipe marks the ends by calls of its own, since not each of these systems can make a pipe that is marked already, and no
// process may be started before they are.
func sysPipe() (read, write int, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	err = unix.Pipe(fds[:])
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, -1, err
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fds[0])
			unix.Close(fds[1])
			return -1, -1, err
		}
	}
	return fds[0], fds[1], nil
}
