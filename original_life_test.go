// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestOriginalLife has the rows of what it is made of, and of the life of its connections and requests. What clients do that are
// slow is in TestOriginalSettings/channel_timeout, and what connections beyond the limit do in connection_limit.
func TestOriginalLife(t *testing.T) {
	for _, test := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"main loop: there are several", lifeLoops},
		{"WSGIServer: several listeners, one set of loops", TestServeSeveral},
		{"trigger: what a task leaves over the loop sends", lifeTrigger},
		{"ThreadedTaskDispatcher: first come, first served", lifeOrder},
		{"WSGITask/ErrorTask: an error needs no thread", lifeErrorTask},
		{"output: a handler that waits for its client is told that it went", lifeGoneWhileWaiting},
		{"output: a slow reader pins no thread", lifeSlowReader},
		{"input: one connection is serial", lifeSerial},
		{"input: the busy leave threads to the others", lifeFair},
		{"input: a request is streamed, or complete when it is served", lifeBody},
		{"input: a client that shuts its side is answered, and one that goes noticed", settingLookahead},
		{"timeouts: none ends a handler", lifeLongHandler},
		{"queue: its depth is told, and can be bounded", lifeQueue},
		{"shutdown: what runs and what waits is answered", lifeShutdown},
		{"shutdown: large answers arrive", lifeShutdownDelivers},
		{"shutdown: by a handler", lifeShutdownByHandler},
		{"logging: each request", TestAccessLog},
	} {
		t.Run(test.name, test.test)
	}
}

// lifeLoops: a handler that keeps a loop leaves the other to the others.
func lifeLoops(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	ts := serve(t, &Server{Policy: PolicyInline, Loops: 2, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			close(started)
			<-release
		}
		hello(w, r)
	})})
	busy := ts.dial(t)
	send(t, busy, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	wait(t, "the handler", started)
	other := ts.dial(t) // goes to the loop that has none
	send(t, other, get)
	answer(t, bufio.NewReader(other))
	close(release)
	answer(t, bufio.NewReader(busy))
}

// lifeTrigger: the handler is done when nobody has read anything.
func lifeTrigger(t *testing.T) { lifeLeftOver(t, func(*Server) {}) }

// lifeShutdownDelivers: what is left then is not cut.
func lifeShutdownDelivers(t *testing.T) {
	lifeLeftOver(t, func(s *Server) {
		go func() { _ = s.Shutdown(context.Background()) }() // Close ends it, where it should not end by itself
		for s.Ready() {
			runtime.Gosched()
		}
	})
}

// lifeLeftOver has a client read its answer when the handler is long done, and meanwhile was called.
func lifeLeftOver(t *testing.T, meanwhile func(s *Server)) {
	t.Helper()
	body := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	for _, p := range []Policy{PolicyPool, PolicyInline} {
		written := make(chan struct{})
		ts := serve(t, &Server{Policy: p, OutbufHighWatermark: 2 * len(body), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			defer close(written)
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		})})
		c := ts.dial(t)
		send(t, c, get)
		wait(t, "the handler", written)
		meanwhile(ts.Server)
		if _, got := answer(t, bufio.NewReader(c)); got != string(body) {
			t.Errorf("%v: %d bytes came, not those sent", p, len(got))
		}
	}
}

// A heldHandler has requests wait, and notes which.
type heldHandler struct {
	mu    sync.Mutex
	paths []string // guarded by mu; of the handlers that have begun
	open  chan struct{}
}

// ServeHTTP waits until it is open.
func (g *heldHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.paths = append(g.paths, r.URL.Path)
	g.mu.Unlock()
	<-g.open
	hello(w, r)
}

// begun returns the paths of the handlers that have begun when no goroutine of the bubble can go on.
func (g *heldHandler) begun() string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.paths, " ")
}

// ofPath is a request for it.
func ofPath(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

func lifeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &heldHandler{open: make(chan struct{})}
		connect := serveMemory(t, &Server{Threads: 1, Handler: g})
		var conns []net.Conn
		for _, path := range []string{"/1", "/2", "/3", "/4"} {
			c := connect()
			conns = append(conns, c)
			send(t, c, ofPath(path))
			if got := g.begun(); got != "/1" {
				t.Errorf("%q have begun", got)
			}
		}
		close(g.open)
		for _, c := range conns {
			answer(t, bufio.NewReader(c))
		}
		if got := g.begun(); got != "/1 /2 /3 /4" {
			t.Errorf("served in the order %q", got)
		}
	})
}

func lifeErrorTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &heldHandler{open: make(chan struct{})}
		connect := serveMemory(t, &Server{Threads: 1, Handler: g})
		busy, bad := connect(), connect()
		send(t, busy, get)
		g.begun()
		send(t, bad, "bad\r\n\r\n")
		if resp, _ := answer(t, bufio.NewReader(bad)); resp.StatusCode != http.StatusBadRequest {
			t.Error(resp.Status)
		}
		close(g.open)
		answer(t, bufio.NewReader(busy))
	})
}

// lifeGoneWhileWaiting: the original does not read while output waits, and so does not see the client go.
func lifeGoneWhileWaiting(t *testing.T) {
	waiting, gone := make(chan struct{}, 1), make(chan error, 1)
	ts := serve(t, &Server{WriteStallTimeout: -1, MinWriteRate: -1, OutbufHighWatermark: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				gone <- err
				<-r.Context().Done()
				gone <- r.Context().Err()
				return
			}
			select {
			case waiting <- struct{}{}:
			default:
			}
		}
	})})
	c := ts.dial(t).(*net.TCPConn)
	send(t, c, get)
	wait(t, "the output", waiting)
	if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case err := <-gone:
			if err == nil {
				t.Error("it is not told")
			}
		case <-time.After(patience):
			t.Fatal("the handler waits for a client that is gone")
		}
	}
}

// lifeSlowReader: a client that does not read its answer holds the only thread no longer than WriteStallTimeout.
func lifeSlowReader(t *testing.T) {
	ts := serve(t, &Server{Threads: 1, WriteStallTimeout: 200 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}
		hello(w, r)
	})})
	slow := ts.dial(t)
	send(t, slow, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := slow.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c := ts.dial(t)
	send(t, c, get)
	if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
		t.Errorf("got %q", body)
	}
}

// lifeSerial: a pipeline's requests are not served at once, and in their order.
func lifeSerial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &heldHandler{open: make(chan struct{})}
		c := serveMemory(t, &Server{Handler: g})()
		send(t, c, ofPath("/1")+ofPath("/2")+ofPath("/3"))
		if got := g.begun(); got != "/1" {
			t.Errorf("%q have begun", got)
		}
		close(g.open)
		r := bufio.NewReader(c)
		for range 3 {
			answer(t, r)
		}
		if got := g.begun(); got != "/1 /2 /3" {
			t.Errorf("served in the order %q", got)
		}
	})
}

// lifeFair: a long pipeline does not keep the only thread; in the original each of its requests goes to the queue's end.
func lifeFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &heldHandler{open: make(chan struct{})}
		connect := serveMemory(t, &Server{Threads: 1, Handler: g})
		busy, other := connect(), connect()
		go func() { _, _ = io.WriteString(busy, strings.Repeat(ofPath("/busy"), 200)) }()
		g.begun()
		send(t, other, ofPath("/other"))
		g.begun()
		go func() { _, _ = io.Copy(io.Discard, busy) }()
		close(g.open)
		answer(t, bufio.NewReader(other))
		got := strings.Fields(g.begun())
		for i, path := range got {
			if path == "/other" && i < 100 {
				return
			}
		}
		t.Errorf("of %d requests it was not among the first 100", len(got))
	})
}

func lifeBody(t *testing.T) {
	for _, buffered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			begun := make(chan int64, 1)
			c := serveMemory(t, &Server{BufferRequests: buffered, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun <- r.ContentLength
				_, _ = io.Copy(w, r.Body)
			})})()
			send(t, c, originalChunked+"2\r\nab\r\n")
			time.Sleep(time.Second) // in the bubble
			synctest.Wait()
			if got := len(begun) == 1; got == buffered {
				t.Errorf("BufferRequests %v: the handler has begun: %v", buffered, got)
			}
			send(t, c, "3\r\ncde\r\n0\r\n\r\n")
			if _, body := answer(t, bufio.NewReader(c)); body != "abcde" {
				t.Errorf("got %q", body)
			}
			if n := <-begun; buffered && n != 5 { // CONTENT_LENGTH is set then
				t.Errorf("the length is %d", n)
			}
		})
	}
}

func lifeLongHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveMemory(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(24 * time.Hour) // in the bubble
			hello(w, r)
		})})()
		send(t, c, get)
		if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
			t.Errorf("got %q", body)
		}
	})
}

func lifeQueue(t *testing.T) {
	for _, limit := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			core, logged := observer.New(zapcore.WarnLevel)
			g := &heldHandler{open: make(chan struct{})}
			connect := serveMemory(t, &Server{Threads: 1, QueueLimit: limit, Logger: zap.New(core), Handler: g})
			var waiting []net.Conn
			for range 3 { // one runs
				c := connect()
				waiting = append(waiting, c)
				send(t, c, get)
				g.begun()
			}
			if all := logged.All(); len(all) != 1 || all[0].Message != "task queue is deep" || all[0].ContextMap()["waiting"] != int64(2) {
				t.Errorf("logged %v", all)
			}
			one := connect()
			send(t, one, get)
			if limit > 0 {
				resp, _ := answer(t, bufio.NewReader(one))
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
					t.Error(resp.Status, resp.Header)
				}
			} else {
				waiting = append(waiting, one)
			}
			close(g.open)
			for _, c := range waiting {
				answer(t, bufio.NewReader(c))
			}
		})
	}
}

// lifeShutdown: the original leaves a request five seconds, and what waits for a thread without an answer.
func lifeShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &heldHandler{open: make(chan struct{})}
		s := &Server{Threads: 1, Handler: g}
		connect := serveMemory(t, s)
		var conns []net.Conn
		for range 3 {
			c := connect()
			conns = append(conns, c)
			send(t, c, get)
			g.begun()
		}
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		time.Sleep(time.Hour) // in the bubble
		select {
		case err := <-done:
			t.Error("Shutdown did not wait:", err)
		default:
		}
		close(g.open)
		for _, c := range conns {
			if resp, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" || !resp.Close {
				t.Errorf("got %q, close %v", body, resp.Close)
			}
			_ = c.Close()
		}
		if err := <-done; err != nil {
			t.Error("Shutdown:", err)
		}
	})
}

// lifeShutdownByHandler: any goroutine may stop a server, one of its own too.
func lifeShutdownByHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		done := make(chan error, 1)
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			go func() { done <- s.Shutdown(context.Background()) }()
			hello(w, r)
		})
		c := serveMemory(t, s)()
		send(t, c, get)
		if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
			t.Errorf("got %q", body)
		}
		_ = c.Close()
		if err := <-done; err != nil {
			t.Error("Shutdown:", err)
		}
	})
}

// TestOriginalAncestor has the rows of what the original's own predecessor had, as far as an HTTP server has it. It has no FTP or
// other servers, no debugger, and looks up no names for its log.
func TestOriginalAncestor(t *testing.T) {
	t.Run("access log", TestAccessLog)
	t.Run("DualModeChannel: a handler can wait for what it writes, or not", settingOutbufHighWatermark)
	t.Run("all tasks of a channel in a row, to a limit", lifeFair)
	t.Run("getPendingTasksEstimate: told when it is high", lifeQueue)
	t.Run("environ: the authority of absolute-form", func(t *testing.T) {
		testOriginal(t, []originalRow{{"is the host", nil, "GET http://b:81/x HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "GET http://b:81/x b:81 ", ""}})
	})
	t.Run("CGI/HTTPS", settingURLScheme)
	t.Run("defaults", settingChannelTimeout)
	t.Run("lax parser", func(t *testing.T) {
		testOriginal(t, []originalRow{
			{"LF", nil, "GET / HTTP/1.1\nHost: a\n\n", "400 closed", "", ""},
			{"a length that is none is not 0", nil, originalPost + "Content-Length: a\r\n\r\n" + evil, "400 closed", "", ""},
			{"codings", nil, originalPost + "Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n" + evil, "501 closed", "", ""},
			{"chunks in an answer", nil, ofPath("/stream"), "200 kept", "\r\nTransfer-Encoding: chunked\r\n", ""},
		})
		t.Run("several addresses", TestListen)
		t.Run("limits", settingMaxRequestHeaderSize)
	})
}
