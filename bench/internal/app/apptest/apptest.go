// SPDX-License-Identifier: MIT

// Package apptest asks an engine for all that it should answer.
package apptest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waitress-go/waitress/bench/internal/app"
)

// Canned starts an engine, which has no way to stop but the process's end or o.End, and asks for two pipelined answers.
// It returns the engine's address.
func Canned(t *testing.T, serve app.Engine, o *app.Options) string {
	t.Helper()
	addr := started(t, serve, o)
	c := dial(t, addr)
	if o.TLS != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // it has made its certificate itself
	}
	ask(t, c, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 2), app.Hello, app.Hello)
	return addr
}

// Sleeps starts an engine too, and asks for an answer after 10 ms, and for one at once behind it.
func Sleeps(t *testing.T, serve app.Engine, o *app.Options) string {
	t.Helper()
	addr := Canned(t, serve, o)
	c, began := dial(t, addr), time.Now()
	ask(t, c, "GET /sleep?ms=10 HTTP/1.1\r\nHost: h\r\n\r\n", app.Hello)
	if took := time.Since(began); took < 10*time.Millisecond {
		t.Errorf("it slept for %v", took)
	}
	ask(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", app.Hello)
	return addr
}

// Files starts an engine too, and asks for a file, and for its connection to be closed.
func Files(t *testing.T, serve app.Engine, o *app.Options) string {
	t.Helper()
	o.Files = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.Files, "some"), []byte("of a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := Canned(t, serve, o)
	ask(t, dial(t, addr), "GET /file/some HTTP/1.1\r\nHost: h\r\n\r\n", "of a file")
	c := dial(t, addr)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 200 ") || !strings.Contains(string(all), app.Hello) {
		t.Errorf("closed with %v after %q", err, all)
	}
	return addr
}

// All starts an engine too, and asks for everything.
func All(t *testing.T, serve app.Engine, o *app.Options) {
	t.Helper()
	addr := Files(t, serve, o)
	const post = " HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\ncontent"
	ask(t, dial(t, addr), "GET /json HTTP/1.1\r\nHost: h\r\n\r\n"+
		"GET /sleep?ms=1 HTTP/1.1\r\nHost: h\r\n\r\n"+
		"GET /busy?kib=1 HTTP/1.1\r\nHost: h\r\n\r\n"+
		"GET /bytes?n=100000 HTTP/1.1\r\nHost: h\r\n\r\n"+
		"POST /echo"+post+"POST /upload"+post,
		string(app.JSON()), app.Hello, app.Hello, string(make([]byte, 100_000)), "content", "7")
	for path, status := range map[string]int{
		"/sleep?ms=x": 400, "/busy?kib=-1": 400, "/bytes?n=99999999999": 400, "/none": 404, "/file/none": 404,
	} {
		c := dial(t, addr)
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		if got.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, got.Status, status)
		}
	}
}

func started(t *testing.T, serve app.Engine, o *app.Options) string {
	t.Helper()
	bound := make(chan net.Addr, 1)
	failed := make(chan error, 1)
	go func() {
		failed <- serve(o, func(a net.Addr) { bound <- a })
	}()
	select {
	case addr := <-bound:
		return addr.String()
	case err := <-failed:
		t.Fatal(err)
	}
	return ""
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// ask sends requests and compares the answers' content.
func ask(t *testing.T, c net.Conn, requests string, want ...string) {
	t.Helper()
	if _, err := io.WriteString(c, requests); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for _, w := range want {
		got, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || string(body) != w || got.StatusCode != 200 || got.Header.Get("Date") == "" || got.Close {
			t.Errorf("%v, %s, %v, %.80q; want %.80q", err, got.Status, got.Header, body, w)
		}
	}
}
