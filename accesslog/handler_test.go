// SPDX-License-Identifier: MIT

package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged has app serve one request, and returns the log.
func logged(t *testing.T, c Config, r *http.Request, app http.HandlerFunc) string {
	t.Helper()
	var out bytes.Buffer
	c.Log = NewLog(&out, func(err error) { t.Error(err) })
	func() {
		defer func() { _ = recover() }()
		Handler(app, c).ServeHTTP(httptest.NewRecorder(), r)
	}()
	c.Log.Close()
	return out.String()
}

func request(fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/a?b", nil)
	r.RequestURI, r.RemoteAddr, r.Host = "/a?b", "192.0.2.1:4711", "example.com"
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

func TestCombined(t *testing.T) {
	ten := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") }
	at := func(remote string) *http.Request { r := request(); r.RemoteAddr = remote; return r }
	uri := func(uri string) *http.Request { r := request(); r.RequestURI = uri; return r }
	for _, test := range []struct {
		name string
		r    *http.Request
		app  http.HandlerFunc
		want string // TIME stands for the time in brackets, D for the duration
	}{
		{"plain", request(), ten, `192.0.2.1 - - TIME "GET /a?b HTTP/1.1" 200 10 "-" "-" D`},
		{"fields", request("Referer", "http://x/", "User-Agent", "agent 1"), ten, `192.0.2.1 - - TIME "GET /a?b HTTP/1.1" 200 10 "http://x/" "agent 1" D`},
		{"status", request(), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
			w.WriteHeader(http.StatusOK)
		}, `192.0.2.1 - - TIME "GET /a?b HTTP/1.1" 404 0 "-" "-" D`},
		{"nothing", request(), func(http.ResponseWriter, *http.Request) {}, `192.0.2.1 - - TIME "GET /a?b HTTP/1.1" 200 0 "-" "-" D`},
		{"panic", request(), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, `192.0.2.1 - - TIME "GET /a?b HTTP/1.1" - 0 "-" "-" D`},
		{"panic in the middle", request(), func(w http.ResponseWriter, r *http.Request) { ten(w, r); panic("x") }, `192.0.2.1 - - TIME "GET /a?b HTTP/1.1" 200 10 "-" "-" D`},
		{"IPv6", at("[2001:db8::1]:80"), ten, `2001:db8::1 - - TIME "GET /a?b HTTP/1.1" 200 10 "-" "-" D`},
		{"Unix socket", at("@"), ten, `@ - - TIME "GET /a?b HTTP/1.1" 200 10 "-" "-" D`},
		{"no address", at(""), ten, `- - - TIME "GET /a?b HTTP/1.1" 200 10 "-" "-" D`},
		{"an address with blanks", at("/tmp/a b\n"), ten, `/tmp/a\x20b\x0a - - TIME "GET /a?b HTTP/1.1" 200 10 "-" "-" D`},
		{"a forged line", request("User-Agent", "x\"\n1.2.3.4 - - \\"), ten, `192.0.2.1 - - TIME "GET /a?b HTTP/1.1" 200 10 "-" "x\"\x0a1.2.3.4 - - \\" D`},
		{"not ASCII", uri("/\xc3\xa4\x1b[31m"), ten, `192.0.2.1 - - TIME "GET /\xc3\xa4\x1b[31m HTTP/1.1" 200 10 "-" "-" D`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := logged(t, Config{}, test.r, test.app)
			got = regexp.MustCompile(`\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]`).ReplaceAllLiteralString(got, "TIME")
			got = regexp.MustCompile(`\d+\.\d{6}\n$`).ReplaceAllLiteralString(got, "D\n")
			if got != test.want+"\n" {
				t.Errorf("got  %swant %s", got, test.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	r := request("Referer", "a\"b\\c\n", "User-Agent", "\xff\u00e4\x7f")
	text := logged(t, Config{JSON: true}, r, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("tea"))
	})
	var got struct {
		Time                                             time.Time
		Client, Method, Host, URI, Proto, Referer, Agent string
		Status, Bytes                                    int
		Seconds                                          float64
		Panicked, Hijacked                               bool
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got.Client != r.RemoteAddr || got.Method != "GET" || got.Host != r.Host || got.URI != r.RequestURI || got.Proto != "HTTP/1.1" ||
		got.Referer != "a\"b\\c\n" || got.Agent != "\ufffd\u00e4\x7f" || got.Status != 418 || got.Bytes != 3 ||
		got.Seconds < 0 || got.Panicked || got.Hijacked || time.Since(got.Time) < 0 || strings.Count(text, "\n") != 1 {
		t.Errorf("%+v", got)
	}
	text = logged(t, Config{JSON: true}, request(), func(http.ResponseWriter, *http.Request) { panic("x") })
	if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Panicked || got.Status != 0 {
		t.Errorf("%v: %s", err, text)
	}
}

// combinedLine is what a reader of the combined format expects.
var combinedLine = regexp.MustCompile(`^[!-~]+ - - \[[^]]+\] "(?:[^"\\]|\\.)*" \d+ \d+ "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" \d+\.\d{6}\n$`)

// FuzzLine: whatever a client sends is one line, and the JSON one says it again.
func FuzzLine(f *testing.F) {
	f.Add("/", "agent")
	f.Add("/\"\\\n", "\xff\u2028\x00")
	f.Fuzz(func(t *testing.T, uri, agent string) {
		var c clock
		x := &Entry{
			Client: "1.2.3.4:5", Method: "GET", URI: uri, Proto: "HTTP/1.1", Agent: agent, Result: Result{Start: time.Unix(1, 0), Status: 200},
		}
		line := appendCombined(nil, &c, x)
		if !combinedLine.Match(line) {
			t.Errorf("%q", line)
		}
		var got struct{ URI, Agent string }
		line = appendJSON(nil, &c, x)
		if err := json.Unmarshal(line, &got); err != nil || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%v: %q", err, line)
		}
		if want := strings.ToValidUTF8(uri, ""); strings.ReplaceAll(strings.ToValidUTF8(got.URI, ""), "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Errorf("%q is %q", uri, got.URI)
		}
	})
}

// TestUnknown: of a request that is not known as a whole the line says what is.
func TestUnknown(t *testing.T) {
	for _, test := range []struct{ method, uri, proto, want string }{
		{"", "", "", `"-"`},
		{"GET", "", "", `"GET"`},
		{"GET", "/a", "", `"GET /a"`},
		{"GET", "", "/a HTTP/1.1", `"GET  /a HTTP/1.1"`},
		{"\x16\x03", "\"", "", `"\x16\x03 \""`},
	} {
		var out bytes.Buffer
		log := NewLog(&out, nil)
		NewLogger(Config{Log: log}).Log(&Entry{Client: "192.0.2.1:80", Method: test.method, URI: test.uri, Proto: test.proto, Result: Result{Status: 400, Bytes: 7}})
		log.Close()
		if !strings.Contains(out.String(), "] "+test.want+` 400 7 "-" "-" 0.000000`+"\n") {
			t.Errorf("%q: got %s", test, out.String())
		}
	}
}

func TestSample(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out, nil)
	h := Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), Config{Log: log, Sample: 10})
	for range 100 {
		h.ServeHTTP(httptest.NewRecorder(), request())
	}
	log.Close()
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 10 {
		t.Errorf("%d lines of 100 requests", n)
	}
}

// TestSlow: only what takes long is told, with or without a log.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		h := Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(2 * time.Second)
			}
		}), Config{Slow: time.Second, SlowFunc: func(x Entry) { told = append(told, x.Duration) }})
		for _, path := range []string{"/", "/slow", "/"} {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		}
		if len(told) != 1 || told[0] != 2*time.Second {
			t.Error("told", told)
		}
	})
}

// notifier is an http.ResponseWriter that tells when its client goes.
type notifier struct {
	nothing
	gone chan bool
}

func (w *notifier) CloseNotify() <-chan bool { return w.gone }

// TestCloseNotify: a handler that takes it for granted gets what the writer within has.
func TestCloseNotify(t *testing.T) {
	gone := make(chan bool)
	for _, test := range []struct {
		name   string
		within http.ResponseWriter
		want   <-chan bool
	}{
		{"with", &notifier{gone: gone}, gone},
		{"without", &nothing{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if got := w.(interface{ CloseNotify() <-chan bool }).CloseNotify(); got != test.want {
					t.Errorf("got %v, want %v", got, test.want)
				}
			}), Config{}).ServeHTTP(test.within, request())
		})
	}
}

// lockedBuffer is an output that can be looked at.
type lockedBuffer struct {
	mu     sync.Mutex
	b      bytes.Buffer
	writes int
	err    error
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	if b.err != nil {
		return 0, b.err
	}
	return b.b.Write(p)
}

func (b *lockedBuffer) state() (lines, writes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.b.Bytes(), []byte("\n")), b.writes
}

// TestLogFlush: lines wait for a second, and not longer; many lines not so long; and after Close none waits.
func TestLogFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(lockedBuffer)
		l := NewLog(out, nil)
		want := func(what string, lines, writes int) {
			t.Helper()
			synctest.Wait()
			if gotLines, gotWrites := out.state(); gotLines != lines || gotWrites != writes {
				t.Errorf("%s: %d lines in %d writes, want %d in %d", what, gotLines, gotWrites, lines, writes)
			}
		}
		for range 3 {
			l.add([]byte("x\n"))
		}
		time.Sleep(flushTime - time.Nanosecond)
		want("before a second", 0, 0)
		time.Sleep(time.Nanosecond)
		want("after a second", 3, 1)
		time.Sleep(time.Hour)
		want("without lines", 3, 1)
		l.add([]byte("x\n"))
		time.Sleep(flushTime)
		want("once more", 4, 2)
		l.add(append(bytes.Repeat([]byte("y"), flushSize), '\n'))
		want("a long one", 5, 3)
		l.add([]byte("x\n"))
		l.Close()
		want("Close", 6, 4)
		l.add([]byte("x\n"))
		want("after Close", 7, 5)
	})
}

// A stuckWriter is an output whose Writes wait until it is released.
type stuckWriter struct {
	lockedBuffer
	writing chan struct{} // gets a token from each Write
	release chan struct{}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	w.writing <- struct{}{}
	<-w.release
	return w.lockedBuffer.Write(p)
}

func (l *Log) pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buf)
}

// TestLogBounds: an output that is stuck is waited for when maxPending waits for it, and not before; no line is lost.
func TestLogBounds(t *testing.T) {
	const size, lines = 1 << 10, maxPending >> 10
	out := &stuckWriter{writing: make(chan struct{}, 10), release: make(chan struct{})}
	l := NewLog(out, nil)
	var others sync.WaitGroup
	others.Go(func() { l.add(append(bytes.Repeat([]byte("x"), flushSize), '\n')) })
	<-out.writing
	line := append(bytes.Repeat([]byte("y"), size-1), '\n')
	for range lines - 1 {
		l.add(line)
	}
	var returned atomic.Bool
	others.Go(func() {
		for l.pending() < maxPending {
			runtime.Gosched()
		}
		for range 1000 { // time enough for what does not wait
			runtime.Gosched()
		}
		if returned.Load() {
			t.Error("the last line did not wait")
		}
		close(out.release)
	})
	l.add(line)
	returned.Store(true)
	if n, _ := out.state(); n != 1+lines {
		t.Errorf("%d lines were written, want %d", n, 1+lines)
	}
	others.Wait()
	l.Close()
}

// TestLogFails: that lines are lost is told, and later ones are not.
func TestLogFails(t *testing.T) {
	var told []error
	out := &lockedBuffer{err: errors.New("full")}
	l := NewLog(out, func(err error) { told = append(told, err) })
	l.add([]byte("x\n"))
	l.Flush()
	out.err = nil
	l.add([]byte("y\n"))
	l.Close()
	if len(told) != 1 || out.b.String() != "y\n" {
		t.Errorf("told %v, wrote %q", told, &out.b)
	}
}

// TestLogConcurrent: no line is lost, doubled or torn.
func TestLogConcurrent(t *testing.T) {
	const goroutines, lines = 8, 5000
	out := new(lockedBuffer)
	l := NewLog(out, nil)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range lines {
				l.add(fmt.Appendf(nil, "%d-%d-%s\n", g, i, strings.Repeat("x", 50)))
			}
		})
	}
	all.Wait()
	l.Close()
	next := make(map[int]int)
	for line := range strings.Lines(out.b.String()) {
		var g, i int
		var rest string
		if n, err := fmt.Sscanf(line, "%d-%d-%s", &g, &i, &rest); n != 3 || err != nil || len(rest) != 50 || next[g] != i {
			t.Fatalf("%q, want line %d", line, next[g])
		}
		next[g]++
	}
	for g := range goroutines {
		if next[g] != lines {
			t.Errorf("goroutine %d: %d lines", g, next[g])
		}
	}
}

// nothing is an http.ResponseWriter that costs nothing.
type nothing struct{ header http.Header }

func (w *nothing) Header() http.Header         { return w.header }
func (w *nothing) Write(p []byte) (int, error) { return len(p), nil }
func (w *nothing) WriteHeader(int)             {}

// BenchmarkHandler: what a line costs is the difference to "none".
func BenchmarkHandler(b *testing.B) {
	body := []byte("Hello, World!")
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	for _, bench := range []struct {
		name string
		h    http.Handler
	}{
		{"none", app},
		{"slow only", Handler(app, Config{Slow: time.Minute, SlowFunc: func(Entry) {}})},
		{"combined", Handler(app, Config{Log: NewLog(io.Discard, nil)})},
		{"json", Handler(app, Config{Log: NewLog(io.Discard, nil), JSON: true})},
		{"one in 100", Handler(app, Config{Log: NewLog(io.Discard, nil), Sample: 100})},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := request("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Referer", "https://example.com/")
			w := &nothing{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				bench.h.ServeHTTP(w, r)
			}
		})
	}
}
