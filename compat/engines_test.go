// SPDX-License-Identifier: MIT

package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress"
)

// patience is how long a test waits for what must happen, before it fails.
const patience = 60 * time.Second

// An engine is a server that applications run on.
type engine struct {
	name string
	// waits: handlers may wait for each other, and for the end of their client. PolicyInline is for handlers that don't.
	waits bool
	new   func(h http.Handler) server
}

// A server is what http.Server and waitress.Server have in common.
type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

func newWaitress(p waitress.Policy) func(h http.Handler) server {
	return func(h http.Handler) server {
		return &waitress.Server{Handler: h, Policy: p, Logger: zap.NewNop()}
	}
}

// reference is the engine that the others are compared with. It is the first of engines.
const reference = "net-http"

var engines = []engine{
	{reference, true, func(h http.Handler) server {
		return &http.Server{
			Handler: h, ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0),
		}
	}},
	{"pool", true, newWaitress(waitress.PolicyPool)},
	{"inline", false, newWaitress(waitress.PolicyInline)},
	{"adaptive", true, newWaitress(waitress.PolicyAdaptive)},
}

// each runs f on every engine. app makes a new application for each, since applications have state.
func each(t *testing.T, app func(t *testing.T) http.Handler, f func(t *testing.T, s *started)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { f(t, e.start(t, app(t))) })
	}
}

// eachWaiting is each for applications whose handlers wait for others, or for the end of their client.
func eachWaiting(t *testing.T, app func(t *testing.T) http.Handler, f func(t *testing.T, s *started)) {
	for _, e := range engines {
		if e.waits {
			t.Run(e.name, func(t *testing.T) { f(t, e.start(t, app(t))) })
		}
	}
}

// always is an application without state.
func always(h http.Handler) func(*testing.T) http.Handler {
	return func(*testing.T) http.Handler { return h }
}

// A started is an application that runs, and a client for it: httptest.Server, for any engine.
type started struct {
	addr   string // host:port
	url    string
	client *http.Client // follows no redirects, keeps cookies, asks for no compression
}

// start runs h on e until the end of the test, and fails the test if e can't end.
func (e *engine) start(t *testing.T, h http.Handler) *started {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := e.new(h)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error("Shutdown:", err, srv.Close())
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error("Serve:", err)
		}
	})
	return &started{
		addr: l.Addr().String(),
		url:  "http://" + l.Addr().String(),
		client: &http.Client{
			Transport:     transport,
			Jar:           jar,
			Timeout:       patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// A step is one request and the answer it must get.
type step struct {
	request string   // method and path, "GET /"
	header  []string // "Name: value"
	body    string
	want    string // status and content, "200 hello": a regular expression for all of it
}

// compare plays steps on each engine, and compares the answers with what they must be and with those of the reference.
func compare(t *testing.T, app func(t *testing.T) http.Handler, steps ...step) {
	t.Helper()
	var expected []string
	each(t, app, func(t *testing.T, s *started) {
		got := make([]string, len(steps))
		for i, step := range steps {
			got[i] = s.transcript(s.expect(t, step))
		}
		if expected == nil {
			expected = got
			return
		}
		for i := range got {
			if got[i] != expected[i] {
				t.Errorf("%s, got:\n%.2000s\n%s:\n%.2000s", steps[i].request, got[i], reference, expected[i])
			}
		}
	})
}

// play sends the request of a step and returns the answer.
func (s *started) play(t *testing.T, step step) (*http.Response, string) {
	t.Helper()
	method, path, _ := strings.Cut(step.request, " ")
	var body io.Reader = http.NoBody
	if step.body != "" {
		body = strings.NewReader(step.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range step.header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	return s.do(t, req)
}

// expect plays a step and checks what it wants.
func (s *started) expect(t *testing.T, step step) (*http.Response, string) {
	t.Helper()
	resp, body := s.play(t, step)
	if text := fmt.Sprintf("%d %s", resp.StatusCode, body); !regexp.MustCompile(`\A(?s:` + step.want + `)\z`).MatchString(text) {
		t.Errorf("%s: %.300q, want %.300q", step.request, text, step.want)
	}
	return resp, body
}

// do sends a request and reads the answer to its end.
func (s *started) do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: after %d bytes: %v", req.Method, req.URL.Path, len(body), err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp, string(body)
}

// changing are the parts of an answer that differ from one run to the next.
var changing = []struct {
	pattern *regexp.Regexp
	fixed   string
}{
	{regexp.MustCompile(`(?m)^(Date|Last-Modified): .*$`), "$1"},
	{regexp.MustCompile(`(?m)^(Set-Cookie: session)=[^;]*(.*)Expires=[^;]*(.*)$`), "$1$2$3"},
	{regexp.MustCompile(`[0-9a-f]{60}`), "BOUNDARY"}, // of multipart/byteranges
}

// transcript is all that the client has seen of an answer, but for what changes.
func (s *started) transcript(resp *http.Response, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, length %d, encoding %v, close %v\n", resp.Proto, resp.Status, resp.ContentLength, resp.TransferEncoding, resp.Close)
	for _, h := range []http.Header{resp.Header, resp.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			for _, value := range h[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			}
		}
		b.WriteString("\n")
	}
	text := strings.ReplaceAll(b.String()+body, s.addr, "ADDR")
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.fixed)
	}
	return text
}

// get asks for a path and returns the content of an answer that must have the status 200.
func (s *started) get(t *testing.T, path string) string {
	t.Helper()
	resp, body := s.play(t, step{request: "GET " + path})
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %.300q", path, resp.Status, body)
	}
	return body
}

// receive takes a value from c, or fails the test.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("timed out waiting for " + what)
		panic("unreachable")
	}
}
