// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// TestOriginalParser has the rows of what its parser takes, and what it makes of that.
func TestOriginalParser(t *testing.T) {
	cut := strings.Repeat("a", 200_000)
	buffered := func(s *Server) { s.MaxBodyBytes, s.BufferRequests = 3, true }
	testOriginal(t, []originalRow{
		// Ours answers at once, where the original waits for more.
		{"end of head: LF alone ends none", nil, "GET / HTTP/1.1\nHost: a\n\n", "400 closed", "", ""},
		{"end of head: the next request begins behind it", nil, after + after, "200 200 kept", "GET /after after", ""},

		{"leading junk: white space", nil, " \x0b\x0cGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"leading junk: empty lines are none", nil, "\r\n\r\n" + after, "200 kept", "", ""},

		{"request line: a space behind the version", nil, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"request line: two spaces", nil, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"request line: a method that is no token", nil, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		// Methods have cases, and which of them there are is the handler's to say.
		{"request line: another method", nil, "get / HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", " get / ", ""},
		{"request line: no version", nil, "GET /\r\n\r\n", "400 closed", "", ""},

		{"version: 1.0", nil, "GET / HTTP/1.0\r\n\r\n", "200 closed", "HTTP/1.0 200", ""},
		{"version: 1.2 with chunks is one request", nil, "POST / HTTP/1.2\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "200 kept", `"ab"`, ""},
		{"version: 1.2 with close", nil, "GET / HTTP/1.2\r\nHost: a\r\nConnection: close\r\n\r\n" + evil, "200 closed", "", ""},
		{"version: 2.0", nil, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 closed", "", ""},
		{"version: three digits", nil, "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400 closed", "", ""},

		{"URI: NUL", nil, "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"URI: a tab", nil, "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"URI: not ASCII", nil, "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"URI: escapes", nil, "GET /%41%2F HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", `path "/A/"`, ""},
		{"URI: an escape that is none", nil, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"URI: a fragment", nil, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"URI: absolute-form, whose authority is the host", nil, "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "GET http://b/x b ", ""},
		{"URI: asterisk for a GET", nil, "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"URI: asterisk for OPTIONS", nil, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", ""},
		{"URI: no slash", nil, "GET foo HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"URI: a query alone", nil, "GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		// What follows would be a tunnel's: it is not for this server to read.
		{"URI: CONNECT", nil, "CONNECT v:443 HTTP/1.1\r\nHost: v:443\r\n\r\n" + evil, "200 closed", "CONNECT v:443 v:443", ""},
		{"URI: CONNECT of a path", nil, "CONNECT /v HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},

		// The original makes one of them; a handler here is to see what the client sent, and http.ServeMux redirects.
		{"PATH_INFO: two slashes stay two", nil, "GET //x HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", `path "//x"`, ""},
		{"PATH_INFO: dots stay", nil, "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", `path "/a/../b"`, ""},

		{"header line: a control character", nil, "GET / HTTP/1.1\r\nHost: a\r\nA: b\x01\r\n\r\n", "400 closed", "", ""},
		{"header line: CR alone", nil, "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", "400 closed", "", ""},
		{"header line: folded", nil, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", "400 closed", "", ""},
		{"header line: white space around a value", nil, "GET / HTTP/1.1\r\nHost: a\r\nFoo:\t b c \r\n\r\n", "200 kept", `"b c"`, ""},
		{"header line: repeated", nil, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n\r\n", "200 kept", `["1" "2"]`, ""},
		// It ends no message, and net/http hands over both.
		{"header line: Content-Type twice", nil, "GET / HTTP/1.1\r\nHost: a\r\nContent-Type: a\r\nContent-Type: a\r\n\r\n", "200 kept", "", ""},

		{"Host: none", nil, "GET / HTTP/1.1\r\n\r\n", "400 closed", "", ""},
		{"Host: none in 1.0", nil, "GET / HTTP/1.0\r\n\r\n", "200 closed", "", ""},
		{"Host: garbage", nil, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 closed", "", ""},

		// The original skips them; to somebody else in the chain they may be a coding without a name.
		{"Transfer-Encoding: empty items", nil, originalPost + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"Transfer-Encoding: another", nil, originalPost + "Transfer-Encoding: identity\r\n\r\n" + evil, "501 closed", "", ""},
		{"Transfer-Encoding: in 1.0", nil, "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},

		{"CL + TE: refused", nil, originalPost + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + evil, "400 closed", "", ""},

		{"Content-Length: zeros before it", nil, originalPost + "Content-Length: 005\r\n\r\nhello", "200 kept", `"hello"`, ""},
		{"Content-Length: negative", nil, originalPost + "Content-Length: -1\r\n\r\n", "400 closed", "", ""},
		{"Content-Length: an underscore", nil, originalPost + "Content-Length: 5_0\r\n\r\n", "400 closed", "", ""},
		{"Content-Length: a list", nil, originalPost + "Content-Length: 0, 0\r\n\r\n", "400 closed", "", ""},
		{"Content-Length: empty", nil, originalPost + "Content-Length:\r\n\r\n", "400 closed", "", ""},

		{"chunk line: an extension", nil, originalChunked + "2;a;b=c;d=\"e\"\r\nab\r\n0\r\n\r\n", "200 kept", `"ab"`, ""},
		{"chunk line: LF behind the size", nil, originalChunked + "5\n\r\nhello\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"chunk line: LF behind an extension", nil, originalChunked + "5;a\n\r\nhello\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"chunk line: empty lines between chunks", nil, originalChunked + "2\r\nab\r\n\r\n2\r\nab\r\n0\r\n\r\n" + evil, "400 closed", "", ""},
		{"chunk line: data without its end", nil, originalChunked + "2\r\nabX\r\n0\r\n\r\n" + evil, "400 closed", "", ""},

		{"trailers: without a colon", nil, originalChunked + "0\r\nno colon\r\n\r\n" + evil, "400 closed", "", ""},
		{"trailers: LF", nil, originalChunked + "0\r\nA: b\n\r\n" + evil, "400 closed", "", ""},
		// The original throws them away.
		{"trailers: the handler sees them", nil, originalPost + "Trailer: A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", "200 kept", "map[A:[b]]", ""},

		{"limits: a chunk's line without an end", nil, originalChunked + "1;" + cut, "400 closed", "", ""},
		{"limits: a trailer without an end", nil, originalChunked + "0\r\nA: " + cut, "400 closed", "", ""},
		{"limits: a head without an end", nil, "GET / HTTP/1.1\r\nA: " + cut, "431 closed", "", ""},

		{"size vs framing error: the size", buffered, originalChunked + "5\r\nhello\r\n", "413 closed", "", ""},
		{"size vs framing error: the framing", buffered, originalChunked + "2\r\nabX", "400 closed", "", ""},
		{"size vs framing error: the framing, with the size in the same piece", buffered, originalChunked + "2\r\nabX\r\n5\r\nhello", "400 closed", "", ""},

		{"crashes to silent close: an address that does not end", nil, "GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n", "400 closed", "", ""},
		{"crashes to silent close: a length of 5,000 digits", nil, originalPost + "Content-Length: " + strings.Repeat("9", 5000) + "\r\n\r\n", "413 closed", "", ""},

		{"pipelining: a bad request behind good ones", nil, after + after + "GET\r\n\r\n" + evil, "200 200 400 closed", "", ""},
		{"pipelining: what comes behind close is dropped", nil, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + evil, "200 closed", "GET / a", ""},
	})
}

// TestOriginalExpect has the rows of its answers to Expect: 100-continue.
func TestOriginalExpect(t *testing.T) {
	const expect = "Expect: 100-continue\r\n\r\n"
	small := func(s *Server) { s.MaxBodyBytes = 10 }
	testOriginal(t, []originalRow{
		{"without content it is not waited for", nil, "GET / HTTP/1.1\r\nHost: a\r\n" + expect, "200 kept", "", ""},
		{"nor with a length of 0", nil, originalPost + "Content-Length: 0\r\n" + expect, "200 kept", "", ""},
		{"no 100 before 413", small, originalPost + "Content-Length: 11\r\n" + expect, "413 closed", "", ""},
		{"no 100 before 400", nil, originalPost + "Content-Length: -1\r\n" + expect, "400 closed", "", ""},
		{"another expectation", nil, originalPost + "Content-Length: 1\r\nExpect: x\r\n\r\n", "417 closed", "", ""},
		// The original sends it all the same; RFC 9110 §10.1.1 lets a server leave it out.
		{"not when the content is there", nil, originalPost + "Content-Length: 2\r\n" + expect + "ab", "200 kept", `"ab"`, ""},
		{"not in 1.0", nil, "POST / HTTP/1.0\r\nContent-Length: 2\r\n" + expect + "ab", "200 closed", `"ab"`, ""},
		{"an application can refuse", nil, "POST /204 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n" + expect, "204 closed", "", ""},
	})

	t.Run("sent when the handler reads, behind the answers before", func(t *testing.T) {
		policies(t, func(t *testing.T, p Policy) {
			c := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(originalHandler)}).dial(t)
			r := bufio.NewReader(c)
			send(t, c, after+originalPost+"Content-Length: 2\r\n"+expect)
			for _, want := range []int{http.StatusOK, http.StatusContinue, http.StatusOK} {
				resp, body := answer(t, r)
				if resp.StatusCode != want {
					t.Errorf("%s, want %d", resp.Status, want)
				}
				if want == http.StatusContinue {
					send(t, c, "ab")
				} else if !strings.HasPrefix(body, "127.0.0.1 ") {
					t.Errorf("got %q", body)
				}
			}
		})
	})
}
