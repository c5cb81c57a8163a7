// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !fallback

package waitress

import (
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// peerString writes an address as the net package's String does, without making a net.Addr first.
func peerString(sa syscall.Sockaddr) string {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *syscall.SockaddrInet6:
		addr := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			addr = addr.WithZone(peerZone(sa.ZoneId))
		}
		return netip.AddrPortFrom(addr, uint16(sa.Port)).String()
	case *syscall.SockaddrUnix:
		return sa.Name
	}
	return ""
}

// peerZone names the interface that a link-local peer is on. It asks the system each time, which is slow, but such
// peers are few and interfaces get other names.
func peerZone(index uint32) string {
	if index == 0 {
		return ""
	}
	if ifi, err := net.InterfaceByIndex(int(index)); err == nil {
		return ifi.Name
	}
	return strconv.Itoa(int(index))
}
