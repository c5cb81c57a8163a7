// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waitress-go/waitress/proxy"
)

// originalAnswers has what the handler does for a path.
var originalAnswers = map[string]http.HandlerFunc{
	"/split": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", "a\r\nX-B: b") },
	"/split-name": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-A: a\r\nX-B"] = []string{"b"}
	},
	"/panic": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"/exit":  func(http.ResponseWriter, *http.Request) { runtime.Goexit() },
	"/cut": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	},
	"/304": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(http.StatusNotModified)
		_, _ = io.WriteString(w, "content")
	},
	"/304-file": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotModified)
		originalFile(w, 0, false)
	},
	"/file":       func(w http.ResponseWriter, _ *http.Request) { originalFile(w, 0, true) },
	"/file-nocl":  func(w http.ResponseWriter, _ *http.Request) { originalFile(w, 0, false) },
	"/file-short": func(w http.ResponseWriter, _ *http.Request) { originalFile(w, -1, true) },
	"/file-long":  func(w http.ResponseWriter, _ *http.Request) { originalFile(w, 1, true) },
	"/204": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(http.StatusNoContent)
		_, _ = io.WriteString(w, "content")
	},
	"/few": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "five.")
	},
	"/many": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "five.")
		_, _ = io.WriteString(w, "more.")
	},
	"/stream": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "0123456789")
	},
	"/empty": func(http.ResponseWriter, *http.Request) {},
	"/names": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["ETag"] = []string{`"1"`}
		w.Header()["WWW-Authenticate"] = []string{"Basic", "Digest"}
	},
	"/server": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Server", "mine") },
	"/date":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", "then") },
	"/euro":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", "5 €") },
	"/twice": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusTeapot)
	},
	"/close": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
	"/content": func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("0123456789"))
	},
}

// originalFile answers with this file, and says, if it is to say it, that it is longer by more than it is.
func originalFile(w http.ResponseWriter, more int64, says bool) {
	f, err := os.Open("original_answer_test.go")
	if err != nil {
		panic(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		panic(err)
	}
	if says {
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size()+more, 10))
	}
	_, _ = io.Copy(w, f)
}

// TestOriginalAnswers has the rows of how it puts an answer together, and what it makes of an application's.
func TestOriginalAnswers(t *testing.T) {
	ident := func(s *Server) { s.Ident = "waitress" }
	testOriginal(t, []originalRow{
		{"names: as the handler has them", nil, "GET /names HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nETag: \"1\"\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: Digest\r\n", ""},
		{"Content-Length: not of 204", nil, "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n", "204 kept", "", "Content-Length"},
		{"Content-Length: not of 304", nil, "GET /304 HTTP/1.1\r\nHost: a\r\n\r\n", "304 kept", "", "Content-Length"},
		// The original knows it only where the application's answer is one piece.
		{"Content-Length: of an answer that is done", nil, after, "200 kept", "\r\nContent-Length: ", "chunked"},
		{"Content-Length: of nothing", nil, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nContent-Length: 0\r\n", ""},

		{"1.0: closes", nil, "GET / HTTP/1.0\r\n\r\n" + evil, "200 closed", "HTTP/1.0 200", ""},
		{"1.0: keep-alive with a length", nil, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200 kept", "\r\nConnection: keep-alive\r\n", ""},
		{"1.0: keep-alive among other options", nil, "GET / HTTP/1.0\r\nConnection: x, keep-alive\r\n\r\n", "200 kept", "\r\nConnection: keep-alive\r\n", ""},
		{"1.0: keep-alive without a length closes", nil, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 closed", "\r\n\r\na0123456789", "chunked"},
		{"1.1: close", nil, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + evil, "200 closed", "\r\nConnection: close\r\n", ""},
		{"1.1: close among other options", nil, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n" + evil, "200 closed", "", ""},
		{"1.1: chunks are no reason to close", nil, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nTransfer-Encoding: chunked\r\n", "Connection"},
		{"Server: the handler's own, and no Via", ident, "GET /server HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nServer: mine\r\n", "aitress"},
		{"Date: of the answer", nil, after, "200 kept", "\r\nDate: ", ""},
		{"Date: the handler's own", nil, "GET /date HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nDate: then\r\n", " GMT"},
		// The original answers 500 where a value is not Latin-1.
		{"status line: values are bytes", nil, "GET /euro HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nX-A: 5 €\r\n", ""},

		// The original sends one for each piece, with its digits in upper case; a flush ends one here, and digits have no case.
		{"chunk framing", nil, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\n\r\n1\r\na\r\na\r\n0123456789\r\n0\r\n\r\n", ""},
		{"too few bytes", nil, "GET /few HTTP/1.1\r\nHost: a\r\n\r\n" + after, "200 closed", "", "after"},
		// The original keeps the connection; who counts wrong once may have sent what belongs elsewhere.
		{"too many bytes", nil, "GET /many HTTP/1.1\r\nHost: a\r\n\r\n", "200 closed", "five.", "more"},
		{"1xx/204/304: no content in 304", nil, "GET /304 HTTP/1.1\r\nHost: a\r\n\r\n", "304 kept", "", "content"},
		{"1xx/204/304: no content in 204", nil, "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n", "204 kept", "", "content"},
		{"1xx/204/304: nor of a file", nil, "GET /304-file HTTP/1.1\r\nHost: a\r\n\r\n", "304 kept", "", "SPDX"},
		{"HEAD: no content", nil, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nContent-Length: ", "HEAD /"},
		{"HEAD: no chunks", nil, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", "0123456789"},
		{"HEAD: nothing is said of what it would be", nil, "HEAD /empty HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", "Content-Length"},
		{"start_response: twice", nil, "GET /twice HTTP/1.1\r\nHost: a\r\n\r\n", "201 kept", "", ""},
		{"start_response: CR and LF in a value", nil, "GET /split HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", "\nX-B:"},
		{"start_response: CR and LF in a name", nil, "GET /split-name HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", "X-B"},
		// The original refuses to let an application ask for it.
		{"start_response: close", nil, "GET /close HTTP/1.1\r\nHost: a\r\n\r\n" + evil, "200 closed", "\r\nConnection: close\r\n", ""},
		{"start_response: not called", nil, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", ""},
		{"file_wrapper: a range", nil, "GET /content HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n", "206 kept", "\r\n\r\n234", ""},
		{"file_wrapper: its length", nil, "GET /content HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "\r\nContent-Length: 10\r\n", ""},
		{"app error: before the head", nil, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n" + evil, "closed", "", ""},
		{"app error: behind it the answer has no end", nil, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n" + evil, "200 closed", "begin", "\r\n0\r\n"},
		{"SystemExit: nobody waits", nil, "GET /exit HTTP/1.1\r\nHost: a\r\n\r\n" + evil, "closed", "", ""},
	})

	t.Run("first flush: before there is a byte", func(t *testing.T) {
		policies(t, func(t *testing.T, p Policy) {
			seen := make(chan struct{})
			c := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for _, piece := range []string{"", "a", "b"} {
					_, _ = io.WriteString(w, piece)
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Error(err)
					}
					<-seen
				}
			})}).dial(t)
			send(t, c, get)
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			seen <- struct{}{}
			for _, want := range "ab" {
				var piece [1]byte
				if _, err := io.ReadFull(resp.Body, piece[:]); err != nil || rune(piece[0]) != want {
					t.Errorf("got %q, %v, want %q", piece, err, want)
				}
				seen <- struct{}{}
			}
			if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
				t.Errorf("then %q, %v", rest, err)
			}
		})
	})

	t.Run("app error: is logged", originalPanicIsLogged)
}

// originalPanicIsLogged: what a handler panics with is in the log, with where it was, and the client gets nothing.
func originalPanicIsLogged(t *testing.T) {
	core, logged := observer.New(zapcore.ErrorLevel)
	s := &Server{Logger: zap.New(core), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of € and more") })}
	c := serve(t, s).dial(t)
	send(t, c, get)
	if all, err := io.ReadAll(c); len(all) > 0 || err != nil {
		t.Errorf("got %q, %v", all, err)
	}
	_ = c.Close() // or Shutdown lingers
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := logged.All(); len(all) != 1 || !strings.Contains(all[0].Message, "of € and more") || !strings.Contains(all[0].Message, "original_answer_test.go") {
		t.Errorf("logged %v", all)
	}
}

// TestOriginalErrors has the rows of the errors that it answers with. Ours name the rule and where it is from.
func TestOriginalErrors(t *testing.T) {
	buffered := func(s *Server) { s.BufferRequests = true }
	chunk := func(raw string) string { return originalChunked + raw }
	field := func(line string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n" }
	large := func(s *Server) { s.MaxBodyBytes = 10 }
	for _, test := range []struct {
		name   string
		change func(*Server)
		raw    string
		status int
		says   string
	}{
		{"Start line is invalid", nil, "GET /\r\n\r\n", 400, "request line"},
		{"Malformed HTTP method", nil, "G[T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
		{"Bare CR or LF found in HTTP message", nil, "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "RFC 9112 §2"},
		{"Bare CR or LF found in header line", nil, field("A: b\nc"), 400, "LF not preceded by CR"},
		{"Malformed header line", nil, "GET / HTTP/1.1\r\n A: b\r\n\r\n", 400, "starts with whitespace"},
		{"Invalid header", nil, field("A"), 400, "without a colon"},
		{"Duplicate header", nil, field("Host: a"), 400, "more than one Host"},
		{"Bad URI", nil, "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-target"},
		{"Content-Length is invalid", nil, field("Content-Length: x"), 400, "Content-Length is not a decimal number"},
		{"Invalid chunk size", buffered, chunk("x\r\n"), 400, "chunk size"},
		{"Invalid chunk extension", buffered, chunk("2;=\r\nab\r\n"), 400, "chunk extension"},
		{"Chunk not properly terminated", buffered, chunk("2\r\nabc"), 400, "not followed by CRLF"},
		{"Request Entity Too Large: by its length", large, originalPost + "Content-Length: 11\r\n\r\n", 413, "longer than this server takes"},
		{"Request Entity Too Large: as it comes", func(s *Server) { large(s); buffered(s) }, chunk("b\r\nhello world"), 413, "longer than this server takes"},
		{"Request Header Fields Too Large", func(s *Server) { s.MaxHeaderBytes = 1000 }, field("A: " + strings.Repeat("a", 1000)), 431, "too large"},
		{"Not Implemented", nil, originalPost + "Transfer-Encoding: gzip\r\n\r\n", 501, "transfer coding"},
		{"Not Implemented: chunked twice", nil, originalPost + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "chunked, once"},

		// What the original has no status for.
		{"414", func(s *Server) { s.MaxRequestLine = 100 }, "GET /" + strings.Repeat("a", 100) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "request line too long"},
		{"417", nil, field("Expect: x"), 417, "expectation"},
		{"505", nil, "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "version"},
		{"408", func(s *Server) { s.ReadHeaderTimeout = time.Millisecond }, "GET / HT", 408, "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Server{Handler: http.HandlerFunc(originalHandler), Ident: "tag"}
			if test.change != nil {
				test.change(s)
			}
			c := serve(t, s).dial(t)
			send(t, c, test.raw)
			r := bufio.NewReader(c)
			resp, body := answer(t, r)
			reason := fmt.Sprintf("%d %s", test.status, http.StatusText(test.status))
			// It is in HTTP/1.1 always, in the original for some of these always in 1.0.
			if resp.Proto != "HTTP/1.1" || resp.Status != reason || !resp.Close || resp.ContentLength != int64(len(body)) {
				t.Errorf("%s %s, close %v, length %d", resp.Proto, resp.Status, resp.Close, resp.ContentLength)
			}
			if !strings.HasPrefix(body, reason+": ") || !strings.Contains(body, test.says) {
				t.Errorf("the text is %q", body)
			}
			if h := resp.Header; h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("Date") == "" || h.Get("Server") != "tag" {
				t.Errorf("the fields are %v", h)
			}
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
				t.Error("the connection's end:", err)
			}
		})
	}

	// A malformed field of a proxy's ends no framing, and the connection is kept.
	t.Run("Header malformed", func(t *testing.T) {
		testOriginal(t, []originalRow{{
			"X-Forwarded-For", trustXFF, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: bad\r\n\r\n", "400 kept", "X-Forwarded-For", "chunked",
		}})
	})

	// net/http has no answer for a handler that fails, and neither have we: what to show is for a middleware.
	t.Run("Internal Server Error", func(t *testing.T) {
		testOriginal(t, []originalRow{{"is the handler's to say", nil, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n", "closed", "", ""}})
	})

	// Whoever still sends when it is refused must not have the answer reset under its hands.
	t.Run("413 during an upload", func(t *testing.T) {
		testOriginal(t, []originalRow{{
			"the answer arrives", large, originalPost + "Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1_000_000), "413 closed", "", "",
		}})
	})
}

// TestOriginalEnviron has what a WSGI application finds in its environ: where a handler finds it, or why it does not.
func TestOriginalEnviron(t *testing.T) {
	type request struct {
		*http.Request
		content string
		err     error
	}
	got := make(chan request, 1)
	var w http.ResponseWriter
	s := &Server{Ident: "tag", URLPrefix: "/pre", Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		w = rw
		got <- request{r, string(content), err}
	})}
	ts := serve(t, s)
	c := ts.dial(t)
	local := c.LocalAddr().(*net.TCPAddr)
	send(t, c, "POST /pre/a%2Fb?x=%20 HTTP/1.1\r\nHost: client.example:99\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\nX-Own: 1\r\n"+
		"X_Own: 2\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	r := <-got
	answer(t, bufio.NewReader(c))
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		t.Fatal(err)
	}
	client := proxy.ClientOf(r.Request)
	for _, test := range []struct {
		name      string
		got, want any
	}{
		{"REMOTE_ADDR", host, local.IP.String()},
		{"REMOTE_HOST", host, local.IP.String()},
		{"REMOTE_PORT", port, fmt.Sprint(local.Port)},
		{"REQUEST_METHOD", r.Method, "POST"},
		{"SERVER_PORT", r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(), ts.addr},
		{"SERVER_NAME", r.Host, "client.example:99"}, // what the client asked for, and nothing else
		{"SERVER_SOFTWARE", r.Context().Value(http.ServerContextKey).(*http.Server) != nil, true},
		{"SERVER_PROTOCOL", r.Proto, "HTTP/1.1"},
		{"SCRIPT_NAME", client.Prefix, "/pre"},
		{"PATH_INFO", r.URL.Path, "/a/b"},
		{"REQUEST_URI", r.RequestURI, "/pre/a%2Fb?x=%20"},
		{"QUERY_STRING", r.URL.RawQuery, "x=%20"},
		{"wsgi.url_scheme", client.Scheme, "http"},
		{"wsgi.input", r.content, "abc"},
		{"wsgi.input_terminated", r.err, nil},
		{"CONTENT_TYPE", r.Header.Get("Content-Type"), "text/x"},
		// The original knows it, since it has received all; so do we with BufferRequests.
		{"CONTENT_LENGTH", r.ContentLength, int64(-1)},
		{"HTTP_ X-Own", fmt.Sprint(r.Header["X-Own"]), "[1]"}, // that of the underscore is another
		{"HTTP_ Transfer-Encoding", fmt.Sprint(r.TransferEncoding, r.Header["Transfer-Encoding"]), "[chunked] []"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.got != test.want {
				t.Errorf("got %v, want %v", test.got, test.want)
			}
		})
	}
	t.Run("wsgi.file_wrapper", func(t *testing.T) {
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("files are not sent as such")
		}
	})
	t.Run("waitress.client_disconnected", TestDisconnect)
	// Of wsgi.version, multithread, multiprocess and run_once a Go handler's contract has one value each; wsgi.errors is the
	// program's own logger.

	t.Run("of a Unix socket", func(t *testing.T) {
		if noUnix() {
			t.Skip("no Unix sockets")
		}
		path := filepath.Join(socketDir(t), "socket")
		_, addrs := listenServe(t, &Server{Listen: []string{"unix:" + path}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, r.RemoteAddr, " ", r.Context().Value(http.LocalAddrContextKey))
		})})
		c := dialTo(t, "unix", addrs[0].String())
		send(t, c, get)
		if _, body := answer(t, bufio.NewReader(c)); body != "@ "+path {
			t.Errorf("the addresses are %q, want %q", body, "@ "+path)
		}
	})
}
