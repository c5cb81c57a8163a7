// SPDX-License-Identifier: MIT

//go:build !fallback

package waitress

import (
	"net"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/waitress-go/waitress/reactor"
)

func checkOptions(t *testing.T, what string, fd reactor.FD) {
	t.Helper()
	for _, option := range []struct {
		name       string
		level, opt int
	}{
		{"TCP_NODELAY", windows.IPPROTO_TCP, windows.TCP_NODELAY},
		{"SO_KEEPALIVE", windows.SOL_SOCKET, windows.SO_KEEPALIVE},
	} {
		v, err := windows.GetsockoptInt(handleOf(fd), option.level, option.opt)
		if err != nil || v == 0 {
			t.Errorf("%s: %s is %d, %v", what, option.name, v, err)
		}
	}
}

// handleAddr asks the system for the address of a socket.
func handleAddr(fd uintptr, _ string) net.Addr {
	sa, _ := windows.Getsockname(windows.Handle(fd))
	switch sa := sa.(type) {
	case *windows.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *windows.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	}
	return nil
}
