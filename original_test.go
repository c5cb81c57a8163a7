// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What Waitress for Python has done wrong, or does otherwise than its users expect: a row for each, over real sockets. The ids are
// those of its advisories and its issues. A row that only restates the grammar is in httpparse/testdata too, in every cut.

// originalHandler tells what it was given, or does what its path says.
func originalHandler(w http.ResponseWriter, r *http.Request) {
	if does := originalAnswers[r.URL.Path]; does != nil {
		does(w, r)
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	_, _ = fmt.Fprintf(w, "%s %s %s %s %q %q %q, path %q, trailer %v", host, r.Method, r.RequestURI, r.Host,
		r.Header.Get("Foo"), r.Header["X-Forwarded-For"], content, r.URL.Path, r.Trailer)
}

// after is asked of connections that should have been kept.
const after = "GET /after HTTP/1.1\r\nHost: after\r\n\r\n"

// trustXFF has whoever asks be a proxy that sets X-Forwarded-For.
func trustXFF(s *Server) {
	s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s.TrustedProxyHeaders = []string{"X-Forwarded-For"}
}

const (
	originalPost    = "POST / HTTP/1.1\r\nHost: a\r\n"
	originalChunked = originalPost + "Transfer-Encoding: chunked\r\n\r\n"

	// evil is what nobody may take for a request.
	evil = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
)

// An originalRow is a request, or several, and what becomes of them.
type originalRow struct {
	name   string // of the row of one of the original's tables, and which of its cases this is
	change func(*Server)
	raw    string
	want   string // the statuses, and whether the connection is kept or closed then
	holds  string // in the last answer, head and all
	lacks  string
}

// testOriginal asks a server under each policy.
func testOriginal(t *testing.T, rows []originalRow) {
	t.Helper()
	for _, test := range rows {
		t.Run(test.name, func(t *testing.T) {
			policies(t, func(t *testing.T, p Policy) {
				s := &Server{Policy: p, Handler: http.HandlerFunc(originalHandler)}
				if test.change != nil {
					test.change(s)
				}
				c := serve(t, s).dial(t)
				got, last := exchange(t, c, test.raw, test.want)
				if got != test.want || !strings.Contains(last, test.holds) || test.lacks != "" && strings.Contains(last, test.lacks) {
					t.Errorf("got %q, want %q, the last answer with %q and without %q: %q", got, test.want, test.holds, test.lacks, last)
				}
			})
		})
	}
}

// TestOriginalSecurity has a row for each entry of its security history.
func TestOriginalSecurity(t *testing.T) {
	testOriginal(t, []originalRow{
		{"#117: response splitting by a field", nil, "GET /split HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", "\nX-B:"},
		{"#117: by a field's name", nil, ofPath("/split-name"), "200 kept", "", "X-B"},
		{"#80: an underscore for a hyphen", trustXFF, "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 192.0.2.1\r\n\r\n", "200 kept", "127.0.0.1 GET", "192.0.2.1"},
		{"#64: a target that is not ASCII is answered", nil, "GET /\xd0 HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"CVE-2019-16785: LF ends no line", nil, originalPost + "Content-Length: 36\r\nX-Header: x\nContent-Length: 0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2019-16786: codings before chunked", nil, originalPost + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + evil, "501 closed", "", ""},
		{"CVE-2019-16786: a folded Transfer-Encoding", nil, originalPost + "Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2019-16792: Content-Length twice", nil, originalPost + "Content-Length: 36\r\nContent-Length: 36\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2019-16792: Content-Length that is no number", nil, originalPost + "Content-Length: x\r\n\r\n" + evil, "400 closed", "", ""},
		{"#273: a space before the colon", nil, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400 closed", "", ""},
		{"#273: LF in the framing of chunks", nil, originalChunked + "5\nhello\n0\n\n" + evil, "400 closed", "", ""},
		{"#273: the limit of a head that does not end", nil, "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("a", 100_000), "431 closed", "", ""},
		{"CVE-2019-16789: a vertical tab is no space", nil, originalPost + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2019-16789: nor is U+0085", nil, originalPost + "Transfer-Encoding: \x85chunked\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2019-16789: nor is U+00A0", nil, originalPost + "Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2019-16789: a Kelvin sign is no k", nil, originalPost + "Transfer-Encoding: chun\xe2\x84\xaaed\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2020-5236: a long field that is wrong at its end", nil, "GET / HTTP/1.1\r\nHost: a\r\nBad-header: " + strings.Repeat("x", 40_000) + "\x10\r\n\r\n", "400 closed", "", ""},
		{"CVE-2022-24761: Content-Length with a sign", nil, originalPost + "Content-Length: +36\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2022-24761: a chunk size with 0x", nil, originalChunked + "0x04\r\nabcd\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2022-24761: with a sign", nil, originalChunked + "+04\r\nabcd\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2022-24761: with a space before it", nil, originalChunked + " 04\r\nabcd\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2022-24761: an extension without a name", nil, originalChunked + "4;\n\r\nabcd\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"CVE-2022-24761: without a value", nil, originalChunked + "4;invalid=\r\nabcd\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		// RFC 9112 §7.1.1 asks to read it; the original refuses.
		{"CVE-2022-24761: with spaces within", nil, originalChunked + "4;invalid = true\r\nabcd\r\n0\r\n\r\n", "200 kept", `"abcd"`, ""},
		{"CVE-2024-49768: nothing is read behind a bad request", nil, "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 8192-28) + "\r\nbad\r\n\r\n" + evil, "400 closed", "", "evil"},
		{"#432: values are passed as they are", nil, "GET / HTTP/1.1\r\nHost: a\r\nfoo: \xa0x\x85\r\n\r\n", "200 kept", `"\xa0x\x85"`, ""},
		{"#451: what stands before the trusted part", trustXFF, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1, 198.51.100.2\r\n\r\n", "200 kept", "198.51.100.2 GET", "192.0.2.1"},
		{"#465: chunked twice", nil, originalPost + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"#464: a length beside chunked", nil, originalPost + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"#462: Host twice", nil, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"#463: no Host", nil, "GET / HTTP/1.1\r\n\r\n", "400 closed", "", ""},
		{"#463: a Host that can't be", nil, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 closed", "", ""},
		{"#467: the authority is in place of Host", nil, "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "GET http://b/x b ", ""},
		{"PR502: a connection is kept after 304", nil, "GET /304 HTTP/1.1\r\nHost: a\r\n\r\n", "304 kept", "", "content"},
		{"PR502: and after 204", nil, "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n", "204 kept", "", "content"},
		{"PR503: another major version", nil, "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "505 closed", "", ""},
		{"PR503: 1.2 is 1.1", nil, "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "200 kept", "HTTP/1.1 200", ""},
		{"PR503: folded lines", nil, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", "400 closed", "", ""},
	})
	t.Run("CVE-2022-31015: a reset during the answer", func(t *testing.T) { originalResets(t, true) })
	t.Run("CVE-2024-49769: a reset at once", func(t *testing.T) { originalResets(t, false) })
	t.Run("PR376: a head in many pieces", originalSplitHead)
	t.Run("#338: what is panicked with need not be ASCII", originalPanicIsLogged)
}

// headOf is a request of n bytes.
func headOf(n int) string {
	const begin, end = "GET / HTTP/1.1\r\nHost: a\r\nA: ", "\r\n\r\n"
	return begin + strings.Repeat("a", n-len(begin)-len(end)) + end
}

// exchange sends raw, and returns the answers' statuses and what has become of the connection, as want has it, and the last of
// the answers. Where want is that the connection is kept it is asked once more.
func exchange(t *testing.T, c net.Conn, raw, want string) (got, last string) {
	t.Helper()
	go func() { _, _ = io.WriteString(c, raw) }() // what is refused is not read to its end
	keep := strings.HasSuffix(want, "kept")
	var text strings.Builder
	r := bufio.NewReader(io.TeeReader(c, &text))
	method, _, _ := strings.Cut(raw, " ")
	for due := strings.Count(want, " "); ; due-- {
		if keep && due == 0 {
			send(t, c, after)
			method = http.MethodGet
		}
		from := text.Len() - r.Buffered()
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the connection's end: %v", err)
			}
			return got + "closed", last
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if keep && due == 0 {
			if resp.StatusCode != http.StatusOK || err != nil {
				t.Errorf("asked once more: %s, %v", resp.Status, err)
			}
			return got + "kept", last
		}
		got += fmt.Sprintf("%d ", resp.StatusCode)
		last = text.String()[from : text.Len()-r.Buffered()]
	}
}

// originalSplitHead: the size of a head does not depend on how many pieces it comes in.
func originalSplitHead(t *testing.T) {
	raw := headOf(4096)
	c := serve(t, &Server{MaxHeaderBytes: len(raw), Handler: http.HandlerFunc(originalHandler)}).dial(t)
	r := bufio.NewReader(c)
	for range 2 {
		for i := range raw {
			send(t, c, raw[i:i+1])
		}
		if resp, _ := answer(t, r); resp.StatusCode != http.StatusOK {
			t.Error(resp.Status)
		}
	}
}

// originalResets: clients that reset their connection are gone, and the others are served.
func originalResets(t *testing.T, whileAnswered bool) {
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/long" {
				for range 1000 {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			}
			hello(w, r)
		})})
		other := ts.dial(t)
		r := bufio.NewReader(other)
		for range 100 {
			c := ts.dial(t).(*net.TCPConn)
			if whileAnswered {
				send(t, c, ofPath("/long"))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
				t.Fatal(err)
			}
			send(t, other, get)
			answer(t, r)
		}
		for began := time.Now(); ts.conns() > 1; runtime.Gosched() {
			if time.Since(began) > patience {
				t.Fatalf("%d connections are still there", ts.conns())
			}
		}
	})
}

// TestOriginalValidation has the rows of what it refuses, and what it should. What it refuses of sockets can't be said here (they are
// net.Listeners), or makes sense (TCP and Unix sockets in one Listen); what no setting is, is for the compiler, or package adjust.
func TestOriginalValidation(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for _, test := range []struct {
		name string
		s    *Server
		says string
	}{
		{"host or port may not be set if listen is set", &Server{Addr: "127.0.0.1:0", Listen: []string{"127.0.0.1:0"}}, "only one of them"},
		{"unix_socket may not be set if host or port is set", &Server{Addr: "127.0.0.1:0", Listen: []string{"unix:/x"}}, "only one of them"},
		{"Invalid host/port specified", &Server{Listen: []string{"127.0.0.1:no-such-service"}}, "no-such-service"},
		{"trusted_proxy_count has no meaning without setting trusted_proxy", &Server{TrustedProxyCount: 2}, "TrustedProxyCount"},
		{"trusted_proxy_headers has no meaning without setting trusted_proxy", &Server{TrustedProxyHeaders: []string{"Forwarded"}}, "TrustedProxies"},
		{"unknown trusted_proxy_headers value", &Server{TrustedProxies: local, TrustedProxyHeaders: []string{"X-Real"}}, "X-Real"},
		{"mutually exclusive", &Server{TrustedProxies: local, TrustedProxyHeaders: []string{"Forwarded", "X-Forwarded-For"}}, "exclude each other"},
		// It has no bounds.
		{"threads=-1", &Server{Threads: -1}, "Threads is -1"},
		{"port=70000", &Server{Addr: "127.0.0.1:70000"}, "70000"},
		{"listen=''", &Server{Listen: []string{""}}, "missing port"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.s.Addr == "" && test.s.Listen == nil {
				test.s.Addr = "127.0.0.1:0"
			}
			if err := test.s.ListenAndServe(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v, want %q", err, test.says)
			}
		})
	}
	t.Run("The app was None", func(t *testing.T) { // net/http's routes are served then
		c := serve(t, new(Server)).dial(t)
		send(t, c, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, _ := answer(t, bufio.NewReader(c)); resp.StatusCode != http.StatusNotFound {
			t.Error(resp.Status)
		}
	})
}
