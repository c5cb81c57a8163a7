// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestStartLog: the adjustments that are not their defaults are logged once, and no others.
func TestStartLog(t *testing.T) {
	core, logged := observer.New(zapcore.InfoLevel)
	s := &Server{Handler: http.HandlerFunc(hello), Logger: zap.New(core), IdleTimeout: 5 * time.Second, Threads: 3, TrustedProxies: loopback, ProxyProtocol: true}
	ts := serveAll(t, s, listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "tcp", "127.0.0.1:0"))
	c := ts.dial(t)
	send(t, c, "PROXY UNKNOWN\r\n"+get)
	answer(t, bufio.NewReader(c))
	all := logged.FilterMessage("starting").All()
	if len(all) != 1 {
		t.Fatalf("logged %v", logged.All())
	}
	got := all[0].ContextMap()
	for name, want := range map[string]any{
		"IdleTimeout": "5s", "Threads": "3", "TrustedProxies": "[127.0.0.0/8]", "ProxyProtocol": "true", "Handler": "http.HandlerFunc",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
		delete(got, name)
	}
	delete(got, "Logger")
	if len(got) > 0 {
		t.Errorf("also %v", got)
	}
}

// lineBuffer is an output that handlers and the test use.
type lineBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lineBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lineBuffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSuffix(b.b.String(), "\n"), "\n")
}

// TestAccessLog: what a handler can do it can do with a log too, and each request has its line after Shutdown, with the
// client's address and the bytes that went out.
func TestAccessLog(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 100_000), 0o600); err != nil {
			t.Fatal(err)
		}
		out := new(lineBuffer)
		hijacked := make(chan context.Context, 1)
		mux := http.NewServeMux()
		mux.HandleFunc("/hello", hello)
		mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
			if _, ok := w.(io.ReaderFrom); !ok {
				t.Error("no io.ReaderFrom")
			}
			http.ServeFile(w, r, file)
		})
		mux.HandleFunc("/flush", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first")
			c := http.NewResponseController(w)
			if err := c.Flush(); err != nil {
				t.Error("Flush:", err)
			}
			if err := c.SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Error("SetWriteDeadline:", err)
			}
			if err := c.EnableFullDuplex(); err != nil {
				t.Error("EnableFullDuplex:", err)
			}
			w.(http.Flusher).Flush()
			if gone, ok := w.(interface{ CloseNotify() <-chan bool }); !ok || gone.CloseNotify() == nil {
				t.Error("no http.CloseNotifier")
			}
		})
		mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
			hijacked <- r.Context()
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			_ = c.Close()
		})
		s := &Server{Policy: p, Handler: mux, AccessLog: out, TrustedProxies: loopback, TrustedProxyHeaders: []string{"X-Forwarded-For"}}
		ts := serve(t, s)
		c := ts.dial(t)
		r := bufio.NewReader(c)
		for _, target := range []string{"/hello", "/file", "/flush", "/none"} {
			send(t, c, "GET "+target+" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
			answer(t, r)
		}
		send(t, c, "GET /bad HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: bad\r\n\r\n")
		answer(t, r)
		h := ts.dial(t)
		send(t, h, "GET /hijack HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n")
		answer(t, bufio.NewReader(h))
		<-(<-hijacked).Done() // it has its line when it is over, which Shutdown does not wait for
		_ = c.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		lines := out.lines()
		for _, want := range []string{
			`192.0.2.1 "GET /hello HTTP/1.1" 200 13`, `192.0.2.1 "GET /file HTTP/1.1" 200 100000`, `192.0.2.1 "GET /flush HTTP/1.1" 200 5`,
			`192.0.2.1 "GET /none HTTP/1.1" 404 19`, `127.0.0.1 "GET /bad HTTP/1.1" 400 `, `192.0.2.2 "GET /hijack HTTP/1.1" - 0`,
		} {
			client, rest, _ := strings.Cut(want, " ")
			found := 0
			for _, line := range lines {
				if strings.HasPrefix(line, client+" - - [") && strings.Contains(line, "] "+rest) {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%d lines have %q", found, want)
			}
		}
		if len(lines) != 6 {
			t.Errorf("%d lines: %q", len(lines), lines)
		}
	})
}

// TestAccessLogOthers: what no http.Handler has served has its line too, in both formats, and what was slow of it is told.
func TestAccessLogOthers(t *testing.T) {
	for _, format := range []string{"combined", "json"} {
		core, logged := observer.New(zapcore.WarnLevel)
		out := new(lineBuffer)
		s := &Server{
			AccessLog: out, AccessLogFormat: format, SlowRequest: time.Millisecond, Logger: zap.New(core), Handler: http.HandlerFunc(hello),
			TrustedProxies: loopback, TrustedProxyHeaders: []string{"X-Forwarded-For"},
			TaskHandler: TaskFunc(func(task Task) {
				for began := time.Now(); string(task.Path()) == "/slow" && time.Since(began) < time.Millisecond; {
					runtime.Gosched()
				}
				if string(task.Path()) == "/declined" {
					task.Decline()
					return
				}
				task.AnswerString(200, ContentTypeText, "task")
			}),
		}
		ts := serve(t, s)
		c := ts.dial(t)
		r := bufio.NewReader(c)
		const fields = " HTTP/1.1\r\nHost: x\r\nUser-Agent: \"u\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
		for _, target := range []string{"/task", "/slow", "/declined"} {
			send(t, c, "GET "+target+fields)
			answer(t, r)
		}
		send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: bad\r\n\r\n")
		answer(t, r)
		send(t, c, "GET /no\tsuch\"thing\r\n\r\n")
		answer(t, r)
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		want := []string{
			`192.0.2.1 "GET /task HTTP/1.1" 200 4 "-" "\"u"`, `192.0.2.1 "GET /slow HTTP/1.1" 200 4 "-" "\"u"`,
			`192.0.2.1 "GET /declined HTTP/1.1" 200 13 "-" "\"u"`, `127.0.0.1 "GET / HTTP/1.1" 400 `, `127.0.0.1 "GET /no\x09such\"thing" 400 `,
		}
		if format == "json" {
			want = []string{
				`"192.0.2.1:0" "method":"GET","host":"x","uri":"/task","proto":"HTTP/1.1","status":200,"bytes":4,`, `"192.0.2.1:0" "method":"GET","host":"x","uri":"/slow"`,
				`"192.0.2.1:0" "method":"GET","host":"x","uri":"/declined","proto":"HTTP/1.1","status":200,"bytes":13,`, `"127.0.0.1: "status":400`,
				`"127.0.0.1: "method":"GET","host":"","uri":"/no\u0009such\u0022thing","proto":"","status":400,`,
			}
		}
		lines := out.lines()
		if len(lines) != len(want) {
			t.Fatalf("%q", lines)
		}
		for i, line := range lines {
			if client, rest, _ := strings.Cut(want[i], " "); !strings.Contains(line, client) || !strings.Contains(line, rest) {
				t.Errorf("%s\nwant %s", line, want[i])
			}
		}
		all := logged.FilterMessage("slow request").FilterField(zap.String("uri", "/slow")).All()
		if len(all) != 1 || all[0].ContextMap()["client"] != "192.0.2.1:0" {
			t.Errorf("logged %v", logged.All())
		}
	}
}

// TestAccessLogClose: Close writes the lines of the requests that are done.
func TestAccessLogClose(t *testing.T) {
	out := new(lineBuffer)
	s := &Server{Handler: http.HandlerFunc(hello), AccessLog: out, AccessLogFormat: "json"}
	ts := serve(t, s)
	c := ts.dial(t)
	send(t, c, get+get)
	r := bufio.NewReader(c)
	answer(t, r)
	answer(t, r)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// The second handler may return after its answer has been read, but not before.
	if lines := out.lines(); !strings.HasPrefix(lines[0], `{"time":"`) {
		t.Errorf("%q", lines)
	}
}

// TestAccessLogStays: Close writes the line of a handler that has ended, though another never does.
func TestAccessLogStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, l, release := new(lineBuffer), newMemListener(), make(chan struct{})
		s := &Server{AccessLog: out, AccessLogFormat: "json", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stays" {
				<-release
			}
		})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		for _, path := range []string{"/ends", "/stays"} {
			c, err := dialMemory(l)
			if err != nil {
				t.Fatal(err)
			}
			send(t, c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
			defer func() { _ = c.Close() }()
		}
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if lines := out.lines(); len(lines) != 1 || !strings.Contains(lines[0], `"/ends"`) {
			t.Errorf("%q", lines)
		}
		close(release)
		<-served
	})
}

// TestSlowRequest: what takes long is told.
func TestSlowRequest(t *testing.T) {
	core, logged := observer.New(zapcore.WarnLevel)
	ts := serve(t, &Server{Logger: zap.New(core), SlowRequest: time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for began := time.Now(); r.URL.Path == "/slow" && time.Since(began) < time.Millisecond; {
			runtime.Gosched()
		}
		hello(w, r)
	})})
	c := ts.dial(t)
	send(t, c, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	answer(t, bufio.NewReader(c))
	if err := ts.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	all := logged.FilterMessage("slow request").All()
	if len(all) != 1 || all[0].ContextMap()["uri"] != "/slow" || all[0].ContextMap()["client"] != c.LocalAddr().(*net.TCPAddr).String() {
		t.Errorf("logged %v", logged.All())
	}
}
