// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// socketDir is a directory for sockets. Not t.TempDir: its names are too long for a socket's, and not every system
// removes what is in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "waitress")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// listenServe serves on what s.Listeners gives, and returns the addresses.
func listenServe(t *testing.T, s *Server) (*testServer, []net.Addr) {
	t.Helper()
	listeners, err := s.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	var addrs []net.Addr
	for _, l := range listeners {
		addrs = append(addrs, l.Addr())
	}
	return serveAll(t, s, listeners...), addrs
}

// ask sends a request to addr and wants hello's answer.
func ask(t *testing.T, addr net.Addr) {
	t.Helper()
	network := addr.Network()
	if a, ok := addr.(*net.TCPAddr); ok && a.IP.To4() == nil {
		network = "tcp6" // to dial "any address" is to dial this machine, on some systems by IPv4 unless it is said
	}
	c := dialTo(t, network, addr.String())
	send(t, c, get)
	if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
		t.Errorf("%s answered %q", addr, body)
	}
}

func TestListen(t *testing.T) {
	socket := filepath.Join(socketDir(t), "socket")
	for _, test := range []struct {
		name   string
		listen []string
		want   []string // network, or network and address without the port
		skip   func() bool
	}{
		{"one address", []string{"127.0.0.1:0"}, []string{"tcp 127.0.0.1"}, nil},
		{"IPv6", []string{"[::1]:0"}, []string{"tcp [::1]"}, noIPv6},
		{"several", []string{"127.0.0.1:0", "127.0.0.1:0", "[::1]:0"}, []string{"tcp 127.0.0.1", "tcp 127.0.0.1", "tcp [::1]"}, noIPv6},
		{"both families", []string{"*:0"}, []string{"tcp 0.0.0.0", "tcp [::]"}, noIPv6},
		{"IPv6 only", []string{"[::]:0"}, []string{"tcp [::]"}, noIPv6},
		{"an IPv4 address in IPv6's form", []string{"[::ffff:127.0.0.1]:0"}, []string{"tcp 127.0.0.1"}, nil},
		{"Unix socket", []string{"unix:" + socket}, []string{"unix " + socket}, noUnix},
		{"TCP and Unix", []string{"127.0.0.1:0", "unix:" + socket}, []string{"tcp 127.0.0.1", "unix " + socket}, noUnix},
		{"the same socket twice", []string{"unix:" + socket, "unix:" + socket}, []string{"unix " + socket}, noUnix},
		{"Unix socket without a path", []string{"unix:@waitress-test-listen"}, []string{"unix @waitress-test-listen"}, noAbstract},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.skip != nil && test.skip() {
				t.Skip("this machine has no such sockets")
			}
			_, addrs := listenServe(t, &Server{Listen: test.listen, Handler: http.HandlerFunc(hello)})
			if len(addrs) != len(test.want) {
				t.Fatalf("listens on %v, want %v", addrs, test.want)
			}
			for i, a := range addrs {
				text := a.String()
				if a.Network() == "tcp" {
					text = text[:strings.LastIndexByte(text, ':')]
				}
				if got := a.Network() + " " + text; got != test.want[i] {
					t.Errorf("listens on %s, want %s", got, test.want[i])
				}
				ask(t, a)
			}
		})
	}
}

func noIPv6() bool     { return !hasIPv6() }
func noAbstract() bool { return !systemCapabilities().abstract }

// noUnix says whether there are no Unix sockets, where that may be.
func noUnix() bool {
	if !systemCapabilities().noUnix {
		return false
	}
	dir, err := os.MkdirTemp("", "waitress")
	if err != nil {
		return true
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}

// TestListenSamePort: any port that will do is one port for both families.
func TestListenSamePort(t *testing.T) {
	if noIPv6() {
		t.Skip("this machine has no IPv6")
	}
	_, addrs := listenServe(t, &Server{Listen: []string{"*:0"}, Handler: http.HandlerFunc(hello)})
	if a, b := addrs[0].(*net.TCPAddr).Port, addrs[1].(*net.TCPAddr).Port; a != b || a == 0 {
		t.Errorf("ports %d and %d", a, b)
	}
}

// TestListenName: a name is each of its addresses, and each only once.
func TestListenName(t *testing.T) {
	all, err := (&Server{Listen: []string{"localhost:0"}}).Listeners()
	if err != nil {
		t.Skip("this machine has no localhost: ", err)
	}
	defer func() { _ = closeAll(all) }()
	seen := make(map[string]bool)
	for _, l := range all {
		a := l.Addr().(*net.TCPAddr)
		if !a.IP.IsLoopback() || seen[a.IP.String()] || a.Port != all[0].Addr().(*net.TCPAddr).Port {
			t.Errorf("listens on %v", a)
		}
		seen[a.IP.String()] = true
	}
}

// TestListenAllOrNone: an address that can't be had is named, with the reason, and the others are given up.
func TestListenAllOrNone(t *testing.T) {
	taken := listenOn(t, "tcp", "127.0.0.1:0").Addr().String()
	free := listenOn(t, "tcp", "127.0.0.1:0")
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	dir := socketDir(t)
	file, socket := filepath.Join(dir, "file"), filepath.Join(dir, "socket")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, listen, want string }{
		{"taken", taken, "address already in use"},
		{"not this machine's", "192.0.2.1:0", "192.0.2.1"},
		{"no port", "127.0.0.1", "missing port"},
		{"empty port", "127.0.0.1:", "the port is missing"},
		{"port too large", "127.0.0.1:70000", "from 0 to 65535"},
		{"negative port", "127.0.0.1:-1", "from 0 to 65535"},
		{"bare IPv6", "::1:80", "too many colons"},
		{"empty", "", "missing port"},
		{"no path", "unix:", "the path of the socket is missing"},
		{"a file", "unix:" + file, "it is no socket"},
		{"a long path", "unix:" + filepath.Join(dir, strings.Repeat("x", 200)), "at most"},
		{"a directory that is not there", "unix:" + filepath.Join(dir, "none", "socket"), "no such file"},
		{"nothing from systemd", "systemd", "LISTEN_FDS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			listen := []string{addr, "unix:" + socket, test.listen}
			if noUnix() {
				listen = []string{addr, test.listen}
			}
			l, err := (&Server{Listen: listen}).Listeners()
			if err == nil {
				_ = closeAll(l)
				t.Fatal("no error")
			}
			text := err.Error()
			if !systemCapabilities().ownErrors && !strings.Contains(text, test.want) || !strings.Contains(text, strconv.Quote(test.listen)) {
				t.Errorf("the error is %q, want the address and %q", text, test.want)
			}
			again, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal("the first address was kept:", err)
			}
			_ = again.Close()
			if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
				t.Error("the socket was kept:", err)
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file that is no socket: %q, %v", text, err)
	}
}

// TestListenUnsupported: what a system hasn't is named by an error that errors.Is knows; where it is there, it is had.
func TestListenUnsupported(t *testing.T) {
	tcp := []string{"127.0.0.1:0"}
	unix := []string{"unix:" + filepath.Join(socketDir(t), "socket")}
	for _, test := range []struct {
		name  string
		s     *Server
		lacks bool
		want  string
	}{
		{"Unix sockets", &Server{Listen: unix}, noUnix(), strconv.Quote(unix[0]) + ": this system has no Unix sockets: "},
		{"ReusePort", &Server{Listen: tcp, ReusePort: true}, !canReusePort, "waitress: ReusePort: unsupported operation on this system"},
		{"Backlog", &Server{Listen: tcp, Backlog: 100}, !canSetBacklog, "waitress: Backlog: unsupported operation on this system"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := test.s.Listeners()
			if err == nil {
				err = closeAll(l)
			}
			switch {
			case !test.lacks && err != nil:
				t.Error(err)
			case test.lacks && !errors.Is(err, errors.ErrUnsupported):
				t.Errorf("the error is %v, want %v", err, errors.ErrUnsupported)
			case test.lacks && !strings.Contains(err.Error(), test.want):
				t.Errorf("the error is %q, want %q", err, test.want)
			}
		})
	}
}

func TestListenContradiction(t *testing.T) {
	_, err := (&Server{Addr: ":8080", Listen: []string{"127.0.0.1:0"}}).Listeners()
	if err == nil || !strings.Contains(err.Error(), "Addr") || !strings.Contains(err.Error(), "Listen") {
		t.Error("both Addr and Listen:", err)
	}
}

// TestListenAndServeAll: ListenAndServe serves on every address until Shutdown.
func TestListenAndServeAll(t *testing.T) {
	socket := filepath.Join(socketDir(t), "socket")
	listening := make(chan net.Addr, 2)
	second := "unix:" + socket
	if noUnix() {
		second = "127.0.0.1:0"
	}
	s := &Server{Listen: []string{"127.0.0.1:0", second}, Handler: http.HandlerFunc(hello)}
	s.BaseContext = func(l net.Listener) context.Context {
		listening <- l.Addr()
		return t.Context()
	}
	served := make(chan error, 1)
	go func() { served <- s.ListenAndServe() }()
	for range 2 {
		select {
		case addr := <-listening:
			ask(t, addr)
		case err := <-served:
			t.Fatal("ListenAndServe:", err)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error("Shutdown:", err)
	}
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		t.Error("ListenAndServe:", err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket is still there:", err)
	}
}

// TestServeAllFails: when one listener fails, the others are closed, and the reason is told.
func TestServeAllFails(t *testing.T) {
	l := listenOn(t, "tcp", "127.0.0.1:0")
	other := errors.New("other")
	s := &Server{Handler: http.HandlerFunc(hello), Logger: zap.NewNop()}
	defer s.Close()
	err := s.ServeAll(l, &failListener{newMemListener(), []error{other}})
	if !errors.Is(err, other) {
		t.Error("ServeAll:", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("the other listener was kept")
	}
	if err := s.ServeAll(); err == nil {
		t.Error("no error without a listener")
	}
}
