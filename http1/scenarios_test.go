// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"
)

const (
	get     = "GET /path?q=1 HTTP/1.1\r\nHost: example.com\r\n\r\n"
	get10   = "GET /old HTTP/1.0\r\n\r\n"
	get10ka = "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	head    = "HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n"
	post10  = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n0123456789"
	chunks  = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
)

// with returns a GET with more header lines.
func with(lines ...string) string {
	return "GET / HTTP/1.1\r\nHost: example.com\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// post returns a POST of that many bytes.
func post(size int, lines ...string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n%s\r\n", size, headerLines(lines)) + strings.Repeat("b", size)
}

// postChunked returns a POST of that many bytes, in chunks of at most 1000.
func postChunked(size int, lines ...string) string {
	var b strings.Builder
	b.WriteString("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n" + headerLines(lines) + "\r\n")
	for size > 0 {
		n := min(size, 1000)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, strings.Repeat("c", n))
		size -= n
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}

func headerLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// text is n bytes that differ.
func text(n int) string {
	return strings.Repeat("The quick brown fox jumps over the lazy dog. ", n/45+1)[:n]
}

type handler = func(n *notes, w http.ResponseWriter, r *http.Request)

// echo notes the request and answers with its body.
func echo(n *notes, w http.ResponseWriter, r *http.Request) {
	n.request(r)
	n.write(w, n.body(r))
}

// show notes the request.
func show(n *notes, w http.ResponseWriter, r *http.Request) {
	n.request(r)
	n.write(w, "ok")
}

// writes answers with pieces of these sizes; -1 is a Flush.
func writes(sizes ...int) handler {
	return func(n *notes, w http.ResponseWriter, _ *http.Request) {
		for _, size := range sizes {
			if size < 0 {
				n.printf("flush: %v", http.NewResponseController(w).Flush())
				continue
			}
			n.write(w, text(size))
		}
	}
}

// fields answers with these header fields and "hello".
func fields(nameValues ...string) handler {
	return func(n *notes, w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(nameValues); i += 2 {
			w.Header()[nameValues[i]] = append(w.Header()[nameValues[i]], nameValues[i+1])
		}
		n.write(w, "hello")
	}
}

// status answers with a code, and then tries to write.
func status(code int) handler {
	return func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		n.write(w, "content")
	}
}

// read reads that many bytes of the body and answers.
func read(size int, closes bool) handler {
	return func(n *notes, w http.ResponseWriter, r *http.Request) {
		p := make([]byte, size)
		k, err := io.ReadFull(r.Body, p)
		n.printf("read %d: %s", k, kindOf(err))
		if closes {
			n.printf("close: %v", r.Body.Close())
			k, err = r.Body.Read(p)
			n.printf("read after close %d: %s", k, kindOf(err))
		}
		n.write(w, "done")
	}
}

// does makes a handler of what needs no notes.
func does(f func(w http.ResponseWriter, r *http.Request)) handler {
	return func(_ *notes, w http.ResponseWriter, r *http.Request) { f(w, r) }
}

// twice is for requests behind which another one comes: it answers the first by f, the others by show.
func twice(f handler) handler {
	return func(n *notes, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/path" {
			show(n, w, r)
			return
		}
		f(n, w, r)
	}
}

var scenarios = []scenario{
	// Lengths and chunks.
	{name: "nothing", raw: get, handler: does(func(http.ResponseWriter, *http.Request) {})},
	{name: "write of 0", raw: get, handler: writes(0)},
	{name: "write of 1", raw: get, handler: writes(1)},
	{name: "write of 2047", raw: get, handler: writes(2047)},
	{name: "write of 2048", raw: get, handler: writes(2048)},
	{name: "write of 2049", raw: get, handler: writes(2049)},
	{name: "write of 5000", raw: get, handler: writes(5000)},
	{name: "write of 100000", raw: get, handler: writes(100000)},
	{name: "2047 and 1", raw: get, handler: writes(2047, 1)},
	{name: "2047 and 2", raw: get, handler: writes(2047, 2)},
	{name: "2048 and 1", raw: get, handler: writes(2048, 1)},
	{name: "1 and 2048", raw: get, handler: writes(1, 2048)},
	{name: "1 and 5000", raw: get, handler: writes(1, 5000)},
	{name: "1000 and 100000 and 1", raw: get, handler: writes(1000, 100000, 1)},
	{name: "5000 and 0 and 5000", raw: get, handler: writes(5000, 0, 5000)},
	{name: "many of 700", raw: get, handler: writes(700, 700, 700, 700, 700, 700, 700)},
	{name: "16000 and 400 and 16384 and 17000", raw: get, handler: writes(16000, 400, 16384, 17000)},
	{name: "pipeline", raw: get + head + get10, handler: writes(3000)},
	{name: "pipeline of three kinds", raw: post10 + chunks + get, handler: echo},
	{name: "io.WriteString", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		k, err := io.WriteString(w, text(1500))
		n.printf("%d %v", k, err)
		k, err = io.WriteString(w, text(100))
		n.printf("%d %v", k, err)
	}},
	{name: "long io.WriteString", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		k, err := io.WriteString(w, text(5000))
		n.printf("%d %v", k, err)
	}},
	{name: "io.Copy", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		k, err := io.Copy(w, io.LimitReader(strings.NewReader(text(70000)), 70000))
		n.printf("%d %v", k, err)
	}},
	{name: "short io.Copy", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		k, err := io.Copy(w, io.LimitReader(strings.NewReader(text(1000)), 1000))
		n.printf("%d %v", k, err)
	}},

	// Flush.
	{name: "flush only", raw: get, handler: writes(-1)},
	{name: "flush, write", raw: get, handler: writes(-1, 10)},
	{name: "flush, nothing, flush", raw: get, handler: writes(-1, 0, -1)},
	{name: "write, flush", raw: get, handler: writes(10, -1)},
	{name: "write, flush, write", raw: get, handler: writes(10, -1, 20)},
	{name: "flush between large writes", raw: get, handler: writes(3000, -1, 20, -1, -1, 5000)},
	{name: "flush of 1.0", raw: get10ka, handler: writes(10, -1, 20)},
	{name: "flush of HEAD", raw: head, handler: writes(10, -1, 20)},
	{name: "flush of 204", raw: get + get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(204)
		w.(http.Flusher).Flush()
	})},

	// HEAD.
	{name: "HEAD, nothing", raw: head + get, handler: does(func(http.ResponseWriter, *http.Request) {})},
	{name: "HEAD, 1", raw: head + get, handler: writes(1)},
	{name: "HEAD, 5000", raw: head + get, handler: writes(5000)},
	{name: "HEAD, length", raw: head + get, handler: fields("Content-Length", "5")},
	{name: "HEAD, wrong length", raw: head + head, handler: fields("Content-Length", "7")},
	{name: "HEAD, too short a length", raw: head + head, handler: fields("Content-Length", "3")},
	{name: "HEAD, chunked", raw: head, handler: fields("Transfer-Encoding", "chunked")},
	{name: "HEAD, 304", raw: head, handler: status(304)},
	{name: "HEAD, 204", raw: head, handler: status(204)},
	{name: "HEAD, 404", raw: head, handler: status(404)},
	{name: "HEAD of 1.0", raw: "HEAD / HTTP/1.0\r\n\r\n", handler: writes(10)},
	{name: "HEAD of 1.0, kept", raw: "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", handler: writes(5000)},
	{name: "HEAD with a body", raw: strings.Replace(post10, "POST", "HEAD", 1) + get, handler: echo},
	{name: "HEAD, trailers", raw: head, handler: fields("Trailer", "X", "X", "y")},

	// Status codes.
	{name: "201", raw: get, handler: status(201)},
	{name: "204", raw: get + get, handler: status(204)},
	{name: "205", raw: get, handler: status(205)},
	{name: "299", raw: get, handler: status(299)},
	{name: "304", raw: get + get, handler: status(304)},
	{name: "304 with fields", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Type", "text/x")
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(304)
	})},
	{name: "204 with fields", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Type", "text/x")
		w.Header().Set("Transfer-Encoding", "chunked")
		w.WriteHeader(204)
	})},
	{name: "500", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) })},
	{name: "599", raw: get, handler: status(599)},
	{name: "600", raw: get, handler: status(600)},
	{name: "999", raw: get, handler: status(999)},
	{name: "100", raw: get, handler: status(100)},
	{name: "100 with a body", raw: post10, handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(100)
		echo(n, w, r)
	}},
	{name: "102 and 103", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(102)
		w.Header().Add("Link", "</more.css>")
		w.WriteHeader(103)
		w.Header().Set("Trailer:X", "1")
		w.WriteHeader(103)
		w.Header().Del("Trailer:X")
		n.write(w, "hello")
	}},
	{name: "103 of 1.0", raw: get10, handler: status(103)},
	{name: "103 and panic", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(103)
		panic("x")
	})},
	{name: "101", raw: get, handler: status(101)},
	{name: "101 with Upgrade", raw: with("Connection: upgrade", "Upgrade: x"), handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "upgrade")
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(101)
	})},
	{name: "101 with Upgrade, to be closed", raw: with("Connection: close, upgrade", "Upgrade: x"), handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "upgrade")
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(101)
	})},
	{name: "101 without Upgrade, to be closed", raw: with("Connection: close"), handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "upgrade")
		w.WriteHeader(101)
	})},
	{name: "101 with a second Connection, to be closed", raw: with("Connection: close"), handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Connection"] = []string{"x", "upgrade"}
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(101)
	})},
	{name: "101 flushed", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(101)
		w.(http.Flusher).Flush()
	})},

	// WriteHeader.
	{name: "WriteHeader twice", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(202)
		n.write(w, "x")
	}},
	{name: "WriteHeader after Write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "x")
		w.WriteHeader(404)
	}},
	{name: "WriteHeader 103 after Write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "x")
		w.WriteHeader(103)
	}},
	{name: "WriteHeader 99", raw: get, handler: status(99)},
	{name: "WriteHeader 1000", raw: get, handler: status(1000)},
	{name: "WriteHeader 0 recovered", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		func() {
			defer func() { n.printf("recovered %v", recover()) }()
			w.WriteHeader(0)
		}()
		n.write(w, "x")
	}},
	{name: "fields after WriteHeader", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("A", "1")
		w.Header().Add("B", "1")
		w.WriteHeader(200)
		w.Header().Set("A", "2")
		w.Header().Add("B", "2")
		w.Header().Set("C", "3")
		w.Header().Set("Content-Length", "1")
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", "x/y")
		n.write(w, "xyz")
	}},
	{name: "fields after Write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "xyz")
		w.Header().Set("A", "2")
		w.Header().Set("Date", "never")
	}},
	{name: "fields after a large Write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, text(3000))
		w.Header().Set("A", "2")
	}},
	{name: "map taken before WriteHeader", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		w.WriteHeader(200)
		h["A"] = []string{"1"}
		h["Content-Type"] = []string{"x/y"}
		n.write(w, "xyz")
	}},
	{name: "Trailer field after WriteHeader", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.Header().Set("Trailer", "X")
		n.write(w, "xyz")
		w.Header().Set("X", "1")
	}},

	// Content-Length of the handler.
	{name: "length right", raw: get, handler: fields("Content-Length", "5")},
	{name: "length right, large", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		n.write(w, text(60000))
		n.write(w, text(40000))
	}},
	{name: "length too large", raw: get + get, handler: fields("Content-Length", "6")},
	{name: "length too small", raw: get + get, handler: fields("Content-Length", "4")},
	{name: "length 0", raw: get + get, handler: fields("Content-Length", "0")},
	{name: "length 0, nothing written", raw: get + get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0")
	})},
	{name: "length 10, nothing written", raw: get + get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
	})},
	{name: "a write beyond the length", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		n.write(w, "01234")
		n.write(w, "567890")
		n.write(w, "x")
	}},
	{name: "length garbage", raw: get, handler: fields("Content-Length", "five")},
	{name: "length garbage, large", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "-1")
		n.write(w, text(5000))
	}},
	{name: "length garbage, 1.0", raw: get10ka, handler: fields("Content-Length", "-5")},
	{name: "length garbage, HEAD", raw: head, handler: fields("Content-Length", "5x")},
	{name: "length with a plus", raw: get, handler: fields("Content-Length", "+5")},
	{name: "length empty", raw: get, handler: fields("Content-Length", "")},
	{name: "length nil", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Length"] = nil
		n.write(w, "hello")
	}},
	{name: "length twice", raw: get, handler: fields("Content-Length", "5", "Content-Length", "5")},
	{name: "length in lower case", raw: get, handler: fields("content-length", "5")},
	{name: "length of 304", raw: get + get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.WriteHeader(304)
	})},

	// Transfer-Encoding of the handler.
	{name: "identity", raw: get + get, handler: fields("Transfer-Encoding", "identity")},
	{name: "identity, large", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "identity")
		n.write(w, text(5000))
	}},
	{name: "identity with length", raw: get, handler: fields("Transfer-Encoding", "identity", "Content-Length", "5")},
	{name: "chunked", raw: get, handler: fields("Transfer-Encoding", "chunked")},
	{name: "chunked with length", raw: get, handler: fields("Transfer-Encoding", "chunked", "Content-Length", "5")},
	{name: "gzip coding", raw: get, handler: fields("Transfer-Encoding", "gzip")},
	{name: "empty coding", raw: get, handler: fields("Transfer-Encoding", "")},
	{name: "chunked of 1.0", raw: get10, handler: fields("Transfer-Encoding", "chunked")},
	{name: "chunked of 1.0, kept", raw: get10ka, handler: fields("Transfer-Encoding", "chunked")},

	// Connection of the handler.
	{name: "handler closes", raw: get + get, handler: fields("Connection", "close")},
	{name: "handler closes in capitals", raw: get + get, handler: fields("Connection", "Close")},
	{name: "handler closes with more", raw: get + get, handler: fields("Connection", "close, x")},
	{name: "handler closes, large", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		n.write(w, text(100000))
	}},
	{name: "handler keeps", raw: get, handler: fields("Connection", "keep-alive")},
	{name: "handler keeps, client closes", raw: with("Connection: close"), handler: fields("Connection", "keep-alive")},
	{name: "handler and client close", raw: with("Connection: close"), handler: fields("Connection", "close")},
	{name: "handler and client close, with more", raw: with("Connection: close"), handler: fields("Connection", "x, Close")},
	{name: "handler and client close, with a space", raw: with("Connection: close"), handler: fields("Connection", "x close")},
	{name: "handler closes 1.0", raw: get10ka, handler: fields("Connection", "close")},
	{name: "handler keeps 1.0", raw: get10ka, handler: fields("Connection", "keep-alive", "Content-Length", "5")},
	{name: "handler keeps 1.0 without length", raw: get10ka, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "keep-alive")
		n.write(w, text(5000))
	}},
	{name: "two Connection fields", raw: get + get, handler: fields("Connection", "x", "Connection", "close")},

	// Other fields.
	{name: "own Date", raw: get, handler: fields("Date", "today")},
	{name: "nil Date", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		n.write(w, "x")
	}},
	{name: "nil Content-Type", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		n.write(w, "<html>")
	}},
	{name: "own Content-Type", raw: get, handler: fields("Content-Type", "application/x")},
	{name: "empty Content-Type", raw: get, handler: fields("Content-Type", "")},
	{name: "own Server", raw: get, handler: fields("Server", "mine")},
	{name: "sniffed html", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) { n.write(w, "<!DOCTYPE html><p>") }},
	{name: "sniffed png", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "\x89PNG\r\n\x1a\n")
	}},
	{name: "sniffed from two writes", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "<!DOC")
		n.write(w, "TYPE html><p>")
	}},
	{name: "sniffed too early", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "<!DOC")
		w.(http.Flusher).Flush()
		n.write(w, "TYPE html><p>")
	}},
	{name: "Content-Encoding", raw: get, handler: fields("Content-Encoding", "gzip")},
	{name: "empty Content-Encoding", raw: get, handler: fields("Content-Encoding", "")},
	{name: "line breaks in values", raw: get, handler: fields("A", "1\r\nB: 2", "C", "\r\n\r\nx", "D", "a\nb\rc")},
	{name: "space around values", raw: get, handler: fields("A", "  1\t ", "B", "")},
	{name: "invalid names", raw: get, handler: fields("A b", "1", "A:", "2", "", "3", "A\r\nB", "4", "Good", "5", "ä", "6")},
	{name: "bytes in values", raw: get, handler: fields("A", "\x00\x01\x7f\xff", "B", "ä")},
	{name: "sorted fields", raw: get, handler: fields("Z", "1", "a", "2", "M", "3", "B", "4", "Connection-X", "5", "Content-Lengthy", "6", "Dates", "7", "Aa", "8")},
	{name: "repeated fields", raw: get, handler: fields("Set-Cookie", "a=1", "Set-Cookie", "b=2", "Vary", "x", "Vary", "y")},
	{name: "cookies", raw: with("Cookie: a=1; b=2", "Cookie: c=3"), handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		n.request(r)
		n.printf("%v", r.Cookies())
		http.SetCookie(w, &http.Cookie{Name: "s", Value: "t u", Path: "/", HttpOnly: true})
		http.SetCookie(w, &http.Cookie{Name: "s2", Value: "v"})
	}},
	{name: "patterns", raw: "GET /items/a%2Fb/c/d HTTP/1.1\r\nHost: x.example\r\n\r\n" + "POST /items/a HTTP/1.1\r\nHost: x.example\r\nContent-Length: 0\r\n\r\n" + head + get +
		"GET /items//x HTTP/1.1\r\nHost: x.example\r\n\r\n", handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		mux := http.NewServeMux()
		for _, pattern := range []string{"GET x.example/items/{id}/{rest...}", "GET /{one}", "/{$}"} {
			mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
				n.printf("%q id=%q rest=%q one=%q", r.Pattern, r.PathValue("id"), r.PathValue("rest"), r.PathValue("one"))
				r.SetPathValue("id", "set")
				n.write(w, r.Pattern)
			})
		}
		mux.ServeHTTP(w, r)
		n.printf("%q id=%q", r.Pattern, r.PathValue("id"))
	}},
	{name: "redirect", raw: get, handler: does(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x?y=z", http.StatusFound) })},
	{name: "ServeContent", raw: with("Range: bytes=10-19"), handler: does(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(text(5000)))
	})},
	{name: "ServeContent of two ranges", raw: with("Range: bytes=10-19, 30-3000"), handler: does(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		rec := &boundaryless{ResponseWriter: w}
		http.ServeContent(rec, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(text(5000)))
	})},
	{name: "many fields", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprintf("X-Field-%d", i), text(100))
		}
	})},

	// Trailers.
	{name: "declared trailers", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "B, a")
		w.Header().Add("Trailer", "C")
		n.write(w, "hello")
		w.Header().Set("A", "1")
		w.Header()["B"] = []string{"2", "3\r\nX: y"}
		w.Header().Set("D", "undeclared")
	}},
	{name: "declared trailers, none set", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		n.write(w, "hello")
	}},
	{name: "declared trailers, no content", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		w.WriteHeader(200)
		w.Header().Set("A", "1")
	})},
	{name: "trailer by prefix in another field's place after WriteHeader", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Field", "1")
		w.WriteHeader(http.StatusOK)
		w.Header().Del("X-Field")
		w.Header().Set("Trailer:A", "1")
		n.write(w, "hello")
	}},
	{name: "trailers set with the fields", raw: get, handler: fields("Trailer", "A", "A", "1")},
	{name: "forbidden trailers", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Content-Length, Transfer-Encoding, If-Match, X, Www-Authenticate, Range, Te, Set-Cookie, Age")
		n.write(w, "hello")
		for _, name := range []string{"Content-Length", "Transfer-Encoding", "If-Match", "X", "Www-Authenticate", "Range", "Te", "Set-Cookie", "Age"} {
			w.Header().Set(name, "1")
		}
	}},
	{name: "trailers by prefix", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer:Before", "1")
		n.write(w, "hello")
		w.Header().Set("Trailer:After", "2")
		w.Header().Set("Trailer:Bad name", "3")
	}},
	{name: "trailers by prefix after a large write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, text(5000))
		w.Header().Set("Trailer:After", "2")
	}},
	{name: "trailers by prefix after a small write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "hello")
		w.Header().Set("Trailer:After", "2")
	}},
	{name: "trailers both ways", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "B, A, B")
		n.write(w, "hello")
		w.Header().Set("Trailer:B", "1")
		w.Header().Set("B", "2")
		w.Header().Set("A", "3")
	}},
	{name: "trailers with length", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		w.Header().Set("Content-Length", "5")
		n.write(w, "hello")
		w.Header().Set("A", "1")
	}},
	{name: "trailers to 1.0", raw: get10ka, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		n.write(w, "hello")
		w.Header().Set("A", "1")
	}},
	{name: "trailers of 204", raw: get, handler: does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		w.WriteHeader(204)
		w.Header().Set("A", "1")
	})},

	// HTTP/1.0 and the client's Connection.
	{name: "1.0", raw: get10 + get10, handler: show},
	{name: "1.0 with Host", raw: "GET / HTTP/1.0\r\nHost: a\r\n\r\n", handler: show},
	{name: "1.0 kept", raw: get10ka + get10ka, handler: show},
	{name: "1.0 kept, in capitals", raw: "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", handler: show},
	{name: "1.0 kept, nothing written", raw: get10ka, handler: does(func(http.ResponseWriter, *http.Request) {})},
	{name: "1.0 kept, large", raw: get10ka, handler: writes(5000)},
	{name: "1.0 kept, with a length, twice", raw: get10ka + get10ka, handler: fields("Content-Length", "5")},
	{name: "1.0 kept, 100 KB with a length", raw: get10ka + get10ka, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		n.write(w, text(60000))
		n.write(w, text(40000))
	}},
	{name: "1.0 kept, body unread", raw: strings.Replace(post(10, "Connection: keep-alive"), "HTTP/1.1", "HTTP/1.0", 1) + get10ka, handler: show},
	{name: "1.0 kept, 204", raw: get10ka, handler: status(204)},
	{name: "1.0 kept, body", raw: "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", handler: echo},
	{name: "1.0 keep-alive, close", raw: "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", handler: show},
	{name: "1.0 with 100-continue", raw: "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", handler: echo},
	{name: "1.2", raw: "GET / HTTP/1.2\r\nHost: a\r\n\r\n", handler: show},
	{name: "close", raw: with("Connection: close") + get, handler: show},
	{name: "Close", raw: with("Connection: Close") + get, handler: show},
	{name: "close, TE", raw: with("Connection: close, TE") + get, handler: show},
	{name: "TE , close", raw: with("Connection: TE ,\tclose ") + get, handler: show},
	{name: "close in a second field", raw: with("Connection: TE", "Connection: close") + get, handler: show},
	{name: "closed", raw: with("Connection: closed") + get, handler: show},
	{name: "keep-alive", raw: with("Connection: keep-alive") + get, handler: show},

	// 100-continue.
	{name: "continue, read", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", more: []string{"hello", get}, handler: echo},
	{name: "continue, chunked", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", more: []string{"5\r\nhello\r\n0\r\n\r\n", get}, handler: echo},
	{name: "continue, not read", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", handler: show},
	{name: "continue, refused", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", handler: does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusRequestEntityTooLarge) })},
	{name: "continue, partly read", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", more: []string{"hello", get}, handler: read(3, false)},
	{name: "continue, read exactly", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", more: []string{"hello", get}, handler: read(5, false)},
	{name: "continue, chunked read exactly", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", more: []string{"5\r\nhello\r\n0\r\n\r\n", get}, handler: read(5, false)},
	{name: "continue, answered before reading", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", more: []string{"hello"}, handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		n.body(r)
		n.write(w, "x")
	}},
	{name: "continue, closed", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		n.write(w, "x")
	}},
	{name: "continue, body at hand", raw: post(5, "Expect: 100-continue") + get, handler: echo},
	{name: "continue, by hand", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", more: []string{"hello", get}, handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(100)
		echo(n, w, r)
	}},
	{name: "continue, 103", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", more: []string{"hello", get}, handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(103)
		echo(n, w, r)
	}},
	{name: "continue without a body", raw: with("Expect: 100-continue") + get, handler: echo},
	{name: "continue, panic", raw: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", handler: does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })},
	{name: "other expectation", raw: with("Expect: x"), handler: show},

	// Bodies that are not read, or not to the end.
	{name: "body unread", raw: post10 + get, handler: show},
	{name: "body of 64 KB unread", raw: post(64<<10) + get, handler: twice(show)},
	{name: "body of 200 KB unread", raw: post(200<<10) + get, handler: twice(show)},
	{name: "body of 255 KB unread", raw: post(256<<10-1) + get, handler: twice(show)},
	{name: "body of 256 KB unread", raw: post(256<<10) + get, handler: twice(show)},
	{name: "body of 300 KB unread", raw: post(300<<10) + get, handler: twice(show)},
	{name: "body of 300 KB unread, 1.0 kept", raw: strings.Replace(post(300<<10, "Connection: keep-alive"), "HTTP/1.1", "HTTP/1.0", 1), handler: twice(show)},
	{name: "body of 300 KB partly read", raw: post(300<<10) + get, handler: twice(read(100<<10, false))},
	{name: "body of 300 KB read", raw: post(300<<10) + get, handler: twice(read(300<<10, false))},
	{name: "body of 300 KB closed", raw: post(300<<10) + get, handler: twice(read(10, true))},
	{name: "body of 100 KB closed", raw: post(100<<10) + get, handler: twice(read(10, true))},
	{name: "body read and closed", raw: post10 + get, handler: twice(read(10, true))},
	{name: "body closed unread", raw: post10 + get, handler: twice(read(0, true))},
	{name: "chunked unread", raw: chunks + get, handler: twice(show)},
	{name: "chunked partly read", raw: chunks + get, handler: twice(read(4, false))},
	{name: "chunked closed", raw: chunks + get, handler: twice(read(4, true))},
	{name: "chunked of 100 KB unread", raw: postChunked(100<<10) + get, handler: twice(show)},
	{name: "chunked of 300 KB unread", raw: postChunked(300<<10) + get, handler: twice(show)},
	{name: "chunked of 300 KB closed", raw: postChunked(300<<10) + get, handler: twice(read(10, true))},
	{name: "body read beyond its end", raw: post10 + get, handler: twice(func(n *notes, w http.ResponseWriter, r *http.Request) {
		p := make([]byte, 4)
		for range 6 {
			k, err := r.Body.Read(p)
			n.printf("%d %s", k, kindOf(err))
		}
		n.printf("%v", r.Body.Close())
		k, err := r.Body.Read(p)
		n.printf("%d %s", k, kindOf(err))
		n.write(w, "x")
	})},
	{name: "body read by nothing", raw: post10 + get, handler: twice(func(n *notes, w http.ResponseWriter, r *http.Request) {
		k, err := r.Body.Read(nil)
		n.printf("%d %s", k, kindOf(err))
		n.body(r)
		n.write(w, "x")
	})},
	{name: "no body", raw: get, handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		n.printf("%v", r.Body.Close())
		n.body(r)
		n.write(w, "x")
	}},
	{name: "length 0 of the request", raw: post(0) + get, handler: echo},
	{name: "late body", raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", more: []string{"he", "llo", get}, handler: echo},
	{name: "late chunked body", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", more: []string{"5\r\nhe", "llo\r\n", "0\r\n\r\n", get}, handler: echo},
	{name: "answer before the body", raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", more: []string{"hello", get}, handler: twice(show)},
	{name: "flush, then read", raw: post10, handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		n.body(r)
		n.write(w, "x")
	}},
	{name: "full duplex", raw: post10 + get, handler: twice(func(n *notes, w http.ResponseWriter, r *http.Request) {
		n.printf("%v", http.NewResponseController(w).EnableFullDuplex())
		w.(http.Flusher).Flush()
		n.write(w, n.body(r))
	})},
	{name: "cut body", raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello", handler: does(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err)
	})},
	{name: "cut chunked body", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", handler: does(func(w http.ResponseWriter, r *http.Request) {
		p, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", p, err)
	})},
	{name: "broken chunks", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n" + get, handler: twice(func(n *notes, w http.ResponseWriter, r *http.Request) {
		n.body(r)
		n.write(w, "x")
	})},
	{name: "MaxBytesReader", raw: post(100) + get, handler: twice(func(n *notes, w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 10)
		n.body(r)
		n.write(w, "x")
	})},
	{name: "MaxBytesReader that suffices", raw: post(100) + get, handler: twice(func(n *notes, w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 100)
		n.body(r)
		n.write(w, "x")
	})},
	{name: "form", raw: "POST /?a=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nb=2&a=3", handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		n.printf("%v %v %v", r.ParseForm(), r.Form, r.PostForm)
	}},
	{name: "multipart form", raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 103\r\n\r\n" +
		"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"g\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--B--\r\n" + get, handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		f, _, err := r.FormFile("f")
		if err != nil {
			n.printf("%v", err)
			return
		}
		p, err := io.ReadAll(f)
		n.printf("%q %v", p, err)
	}},

	// Trailers of requests.
	{name: "request trailers", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A, b\r\nTrailer: C\r\n\r\n3\r\nabc\r\n0\r\nA: 1\r\nB: 2\r\nB: 3\r\nD: 4\r\n\r\n" + get, handler: echo},
	{name: "request trailers not announced", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-y: 1\r\n\r\n" + get, handler: echo},
	{name: "request trailers announced, not sent", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\n\r\n" + get, handler: echo},
	{name: "request trailers that are not allowed", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n" + get, handler: echo},
	{name: "Trailer without chunks", raw: with("Trailer: A"), handler: show},
	{name: "empty Trailer", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer:\r\n\r\n0\r\n\r\n", handler: echo},

	// Panics.
	{name: "panic", raw: get + get, handler: does(func(http.ResponseWriter, *http.Request) { panic("oops") })},
	{name: "panic with an error", raw: get, handler: does(func(http.ResponseWriter, *http.Request) { panic(errors.New("oops")) })},
	{name: "panic after a small write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "hello")
		panic("oops")
	}},
	{name: "panic after a large write", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, text(3000))
		panic("oops")
	}},
	{name: "panic after 2048 and some", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, text(2048))
		n.write(w, text(10))
		panic("oops")
	}},
	{name: "panic after flush", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, "hello")
		w.(http.Flusher).Flush()
		panic("oops")
	}},
	{name: "panic with length", raw: get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10000")
		n.write(w, text(3000))
		panic("oops")
	}},
	{name: "panic of the second", raw: get + strings.Replace(get, "/path", "/x", 1) + get, handler: twice(does(func(http.ResponseWriter, *http.Request) { panic("oops") }))},
	{name: "panic with a body", raw: post(100), handler: does(func(http.ResponseWriter, *http.Request) { panic("oops") })},
	{name: "ErrAbortHandler", raw: get + get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, text(3000))
		panic(http.ErrAbortHandler)
	}},
	{name: "Goexit", raw: get + get, handler: func(n *notes, w http.ResponseWriter, _ *http.Request) {
		n.write(w, text(3000))
		runtime.Goexit()
	}},
	{name: "Goexit before the head", raw: get + get, handler: does(func(http.ResponseWriter, *http.Request) { runtime.Goexit() })},

	// Forms of requests.
	{name: "GET", raw: get, handler: show},
	{name: "a method of its own", raw: "PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "a method in lower case", raw: "get / HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "absolute", raw: "GET http://b:80/p/a?q HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "absolute without a path", raw: "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "absolute without a path, with a query", raw: "GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "absolute, https, in capitals", raw: "GET HTTPS://B.example/%41 HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "absolute of 1.0", raw: "GET http://b/p HTTP/1.0\r\n\r\n", handler: show},
	{name: "OPTIONS *", raw: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + get, handler: show},
	{name: "OPTIONS * with a body", raw: "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get, handler: show},
	{name: "OPTIONS * with a large body", raw: strings.Replace(post(10000), "POST /", "OPTIONS *", 1) + get, handler: show},
	{name: "OPTIONS of a path", raw: "OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "CONNECT", raw: "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n" + get, handler: show},
	{name: "CONNECT without Host", raw: "CONNECT b:443 HTTP/1.1\r\n\r\n", handler: show},
	{name: "CONNECT of a path", raw: "CONNECT /rpc HTTP/1.1\r\nHost: b:443\r\n\r\n", handler: show},
	{name: "no Host", raw: "GET / HTTP/1.1\r\n\r\n", handler: show},
	{name: "* with another method", raw: "GET * HTTP/1.1\r\nHost: a\r\n\r\n" + get, handler: show},
	{name: "IPv6 Host without brackets", raw: "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", handler: show},
	{name: "IPv6 Host with a zone", raw: "GET / HTTP/1.1\r\nHost: [fe80::1%25en0]:80\r\n\r\n", handler: show},
	{name: "empty Host", raw: "GET / HTTP/1.1\r\nHost:\r\n\r\n", handler: show},
	{name: "Host with a port", raw: "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", handler: show},
	{name: "Host after others", raw: "GET / HTTP/1.1\r\nA: b\r\nHost: h\r\nC: d\r\n\r\n", handler: show},
	{name: "Pragma", raw: with("Pragma: no-cache"), handler: show},
	{name: "Pragma with Cache-Control", raw: with("Pragma: no-cache", "Cache-Control: max-age=1"), handler: show},
	{name: "other Pragma", raw: with("Pragma: x"), handler: show},
	{name: "repeated fields of the request", raw: with("A: 1", "a: 2", "B: 3", "A: 4"), handler: show},
	{name: "empty and spaced values", raw: with("A:", "B: ", "C:\t x y\t", "D:z"), handler: show},
	{name: "more than eight fields", raw: with("A: 1", "B: 2", "C: 3", "D: 4", "E: 5", "F: 6", "G: 7", "H: 8", "I: 9", "A: 10", "J: 11"), handler: show},
	{name: "weird fields", raw: with("!#$%&'*+-.^_`|~: 1", "0abc-DEF: 2", "x_y: 3", "A--b: 4", "-: 5", "Ä-free: x"), handler: show},
	{name: "odd but legal fields", raw: with("!#$%&'*+-.^_`|~: 1", "0abc-DEF: 2", "x_y: 3", "A--b: 4", "-: 5", "V: \x80\xff ä"), handler: show},
	{name: "known fields in any case", raw: with("user-AGENT: a", "ETAG: b", "www-authenticate: c", "dnt: 1", "X-FORWARDED-FOR: d", "te: trailers", "x-REQUEST-id: e", "sec-websocket-key: f", "SEC-CH-UA: g", "accept-ENCODING: h", "content-md5: i", "x-xss-protection: j"), handler: show},
	{name: "changed by the handler", raw: with("A: 1", "B: 2") + with("A: 1", "B: 2"), handler: func(n *notes, w http.ResponseWriter, r *http.Request) {
		n.request(r)
		r.Header.Add("A", "2")
		r.Header.Del("B")
		n.request(r)
	}},
	{name: "query", raw: "GET /a?b=c&d=%20+e;f=?g HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "empty query", raw: "GET /a? HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "two question marks", raw: "GET /a?? HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "escaped path", raw: "GET /a%20b%2Fc/%C3%A4?x=%zz HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "escaped path and query", raw: "GET /a%20b%2Fc/%C3%A4%41?x=%20 HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "odd path", raw: "GET //a/../b//c/./(x)!*'; HTTP/1.1\r\nHost: a\r\n\r\n", handler: show},
	{name: "empty lines before", raw: "\r\n\r\n" + get, handler: show},
	{name: "empty line after a body", raw: post10 + "\r\n" + get, handler: echo},
	{name: "empty line after the last body", raw: post10 + "\r\n", handler: echo},
	{name: "upgrade ignored", raw: with("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x") + get, handler: show},
	{name: "HTTP/2 preface", raw: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", handler: show},

	// Lengths and codings of the request that contradict each other, or seem to.
	{name: "chunked beside a length", raw: strings.Replace(chunks, "Transfer-", "Content-Length: 7\r\nTransfer-", 1) + get, handler: echo},
	{name: "a length beside chunked", raw: strings.Replace(chunks, "chunked\r\n", "chunked\r\nContent-Length: 7\r\n", 1) + get, handler: echo},
	{name: "two different lengths", raw: post(5, "Content-Length: 6") + get, handler: echo},
	{name: "two different lengths in one field", raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello", handler: echo},
	{name: "the same length twice", raw: post(5, "Content-Length: 5") + get, handler: echo},
	{name: "the same length twice in one field", raw: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", handler: echo},
	{name: "the same length with a zero", raw: post(5, "Content-Length: 05") + get, handler: echo},
	{name: "chunked twice", raw: strings.Replace(chunks, "chunked\r\n", "chunked\r\nTransfer-Encoding: chunked\r\n", 1), handler: echo},
	{name: "chunked of a 1.0 request", raw: strings.Replace(chunks, "HTTP/1.1", "HTTP/1.0", 1), handler: echo},
	{name: "chunked of a 1.0 request, kept", raw: strings.Replace(chunks, "HTTP/1.1\r\n", "HTTP/1.0\r\nConnection: keep-alive\r\n", 1), handler: echo},

	// Refused by both.
	{name: "bad request line", raw: "GET /\r\n\r\n", handler: show},
	{name: "bad field", raw: with("no colon"), handler: show},
	{name: "version 3", raw: "GET / HTTP/3.0\r\nHost: a\r\n\r\n", handler: show},
	{name: "unknown coding", raw: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", handler: show},
	{name: "cut head", raw: "GET / HTTP/1.1\r\nHo", handler: show},
	{name: "cut second head", raw: get + "GET / HTTP/1.1\r\nHo", handler: show},
	{name: "nothing at all", raw: "", handler: show},
}

// A boundaryless writer answers for ServeContent with a boundary that is not random.
type boundaryless struct {
	http.ResponseWriter
	boundary string
}

func (b *boundaryless) WriteHeader(code int) {
	if _, after, ok := strings.Cut(b.Header().Get("Content-Type"), "boundary="); ok {
		b.boundary = after
		b.Header().Set("Content-Type", "multipart/byteranges; boundary="+strings.Repeat("b", len(after)))
	}
	b.ResponseWriter.WriteHeader(code)
}

func (b *boundaryless) Write(p []byte) (int, error) {
	_, err := b.ResponseWriter.Write([]byte(strings.ReplaceAll(string(p), b.boundary, strings.Repeat("b", len(b.boundary)))))
	return len(p), err
}
