// SPDX-License-Identifier: MIT

//go:build !fallback

package waitress

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSysAccept: peers are called what the net package calls them.
func TestSysAccept(t *testing.T) {
	dir := t.TempDir()
	unixAddr := func(name string) net.Addr { return &net.UnixAddr{Name: name, Net: "unix"} }
	long := filepath.Join(dir, strings.Repeat("x", 106-len(dir)))
	for name, test := range map[string]struct {
		network, addr string
		local         net.Addr // of the client; nil: what the system chooses
	}{
		"IPv4":                {"tcp4", "127.0.0.1:0", nil},
		"IPv6":                {"tcp6", "[::1]:0", nil},
		"IPv4 at an IPv6 one": {"tcp", "[::]:0", nil},
		"unnamed":             {"unix", filepath.Join(dir, "a"), nil},
		"named":               {"unix", filepath.Join(dir, "b"), unixAddr(filepath.Join(dir, "client"))},
		"longest name":        {"unix", filepath.Join(dir, "c"), unixAddr(long)},
		"abstract":            {"unix", filepath.Join(dir, "d"), unixAddr("@waitress " + dir)},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen(test.network, test.addr)
			if err != nil {
				t.Skip(err) // no IPv6 here
			}
			defer l.Close()
			target := l.Addr().String()
			if test.network == "tcp" {
				target = "127.0.0.1:" + target[strings.LastIndexByte(target, ':')+1:]
			}
			d := net.Dialer{LocalAddr: test.local}
			raw, err := l.(syscall.Conn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for range 2 {
				c, err := d.Dial(l.Addr().Network(), target)
				if err != nil {
					t.Fatal(err)
				}
				if len(names) == 0 {
					accepted, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					host, _, err := net.SplitHostPort(accepted.RemoteAddr().String())
					if err != nil { // a Unix socket's
						host = accepted.RemoteAddr().String()
					}
					names = append(names, host)
					accepted.Close()
				} else if err := raw.Control(func(fd uintptr) {
					conn, peer, err := sysAccept(int(fd))
					if err != nil {
						t.Error(err)
						return
					}
					text := peerString(peer)
					if host, port, err := net.SplitHostPort(text); err == nil {
						if _, want, _ := net.SplitHostPort(c.LocalAddr().String()); port != want {
							t.Errorf("port %s, want %s", port, want)
						}
						text = host
					}
					names = append(names, text)
					if flags, err := unix.FcntlInt(uintptr(conn), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
						t.Errorf("flags %x, %v", flags, err)
					}
					if errno := sysClose(conn); errno != 0 {
						t.Error(errno)
					}
				}); err != nil {
					t.Fatal(err)
				}
				c.Close()
				if test.local != nil && !strings.HasPrefix(test.local.String(), "@") {
					if err := unix.Unlink(test.local.String()); err != nil {
						t.Error(err)
					}
				}
			}
			if len(names) == 2 && names[0] != names[1] {
				t.Errorf("%q, want %q", names[1], names[0])
			}
			if err := raw.Control(func(fd uintptr) {
				if _, _, err := sysAccept(int(fd)); !errors.Is(err, unix.EAGAIN) {
					t.Errorf("with nothing to accept: %v", err)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
}
