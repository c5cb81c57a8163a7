// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// large is more than a faulty server here may have in memory, and than a file of its may have.
const large = 4 << 20

// faultyServer collects what it is sent, and what its clients do not take, in files: in dir, if it can.
func faultyServer(dir string, log *zap.Logger) *Server {
	return &Server{
		BufferRequests: true, InbufOverflow: 4 << 10, OutbufOverflow: 64 << 10, TempDir: dir, Logger: log,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/large" {
				w.Header().Set("Content-Length", strconv.Itoa(large))
				_, _ = w.Write(bytes.Repeat([]byte("0123456789abcdef"), large/16))
				return
			}
			_, _ = io.Copy(w, r.Body)
		}),
	}
}

// checkFaulty asks a server that has no room for temporary files: what needs one is refused, or waits for its client, and what does
// not is served.
func checkFaulty(t *testing.T, ts *testServer) {
	t.Helper()
	post := func(n int) string {
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
	}
	kept := ts.dial(t)
	r := bufio.NewReader(kept)
	for range 2 {
		send(t, kept, post(1000))
		if resp, body := answer(t, r); resp.StatusCode != http.StatusOK || len(body) != 1000 {
			t.Errorf("a small request: %s, %d bytes", resp.Status, len(body))
		}
		c := ts.dial(t)
		go func() { _, _ = io.WriteString(c, post(large)) }() // it is refused before its end
		if resp, _ := answer(t, bufio.NewReader(c)); resp.StatusCode != http.StatusInsufficientStorage || !resp.Close {
			t.Errorf("a large request: %s, close %v", resp.Status, resp.Close)
		}
	}
	c := ts.dial(t)
	send(t, c, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, body := answer(t, bufio.NewReader(c)); len(body) != large || strings.Trim(body, "0123456789abcdef") != "" {
		t.Errorf("a large answer has %d bytes", len(body))
	}
}

// TestTempDir: a folder for temporary files that is lost while the server serves costs the requests that need one, and the log
// says so. One that is none at the start is no setting.
func TestTempDir(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(dir string) error
	}{
		{"missing", os.Remove},
		{"a file", func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) }},
		{"read-only", func(dir string) error { return os.Chmod(dir, 0o500) }},
		{"nothing can be made there", nil}, // of root, too
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			switch {
			case test.spoil == nil && runtime.GOOS != "linux":
				t.Skip("no such folder is known")
			case test.spoil == nil:
				dir = "/proc"
			case test.name == "read-only" && (runtime.GOOS == "windows" || os.Geteuid() == 0):
				t.Skip("this user may write in any folder")
			default:
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			core, logs := observer.New(zap.ErrorLevel)
			ts := serve(t, faultyServer(dir, zap.New(core)))
			getOnce(t, ts.dial(t))
			if test.spoil != nil {
				if err := test.spoil(dir); err != nil {
					t.Fatal(err)
				}
			}
			checkFaulty(t, ts)
			if n := logs.FilterMessageSnippet("temporary file").Len(); n < 2 || n != logs.Len() {
				t.Errorf("the log: %v", logs.All())
			}
		})
	}
	t.Run("from the start", func(t *testing.T) {
		s := faultyServer(filepath.Join(t.TempDir(), "missing"), zap.NewNop())
		s.Addr = "127.0.0.1:0"
		if err := s.ListenAndServe(); err == nil || !strings.Contains(err.Error(), "TempDir is ") {
			t.Error(err)
		}
	})
}

// faultyProgram is a faultyServer, which logs to the standard output.
func faultyProgram() int {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message"})
	s := faultyServer(os.TempDir(), zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stdout), zap.ErrorLevel)))
	s.Listen = []string{"127.0.0.1:0"}
	if err := s.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// TestTempDirFull: the same where there is room for the beginning of a file, and no more.
func TestTempDirFull(t *testing.T) {
	if systemCapabilities().noLimit {
		t.Skip("no limit of a file's size")
	}
	dir := t.TempDir()
	p := start(t, "faulty", func(c *exec.Cmd) {
		// 128 of the shell's blocks are 64 or 128 KiB.
		c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -f 128 && exec "$0" "$@"`}, c.Args...)
		c.Env = append(c.Env, "TMPDIR="+dir)
	})
	checkFaulty(t, &testServer{addr: p.addr})
	for range 2 {
		if line := p.line(); !strings.Contains(line, "temporary file") {
			t.Errorf("it said %q", line)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("%d names are left, %v", len(names), err)
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Error("exit:", err)
	}
}

// TestHandlersThatStay: handlers that never return cost the threads that they have, and no more: who comes behind them is told
// so at once, as far as the queue is bounded, and the log says how long it is.
func TestHandlersThatStay(t *testing.T) {
	const threads, queue = 2, 4
	core, logs := observer.New(zap.WarnLevel)
	started, release := make(chan struct{}), make(chan struct{})
	ts := serve(t, &Server{
		Threads: threads, QueueLimit: queue, Logger: zap.New(core),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stay" {
				started <- struct{}{}
				<-release
			}
			hello(w, r)
		}),
	})
	for range threads {
		send(t, ts.dial(t), "GET /stay HTTP/1.1\r\nHost: a\r\n\r\n")
		wait(t, "a handler", started)
	}
	queued := make([]*bufio.Reader, queue)
	for i := range queued {
		c := ts.dial(t)
		queued[i] = bufio.NewReader(c)
		send(t, c, get)
	}
	// Whether those are in the queue yet is not known: so many more that some are refused.
	others := make(chan int, 4*queue) // their statuses
	for range cap(others) {
		c := ts.dial(t)
		send(t, c, get)
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				others <- 0
				return
			}
			others <- resp.StatusCode
		}()
	}
	for range cap(others) - queue { // the others may be in the queue
		if status := <-others; status != http.StatusServiceUnavailable {
			t.Errorf("beyond the queue: %d", status)
		}
	}
	if logs.FilterMessage("task queue is deep").Len() == 0 {
		t.Errorf("the log: %v", logs.All())
	}
	close(release)
	served := 0
	for _, r := range queued {
		if resp, _ := answer(t, r); resp.StatusCode == http.StatusOK {
			served++
		}
	}
	for range queue {
		if <-others == http.StatusOK {
			served++
		}
	}
	if served < queue {
		t.Errorf("%d of the queue were served", served)
	}
}

// TestGoroutinesThatStay: a goroutine that a handler leaves behind with its request and its ResponseWriter does no harm to the
// connection's later requests, and Shutdown does not wait for it.
func TestGoroutinesThatStay(t *testing.T) {
	release, tried := make(chan struct{}), make(chan error, 100)
	ts := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/leave" {
			go func() {
				<-release
				_, err := io.WriteString(w, r.URL.Path)
				tried <- err
			}()
		}
		hello(w, r)
	})})
	c := ts.dial(t)
	r := bufio.NewReader(c)
	for range cap(tried) {
		send(t, c, "GET /leave HTTP/1.1\r\nHost: a\r\n\r\n")
		answer(t, r)
	}
	close(release)
	for range cap(tried) {
		if err := <-tried; err == nil {
			t.Error("a write after the end of the request has succeeded")
		}
	}
	for range cap(tried) {
		send(t, c, get)
		if _, body := answer(t, r); body != "Hello, World!" {
			t.Errorf("got %q", body)
		}
	}
	if err := ts.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
