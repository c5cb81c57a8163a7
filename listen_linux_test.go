// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListenBacklog: the number of connections that the system keeps until somebody accepts them. What it makes of the
// number is its own business, but a small one is much less than the default.
func TestListenBacklog(t *testing.T) {
	path := filepath.Join(socketDir(t), "socket")
	waiting := func(backlog int) int {
		l, err := listenSocket(&Server{Backlog: backlog}, path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for n := 0; ; n++ {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
			if errors.Is(err, unix.EAGAIN) || n == 50 {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := waiting(3); n < 3 || n > 5 {
		t.Errorf("%d connections wait with a backlog of 3", n)
	}
	if n := waiting(0); n < 50 {
		t.Errorf("%d connections wait with the default", n)
	}
}

// TestListenBacklogTCP asks Linux for what it has been told.
func TestListenBacklogTCP(t *testing.T) {
	if systemCapabilities().noBacklog {
		return
	}
	for _, network := range []string{"Addr", "Listen"} {
		s := &Server{Addr: "127.0.0.1:0", Backlog: 7}
		if network == "Listen" {
			s.Addr, s.Listen = "", []string{"127.0.0.1:0"}
		}
		all, err := s.Listeners()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := all[0].(*net.TCPListener).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := onDescriptor(raw, func(fd uintptr) error {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				return err
			}
			// Of a listener, what is a connection's count of acknowledged segments.
			if n := info.Sacked; n != 7 {
				t.Errorf("%s: the backlog is %d", network, n)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		_ = closeAll(all)
	}
}

// TestOriginalSocketOptions asks for the options that cannot be set: small answers leave at once, peers that are gone are found, and
// an address can be had again at once.
func TestOriginalSocketOptions(t *testing.T) {
	want := func(c syscall.Conn, what string, level, option int) {
		t.Helper()
		raw, err := c.SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		if err := onDescriptor(raw, func(fd uintptr) error {
			n, err := unix.GetsockoptInt(int(fd), level, option)
			if n == 0 {
				t.Errorf("%s is not set", what)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	_, addrs := listenServe(t, &Server{
		Listen: []string{"127.0.0.1:0"}, Handler: http.HandlerFunc(hello),
		BaseContext: func(l net.Listener) context.Context {
			want(l.(*net.TCPListener), "SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR)
			return context.Background()
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			want(c.(syscall.Conn), "TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY)
			want(c.(syscall.Conn), "SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE)
			return ctx
		},
	})
	ask(t, addrs[0])
}
