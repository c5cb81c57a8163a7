// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package waitress

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// listenSocket listens on one Unix socket.
func listenSocket(s *Server, path string) (net.Listener, error) {
	s.Listen = []string{"unix:" + path}
	l, err := s.Listeners()
	if err != nil {
		return nil, err
	}
	return l[0], nil
}

// TestListenUnixPermissions: exactly those that were asked for, whatever the umask.
func TestListenUnixPermissions(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := socketDir(t)
	for _, umask := range []int{0, 0o077} {
		syscall.Umask(umask)
		for _, perms := range []os.FileMode{0, 0o600, 0o660, 0o666, 0o777} {
			path := filepath.Join(dir, "socket")
			l, err := listenSocket(&Server{UnixSocketPerms: perms}, path)
			if err != nil {
				t.Fatal(err)
			}
			want := perms
			if want == 0 {
				want = 0o600
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != want|os.ModeSocket {
				t.Errorf("umask %o, asked for %o: %v, %v", umask, perms, info.Mode(), err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Error("the socket is left:", err)
			}
		}
	}
}

// TestListenUnixStale: a socket that nobody listens on is replaced; one that somebody listens on is not, nor harmed.
func TestListenUnixStale(t *testing.T) {
	path := filepath.Join(socketDir(t), "socket")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()

	l, err := listenSocket(&Server{}, path)
	if err != nil {
		t.Fatal("a stale socket:", err)
	}
	defer l.Close()
	if other, err := listenSocket(&Server{}, path); err == nil {
		_ = other.Close()
		t.Error("a socket in use was replaced")
	} else if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), path) {
		t.Error("a socket in use:", err)
	}
	c := dialTo(t, "unix", path)
	_ = c.Close()
}

// TestListenUnixOneWins: of several servers that start at once on a stale socket, one gets it.
func TestListenUnixOneWins(t *testing.T) {
	dir := socketDir(t)
	for range 20 {
		path := filepath.Join(dir, "socket")
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		_ = stale.Close()
		var all sync.WaitGroup
		won := make(chan net.Listener, 8)
		for range cap(won) {
			all.Go(func() {
				if l, err := listenSocket(&Server{}, path); err == nil {
					won <- l
				} else if !errors.Is(err, unix.EADDRINUSE) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Errorf("%d servers have the socket", len(won))
		}
		for range len(won) {
			_ = (<-won).Close()
		}
	}
}

// TestListenUnixReplaced: a path that leads to another server by now is not removed.
func TestListenUnixReplaced(t *testing.T) {
	path := filepath.Join(socketDir(t), "socket")
	first, err := listenSocket(&Server{}, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := listenSocket(&Server{}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	c := dialTo(t, "unix", path)
	_ = c.Close()
}

func TestListenReusePort(t *testing.T) {
	first, err := (&Server{Listen: []string{"127.0.0.1:0"}, ReusePort: true}).Listeners()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeAll(first) }()
	addr := first[0].Addr().String()
	second, err := (&Server{Listen: []string{addr}, ReusePort: true}).Listeners()
	if err != nil {
		t.Fatal("the same address again:", err)
	}
	_ = closeAll(second)
	if third, err := (&Server{Listen: []string{addr}}).Listeners(); err == nil {
		_ = closeAll(third)
		t.Error("one that does not share got an address that is taken")
	}
}

// TestListenSystemd passes sockets as systemd does: numbered from 3, and named.
func TestListenSystemd(t *testing.T) {
	if systemCapabilities().noSignals {
		t.Skip("no shell")
	}
	web, admin, other := listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "unix", ""), listenOn(t, "tcp", "127.0.0.1:0")
	// The variables name the process that they are for, whose number only it knows.
	script := `LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=admin:other:web exec "$0" "$@"`
	p := start(t, "systemd", func(c *exec.Cmd) {
		c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", script}, c.Args...)
		for _, l := range []net.Listener{admin, other, web} {
			f, err := l.(interface{ File() (*os.File, error) }).File()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			c.ExtraFiles = append(c.ExtraFiles, f)
		}
	})
	if p.addr != web.Addr().String() {
		t.Errorf("the first socket is %s, want %s", p.addr, web.Addr())
	}
	if line := p.line(); line != "Serving on http://unix:"+admin.Addr().String() {
		t.Errorf("the second line is %q", line)
	}
	ask(t, web.Addr())
	ask(t, admin.Addr())
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Error("exit:", err)
	}
	if _, err := os.Lstat(admin.Addr().String()); err != nil {
		t.Error("systemd's socket was removed:", err)
	}
}

// TestListenSystemdOther: variables that are meant for another process are left alone.
func TestListenSystemdOther(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	var h heritage
	if _, err := h.named(""); err == nil || !strings.Contains(err.Error(), "LISTEN_PID") {
		t.Error("another process's sockets:", err)
	}
	if os.Getenv("LISTEN_FDS") != "1" {
		t.Error("the variables were removed")
	}
}

// TestHandoverEnd: who waits for this process is told by the Server that has a listener of the other's, or by any when none has
// come for one in time; and what nobody wanted is closed then.
func TestHandoverEnd(t *testing.T) {
	for _, tt := range []struct {
		name  string
		heirs []bool // of the Servers that begin to serve
		after time.Duration
	}{
		{"the heir", []bool{true}, 0},
		{"another before it", []bool{false, true}, 0},
		{"others only", []bool{false, false}, heirTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			unwanted := listenOn(t, "tcp", "127.0.0.1:0")
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			synctest.Test(t, func(t *testing.T) {
				h := heritage{ready: w, items: []inherited{{"tcp4 127.0.0.1:1", unwanted, true}}}
				h.read.Do(func() {}) // by hand
				told := func() bool {
					h.mu.Lock()
					defer h.mu.Unlock()
					return h.ready == nil
				}
				start := time.Now()
				for _, heir := range tt.heirs {
					if told() {
						t.Error("told before the heir had come")
					}
					h.serving(heir, func(err error) { t.Error(err) })
				}
				for !told() && time.Since(start) < 2*heirTime {
					time.Sleep(time.Second)
				}
				if d := time.Since(start); d < tt.after || d > tt.after+time.Second {
					t.Errorf("told after %v, want %v", d, tt.after)
				}
				h.serving(true, func(err error) { t.Error("a second time:", err) })
			})
			if p, err := io.ReadAll(r); len(p) != 1 || err != nil {
				t.Errorf("the other process read %q, %v", p, err)
			}
			if _, err := unwanted.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Error("what nobody wanted is open:", err)
			}
		})
	}
}
