// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package waitress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// restartVariable is the path of the Unix socket that restartProgram listens on besides a TCP port. "fail" makes a new
// process end before it serves, and "hang" makes it wait for the end of its input instead.
const restartVariable = "WAITRESS_TEST_RESTART"

func init() { programs["restart"] = restartProgram } //nolint:gochecknoinits // the program is not there on every system

// restartProgram answers with the number of its process.
func restartProgram() int {
	path := os.Getenv(restartVariable)
	if _, again := os.LookupEnv(handoverVariable); again {
		switch path {
		case "fail":
			fmt.Println("failing")
			return 3
		case "hang":
			fmt.Println("hanging", os.Getpid())
			_, _ = io.Copy(io.Discard, os.Stdin)
			return 4
		}
	}
	listen, told := []string{"127.0.0.1:0"}, io.Discard
	if path != "fail" && path != "hang" {
		listen, told = append(listen, "unix:"+path), os.Stdout // the test would wait for another line in vain
	}
	err := Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, again := os.LookupEnv(handoverVariable); again {
			_, _ = io.WriteString(w, handoverVariable+" is set for the programs that this one starts")
			return
		}
		_, _ = io.WriteString(w, strconv.Itoa(os.Getpid()))
	}), Listen(listen...), func(s *Server) { s.ErrorLog = log.New(told, "", 0) })
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// pid asks which process serves.
func pid(t *testing.T, c *http.Client, url string) int {
	t.Helper()
	n, err := askPid(c, url)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func askPid(c *http.Client, url string) (int, error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(body))
}

// TestRestart restarts a program five times, or longTests of it, while clients ask it over old connections and new ones, by TCP and a Unix
// socket: each request is answered.
func TestRestart(t *testing.T) {
	if systemCapabilities().noSignals {
		t.Skip("no signals")
	}
	const clients = 2 // of each kind
	restarts := longTests(5)
	path := filepath.Join(socketDir(t), "socket")
	p := start(t, "restart", func(c *exec.Cmd) { c.Env = append(c.Env, restartVariable+"="+path) })
	if line := p.line(); line != "Serving on http://unix:"+path {
		t.Fatalf("it said %q", line)
	}
	url := "http://" + p.addr + "/"
	overTCP := func(fresh bool) *http.Client {
		return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: fresh}}
	}
	overUnix := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	asked := overTCP(true)
	now := pid(t, asked, url)
	var last atomic.Int64 // the process that serves
	last.Store(int64(now))
	t.Cleanup(func() {
		// Whatever has become of the test, the last one must not stay. It is the test's own, by its number.
		if n := int(last.Load()); n != p.Process.Pid {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	})

	stop := make(chan struct{})
	var load sync.WaitGroup
	var answered [3]atomic.Int64
	for kind, c := range []*http.Client{overTCP(true), overTCP(false), overUnix} {
		for range clients {
			load.Go(func() {
				defer c.CloseIdleConnections()
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := askPid(c, url); err != nil {
						t.Errorf("a request failed: %v", err)
						return
					}
					answered[kind].Add(1)
				}
			})
		}
	}
	for range restarts {
		before := [3]int64{answered[0].Load(), answered[1].Load(), answered[2].Load()}
		if err := syscall.Kill(now, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if line := p.line(); !strings.HasPrefix(line, "Serving on ") {
				t.Fatalf("it said %q", line)
			}
		}
		old := now
		for began := time.Now(); now == old && time.Since(began) < patience && !t.Failed(); {
			now = pid(t, asked, url) // the old one may accept for a moment
		}
		last.Store(int64(now))
		// The load has gone on, with each kind of client.
		for kind := range before {
			for began := time.Now(); answered[kind].Load() < before[kind]+10 && time.Since(began) < patience && !t.Failed(); {
				_ = pid(t, asked, url)
			}
		}
	}
	close(stop)
	load.Wait()
	if now == p.Process.Pid {
		t.Error("the first process still serves")
	}
	if err := p.Wait(); err != nil {
		t.Error("the first process:", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error("the socket was removed:", err)
	}
	if err := syscall.Kill(now, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < patience; {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			break
		}
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.Close()
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the last process left its socket:", err)
	}
	t.Logf("answered %d over new connections, %d over old ones, %d by the Unix socket", answered[0].Load(), answered[1].Load(), answered[2].Load())
}

// TestRestartFails: when the new process does not come to serve, the old one goes on, and knows of it when that process ends.
func TestRestartFails(t *testing.T) {
	if systemCapabilities().noSignals {
		t.Skip("no signals")
	}
	p := start(t, "restart", func(c *exec.Cmd) { c.Env = append(c.Env, restartVariable+"=fail") })
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + p.addr + "/"
	began := time.Now()
	for range 2 {
		if err := p.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		if line := p.line(); line != "failing" {
			t.Fatalf("it said %q", line)
		}
		if n := pid(t, c, url); n != p.Process.Pid {
			t.Errorf("process %d answers, not %d", n, p.Process.Pid)
		}
	}
	if time.Since(began) >= restartTimeout {
		t.Error("it waited for the first until it had to come to serve")
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Error("exit:", err)
	}
}

// TestRestartStopped: SIGTERM ends the wait for a new process, and that process, at once, and the old one drains.
func TestRestartStopped(t *testing.T) {
	if systemCapabilities().noSignals {
		t.Skip("no signals")
	}
	p := start(t, "restart", func(c *exec.Cmd) { c.Env = append(c.Env, restartVariable+"=hang") })
	if err := p.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	var child int
	line := p.line()
	if n, err := fmt.Sscanf(line, "hanging %d", &child); n != 1 {
		t.Fatalf("it said %q: %v", line, err)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error("exit:", err)
		}
	case <-time.After(patience):
		t.Error("it waits for the new process still")
		_ = p.Process.Kill()
		<-ended
	}
	// The old process was its parent, and has waited for it before it ended.
	if err := syscall.Kill(child, 0); !errors.Is(err, syscall.ESRCH) {
		t.Error("the new process is there still:", err)
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

// TestRestartClosed: a Server that has been shut down starts nothing.
func TestRestartClosed(t *testing.T) {
	s := new(Server)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restart(t.Context()); !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
}

// TestRestartListeners: what is passed on is what is open, whatever a Server has tried before, and its caller has closed.
func TestRestartListeners(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, test := range []struct {
		name   string
		before func(t *testing.T, s *Server)
	}{
		{"nothing before", func(*testing.T, *Server) {}},
		{"an address that could not be had", func(t *testing.T, s *Server) {
			listen := s.Listen
			s.Listen = append(listen, busy.Addr().String())
			if l, err := s.Listeners(); err == nil {
				_ = closeAll(l)
				t.Fatal("two listen on one address")
			}
			if len(s.listeners) > 0 {
				t.Errorf("%d listeners are noted, and none is open", len(s.listeners))
			}
			s.Listen = listen
		}},
		{"listeners that were closed", func(t *testing.T, s *Server) {
			l, err := s.Listeners()
			if err != nil {
				t.Fatal(err)
			}
			if err := closeAll(l); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Server{Listen: []string{"127.0.0.1:0"}}
			test.before(t, s)
			l, err := s.Listeners()
			if err != nil {
				t.Fatal(err)
			}
			defer l[0].Close()
			files, keys, err := passable(s.listeners)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				_ = f.Close()
			}
			if len(files) != 1 || len(keys) != 1 || keys[0] != listenerKey("tcp4", "127.0.0.1:0") {
				t.Errorf("%d files, %q", len(files), keys)
			}
		})
	}
}
