// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress/internal/invariant"
)

// patience is how long a test waits for what must happen, before it fails.
const patience = 30 * time.Second

// A testServer is a Server that serves on a loopback port until the end of its test.
type testServer struct {
	*Server
	addr   string
	served chan error // what Serve returned
}

func serve(t *testing.T, s *Server) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, s, l)
}

func serveOn(t *testing.T, s *Server, l net.Listener) *testServer {
	t.Helper()
	return serveAll(t, s, l)
}

func serveAll(t *testing.T, s *Server, listeners ...net.Listener) *testServer {
	t.Helper()
	if s.Logger == nil && s.ErrorLog == nil {
		s.Logger = zap.NewNop()
	}
	ts := &testServer{s, listeners[0].Addr().String(), make(chan error, 1)}
	go func() { ts.served <- s.ServeAll(listeners...) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
		select {
		case err := <-ts.served:
			if !errors.Is(err, ErrServerClosed) {
				t.Error("Serve:", err)
			}
		case <-time.After(patience):
			t.Error("Serve did not return")
		}
	})
	return ts
}

// dial opens a connection that fails, rather than waits, when nothing comes for too long.
func (ts *testServer) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", ts.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, c net.Conn, raw string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
}

// answer reads one response.
func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp, string(body)
}

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("timed out waiting for " + what)
	}
}

// mustBeClosed has the server's side of a connection closed: what is read of it next is its end. That patience is over is none.
func mustBeClosed(t *testing.T, what string, r io.Reader) {
	t.Helper()
	n, err := r.Read(make([]byte, 1))
	if n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s was not closed: %d bytes, %v", what, n, err)
	}
}

func policies(t *testing.T, f func(t *testing.T, p Policy)) {
	t.Helper()
	for _, p := range []Policy{PolicyPool, PolicyInline, PolicyAdaptive} {
		t.Run(p.String(), func(t *testing.T) { f(t, p) })
	}
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello, World!") }

func TestServe(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = fmt.Fprintf(w, "%s %s %s %d", r.Method, r.URL, r.RemoteAddr, len(body))
		})})
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for _, n := range []int{0, 1, 5000, 70_000, 3 << 20} {
			resp, err := client.Post("http://"+ts.addr+"/a?b=c", "text/plain", bytes.NewReader(make([]byte, n)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(body), "POST /a?b=c 127.0.0.1:") || !strings.HasSuffix(string(body), fmt.Sprintf(" %d", n)) {
				t.Errorf("a body of %d bytes: got %q", n, body)
			}
		}
	})
}

func TestServeUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		if noUnix() {
			return
		}
		t.Fatal(err)
	}
	serveOn(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		_, _ = fmt.Fprintf(w, "%s %s", local.Network(), local)
	})}, l)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	send(t, c, get)
	if _, body := answer(t, bufio.NewReader(c)); body != "unix "+path {
		t.Errorf("got %q", body)
	}
}

// TestServeSeveral serves two listeners with one Server.
func TestServeSeveral(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(hello)}
	one := serve(t, s)
	two := serve(t, s)
	for _, ts := range []*testServer{one, two} {
		c := ts.dial(t)
		send(t, c, get)
		if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
			t.Errorf("got %q", body)
		}
	}
}

func TestServeContext(t *testing.T) {
	type key string
	var base, conn atomic.Int32
	s := &Server{
		BaseContext: func(net.Listener) context.Context {
			base.Add(1)
			return context.WithValue(t.Context(), key("base"), "b")
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			conn.Add(1)
			return context.WithValue(ctx, key("conn"), c.RemoteAddr().String())
		},
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if ctx.Value(key("base")) != "b" || ctx.Value(key("conn")) != r.RemoteAddr {
			t.Errorf("context values: %v, %v", ctx.Value(key("base")), ctx.Value(key("conn")))
		}
		if hs, ok := ctx.Value(http.ServerContextKey).(*http.Server); !ok || hs.Handler == nil {
			t.Error("http.ServerContextKey gives no *http.Server")
		}
		_, _ = fmt.Fprint(w, ctx.Value(http.LocalAddrContextKey))
	})
	ts := serve(t, s)
	c := ts.dial(t)
	r := bufio.NewReader(c)
	for range 2 {
		send(t, c, get)
		if _, body := answer(t, r); body != ts.addr {
			t.Errorf("local address %q, want %q", body, ts.addr)
		}
	}
	if base.Load() != 1 || conn.Load() != 1 {
		t.Errorf("BaseContext called %d times, ConnContext %d", base.Load(), conn.Load())
	}
}

func TestServerZero(t *testing.T) {
	var before, registered Server
	if err := before.Shutdown(t.Context()); err != nil {
		t.Error("Shutdown:", err)
	}
	if err := before.Close(); err != nil {
		t.Error("Close:", err)
	}
	if err := before.ListenAndServe(); !errors.Is(err, ErrServerClosed) {
		t.Error("ListenAndServe after Shutdown:", err)
	}
	called := make(chan struct{})
	registered.RegisterOnShutdown(func() { close(called) })
	registered.SetKeepAlivesEnabled(false)
	registered.Handler = http.HandlerFunc(hello)
	ts := serve(t, &registered)
	c := ts.dial(t)
	send(t, c, get)
	if resp, _ := answer(t, bufio.NewReader(c)); !resp.Close {
		t.Error("the connection was kept after SetKeepAlivesEnabled(false)")
	}
	if err := registered.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	wait(t, "the function registered for shutdown", called)
}

func TestServerSettings(t *testing.T) {
	for _, test := range []struct {
		name   string
		server *Server
	}{
		{"Loops", &Server{Loops: -1}},
		{"Threads", &Server{Threads: -1}},
		{"Queue", &Server{QueueLimit: 10}},
		{"MaxHeaderBytes", &Server{MaxHeaderBytes: -1}},
		{"OutbufHighWatermark", &Server{OutbufHighWatermark: -1}},
		{"Policy", &Server{Policy: 200}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if err := test.server.Serve(l); err == nil || !strings.Contains(err.Error(), test.name) {
				t.Errorf("error %v does not name %s", err, test.name)
			}
			if c, err := l.Accept(); err == nil {
				_ = c.Close()
				t.Error("the listener is still open")
			}
		})
	}
}

// TestServeShares: where all that ask are on one loop, and another has nothing to do, it comes to help.
func TestServeShares(t *testing.T) {
	var inside, most atomic.Int32
	ts := serve(t, &Server{Policy: PolicyInline, Loops: 2, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(2 * time.Millisecond) // this is the work
		inside.Add(-1)
		hello(w, r)
	})})
	type client struct {
		net.Conn
		from *bufio.Reader
	}
	var asking []client
	for i := range 8 {
		c := ts.dial(t)
		r := bufio.NewReader(c)
		send(t, c, get)
		answer(t, r) // by now it is on its loop
		if i%2 == 0 {
			asking = append(asking, client{c, r})
		}
	}
	for range 200 {
		for _, c := range asking {
			send(t, c, get)
		}
		for _, c := range asking {
			answer(t, c.from)
		}
		if most.Load() > 1 {
			return
		}
	}
	t.Error("one loop has answered all")
}

// TestShutdown has a connection in each state when Shutdown begins.
func TestShutdown(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		started, release := make(chan struct{}), make(chan struct{})
		// Inline handlers that wait need a loop each; the others' requests are on other loops.
		ts := serve(t, &Server{Policy: p, Loops: 4, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				close(started)
				<-release
			}
			hello(w, r)
		})})
		idle, active := ts.dial(t), ts.dial(t)
		fresh := bufio.NewReader(idle)
		send(t, idle, get)
		answer(t, fresh)
		send(t, active, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		wait(t, "the handler", started)

		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := ts.Shutdown(context.Background()); err != nil {
				t.Error("Shutdown:", err)
			}
		}()
		if _, err := fresh.ReadByte(); !errors.Is(err, io.EOF) {
			t.Error("the idle connection was not closed:", err)
		}
		if c, err := net.Dial("tcp", ts.addr); err == nil {
			_ = c.Close()
			t.Error("the listener is still open")
		}
		close(release)
		resp, body := answer(t, bufio.NewReader(active))
		if body != "Hello, World!" || !resp.Close {
			t.Errorf("the request that had started got %q, close %v", body, resp.Close)
		}
		wait(t, "Shutdown", done)
	})
}

func TestShutdownDeadline(t *testing.T) {
	started := make(chan struct{})
	ended := make(chan struct{})
	ts := serve(t, &Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	})})
	c := ts.dial(t)
	send(t, c, get)
	wait(t, "the handler", started)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ts.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error("Shutdown:", err)
	}
	if err := ts.Close(); err != nil {
		t.Error("Close:", err)
	}
	wait(t, "the end of the request's context", ended)
	mustBeClosed(t, "the connection", c)
}

// TestShutdownNoTime: a context that has ended is the end of Shutdown only where there is something to wait for.
func TestShutdownNoTime(t *testing.T) {
	for _, kind := range []string{"a socket", "a net.Conn"} {
		for _, open := range []string{"nothing", "idle connections", "a handler"} {
			t.Run(kind+" "+open, func(t *testing.T) {
				for range 4 {
					shutdownNoTime(t, kind == "a net.Conn", open)
				}
			})
		}
	}
}

func shutdownNoTime(t *testing.T, wrapped bool, open string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if wrapped {
		l = wrapListener{l, func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }}
	}
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	const conns = 4
	idle := make(chan struct{}, conns)
	ts := serveOn(t, &Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				close(started)
				<-release
			}
			hello(w, r)
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateIdle {
				idle <- struct{}{}
			}
		},
	}, l)
	for !ts.Ready() {
		runtime.Gosched()
	}
	var want error
	switch open {
	case "idle connections":
		for range conns {
			c := ts.dial(t)
			send(t, c, get)
			answer(t, bufio.NewReader(c))
			wait(t, "the end of the request", idle)
		}
	case "a handler":
		want = context.Canceled
		send(t, ts.dial(t), "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		wait(t, "the handler", started)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ts.Shutdown(ctx); !errors.Is(err, want) {
		t.Errorf("Shutdown: %v, want %v", err, want)
	}
}

// TestCloseBlocked: Close waits for no handler, whoever has accepted its connection, but for the loop that an inline one holds up, and
// for that closeWait at most. The client's connection ends all the same, and those of other loops are closed.
func TestCloseBlocked(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		for _, kind := range []string{"a socket", "a net.Conn"} {
			t.Run(kind, func(t *testing.T) {
				started, release := make(chan struct{}), make(chan struct{})
				defer close(release)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				if kind == "a net.Conn" {
					l = wrapListener{l, func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }}
				}
				// Inline handlers that wait need a loop each.
				ts := serveOn(t, &Server{Policy: p, Loops: 2, AccessLog: new(lineBuffer), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/wait" {
						close(started)
						<-release
					}
					hello(w, r)
				})}, l)
				idle, active := ts.dial(t), ts.dial(t)
				fresh := bufio.NewReader(idle)
				send(t, idle, get)
				answer(t, fresh)
				send(t, active, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
				wait(t, "the handler", started)
				began := time.Now()
				if err := ts.Close(); err != nil {
					t.Error("Close:", err)
				}
				over := []net.Conn{idle, active}
				if p == PolicyInline {
					over = over[:1]
				} else if took := time.Since(began); took >= closeWait {
					t.Errorf("Close took %v", took)
				}
				for _, c := range over {
					if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error("a connection is still open:", err)
					}
				}
				for ts.conns() > 1 { // the thread that answered the idle one may not have let go of it
					if time.Since(began) > patience {
						t.Fatalf("%d connections are open, want that of the handler", ts.conns())
					}
					runtime.Gosched()
				}
			})
		}
	})
}

// TestDisconnect: the context of a request ends when its client goes, whether it closes or resets.
func TestDisconnect(t *testing.T) {
	for _, how := range []struct {
		name   string
		linger int
	}{{"close", -1}, {"reset", 0}} {
		t.Run(how.name, func(t *testing.T) {
			started, ended := make(chan struct{}), make(chan struct{})
			ts := serve(t, &Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(started)
				<-r.Context().Done()
				close(ended)
			})})
			c := ts.dial(t)
			send(t, c, get)
			wait(t, "the handler", started)
			if err := c.(*net.TCPConn).SetLinger(how.linger); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			wait(t, "the end of the request's context", ended)
		})
	}
}

// TestHalfClose: a client that shuts its side after its last request gets every answer.
func TestHalfClose(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(hello)})
		for range 50 {
			c := ts.dial(t)
			send(t, c, get+get+get)
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(all, []byte("Hello, World!")); n != 3 {
				t.Fatalf("%d answers of 3", n)
			}
			_ = c.Close()
		}
	})
}

// TestManyWaiting: handlers may wait for each other, however many they are.
func TestManyWaiting(t *testing.T) {
	const n = 500
	var together sync.WaitGroup
	together.Add(n)
	ts := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		together.Done()
		together.Wait()
		hello(w, r)
	})})
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = ts.dial(t)
		send(t, conns[i], get)
	}
	for _, c := range conns {
		if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
			t.Fatalf("got %q", body)
		}
		_ = c.Close()
	}
}

// TestInlineWaits: what the library waits for holds no loop, although there is just one and handlers run on it.
func TestInlineWaits(t *testing.T) {
	started := make(chan struct{}, 2)
	ts := serve(t, &Server{Policy: PolicyInline, Loops: 1, OutbufHighWatermark: 64 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/upload":
			started <- struct{}{}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
		case "/download":
			started <- struct{}{}
			for range 64 {
				if _, err := w.Write(make([]byte, 256<<10)); err != nil {
					t.Error(err)
				}
			}
			return
		}
		hello(w, r)
	})})
	up, down, other := ts.dial(t), ts.dial(t), ts.dial(t)
	send(t, up, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
	wait(t, "the upload", started)
	send(t, down, "GET /download HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	wait(t, "the download", started)
	r := bufio.NewReader(other)
	for range 100 {
		send(t, other, get)
		answer(t, r)
	}
	send(t, up, "67890")
	if _, body := answer(t, bufio.NewReader(up)); body != "Hello, World!" {
		t.Errorf("upload: got %q", body)
	}
	if _, body := answer(t, bufio.NewReader(down)); len(body) != 64*256<<10 {
		t.Errorf("download: got %d bytes", len(body))
	}
}

// TestLateReaders: 3 MB for each of many clients, none of which reads before all have asked. Every byte is compared.
func TestLateReaders(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		const size = 3 << 20
		n := 100
		if invariant.Enabled {
			n = 20 // the race detector takes its time
		}
		pattern := pollerPattern(size)
		// No client is given up: how long the last one waits depends on the machine.
		ts := serve(t, &Server{Policy: p, WriteStallTimeout: -1, MinWriteRate: -1, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(pattern)
		})})
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = ts.dial(t)
			send(t, conns[i], "GET / HTTP/1.0\r\n\r\n")
		}
		for i, c := range conns {
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			_, body := answer(t, bufio.NewReader(c))
			if body != string(pattern) {
				t.Fatalf("client %d: %d bytes, not those sent", i, len(body))
			}
			_ = c.Close()
		}
	})
}

// TestPanic: a handler that panics, or ends its goroutine, costs its connection.
func TestPanic(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{Policy: p, Loops: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/panic":
				panic("at the handler's disco")
			case "/goexit":
				runtime.Goexit()
			}
			hello(w, r)
		})})
		other := ts.dial(t)
		r := bufio.NewReader(other)
		for _, path := range []string{"/panic", "/goexit", "/panic", "/goexit"} {
			c := ts.dial(t)
			send(t, c, get+"GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"+get)
			all, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if n := bytes.Count(all, []byte("Hello, World!")); n != 1 {
				t.Errorf("%s: %d answers, want the one before it", path, n)
			}
			send(t, other, get)
			answer(t, r)
		}
	})
}

// TestAllocations: what a plain GET costs, client and all: the client here costs nothing.
func TestAllocations(t *testing.T) {
	if systemCapabilities().allocates {
		return
	}
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(hello)})
		c := ts.dial(t)
		request, buf := []byte("GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"), make([]byte, 4096)
		round := func() {
			if _, err := c.Write(request); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		const most = 4
		if n := testing.AllocsPerRun(2000, round); n > most {
			t.Errorf("%v allocations a request, at most %d are meant", n, most)
		}
	})
}
