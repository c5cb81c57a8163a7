// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// seen is a request as a reader of the JSON text gets it.
type seen struct {
	Method, Target, Proto, Host, Body string
	Headers                           [][2]string
	Complete                          bool
}

func serve(t *testing.T, app http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(app)
	t.Cleanup(s.Close)
	return s
}

func newEcho() *echo { return &echo{log: newRequestLog(maxLogRequests, maxLogBytes)} }

// dial opens a connection of its own to s, since the log goes by connections.
func dial(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// ask sends raw octets and returns the answer with its content.
func ask(t *testing.T, c net.Conn, method, raw string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}

func TestEcho(t *testing.T) {
	s := serve(t, newEcho())
	c := dial(t, s)
	answer, text := ask(t, c, "POST", "POST /a%2fb/../c?d=e&f HTTP/1.1\r\nHost: Example.com:81\r\nX-A: 1\r\nB: caf\xe9 \"\\\r\n"+
		"x-a: 2\r\nTransfer-Encoding: chunked\r\nTrailer: Late\r\n\r\n3\r\n\x00\xff\n\r\n2;x=y\r\nlo\r\n0\r\nLate: yes\r\n\r\n")
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %v", answer.Status, answer.Header)
	}
	got := decode[seen](t, text)
	want := seen{
		Method: "POST", Target: "/a%2fb/../c?d=e&f", Proto: "HTTP/1.1", Host: "Example.com:81", Body: "\x00\u00ff\nlo",
		Headers: [][2]string{{"B", "caf\u00e9 \"\\"}, {"X-A", "1"}, {"X-A", "2"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestHead(t *testing.T) {
	s := serve(t, newEcho())
	answer, body := ask(t, dial(t, s), "HEAD", "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n")
	text, err := base64.StdEncoding.DecodeString(answer.Header.Get("X-Echo"))
	if err != nil || body != "" {
		t.Fatalf("%v, body %q", err, body)
	}
	if got := decode[seen](t, string(text)); got.Method != "HEAD" || got.Target != "/x" {
		t.Errorf("%+v", got)
	}
}

// TestUnreadable has bodies that end wrongly: none may be answered as if it were complete, and nothing is served after.
func TestUnreadable(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{"bad chunk size", "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"},
		{"bad chunk end", "Transfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n"},
		{"above the limit", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxBody+1, strings.Repeat("a", maxBody+1))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, newEcho())
			c := dial(t, s)
			answer, _ := ask(t, c, "POST", "POST /first HTTP/1.1\r\nHost: h\r\n"+tt.body+"GET /second HTTP/1.1\r\nHost: h\r\n\r\n")
			if answer.StatusCode != 400 || !answer.Close {
				t.Errorf("%s, close %v", answer.Status, answer.Close)
			}
			got := readLog(t, s, c.LocalAddr().String())
			if len(got) != 1 || got[0].Target != "/first" || got[0].Complete {
				t.Errorf("log: %+v", got)
			}
		})
	}
}

func readLog(t *testing.T, s *httptest.Server, peer string) []seen {
	t.Helper()
	_, text := ask(t, dial(t, s), "GET", "GET /__log?peer="+peer+" HTTP/1.1\r\nHost: h\r\n\r\n")
	return decode[[]seen](t, text)
}

// len returns how many requests are in the log.
func (l *requestLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.requests)
}

func TestLog(t *testing.T) {
	app := newEcho()
	s := serve(t, app)
	c, other := dial(t, s), dial(t, s)
	ask(t, c, "GET", "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
	ask(t, other, "GET", "GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
	ask(t, c, "POST", "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok")
	// The third request's body stays away.
	if _, err := io.WriteString(c, "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\no"); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); app.log.len() < 4; runtime.Gosched() {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the third request is not in the log")
		}
	}

	got := readLog(t, s, c.LocalAddr().String())
	var list []string
	for _, q := range got {
		list = append(list, fmt.Sprint(q.Method, " ", q.Target, " ", q.Body, " ", q.Complete))
	}
	want := "GET /1  true, POST /2 ok true, POST /3  false"
	if s := strings.Join(list, ", "); s != want {
		t.Errorf("log: %s, want %s", s, want)
	}
	if again := readLog(t, s, c.LocalAddr().String()); len(again) != 0 {
		t.Errorf("the log was not forgotten: %+v", again)
	}
	if rest := readLog(t, s, other.LocalAddr().String()); len(rest) != 1 || rest[0].Target != "/other" {
		t.Errorf("the other connection's log: %+v", rest)
	}
}

// TestLogPipeline: whoever asks after a long pipeline is told of all of it, or would take the start for lost.
func TestLogPipeline(t *testing.T) {
	const requests = 10_000
	l := newEcho().log
	for range requests {
		q := &request{peer: "p", method: "GET", target: "/", proto: "HTTP/1.1", host: "a"}
		l.add(q)
		l.complete(q, "")
	}
	if n := strings.Count(string(l.take("p")), `"complete":true`); n != requests {
		t.Errorf("%d requests, want %d", n, requests)
	}
}

func TestLogLimits(t *testing.T) {
	l := newRequestLog(3, 5000)
	for i := range 5 {
		q := &request{peer: "p", target: fmt.Sprint("/", i)}
		l.add(q)
		l.complete(q, "")
	}
	if n := len(l.requests); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	late := &request{peer: "p", target: "/late"}
	l.add(late)
	l.complete(late, strings.Repeat("a", 4500))
	if n := len(l.requests); n != 1 || l.bytes > 5000 {
		t.Errorf("%d requests, %d bytes", n, l.bytes)
	}
	huge := &request{peer: "p"}
	l.add(huge)
	l.complete(huge, strings.Repeat("a", 6000))
	if len(l.requests) != 0 || l.bytes != 0 {
		t.Errorf("%d requests, %d bytes", len(l.requests), l.bytes)
	}
	gone := &request{peer: "p"}
	l.add(gone)
	l.take("p")
	l.complete(gone, "late")
	if l.bytes != 0 {
		t.Errorf("%d bytes after a request that was taken was completed", l.bytes)
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	app := newEcho()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader("body"))
				app.ServeHTTP(httptest.NewRecorder(), r)
				r = httptest.NewRequestWithContext(t.Context(), "GET", "/__log?peer="+r.RemoteAddr, nil)
				app.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
	wg.Wait()
	if app.log.take("192.0.2.1:1234"); app.log.bytes != 0 {
		t.Errorf("%d bytes in an empty log", app.log.bytes)
	}
}
