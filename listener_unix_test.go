// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || linux || netbsd || openbsd) && !fallback

package waitress

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

func checkOptions(t *testing.T, what string, fd reactor.FD) {
	t.Helper()
	for _, option := range []struct {
		name       string
		level, opt int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	} {
		// The value of an option that is set may be its own bit.
		if v, err := unix.GetsockoptInt(int(fd), option.level, option.opt); err != nil || v == 0 {
			t.Errorf("%s: %s is %d, %v", what, option.name, v, err)
		}
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("%s: blocking, %v", what, err)
	}
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("%s: not closed on exec, %v", what, err)
	}
}

// TestListenerExhausted runs itself again in a process that has few descriptors.
func TestListenerExhausted(t *testing.T) {
	const child = "WAITRESS_TEST_EXHAUSTED"
	if os.Getenv(child) == "" {
		cmd := self(t, "-test.run=^TestListenerExhausted$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}

	l := listenOn(t, "tcp", "127.0.0.1:0")
	ln := newTestListener(t, l)
	dialTo(t, "tcp", l.Addr().String())
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 40
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var taken []int
	for {
		fd, err := unix.Dup(0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	for range 3 {
		_, err := ln.Accept()
		if !errors.Is(err, reactor.ErrExhausted) || !errors.Is(err, unix.EMFILE) {
			t.Errorf("Accept without descriptors: %v", err)
		}
	}
	for _, fd := range taken {
		unix.Close(fd)
	}
	a := acceptOn(t, ln)
	if err := newSockets().CloseWrite(a.FD); err != nil {
		t.Error(err)
	}
}

// handleAddr asks the system for the address of a socket.
func handleAddr(fd uintptr, network string) net.Addr { return localAddr(reactor.FD(fd), network) }
