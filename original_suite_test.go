// SPDX-License-Identifier: MIT

package waitress

import (
	"strings"
	"testing"
)

// TestOriginalSuite has what its own functional tests cover, by their classes. Where a row differs from what these want its comment
// says why.
func TestOriginalSuite(t *testing.T) {
	t.Run("SleepyThread", lifeLoops)
	t.Run("Echo, many clients", settingConnectionLimit)
	t.Run("ExpectContinue", TestOriginalExpect)
	const (
		head10    = "GET / HTTP/1.0\r\n"
		keepAlive = "Connection: Keep-Alive\r\n"
		close11   = "Connection: close\r\n"
		crlf      = "\r\n"
	)
	ident := func(s *Server) { s.Ident = "waitress" }
	limits := func(s *Server) { s.MaxHeaderBytes, s.MaxBodyBytes = 1000, 1000 }
	proxied := func(s *Server) {
		s.TrustedProxies, s.TrustedProxyHeaders = loopback, []string{"X-Forwarded-For", "X-Forwarded-Proto"}
	}
	buffered := func(s *Server) { s.BufferRequests = true }
	pipeline := strings.Repeat("GET / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 25)
	chunks := "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	head11 := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" }

	testOriginal(t, []originalRow{
		{"Echo: date_and_server", ident, head10 + crlf, "200 closed", "\r\nServer: waitress\r\nDate: ", ""},
		// Its error is in HTTP/1.0.
		{"Echo: bad_host_header", nil, head10 + " Host: 0\r\n\r\n", "400 closed", "HTTP/1.1 400 Bad Request\r\n", ""},
		{"Echo: send_with_body", nil, head10 + "Content-Length: 5\r\n\r\nhello", "200 closed", `"hello"`, ""},
		{"Echo: send_empty_body", nil, head10 + "Content-Length: 0\r\n\r\n", "200 closed", ` "", path`, ""},
		{"Echo: without_crlf", nil, head10 + "Content-Length: 6\r\n\r\na\r\nb\r\n", "200 closed", `"a\r\nb\r\n"`, ""},
		{"Echo: large_body", nil, head10 + "Content-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024), "200 closed", strings.Repeat("x", 1024), ""},
		{"Echo: chunking_request_without_content", nil, chunks + "0\r\n\r\n", "200 kept", ` "", path`, ""},
		{"Echo: chunking_request_with_content", nil, chunks + "6\r\nhello \r\nB\r\nhello again\r\n0\r\n\r\n", "200 kept", `"hello hello again"`, "chunked"},
		{"Echo: broken_chunked_encoding", buffered, chunks + "garbage\r\nxy\r\n", "400 closed", "", ""},
		{"Echo: broken_chunked_encoding_invalid_hex", buffered, chunks + "0x20\r\n" + strings.Repeat("x", 32) + "\r\n", "400 closed", "", ""},
		{"Echo: broken_chunked_encoding_invalid_extension", buffered, chunks + "20;invalid=\r\n" + strings.Repeat("x", 32) + "\r\n", "400 closed", "", ""},
		{"Echo: broken_chunked_encoding_missing_chunk_end", buffered, chunks + "20\r\n" + strings.Repeat("x", 32) + "0\r\n\r\n", "400 closed", "", ""},
		{"Echo: keepalive_http_10", nil, head10 + crlf, "200 closed", "", "eep-alive"},
		// Options have no case; it sends "Keep-Alive".
		{"Echo: keepalive_http10_explicit", nil, head10 + keepAlive + crlf, "200 kept", "\r\nConnection: keep-alive\r\n", ""},
		{"Echo: keepalive_http_11", nil, head11("/") + crlf, "200 kept", "", "Connection"},
		{"Echo: keepalive_http11_explicit", nil, head11("/") + keepAlive + crlf, "200 kept", "", "Connection"},
		{"Echo: keepalive_http11_connclose", nil, head11("/") + close11 + crlf, "200 closed", "\r\nConnection: close\r\n", ""},
		{"Echo: proxy_headers", proxied, head11("/") + "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 5\r\n\r\n", "200 kept", "192.0.2.1 GET / a ", ""},

		{"Pipelining", nil, pipeline, strings.Repeat("200 ", 25) + "kept", `"hello"`, ""},

		{"BadContentLength: short_body", nil, head11("/few") + crlf, "200 closed", "five.", ""},
		// It keeps the connection.
		{"BadContentLength: long_body", nil, head11("/many") + crlf, "200 closed", "five.", "more."},

		{"NoContentLength: http10_generator", nil, "GET /stream HTTP/1.0\r\n" + keepAlive + crlf, "200 closed", "a0123456789", "chunked"},
		{"NoContentLength: http10_list", nil, head10 + keepAlive + crlf, "200 kept", "\r\nContent-Length: ", ""},
		// It closes the connection behind chunks.
		{"NoContentLength: http11_generator", nil, head11("/stream") + crlf, "200 kept", "\r\n\r\n1\r\na\r\na\r\n0123456789\r\n0\r\n\r\n", ""},
		{"NoContentLength: http11_list", nil, head11("/") + crlf, "200 kept", "\r\nContent-Length: ", "chunked"},

		{"TooLarge: headers_too_large", limits, head11("/") + "A: " + strings.Repeat("a", 1000) + "\r\n\r\n", "431 closed", "", ""},
		{"TooLarge: body_too_large_with_wrong_cl_http10", limits, head10 + "Content-Length: 5\r\n\r\n" + strings.Repeat("a", 1500), "200 closed", `"aaaaa"`, ""},
		{"TooLarge: body_too_large_with_wrong_cl_http10_keepalive", limits, head10 + keepAlive + "Content-Length: 5\r\n\r\n" + strings.Repeat("a", 1500), "200 431 closed", "", ""},
		{"TooLarge: body_too_large_with_no_cl_http10", limits, head10 + crlf + strings.Repeat("a", 1500), "200 closed", "", ""},
		{"TooLarge: body_too_large_with_no_cl_http10_keepalive", limits, head10 + keepAlive + crlf + strings.Repeat("a", 1500), "200 431 closed", "", ""},
		{"TooLarge: body_too_large_with_wrong_cl_http11", limits, head11("/") + "Content-Length: 5\r\n\r\n" + strings.Repeat("a", 1500), "200 431 closed", "", ""},
		{"TooLarge: body_too_large_with_wrong_cl_http11_connclose", limits, head11("/") + close11 + "Content-Length: 5\r\n\r\n" + strings.Repeat("a", 1500), "200 closed", "", ""},
		{"TooLarge: body_too_large_with_no_cl_http11", limits, head11("/") + crlf + strings.Repeat("a", 1500), "200 431 closed", "", ""},
		{"TooLarge: body_too_large_with_no_cl_http11_connclose", limits, head11("/") + close11 + crlf + strings.Repeat("a", 1500), "200 closed", "", ""},
		{"TooLarge: body_too_large_chunked_encoding", func(s *Server) { limits(s); buffered(s) }, chunks + "5dc\r\n" + strings.Repeat("a", 1500) + "\r\n0\r\n\r\n", "413 closed", "", ""},

		// It answers 500, or ends an answer that has begun: net/http leaves both to the handler.
		{"InternalServerError: before_start_response", nil, head11("/panic") + crlf + evil, "closed", "", ""},
		{"InternalServerError: in_generator", nil, head11("/cut") + crlf + evil, "200 closed", "", "\r\n0\r\n"},

		{"FileWrapper: filelike_http11", nil, head11("/file") + crlf + head11("/file") + crlf, "200 200 kept", "SPDX", "\r\nTransfer-Encoding:"},
		{"FileWrapper: filelike_nocl_http11", nil, head11("/file-nocl") + crlf, "200 kept", "SPDX", ""},
		// It sends as much as it said; here a write of more than that fails whole, as with net/http.
		{"FileWrapper: filelike_shortcl_http11", nil, head11("/file-short") + crlf + evil, "200 closed", "", "GET /evil"},
		// It corrects a length that is too large; here the answer is known to be cut.
		{"FileWrapper: filelike_longcl_http11", nil, head11("/file-long") + crlf + evil, "200 closed", "SPDX", "GET /evil a"},
		{"FileWrapper: notfilelike_http11", nil, head11("/content") + crlf, "200 kept", "0123456789", ""},
		{"FileWrapper: filelike_http10", nil, "GET /file HTTP/1.0\r\n\r\n", "200 closed", "SPDX", ""},
		{"FileWrapper: filelike_nocl_http10", nil, "GET /file-nocl HTTP/1.0\r\n\r\n", "200 closed", "SPDX", ""},
		{"FileWrapper: notfilelike_http10", nil, "GET /content HTTP/1.0\r\n\r\n", "200 closed", "0123456789", ""},
	})
}
