// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// originalSettings has a test for each of its settings, by its name there: what it does here, its default and its bounds; and of
// those that are not here what they were for.
var originalSettings = []struct {
	name string
	test func(t *testing.T)
}{
	{"host", settingHost},
	{"port", settingPort},
	{"listen", settingListen},
	{"ipv4", func(t *testing.T) { settingFamily(t, "0.0.0.0:0", "127.0.0.1", "[::1]") }},
	{"ipv6", func(t *testing.T) { settingFamily(t, "[::]:0", "[::1]", "127.0.0.1") }},
	{"unix_socket", settingUnixSocket},
	{"unix_socket_perms", settingUnixSocketPerms},
	{"sockets", settingSockets},
	{"server_name", settingServerName},
	{"threads", settingThreads},
	{"url_scheme", settingURLScheme},
	{"url_prefix", settingURLPrefix},
	{"ident", settingIdent},
	{"backlog", settingBacklog},
	{"recv_bytes", settingRecvBytes},
	{"send_bytes", settingSendBytes},
	{"outbuf_overflow", settingOutbufOverflow},
	{"outbuf_high_watermark", settingOutbufHighWatermark},
	{"inbuf_overflow", settingInbufOverflow},
	{"connection_limit", settingConnectionLimit},
	{"cleanup_interval", settingCleanupInterval},
	{"channel_timeout", settingChannelTimeout},
	{"channel_request_lookahead", settingLookahead},
	{"log_socket_errors", settingLogSocketErrors},
	{"max_request_header_size", settingMaxRequestHeaderSize},
	{"max_request_body_size", settingMaxRequestBodySize},
	{"expose_tracebacks", settingExposeTracebacks},
	{"asyncore_loop_timeout", settingLoopTimeout},
	{"asyncore_use_poll", settingUsePoll},
	{"trusted_proxy", settingTrustedProxy},
	{"trusted_proxy_count", settingTrustedProxyCount},
	{"trusted_proxy_headers", settingTrustedProxyHeaders},
	{"log_untrusted_proxy_headers", settingLogUntrusted},
	{"clear_untrusted_proxy_headers", settingClearUntrusted},
	{"socket_options", settingSocketOptions},
	{"_quiet", settingQuiet},
	{"_profile", settingProfile},
	{"_server", settingServer},
}

// TestOriginalSettings runs them, and compares their names with the table of docs/adjustments.md.
func TestOriginalSettings(t *testing.T) {
	var tested, documented []string
	for _, s := range originalSettings {
		t.Run(s.name, s.test)
		tested = append(tested, s.name)
	}
	text, err := os.ReadFile(filepath.Join("docs", "adjustments.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## The original's settings\n")
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .+ \\|$").FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
	}
	if !slices.Equal(tested, documented) {
		t.Errorf("the documented settings are %q, tested are %q", documented, tested)
	}
}

// serveMemory serves s until the end of the test, a bubble's, on connections that it opens in memory.
func serveMemory(t *testing.T, s *Server) (connect func() net.Conn) {
	t.Helper()
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	l := newMemListener()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Error("Serve:", err)
		}
	})
	return func() net.Conn {
		c, err := dialMemory(l)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// refused wants s not to be what can be served, for a reason that says what.
func refused(t *testing.T, s *Server, what string) {
	t.Helper()
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), what) {
		t.Errorf("the error is %v, and not about %s", err, what)
	}
}

// asked serves s and returns the content of its answer to a GET of target with the fields.
func asked(t *testing.T, s *Server, target string, fields ...string) string {
	t.Helper()
	c := serve(t, s).dial(t)
	send(t, c, "GET "+target+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(fields, "\r\n"), "\r\n"))
	_, body := answer(t, bufio.NewReader(c))
	return body
}

// endAfter wants r to end after d, and not a second later, and returns what came.
func endAfter(t *testing.T, d time.Duration, r io.Reader) string {
	t.Helper()
	began := time.Now()
	all, err := io.ReadAll(r)
	if took := time.Since(began); err != nil || took < d || took > d+time.Second {
		t.Errorf("it ended after %v with %v, want %v", took, err, d)
	}
	return string(all)
}

func settingHost(t *testing.T) {
	l, err := (&Server{Addr: "127.0.0.1:0"}).Listeners()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeAll(l) }()
	if a := l[0].Addr().(*net.TCPAddr); len(l) != 1 || !a.IP.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("listens on %v", a)
	}
	// The default is that of Serve and Run; what else is wrong keeps this one from listening.
	s := &Server{Ident: "\n"}
	if err := s.Run(); err == nil || !slices.Equal(s.Listen, []string{"0.0.0.0:8080"}) { // IPv4 only, unlike an Addr: see settingFamily
		t.Errorf("without one: %q, %v", s.Listen, err)
	}
}

func settingPort(t *testing.T) {
	l := listenOn(t, "tcp", "127.0.0.1:0")
	if _, err := (&Server{Addr: l.Addr().String()}).Listeners(); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Error("a port that is taken:", err)
	}
	other, err := (&Server{Addr: "127.0.0.1:0"}).Listeners()
	if err != nil {
		t.Fatal(err)
	}
	if other[0].Addr().(*net.TCPAddr).Port == 0 {
		t.Error("0 is a port")
	}
	_ = closeAll(other)
	for _, port := range []string{"70000", "-1"} { // the original fails later, if at all
		if _, err := (&Server{Addr: "127.0.0.1:" + port}).Listeners(); err == nil {
			t.Errorf("%s is a port", port)
		}
	}
}

func settingListen(t *testing.T) {
	t.Run("forms", TestListen)
	t.Run("a name is all of its addresses", TestListenName)
	t.Run("both families have one port", TestListenSamePort)
	refused(t, &Server{Listen: []string{""}}, "Listen")                             // the original fails by an AttributeError
	refused(t, &Server{Listen: []string{"127.0.0.1"}}, "missing port")              // there the port is that of another setting
	refused(t, &Server{Listen: []string{"127.0.0.1:0"}, Addr: ":0"}, "only one of") // there it may not be set with host or port
}

// settingFamily: an address of one family leaves the same port of the other to others, who may have it already by chance.
func settingFamily(t *testing.T, listen, has, lacks string) {
	if noIPv6() {
		t.Skip("this machine has no IPv6")
	}
	var err error
	for range 5 {
		_, addrs := listenServe(t, &Server{Listen: []string{listen}, Handler: http.HandlerFunc(hello)})
		if len(addrs) != 1 {
			t.Fatalf("listens on %v", addrs)
		}
		port := fmt.Sprint(":", addrs[0].(*net.TCPAddr).Port)
		c := dialTo(t, "tcp", has+port)
		send(t, c, get)
		answer(t, bufio.NewReader(c))
		var other net.Listener
		if other, err = net.Listen("tcp", lacks+port); err == nil {
			_ = other.Close()
			return
		}
	}
	t.Error("the other family's port is never free:", err)
}

func settingUnixSocket(t *testing.T) {
	if noUnix() {
		t.Skip("no Unix sockets")
	}
	path := filepath.Join(socketDir(t), "socket")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	any(stale).(interface{ SetUnlinkOnClose(on bool) }).SetUnlinkOnClose(false) // systems without Unix sockets lack the method
	_ = stale.Close()
	s := &Server{Listen: []string{"unix:" + path, "127.0.0.1:0"}, Handler: http.HandlerFunc(hello)} // the original has no other beside it
	_, addrs := listenServe(t, s)
	for _, a := range addrs {
		ask(t, a)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the path was left:", err)
	}
}

func settingUnixSocketPerms(t *testing.T) {
	if noUnix() {
		t.Skip("no Unix sockets")
	}
	path := filepath.Join(socketDir(t), "socket")
	for _, perms := range []os.FileMode{0o660, 0} {
		l, err := (&Server{Listen: []string{"unix:" + path}, UnixSocketPerms: perms}).Listeners()
		if errors.Is(err, errors.ErrUnsupported) {
			break // the system has none
		}
		if err != nil {
			t.Fatal(err)
		}
		want := perms
		if perms == 0 {
			want = 0o600
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("asked for %o: %v, %v", perms, info.Mode(), err)
		}
		_ = closeAll(l)
	}
	refused(t, &Server{UnixSocketPerms: 0o1777}, "UnixSocketPerms")
}

func settingSockets(t *testing.T) {
	listeners := []net.Listener{listenOn(t, "tcp", "127.0.0.1:0"), newMemListener()}
	if !noUnix() {
		listeners = append(listeners, listenOn(t, "unix", "")) // the original does not mix them
	}
	serveAll(t, &Server{Handler: http.HandlerFunc(hello)}, listeners...)
	for _, l := range listeners {
		var c net.Conn
		if m, ok := l.(*memListener); ok {
			var err error
			if c, err = dialMemory(m); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
		} else {
			c = dialTo(t, l.Addr().Network(), l.Addr().String())
		}
		send(t, c, get)
		if _, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" {
			t.Errorf("%v: got %q", l.Addr(), body)
		}
	}
	if err := new(Server).ServeAll(); err == nil { // the original drops what is no socket, and serves on none
		t.Error("there is nothing to serve on")
	}
}

// settingServerName: a handler has the host that the client names, for each request.
func settingServerName(t *testing.T) {
	c := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })}).dial(t)
	r := bufio.NewReader(c)
	for _, host := range []string{"one.example", "two.example:99"} {
		send(t, c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if _, body := answer(t, r); body != host {
			t.Errorf("got %q, want %q", body, host)
		}
	}
}

func settingThreads(t *testing.T) {
	const clients = 20
	for _, threads := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			running, release := 0, make(chan struct{})
			var mu sync.Mutex // guards running
			connect := serveMemory(t, &Server{Threads: threads, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				running++
				mu.Unlock()
				<-release
				hello(w, r)
			})})
			conns := make([]net.Conn, clients)
			for i := range conns {
				conns[i] = connect()
				send(t, conns[i], get)
			}
			synctest.Wait()
			want := threads
			if threads == 0 {
				want = clients // the original has 4 by default, and with 0 nobody is answered
			}
			if running != want {
				t.Errorf("with %d threads %d handlers run", threads, running)
			}
			close(release)
			for _, c := range conns {
				answer(t, bufio.NewReader(c))
			}
		})
	}
	refused(t, &Server{Threads: -1}, "Threads")
}

func settingURLScheme(t *testing.T) {
	for scheme, want := range map[string]string{"": "http:80", "http": "http:80", "https": "https:443"} {
		if got := asked(t, &Server{URLScheme: scheme, Handler: http.HandlerFunc(tellClient)}, "/"); !strings.Contains(got, " "+want+" ") {
			t.Errorf("%q: got %q, want %q", scheme, got, want)
		}
	}
	refused(t, &Server{URLScheme: "ftp"}, "URLScheme")
}

func settingURLPrefix(t *testing.T) {
	for _, test := range []struct{ prefix, target, want string }{
		{"", "/pre/x", `path "/pre/x"`},
		{"/pre", "/pre/x", `path "/x"`},
		{"pre/", "/pre/x", `path "/x"`},
		{"/pre", "/pre", `path "/"`}, // the original has an empty path, which Go's routers don't know
		{"/pre", "/prefix", `path "/prefix"`},
		{"/pre", "/other", `path "/other"`},
	} {
		if got := asked(t, &Server{URLPrefix: test.prefix, Handler: http.HandlerFunc(originalHandler)}, test.target); !strings.Contains(got, test.want) {
			t.Errorf("%s with prefix %q: %q, want %q", test.target, test.prefix, got, test.want)
		}
	}
	refused(t, &Server{URLPrefix: "/a?b"}, "URLPrefix")
}

func settingIdent(t *testing.T) {
	ident := func(s *Server) { s.Ident = "waitress" }
	testOriginal(t, []originalRow{
		{"none", nil, after, "200 kept", "", "\r\nServer:"}, // the original says what it is by default
		{"set", ident, after, "200 kept", "\r\nServer: waitress\r\n", "\r\nVia:"},
		{"of an error", ident, "GET\r\n\r\n", "400 closed", "\r\nServer: waitress\r\n", ""},
	})
	refused(t, &Server{Ident: "a\r\nb"}, "Ident")
}

// settingBacklog: TestListenBacklogTCP asks a system that tells.
func settingBacklog(t *testing.T) {
	l, err := (&Server{Listen: []string{"127.0.0.1:0"}, Backlog: 3}).Listeners()
	if canSetBacklog {
		serveAll(t, &Server{Handler: http.HandlerFunc(hello)}, l...)
		ask(t, l[0].Addr())
	} else if !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	refused(t, &Server{Backlog: -1}, "Backlog")
	refused(t, &Server{Backlog: 65536}, "Backlog")
}

// settingRecvBytes: whatever comes in one piece, or in how many, it is the same requests in the same order.
func settingRecvBytes(t *testing.T) {
	const n = 500
	for name, s := range map[string]*Server{"pool": {}, "inline": {Policy: PolicyInline}} {
		t.Run(name, func(t *testing.T) {
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
			c := serve(t, s).dial(t)
			var raw strings.Builder
			for i := range n {
				_, _ = fmt.Fprintf(&raw, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
			}
			go func() { _, _ = io.WriteString(c, raw.String()) }() // the answers must be read meanwhile
			r := bufio.NewReader(c)
			for i := range n {
				if _, body := answer(t, r); body != fmt.Sprint("/", i) {
					t.Fatalf("answer %d is %q", i, body)
				}
			}
		})
	}
	t.Run("a byte at a time", originalSplitHead)
}

// settingSendBytes: what is flushed is sent at once, if it is one byte.
func settingSendBytes(t *testing.T) {
	seen := make(chan struct{})
	c := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		<-seen
	})}).dial(t)
	defer close(seen)
	send(t, c, get)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	var p [1]byte
	if _, err := resp.Body.Read(p[:]); err != nil || p[0] != 'a' {
		t.Errorf("got %q, %v", p, err)
	}
}

// outputOf returns how much a handler of s has written when it waits for its client, or else that it has written all of size.
func outputOf(t *testing.T, s *Server, size int) (most int) {
	t.Helper()
	written := 0
	const piece = 16 << 10
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for written < size {
			if _, err := w.Write(make([]byte, piece)); err != nil {
				return
			}
			written += piece
		}
	})
	synctest.Test(t, func(t *testing.T) {
		send(t, serveMemory(t, s)(), get)
		synctest.Wait()
		most = written // what comes later is the end
	})
	return most
}

func settingOutbufOverflow(t *testing.T) {
	if n := outputOf(t, &Server{}, 4<<20); n >= 4<<20 { // the original's is 1 MiB
		t.Error("without one the handler is done, although all is in memory")
	}
	if n := outputOf(t, &Server{OutbufOverflow: 64 << 10, TempDir: t.TempDir()}, 4<<20); n != 4<<20 {
		t.Errorf("with one the handler waits after %d bytes", n)
	}
	refused(t, &Server{OutbufOverflow: -1}, "OutbufOverflow")
	refused(t, &Server{OutbufOverflow: 2, OutbufHighWatermark: 2}, "OutbufOverflow")
}

func settingOutbufHighWatermark(t *testing.T) {
	for _, test := range []struct{ set, want int }{{0, 1 << 20}, {256 << 10, 256 << 10}} { // the original's is 16 MiB
		n := outputOf(t, &Server{OutbufHighWatermark: test.set}, 16<<20)
		// Beside it there is what the connection is writing, and what is not passed on yet.
		if n < test.want-64<<10 || n > test.want+128<<10 {
			t.Errorf("OutbufHighWatermark is %d: the handler waits after %d bytes", test.set, n)
		}
	}
	refused(t, &Server{OutbufHighWatermark: -1}, "OutbufHighWatermark")
}

// settingInbufOverflow: with a folder for files that is gone, what needs one is refused.
func settingInbufOverflow(t *testing.T) {
	for _, test := range []struct{ set, memory int }{{0, 524288}, {1000, 1000}} {
		dir := filepath.Join(t.TempDir(), "gone")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		ts := serve(t, &Server{BufferRequests: true, InbufOverflow: test.set, TempDir: dir, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})})
		// As many are in memory still; the original has a file for them.
		for _, step := range []struct {
			size int
			gone bool
			want int
		}{
			{test.memory, false, http.StatusOK},
			{test.memory, true, http.StatusOK},
			{test.memory + 1, true, http.StatusInsufficientStorage},
			{test.memory + 1, false, http.StatusOK},
		} {
			change := func() error { return os.MkdirAll(dir, 0o700) }
			if step.gone {
				change = func() error { return os.RemoveAll(dir) }
			}
			if err := change(); err != nil {
				t.Fatal(err)
			}
			c := ts.dial(t)
			raw := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", step.size, strings.Repeat("x", step.size))
			go func() { _, _ = io.WriteString(c, raw) }() // what is refused is not read to its end
			resp, body := answer(t, bufio.NewReader(c))
			if resp.StatusCode != step.want || step.want == http.StatusOK && len(body) != step.size {
				t.Errorf("%d bytes, %d in memory, no folder %v: %s with %d bytes", step.size, test.memory, step.gone, resp.Status, len(body))
			}
		}
	}
	refused(t, &Server{InbufOverflow: 1}, "BufferRequests")
	refused(t, &Server{InbufOverflow: -1, BufferRequests: true}, "InbufOverflow")
}

func settingConnectionLimit(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		const clients = 110 // the original has 98
		ts := serve(t, &Server{Handler: http.HandlerFunc(hello)})
		conns := make([]net.Conn, clients)
		for i := range conns {
			conns[i] = ts.dial(t)
		}
		for range 2 {
			for i, c := range conns {
				if ok, stays := getOnce(t, c); !ok || !stays {
					t.Fatalf("client %d is not served", i)
				}
			}
		}
	})
	t.Run("listeners are not counted", func(t *testing.T) {
		ts := serveAll(t, &Server{Handler: http.HandlerFunc(hello), ConnectionLimit: 2}, listenOn(t, "tcp", "127.0.0.1:0"), listenOn(t, "tcp", "127.0.0.1:0"))
		a, b := ts.dial(t), ts.dial(t)
		for range 3 {
			for _, c := range []net.Conn{a, b} {
				if ok, stays := getOnce(t, c); !ok || !stays {
					t.Error("a client within the limit is not served")
				}
			}
		}
	})
	t.Run("idle clients make room", TestLimits)
	refused(t, &Server{ConnectionLimit: -1}, "ConnectionLimit")
}

// settingCleanupInterval: nobody waits for a sweep.
func settingCleanupInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveMemory(t, &Server{Handler: http.HandlerFunc(hello), IdleTimeout: 10 * time.Second})()
		send(t, c, get)
		r := bufio.NewReader(c)
		answer(t, r)
		endAfter(t, 10*time.Second, r)
	})
}

// settingChannelTimeout: what it covers, each by its own default, and what it does not: a client that sends or takes a byte now and
// then. In the original that keeps a connection for ever, and a handler that waits for its client is not covered at all.
func settingChannelTimeout(t *testing.T) {
	for _, test := range []struct {
		name string
		raw  string
		drip string // sent a byte a second
		slow bool   // what comes is read a byte a second
		want time.Duration
		says string
	}{
		{"an idle connection", get, "", false, 75 * time.Second, "Hello, World!"},
		{"a head", "GET / HT", "", false, 10 * time.Second, " 408 "},
		{"a head by drops", "GET / HTTP/1.1\r\nA: ", "a", false, 10 * time.Second, " 408 "},
		{"a body", "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", "", false, 30 * time.Second, ""},
		{"a body by drops", "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", "a", false, 30 * time.Second, ""},
		{"an answer", "GET /long HTTP/1.1\r\nHost: a\r\n\r\n", "", true, 30 * time.Second, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan struct{}, 1)
				c := serveMemory(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					began := time.Now()
					var err error
					switch r.URL.Path {
					case "/read":
						_, err = io.Copy(io.Discard, r.Body)
					case "/long":
						for err == nil {
							_, err = w.Write(make([]byte, 64<<10))
						}
					default:
						hello(w, r)
						return
					}
					if took := time.Since(began); err == nil || took < test.want || took > test.want+2*time.Second {
						t.Errorf("the handler was let go after %v with %v", took, err)
					}
					ended <- struct{}{}
				})})()
				send(t, c, test.raw)
				over := make(chan struct{})
				defer close(over)
				if test.drip != "" || test.slow {
					go func() {
						var err error
						for err == nil {
							select {
							case <-over:
								return
							case <-time.After(time.Second):
							}
							if test.slow {
								_, err = c.Read(make([]byte, 1))
							} else {
								_, err = io.WriteString(c, test.drip)
							}
						}
					}()
				}
				if test.says == "" {
					<-ended
					return
				}
				if got := endAfter(t, test.want, c); !strings.Contains(got, test.says) {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// settingLookahead: what it has to be set for in the original is always so, and a client that shuts its side is answered all the
// same, as there only without it.
func settingLookahead(t *testing.T) {
	t.Run("a client that goes is noticed", TestDisconnect)
	c := serve(t, &Server{Handler: http.HandlerFunc(hello)}).dial(t)
	send(t, c, get+get+get)
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(c); err != nil || strings.Count(string(all), "Hello, World!") != 3 {
		t.Errorf("a client that shuts its side got %q, %v", all, err)
	}
}

// settingLogSocketErrors: a client that leaves is no news, whatever it leaves; and a handler's error is not taken for one.
func settingLogSocketErrors(t *testing.T) {
	core, logged := observer.New(zapcore.WarnLevel)
	failed := make(chan error, 1)
	s := &Server{Logger: zap.New(core), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					failed <- err
					return
				}
			}
		case "/error":
			panic(syscall.ETIMEDOUT)
		}
	})}
	ts := serve(t, s)
	for _, raw := range []string{"GET / HT", "GET /long HTTP/1.1\r\nHost: a\r\n\r\n", "bad\r\n\r\n"} {
		c := ts.dial(t).(*net.TCPConn)
		send(t, c, raw)
		if strings.Contains(raw, "long") {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-failed: // the handler is told
	case <-time.After(patience):
		t.Fatal("the handler still writes")
	}
	c := ts.dial(t)
	send(t, c, "GET /error HTTP/1.1\r\nHost: a\r\n\r\n")
	if all, err := io.ReadAll(c); len(all) > 0 || err != nil {
		t.Errorf("got %q, %v", all, err)
	}
	_ = c.Close() // or Shutdown lingers
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := logged.All(); len(all) != 1 || !strings.Contains(all[0].Message, syscall.ETIMEDOUT.Error()) {
		t.Errorf("logged %v", all)
	}
}

func settingMaxRequestHeaderSize(t *testing.T) {
	small := func(s *Server) { s.MaxHeaderBytes = 4096 }
	testOriginal(t, []originalRow{
		{"all of it", small, headOf(4096), "200 kept", "", ""}, // the original refuses that
		{"one more", small, headOf(4097), "431 closed", "", ""},
		{"all of the default", nil, headOf(64 << 10), "200 kept", "", ""}, // there it is four times that
		{"one more than the default", nil, headOf(64<<10 + 1), "431 closed", "", ""},
	})
	refused(t, &Server{MaxHeaderBytes: -1}, "MaxHeaderBytes")
	refused(t, &Server{MaxHeaderBytes: 1 << 30}, "MaxHeaderBytes")
}

func settingMaxRequestBodySize(t *testing.T) {
	small := func(s *Server) { s.MaxBodyBytes = 5 }
	testOriginal(t, []originalRow{
		{"all of it", small, originalPost + "Content-Length: 5\r\n\r\nhello", "200 kept", "", ""}, // the original refuses that
		{"one more", small, originalPost + "Content-Length: 6\r\n\r\nhello!", "413 closed", "", ""},
		{
			"the framing does not count", small,
			originalChunked + "1;" + strings.Repeat("a", 1000) + "\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "200 kept", `"hello"`, "",
		},
		{"none", nil, "POST /204 HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000000000000000\r\n\r\n", "204 closed", "", ""}, // there it is 1 GiB
	})
	refused(t, &Server{MaxBodyBytes: -1}, "MaxBodyBytes")
}

// settingExposeTracebacks: what a handler panics with is for the log, and never for the client.
func settingExposeTracebacks(t *testing.T) { originalPanicIsLogged(t) }

// settingLoopTimeout: nothing waits for the next turn of a loop.
func settingLoopTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveMemory(t, &Server{Handler: http.HandlerFunc(hello), IdleTimeout: time.Hour, ReadHeaderTimeout: 30 * time.Millisecond})()
		r := bufio.NewReader(c)
		for range 3 {
			began := time.Now()
			send(t, c, get)
			answer(t, r)
			if took := time.Since(began); took != 0 {
				t.Errorf("the answer took %v", took)
			}
			time.Sleep(time.Minute) // in the bubble
		}
		began := time.Now()
		send(t, c, "G")
		if resp, _ := answer(t, r); resp.StatusCode != http.StatusRequestTimeout || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%s after %v", resp.Status, time.Since(began))
		}
	})
}

// settingUsePoll: descriptors beyond select's 1,024.
func settingUsePoll(t *testing.T) {
	for range 1100 {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			t.Skip("a process may not have so many descriptors here")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
	}
	if got := asked(t, &Server{Handler: http.HandlerFunc(hello)}, "/"); got != "Hello, World!" {
		t.Errorf("got %q", got)
	}
}

// proxied is what tellClient answers with to a request through proxies, but for the port of a client that is not told.
func proxied(t *testing.T, s *Server, fields ...string) string {
	t.Helper()
	s.Handler = http.HandlerFunc(tellClient)
	return asked(t, s, "/", fields...)
}

func settingTrustedProxy(t *testing.T) {
	const told = "X-Forwarded-For: 192.0.2.1"
	for _, test := range []struct {
		name    string
		proxies []string
		trusted bool
	}{
		{"nobody", nil, false},
		{"another", []string{"10.0.0.0/8"}, false},
		{"an address", []string{"127.0.0.1/32"}, true},
		{"one of several networks", []string{"10.0.0.0/8", "127.0.0.0/8"}, true}, // in the original it is one address
		{"everybody", []string{"0.0.0.0/0", "::/0"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := new(Server)
			for _, p := range test.proxies {
				s.TrustedProxies = append(s.TrustedProxies, netip.MustParsePrefix(p))
				s.TrustedProxyHeaders = []string{"X-Forwarded-For"}
			}
			if got := proxied(t, s, told); strings.HasPrefix(got, "192.0.2.1:0 ") != test.trusted {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("Unix", TestProxiesUnix)
	refused(t, &Server{TrustedProxies: make([]netip.Prefix, 1), ProxyProtocol: true}, "TrustedProxies")
}

func settingTrustedProxyCount(t *testing.T) {
	for count, want := range map[int]string{0: "192.0.2.3", 1: "192.0.2.3", 2: "192.0.2.2", 5: "192.0.2.1"} {
		s := &Server{TrustedProxyCount: count}
		trustXFF(s)
		if got := proxied(t, s, "X-Forwarded-For: 192.0.2.1, 192.0.2.2", "X-Forwarded-For: 192.0.2.3"); !strings.HasPrefix(got, want+":0 ") {
			t.Errorf("%d: got %q, want %s", count, got, want)
		}
	}
	refused(t, &Server{TrustedProxyCount: -1}, "TrustedProxyCount")
	refused(t, &Server{TrustedProxyCount: 1}, "TrustedProxyCount")
}

func settingTrustedProxyHeaders(t *testing.T) {
	all := []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: b.example", "X-Forwarded-Port: 444"}
	for _, test := range []struct {
		names []string
		want  string
	}{
		{[]string{"x-forwarded-for"}, "192.0.2.1:0 x http:80 192.0.2.1"},
		{[]string{"X-Forwarded-For", "X-FORWARDED-PROTO"}, "192.0.2.1:0 x https:443 192.0.2.1"},
		{[]string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-By"}, "192.0.2.1:0 b.example:444 http:444 192.0.2.1"},
	} {
		if got := proxied(t, &Server{TrustedProxies: loopback, TrustedProxyHeaders: test.names}, all...); got != test.want {
			t.Errorf("%q: got %q, want %q", test.names, got, test.want)
		}
	}
	if got := proxied(t, &Server{TrustedProxies: loopback, TrustedProxyHeaders: []string{"forwarded"}}, "Forwarded: for=192.0.2.1;proto=https"); got != "192.0.2.1:0 x https:443 " {
		t.Errorf("Forwarded: got %q", got)
	}
	refused(t, &Server{TrustedProxies: loopback}, "TrustedProxyHeaders") // the original believes X-Forwarded-Proto then, and warns
	refused(t, &Server{TrustedProxyHeaders: []string{"Forwarded"}}, "TrustedProxies")
	refused(t, &Server{TrustedProxies: loopback, TrustedProxyHeaders: []string{"X-Real-Ip"}}, "X-Real-Ip")
	refused(t, &Server{TrustedProxies: loopback, TrustedProxyHeaders: []string{"x_forwarded_for"}}, "x_forwarded_for")
	refused(t, &Server{TrustedProxies: loopback, TrustedProxyHeaders: []string{"Forwarded", "X-Forwarded-For"}}, "exclude")
}

func settingLogUntrusted(t *testing.T) {
	for _, asked := range []bool{false, true} {
		core, logged := observer.New(zapcore.WarnLevel)
		proxied(t, &Server{Logger: zap.New(core), ClearUntrustedProxyHeaders: true, LogUntrustedProxyHeaders: asked}, "X-Forwarded-For: 192.0.2.1")
		if got := logged.Len() == 1; got != asked {
			t.Errorf("asked for %v: logged %v", asked, logged.All())
		}
	}
}

func settingClearUntrusted(t *testing.T) {
	elsewhere := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, test := range []struct {
		name string
		s    *Server
		left bool
	}{
		{"nobody is trusted", &Server{}, true}, // the original removes them
		{"set", &Server{ClearUntrustedProxyHeaders: true}, false},
		{"somebody else is trusted", &Server{TrustedProxies: elsewhere, TrustedProxyHeaders: []string{"X-Forwarded-For"}}, false},
		{"trusted for another field", &Server{TrustedProxies: loopback, TrustedProxyHeaders: []string{"X-Forwarded-Proto"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := proxied(t, test.s, "X-Forwarded-For: 192.0.2.1"); strings.HasSuffix(got, " 192.0.2.1") != test.left {
				t.Errorf("got %q", got)
			}
		})
	}
}

// settingSocketOptions: others than ours are those of a listener of one's own. TestOriginalSocketOptions asks a system for ours.
func settingSocketOptions(t *testing.T) {
	called := false
	config := net.ListenConfig{Control: func(_, _ string, _ syscall.RawConn) error { called = true; return nil }}
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, &Server{Handler: http.HandlerFunc(hello)}, l)
	ask(t, l.Addr())
	if !called {
		t.Error("no options were set")
	}
}

// settingQuiet: a Server that serves has nothing to say.
func settingQuiet(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = out, out
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	s := &Server{Listen: []string{"127.0.0.1:0"}, Handler: http.HandlerFunc(hello)}
	l, err := s.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.ServeAll(l...) }()
	ask(t, l[0].Addr())
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-served
	if text, err := os.ReadFile(out.Name()); len(text) > 0 || err != nil {
		t.Errorf("it said %q, %v", text, err)
	}
}

// settingProfile: a profile is what a handler answers with.
func settingProfile(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(pprof.Index)}
	if got := asked(t, s, "/debug/pprof/goroutine?debug=1"); !strings.Contains(got, "goroutine profile: total ") {
		t.Errorf("got %.100q", got)
	}
}

// settingServer: servers are values, as many as one likes.
func settingServer(t *testing.T) {
	for _, ident := range []string{"one", "two"} {
		c := serve(t, &Server{Ident: ident, Handler: http.HandlerFunc(hello)}).dial(t)
		send(t, c, get)
		if resp, _ := answer(t, bufio.NewReader(c)); resp.Header.Get("Server") != ident {
			t.Errorf("%s answered as %s", ident, resp.Header.Get("Server"))
		}
	}
}

// TestOriginalServing: the line that tells where the server is can be used; the original's has no brackets around an IPv6 address.
func TestOriginalServing(t *testing.T) {
	for _, test := range []struct {
		name, network, addr string
		want                func(a net.Addr) string
		skip                bool
	}{
		{"IPv4", "tcp", "127.0.0.1:0", func(a net.Addr) string { return fmt.Sprintf("http://127.0.0.1:%d", a.(*net.TCPAddr).Port) }, false},
		{"IPv6", "tcp", "[::1]:0", func(a net.Addr) string { return fmt.Sprintf("http://[::1]:%d", a.(*net.TCPAddr).Port) }, noIPv6()},
		{"Unix", "unix", "", func(a net.Addr) string { return "http://unix:" + a.String() }, noUnix()},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.skip {
				t.Skip("this machine has no such sockets")
			}
			l := listenOn(t, test.network, test.addr)
			if got, want := listenerURL(l), test.want(l.Addr()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
