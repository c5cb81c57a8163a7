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

// TestSysAccept: clients of Unix sockets are called what the net package calls them, by which the first of those that wait is
// accepted. Those of TCP are in TestListenerAccept.
func TestSysAccept(t *testing.T) {
	l := listenOn(t, "unix", "")
	dir := t.TempDir()
	for name, client := range map[string]string{
		"unnamed":      "",
		"named":        filepath.Join(dir, "client"),
		"longest name": filepath.Join(dir, strings.Repeat("x", len(unix.RawSockaddrUnix{}.Path)-2-len(dir))),
		"abstract":     "@waitress " + dir,
	} {
		t.Run(name, func(t *testing.T) {
			l := listenOn(t, "unix", "")
			ln := newTestListener(t, l)
			var d net.Dialer
			if client != "" {
				d.LocalAddr = &net.UnixAddr{Name: client, Net: "unix"}
			}
			var peers [2]string
			for i := range peers {
				c, err := d.DialContext(t.Context(), "unix", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				peers[i] = acceptOn(t, ln).Peer
				c.Close()
				if filepath.IsAbs(client) {
					if err := unix.Unlink(client); err != nil {
						t.Error(err)
					}
				}
			}
			if peers[0] != peers[1] {
				t.Errorf("%q, want %q", peers[1], peers[0])
			}
		})
	}
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if _, _, err := sysAccept(int(fd)); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("with nothing to accept: %v", err)
		}
	}); err != nil {
		t.Error(err)
	}
}
