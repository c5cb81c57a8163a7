// SPDX-License-Identifier: MIT

package http1

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// eachSplit calls f with input whole, cut in two at each of its positions, and byte by byte.
func eachSplit(input string, f func(parts ...string)) {
	f(input)
	for i := 1; i < len(input); i++ {
		f(input[:i], input[i:])
	}
	f(strings.Split(input, "")...)
}

// streams are what clients send, and must be answered the same however it is cut. The path says what the handler does.
var streams = []struct{ name, raw string }{
	{"one", "GET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"pipeline", "GET /all?1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /all?2 HTTP/1.1\r\nHost: a\r\n\r\nGET /all?3 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"bodies", "POST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPUT /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\nA: b\r\n\r\n" +
		"GET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"unread", "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPUT /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"partly read", "POST /some HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPUT /some HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\nPOST /close HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /some HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"empty lines", "\r\n\r\nPOST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy\r\nGET /all HTTP/1.1\r\nHost: a\r\n\r\n\r\n"},
	{"1.0", "GET /all HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /all HTTP/1.0\r\n\r\nGET /all HTTP/1.0\r\n\r\n"},
	{"close", "POST /all HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabcGET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"refused", "GET /all HTTP/1.1\r\nHost: a\r\n\r\nGET /all HTTP/1.1\r\nHost : a\r\n\r\nGET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"refused length", "GET /all HTTP/1.1\r\nHost: a\r\n\r\nPOST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n"},
	{"broken chunks", "GET /all HTTP/1.1\r\nHost: a\r\n\r\nPOST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\nGET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"limited chunks", "POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n8\r\nghijklmn\r\n0\r\n\r\nGET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"chunks up to the limit", "POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\nGET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"cut head", "GET /all HTTP/1.1\r\nHost: a\r\n\r\nGET /all HTTP/1.1\r\nHos"},
	{"cut body", "POST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"},
	{"cut chunks", "POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"},
	{"cut unread body", "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"},
	{"panics", "GET /all HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET /all HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"long answers", "GET /long HTTP/1.1\r\nHost: a\r\n\r\nGET /long HTTP/1.1\r\nHost: a\r\n\r\n"},
}

func serveStream(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/panic":
		panic(http.ErrAbortHandler)
	case "/long":
		fmt.Fprint(w, text(30000))
		return
	case "/close":
		if err := r.Body.Close(); err != nil {
			fmt.Fprint(w, err)
		}
	case "/some":
		p := make([]byte, 3)
		n, err := io.ReadFull(r.Body, p)
		fmt.Fprintf(w, "%q %v", p[:n], err)
	case "/all":
		p, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v %v", p, err, r.Trailer)
	}
	fmt.Fprintf(w, "%s %s %q %d", r.Method, r.URL, r.Header, r.ContentLength)
}

// TestEveryCut: the answers do not depend on how the requests are cut, nor on when the pieces come.
func TestEveryCut(t *testing.T) {
	for _, stream := range streams {
		t.Run(stream.name, func(t *testing.T) {
			var want string
			eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
				for _, pause := range []time.Duration{0, bodyWait + 10*time.Millisecond} {
					synctest.Test(t, func(t *testing.T) {
						s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{MaxBody: 12}}, serveStream)
						eachSplit(stream.raw, func(parts ...string) {
							c := s.dial()
							defer c.Close()
							tap := newTap(c)
							for i, part := range parts {
								if i > 0 {
									synctest.Wait()
									time.Sleep(pause)
								}
								if _, err := io.WriteString(c, part); err != nil {
									break // the server has had enough
								}
							}
							_ = c.CloseWrite()
							<-tap.end
							got, err := tap.soFar()
							got = dateLineRE.ReplaceAllString(got, "")
							if want == "" {
								want = got
							}
							if got != want || err != io.EOF {
								t.Fatalf("cut into %d parts, the first %q, with pauses of %v: got %q and %v, want %q", len(parts), parts[0], pause, got, err, want)
							}
						})
					})
				}
			})
		})
	}
}

// TestLargeBodyCut: whether the connection is kept behind a body nobody reads depends on its length, not on how much of it has
// come.
func TestLargeBodyCut(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		for _, size := range []int{maxDrain - 1, maxDrain, maxDrain + 1000} {
			raw := post(size) + get
			start := strings.Index(raw, "\r\n\r\n") + 4
			for _, cut := range []int{start - 1, start, start + 1, start + 2000, start + 70000, len(raw) - 1} {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(t, 1, reactortest.Faults{SendBuffer: 1 << 20, RecvBuffer: 1 << 20}, simConfig{policy: p}, func(http.ResponseWriter, *http.Request) {})
					c, tap := s.send(raw[:cut])
					defer c.Close()
					time.Sleep(time.Second / 4)
					io.WriteString(c, raw[cut:])
					c.CloseWrite()
					<-tap.end
					got, _ := tap.soFar()
					if kept := strings.Count(got, "200 OK") == 2; kept != (size < maxDrain) || kept == strings.Contains(got, "Connection: close") {
						t.Errorf("body of %d bytes, cut at %d: %q", size, cut-start, got)
					}
				})
			}
		}
	})
}
