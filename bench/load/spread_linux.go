// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// portsPerAddress is how many connections leave from one loopback address. The usual range of ports for it holds 28,000,
// and the kernel's search for a free one gets slow from half of them on.
const portsPerAddress = 10_000

// spread has the i-th connection to a loopback address leave from one of several: Linux has all of 127.0.0.0/8.
func spread(d *net.Dialer, addr string, i int) {
	if i < portsPerAddress || !strings.HasPrefix(addr, "127.") {
		return
	}
	d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/portsPerAddress))}
	// Without this the port is chosen before the kernel knows the destination, so that it must differ from those of all
	// connections to anywhere, closed ones included: with some 10,000 of these about, bind looks for minutes.
	d.Control = func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		})
		if cerr != nil {
			return cerr
		}
		return err
	}
}
