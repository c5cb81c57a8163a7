// SPDX-License-Identifier: MIT

//go:build dragonfly || freebsd || netbsd || openbsd

package waitress

import "syscall"

func sysAccept(fd int) (int, syscall.Sockaddr, error) {
	return syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
}
