// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/internal/invariant"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// newTaskSim is newSim with a TaskHandler before the handler.
func newTaskSim(t *testing.T, seed int64, faults reactortest.Faults, config simConfig, tasks TaskFunc, handler http.HandlerFunc) *sim {
	t.Helper()
	config.TaskHandler = tasks
	return newSim(t, seed, faults, config, handler)
}

// TestTaskView: what a Task tells of requests of all forms.
func TestTaskView(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		want      string
	}{
		{"plain", "GET /a/b?x=1&y HTTP/1.1\r\nHost: h:80\r\n\r\n", `GET GET "/a/b?x=1&y" "/a/b" "/a/b" "x=1&y" ["a" "b"] "h:80" 0 HTTP/1.1 true`},
		{"escaped", "GET /a%2Fb/%41/ HTTP/1.1\r\nHost: h\r\n\r\n", `GET GET "/a%2Fb/%41/" "/a%2Fb/%41/" "/a/b/A/" "" ["a%2Fb" "%41" ""] "h" 0 HTTP/1.1 true`},
		{"root, empty query", "HEAD /? HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", `HEAD HEAD "/?" "/" "/" "" [] "h" 0 HTTP/1.1 false`},
		{"absolute", "PUT http://H:1/p//q?r HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", `PUT PUT "http://H:1/p//q?r" "/p//q" "/p//q" "r" ["p" "" "q"] "H:1" 0 HTTP/1.1 true`},
		{"absolute without a path", "GET http://H?q HTTP/1.1\r\nHost: h\r\n\r\n", `GET GET "http://H?q" "/" "/" "q" [] "H" 0 HTTP/1.1 true`},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", `OPTIONS OPTIONS "*" "*" "*" "" [] "h" 0 HTTP/1.1 true`},
		{"authority", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", `CONNECT CONNECT "h:1" "" "" "" [] "h:1" 0 HTTP/1.1 false`},
		{"own method", "PURGE / HTTP/1.0\r\n\r\n", ` PURGE "/" "/" "/" "" [] "" 0 HTTP/1.0 false`},
		{"1.0 kept", "DELETE / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", `DELETE DELETE "/" "/" "/" "" [] "" 0 HTTP/1.0 true`},
		{"length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", `POST POST "/" "/" "/" "" [] "h" 3 HTTP/1.1 true`},
		{"chunked", "PATCH / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", `PATCH PATCH "/" "/" "/" "" [] "h" -1 HTTP/1.1 true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				var got string
				s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(t Task) {
					segments := slices.Collect(t.Segments())
					got = fmt.Sprintf("%v %s %q %q %q %q %q %q %d HTTP/1.%d %v", t.Method(), t.MethodName(), t.Target(), t.Path(),
						t.DecodedPath(nil), t.Query(), segments, t.Host(), t.ContentLength(), t.Minor(), t.KeepAlive())
					if i := len(segments); t.Segment(i) != nil || i > 0 && !bytes.Equal(t.Segment(i-1), segments[i-1]) {
						got += " and other segments"
					}
					if !strings.HasPrefix(t.RemoteAddr(), "198.51.100.") {
						got += " from " + t.RemoteAddr()
					}
				}, nil)
				s.roundTrip(tt.raw)
				if got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// TestTaskFields: the fields of a request, and what they mean.
func TestTaskFields(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		raw := "GET /?a=1&b=x%20y+z&%63=3&d&a=2&e=%zz HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-ONE:\t2 \r\nEmpty:\r\nUser-Agent: u\r\n" +
			"Cookie: a=1; b=\"2\" ;c = 3\r\nCookie: d=4; a=5\r\nIf-None-Match: \"x,\", W/\"y\"\r\nAge: 17\r\nHuge: 9223372036854775808\r\nMinus: -1\r\n\r\n"
		ran := false
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{}, func(task Task) {
			ran = true
			var all []string
			for name, value := range task.Headers() {
				all = append(all, fmt.Sprintf("%s=%s", name, value))
			}
			if got, want := strings.Join(all[:5], "|"), "Host=h|X-One=1|x-ONE=2|Empty=|User-Agent=u"; got != want {
				t.Errorf("fields %s, want %s", got, want)
			}
			for _, tt := range []struct {
				name string
				got  any
				want string
			}{
				{"Header", task.Header("x-one"), `"1"`},
				{"Header, empty", task.Header("EMPTY") != nil, `true`},
				{"Header, absent", task.Header("Absent") == nil, `true`},
				{"Known", task.Known(httpparse.NameUserAgent), `"u"`},
				{"Known, absent", task.Known(httpparse.NameAccept) == nil, `true`},
				{"HeaderValues", slices.Collect(task.HeaderValues("X-One")), `["1" "2"]`},
				{"query a", query(task, "a"), `"1"`},
				{"query b", query(task, "b"), `"x y z"`},
				{"query c", query(task, "c"), `"3"`},
				{"query d", query(task, "d"), `""`},
				{"query e", query(task, "e"), `"%zz"`},
				{"query f", query(task, "f"), `"none"`},
				{"cookie a", cookie(task, "a"), `"1"`},
				{"cookie b", cookie(task, "b"), `"2"`},
				{"cookie c", cookie(task, "c"), `"3"`},
				{"cookie d", cookie(task, "d"), `"4"`},
				{"cookie e", cookie(task, "e"), `"none"`},
				{"tag", task.IfNoneMatch(`"x,"`), `true`},
				{"weak tag", task.IfNoneMatch(`W/"y"`), `true`},
				{"strong tag of a weak one", task.IfNoneMatch(`"y"`), `true`},
				{"other tag", task.IfNoneMatch(`"x"`), `false`},
			} {
				if got := fmt.Sprintf("%q", tt.got); got != tt.want && fmt.Sprint(tt.got) != tt.want {
					t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
				}
			}
			for name, want := range map[string]int64{"Age": 17, "Huge": -1, "Minus": -1, "Empty": -1, "Absent": -1} {
				if n, ok := task.HeaderInt(name); ok != (want >= 0) || ok && n != want {
					t.Errorf("HeaderInt(%s): %d %v", name, n, ok)
				}
			}
		}, nil)
		s.roundTrip(raw)
		if !ran {
			t.Error("no request")
		}
	})
}

func query(t Task, name string) []byte {
	v, ok := t.QueryValue(name, []byte("kept"))
	if !ok {
		return []byte("none")
	}
	return v
}

func cookie(t Task, name string) []byte {
	v, ok := t.Cookie(name)
	if !ok {
		return []byte("none")
	}
	return v
}

func inBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// taskAnswers are answers, byte for byte but for the Date.
var taskAnswers = []struct {
	name, raw string
	task      func(t *testing.T, task Task)
	want      string
}{
	{"nothing", get, func(*testing.T, Task) {}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	{"preset", get, func(_ *testing.T, task Task) { taskHello(task) }, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\nHello, World!"},
	{"preset, HEAD", head, func(_ *testing.T, task Task) { taskHello(task) }, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\n"},
	{"preset, 1.0", get10, func(_ *testing.T, task Task) { taskHello(task) }, "HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\nHello, World!"},
	{"preset, 1.0 kept", get10ka, func(_ *testing.T, task Task) { taskHello(task) }, "HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\nHello, World!"},
	{"preset with another status", get, func(_ *testing.T, task Task) {
		task.SetPreset(helloPreset)
		task.SetStatus(404)
		task.AddHeader("A", "b")
	}, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nA: b\r\nContent-Length: 0\r\n\r\n"},
	{"answer", get, func(_ *testing.T, task Task) { task.Answer(201, "a/b", []byte("x")) }, "HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\nx"},
	{"answer of a status without a name", get, func(_ *testing.T, task Task) { task.AnswerString(299, "", "x") }, "HTTP/1.1 299 status code 299\r\nContent-Length: 1\r\n\r\nx"},
	{"answer without content", get, func(_ *testing.T, task Task) { task.AnswerString(204, "", "x") }, "HTTP/1.1 204 No Content\r\n\r\n"},
	{"not modified", get, func(_ *testing.T, task Task) {
		task.AddHeader("ETag", `"x"`)
		task.SetStatus(304)
	}, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"},
	{"no content, written", get, func(t *testing.T, task Task) {
		task.SetStatus(204)
		if _, err := task.WriteString("x"); !errors.Is(err, http.ErrBodyNotAllowed) {
			t.Errorf("Write: %v", err)
		}
	}, "HTTP/1.1 204 No Content\r\n\r\n"},
	{"last", get + get, func(_ *testing.T, task Task) { task.CloseAfter() }, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	{"fields", get, func(_ *testing.T, task Task) {
		task.AddHeader("A", " b\r\nInjected: c ")
		task.AddHeaderBytes([]byte("D"), []byte("e"))
		task.AddHeaderInt("F", -12)
		task.AddHeader("no name", "x")
		task.AddHeader("transfer-encoding", "gzip")
		task.AddHeader("content-length", "3")
		task.AddHeader("Date", "now")
		task.AddHeader("Connection", "x")
		_, _ = task.WriteString("abc")
	}, "HTTP/1.1 200 OK\r\nA: b  Injected: c\r\nD: e\r\nF: -12\r\nDate: now\r\nConnection: x\r\nContent-Length: 3\r\n\r\nabc"},
	{"close by field", get + get, func(_ *testing.T, task Task) { task.AddHeader("connection", "Close") }, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	{"flushed", get, func(t *testing.T, task Task) {
		_, _ = task.WriteString("abc")
		if err := task.Flush(); err != nil {
			t.Error(err)
		}
		_, _ = task.WriteString("de")
	}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
	{"flushed, 1.0", get10ka, func(_ *testing.T, task Task) {
		_, _ = task.WriteString("abc")
		_ = task.Flush()
		_, _ = task.WriteString("de")
	}, "HTTP/1.0 200 OK\r\n\r\nabcde"},
	{"flushed, HEAD", head + head, func(_ *testing.T, task Task) {
		_, _ = task.WriteString("abc")
		_ = task.Flush()
	}, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"},
	{"with a length", get, func(t *testing.T, task Task) {
		task.SetContentLength(5)
		_, _ = task.WriteString("abc")
		_ = task.Flush()
		if n, err := task.WriteString("def"); n != 0 || !errors.Is(err, http.ErrContentLength) {
			t.Errorf("too much: %d %v", n, err)
		}
		_, _ = task.WriteString("de")
	}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"},
	{"shorter than its length", get + get, func(_ *testing.T, task Task) {
		task.SetContentLength(5)
		_, _ = task.WriteString("abc")
	}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"},
	{"length after more was written", get + get, func(_ *testing.T, task Task) {
		_, _ = task.WriteString("abcHTTP/1.1 200 OK\r\n")
		task.SetContentLength(3)
	}, strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nabcHTTP/1.1 200 OK\r\n", 2)},
	{"length by field after more was written", get, func(_ *testing.T, task Task) {
		_, _ = task.WriteString("abcd")
		task.AddHeader("Content-Length", "3")
		task.AddHeaderInt("content-length", 0)
	}, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"},
	{"length after as much was written", get, func(_ *testing.T, task Task) {
		_, _ = task.WriteString("abc")
		task.SetContentLength(3)
	}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
	{"shorter length after more was written", get + get, func(t *testing.T, task Task) {
		task.SetContentLength(5)
		_, _ = task.WriteString("abcd")
		task.SetContentLength(3)
		if _, err := task.WriteString("ef"); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("too much: %v", err)
		}
		task.SetContentLength(4)
		task.SetContentLength(6)
	}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd"},
	{"length of what was refused", get + get, func(t *testing.T, task Task) {
		task.SetContentLength(3)
		if _, err := task.WriteString("abcd"); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("too much: %v", err)
		}
		task.AddHeader("Content-Length", "4")
	}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"},
	{"status without content after Write", get + get, func(_ *testing.T, task Task) {
		_, _ = task.WriteString("abc")
		task.SetStatus(204)
	}, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"},
	{"and with content again", get + get, func(_ *testing.T, task Task) {
		task.SetContentLength(3)
		_, _ = task.WriteString("abc")
		task.SetStatus(304)
		task.SetStatus(200)
	}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"},
	{"trailers", get, func(_ *testing.T, task Task) {
		task.AddTrailer("Sum", "1")
		_, _ = task.WriteString("abc")
		task.AddTrailer("Content-Length", "7")
		task.AddTrailer("more", "2\n")
	}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nSum: 1\r\nmore: 2\r\n\r\n"},
	{"trailers, 1.0", get10, func(_ *testing.T, task Task) {
		task.AddTrailer("Sum", "1")
		_, _ = task.WriteString("abc")
	}, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
	{"interim", get, func(_ *testing.T, task Task) {
		task.AddHeader("Link", "</x>")
		task.SetStatus(103)
		_, _ = task.WriteString("a")
	}, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nLink: </x>\r\nContent-Length: 1\r\n\r\na"},
	{"interim, 1.0", get10, func(_ *testing.T, task Task) { task.SetStatus(103) }, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
	{"continue", "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", func(_ *testing.T, task Task) {
		task.SetStatus(100)
		task.CloseAfter()
	}, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	{"echo", post10 + chunks, func(t *testing.T, task Task) {
		p, err := task.Body(10)
		if err != nil {
			t.Error(err)
		}
		again, err := task.Body(0)
		if err != nil || !bytes.Equal(again, p) {
			t.Errorf("the second Body: %q %v", again, err)
		}
		task.Answer(200, "", p)
	}, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg"},
	{"request trailers", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n1\r\na\r\n0\r\nSum: 5\r\n\r\n", func(t *testing.T, task Task) {
		if v := task.Trailer("sum"); v != nil {
			t.Errorf("a trailer before the body: %q", v)
		}
		_, err := task.Body(10)
		task.Answer(200, "", fmt.Appendf(nil, "%v %s %q", err, task.Trailer("sum"), task.Trailer("x")))
	}, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<nil> 5 \"\""},
	{"trailers that are not allowed", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n", func(t *testing.T, _ Task) {
		t.Error("the request was not refused")
	}, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 91\r\n\r\n" +
		"400 Bad Request: Trailer names a field that no trailer section may hold (RFC 9110 §6.5.1)\n"},
	{"body too large", post10 + chunks + get, func(t *testing.T, task Task) {
		p, err := task.Body(6)
		task.Answer(200, "", p)
		if tooLarge := new(http.MaxBytesError); task.ContentLength() != 0 && !errors.As(err, &tooLarge) {
			t.Errorf("%v", err)
		}
	}, strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 3)},
	{"body too large, and asked for again", post10 + chunks, func(t *testing.T, task Task) {
		var got []string
		for _, most := range []int{6, 100} {
			p, err := task.Body(most)
			got = append(got, fmt.Sprintf("%q %v", p, err))
		}
		var p [4]byte
		k, err := task.Read(p[:])
		task.AnswerString(200, "", fmt.Sprintf("%s, %d %v", strings.Join(got, ", "), k, err))
	}, "HTTP/1.1 200 OK\r\nContent-Length: 58\r\n\r\n\"\" http: request body too large, \"0123456789\" <nil>, 0 EOF" +
		"HTTP/1.1 200 OK\r\nContent-Length: 96\r\n\r\n\"\" http: request body too large, \"\" http: request body too large, 0 http: request body too large"},
	{"Answer after Write", get, func(_ *testing.T, task Task) {
		task.AddHeader("Content-Type", "text/csv")
		_, _ = task.WriteString("partial")
		task.AnswerString(500, ContentTypeText, "error")
		taskHello(task)
	}, "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 7\r\n\r\npartial"},
	{"Content-Type of a field, and of Answer", get, func(_ *testing.T, task Task) {
		task.AddHeader("A", "b")
		task.AddHeader("content-type", "text/csv")
		task.AddHeader("C", "d")
		task.AnswerString(200, "a/b", "x")
	}, "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\nx"},
	{"Content-Type of a field, and of AnswerPreset", get, func(_ *testing.T, task Task) {
		task.AddHeader("Content-Type", "text/csv")
		task.AddHeader("A", "b")
		taskHello(task)
	}, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nA: b\r\nContent-Length: 13\r\n\r\nHello, World!"},
	{"Content-Type of a preset, and of Answer", get + get10, func(_ *testing.T, task Task) {
		task.SetPreset(NewPreset(404, "a/b", "A", "b"))
		task.AnswerString(404, "c/d", "x")
	}, "HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Type: c/d\r\nContent-Length: 1\r\n\r\nx" +
		"HTTP/1.0 404 Not Found\r\nA: b\r\nContent-Type: c/d\r\nContent-Length: 1\r\n\r\nx"},
	{"Content-Type of a preset, a field, and another preset", get, func(_ *testing.T, task Task) {
		task.SetPreset(helloPreset)
		task.AddHeader("Content-Type", "a/b")
		task.AddHeader("Content-Type", "c/d")
		task.SetPreset(NewPreset(200, "e/f", "A", "b", "Content-Type", "g/h"))
	}, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Type: g/h\r\nContent-Length: 0\r\n\r\n"},
	{"Content-Type of a preset and Answer without one", get, func(_ *testing.T, task Task) {
		task.SetPreset(helloPreset)
		task.AnswerString(200, "", "x")
	}, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\nx"},
	{"keep-alive in the last answer", strings.Replace(get, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), func(_ *testing.T, task Task) {
		task.AddHeader("Connection", "keep-alive")
		task.AddHeader("A", "b")
	}, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
	{"keep-alive in the last answer, 1.0", get10, func(_ *testing.T, task Task) {
		task.AddHeader("Connection", "keep-alive")
	}, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
	{"keep-alive, 1.0 kept", get10ka, func(_ *testing.T, task Task) {
		task.AddHeader("Connection", "keep-alive")
	}, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"},
	{"late changes", get, func(t *testing.T, task Task) {
		task.AnswerString(200, "", "x")
		task.AnswerString(201, "", "y")
		task.AddHeader("A", "b")
		task.SetStatus(500)
		task.CloseAfter()
		for _, err := range []error{writeError(task), task.SendFile(nil, 0, 1)} {
			if !errors.Is(err, errComplete) {
				t.Errorf("after Answer: %v", err)
			}
		}
	}, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"},
}

func writeError(task Task) error {
	_, err := task.WriteString("z")
	return err
}

// TestTaskAnswers: what leaves, byte for byte, under both policies.
func TestTaskAnswers(t *testing.T) {
	for _, tt := range taskAnswers {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) { tt.task(t, task) }, nil)
				if got := dateLineRE.ReplaceAllString(s.roundTrip(tt.raw), ""); got != tt.want {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
			})
		})
	}
}

// TestTaskLength: a length that is less than the content does not leave, however it got there.
func TestTaskLength(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
			_, _ = task.WriteString("abcd")
			task.x.response.contentLength = 3
		}, nil)
		want := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
		if invariant.Enabled {
			want = "" // it panics
		}
		if got := dateLineRE.ReplaceAllString(s.roundTrip(get), ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestTaskIdent: the server's own fields, and how a preset takes their place.
func TestTaskIdent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		own := NewPreset(200, "", "Server", "mine", "Date", "today")
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{Config: Config{Ident: "w"}}, func(task Task) {
			switch string(task.Path()) {
			case "/path":
				task.AddHeader("Date", "yesterday")
				task.SetPreset(own)
			case "/other":
				task.SetPreset(own)
				task.AddHeader("Server", "yours")
				task.SetPreset(helloPreset)
			}
		}, nil)
		got := s.roundTrip(get + with() + strings.Replace(with(), "/", "/other", 1))
		want := "HTTP/1.1 200 OK\r\nServer: mine\r\nDate: today\r\nContent-Length: 0\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nServer: w\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nServer: yours\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// TestTaskDate: the Date of answers that a loop writes is that of the time, second for second.
func TestTaskDate(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, taskHello, nil)
		for range 30 {
			got := s.roundTrip(get)
			if want := time.Now().UTC().Format(http.TimeFormat); !strings.Contains(got, "\r\nDate: "+want+"\r\n") {
				t.Fatalf("at %s: %q", want, got)
			}
			time.Sleep(170 * time.Millisecond)
		}
	})
}

func TestNewPresetRefuses(t *testing.T) {
	for _, tt := range []struct {
		status int
		fields []string
	}{
		{100, nil},
		{1000, nil},
		{200, []string{"a"}},
		{200, []string{"a b", "c"}},
		{200, []string{"a", "b\r\nc: d"}},
		{200, []string{"content-length", "1"}},
		{200, []string{"Transfer-Encoding", "chunked"}},
		{200, []string{"Connection", "close"}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d %q was taken", tt.status, tt.fields)
				}
			}()
			NewPreset(tt.status, "", tt.fields...)
		}()
	}
}

// TestTaskSendFile: a piece of a file as the content.
func TestTaskSendFile(t *testing.T) {
	content := text(100000)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p, watermark: 1 << 20}, func(task Task) {
			f, err := os.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if err := task.SendFile(f, 10, 90000); err != nil {
				t.Error(err)
			}
		}, nil)
		all, bodies := answers(t, []byte(s.roundTrip(get+get10)), "GET", "GET")
		for i, body := range bodies {
			if body != content[10:90010] || all[i].ContentLength != 90000 {
				t.Errorf("answer %d: %d bytes, declared %d", i, len(body), all[i].ContentLength)
			}
		}
		if got := s.roundTrip(head); !strings.Contains(got, "Content-Length: 90000\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("HEAD: %q", got)
		}
	})
}

// TestTaskSendFileFails: a piece that is not there leaves the answer as it was, large or small, so that something else can be
// answered.
func TestTaskSendFileFails(t *testing.T) {
	files := newTree(t, 100, 100000)
	for _, tt := range []struct {
		name           string
		open           func() (*os.File, error)
		offset, length int64
		want           error // nil: any
	}{
		{"small, too short", func() (*os.File, error) { return files.open(100), nil }, 50, 51, io.ErrUnexpectedEOF},
		{"small, beyond the end", func() (*os.File, error) { return files.open(100), nil }, 200, 1, io.ErrUnexpectedEOF},
		{"small, before the beginning", func() (*os.File, error) { return files.open(100), nil }, -1, 1, nil},
		{"small, of a directory", func() (*os.File, error) { return os.Open(string(files)) }, 0, 1, nil},
		{"too short", func() (*os.File, error) { return files.open(100000), nil }, 1, 100000, io.ErrUnexpectedEOF},
		{"beyond the end", func() (*os.File, error) { return files.open(100), nil }, math.MaxInt64, math.MaxInt64, io.ErrUnexpectedEOF},
		{"before the beginning", func() (*os.File, error) { return files.open(100000), nil }, -1, 100000, nil},
		{"of a directory", func() (*os.File, error) { return os.Open(string(files)) }, 0, 100000, nil},
		{"closed", func() (*os.File, error) {
			f := files.open(100000)
			return f, f.Close()
		}, 0, 100000, os.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, dup := range []func(syscall.Conn) (reactor.File, error){nil, reopen} {
				inBubbles(t, func(t *testing.T, p dispatch.Policy) {
					s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{DupFile: dup}}, func(task Task) {
						f, err := tt.open()
						if err != nil {
							t.Error(err)
							return
						}
						defer f.Close()
						if err := task.SendFile(f, tt.offset, tt.length); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
							t.Errorf("SendFile: %v", err)
						}
						task.AnswerString(404, "", "none")
					}, nil)
					got := dateLineRE.ReplaceAllString(s.roundTrip(get+head), "")
					if want := "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n"; got != want+"none"+want {
						t.Errorf("got %q", got)
					}
				})
			}
		})
	}
}

// mixed answers with what the request was: by itself, or, where the path says so, by declining it.
func mixed(t Task) {
	if bytes.HasPrefix(t.Path(), []byte("/http")) {
		t.Decline()
		return
	}
	var scratch [1000]byte
	fmt.Fprintf(t, "%s %s %d ", t.MethodName(), t.Target(), readAll(t, scratch[:]))
	if p, ok := t.QueryValue("times", nil); ok {
		for n, _ := parseInt(p); n > 0; n-- {
			_, _ = t.WriteString(text(1000))
		}
	}
}

// readAll reads the body, now by pieces, now whole.
func readAll(t Task, p []byte) int {
	if t.ContentLength() > 0 && t.ContentLength()%2 == 0 {
		all, err := t.Body(1 << 20)
		if err != nil {
			return -1
		}
		return len(all)
	}
	for total := 0; ; {
		n, err := t.Read(p)
		total += n
		if err == io.EOF {
			return total
		} else if err != nil {
			return -1
		}
	}
}

func mixedHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		n = -1
	}
	fmt.Fprintf(w, "%s %s %d ", r.Method, r.URL, n)
	for range len(r.URL.Query().Get("times")) * 3 {
		_, _ = io.WriteString(w, text(1000))
	}
}

// TestTaskPipelineUnderFaults: pipelines of requests for both kinds of handlers, with bodies of both kinds and answers short and
// long, on a network with faults, and every byte compared.
func TestTaskPipelineUnderFaults(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 40, func(t *testing.T, seed int64) {
			faults := reactortest.Random(seed)
			sizes := []int{1, 100, 3000, 70000}
			if faults.SendBuffer < 256 || faults.RecvBuffer < 256 {
				sizes = []int{1, 20, 100, 3000}
			}
			s := newTaskSim(t, seed, faults, simConfig{policy: p, loops: 2, Config: Config{Memory: memoryFor(seed)}}, mixed, mixedHTTP)
			var clients sync.WaitGroup
			for k := range 4 {
				clients.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(seed), uint64(k)))
					var send, want strings.Builder
					for i := range 1 + rnd.IntN(20) {
						kind := []string{"task", "http"}[rnd.IntN(2)]
						target, times := fmt.Sprintf("/%s/%d/%d", kind, k, i), 0
						if rnd.IntN(4) == 0 {
							times = 3
							target += map[string]string{"task": "?times=3", "http": "?times=1"}[kind]
						}
						size := sizes[rnd.IntN(len(sizes))]
						method := "POST"
						switch rnd.IntN(3) {
						case 0:
							method, size = "GET", 0
							fmt.Fprintf(&send, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
						case 1:
							send.WriteString(strings.Replace(post(size), " / ", " "+target+" ", 1))
						case 2:
							send.WriteString(strings.Replace(postChunked(size), " / ", " "+target+" ", 1))
						}
						fmt.Fprintf(&want, "%s %s %d %s\n", method, target, size, strings.Repeat(text(1000), times))
					}
					c := s.dial()
					defer c.Close()
					go func() {
						io.WriteString(c, send.String())
						c.CloseWrite()
					}()
					stream, err := c.ReadAll()
					if err != nil {
						t.Errorf("%v\n%s", err, s.network.State())
						return
					}
					_, bodies := answers(t, stream)
					if got := strings.Join(bodies, "\n") + "\n"; got != want.String() {
						t.Errorf("connection %d got %.300q, want %.300q", k, got, want.String())
					}
				})
			}
			clients.Wait()
		})
	})
}

// serveStreamTask is what serveStream is for handlers: the path says how much of the request is read.
func serveStreamTask(t Task) {
	switch string(t.Path()) {
	case "/panic":
		panic(http.ErrAbortHandler)
	case "/long":
		fmt.Fprint(t, text(30000))
		return
	case "/some":
		p := make([]byte, 3)
		n, err := io.ReadFull(t, p)
		fmt.Fprintf(t, "%q %v", p[:n], err)
	case "/all":
		p, err := t.Body(1 << 20)
		fmt.Fprintf(t, "%q %v %q", p, err, t.Trailer("A"))
	}
	fmt.Fprintf(t, "%s %s %d", t.MethodName(), t.Target(), t.ContentLength())
	for name, value := range t.Headers() {
		fmt.Fprintf(t, " %s=%s", name, value)
	}
}

// TestTaskEveryCut: the answers do not depend on how the requests are cut, nor on when the pieces come.
func TestTaskEveryCut(t *testing.T) {
	for _, stream := range streams {
		t.Run(stream.name, func(t *testing.T) {
			var want string
			eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
				for _, pause := range []time.Duration{0, bodyWait + 10*time.Millisecond} {
					inBubble(t, func(t *testing.T) {
						s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{MaxBody: 12}}, serveStreamTask, nil)
						eachSplit(stream.raw, func(parts ...string) {
							got, err := s.sendParts(parts, pause)
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

// sendParts sends a request in parts, with pauses between them, and returns the answers without their dates.
func (s *sim) sendParts(parts []string, pause time.Duration) (string, error) {
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
	return dateLineRE.ReplaceAllString(got, ""), err
}

// TestTaskDeclined: a request that is declined is served as if there were no TaskHandler.
func TestTaskDeclined(t *testing.T) {
	for _, stream := range streams {
		t.Run(stream.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				for _, collects := range []bool{false, true} {
					config := simConfig{policy: p, Config: Config{MaxBody: 12, GeneralOptions: true, BufferRequests: collects, BodyMemory: 1 << 20}}
					want, _ := newSim(t, 1, reactortest.Faults{}, config, serveStream).sendParts([]string{stream.raw}, 0)
					s := newTaskSim(t, 1, reactortest.Faults{}, config, Task.Decline, serveStream)
					if got, _ := s.sendParts([]string{stream.raw}, 0); got != want {
						t.Errorf("collected %v: got  %q\nwant %q", collects, got, want)
					}
				}
			})
		})
	}
}

// TestTaskPipelineInOneWrite: the answers to a pipeline leave together, whoever answers.
func TestTaskPipelineInOneWrite(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, mixed, mixedHTTP)
		raw := strings.Repeat("GET /task HTTP/1.1\r\nHost: a\r\n\r\nGET /http HTTP/1.1\r\nHost: a\r\n\r\n", 5)
		c, tap := s.send(raw)
		synctest.Wait()
		got, _ := tap.soFar()
		c.Close()
		if n := strings.Count(got, "HTTP/1.1 200 OK"); n != 10 {
			t.Errorf("%d answers: %q", n, got)
		}
	})
}

// TestTaskPanics: a panic costs the connection and what was not sent of the answer; the answers before it are delivered.
func TestTaskPanics(t *testing.T) {
	for _, tt := range []struct {
		name string
		task TaskFunc
		want string
	}{
		{"at once", func(Task) { panic("oops") }, ""},
		{"after Write", func(t Task) {
			_, _ = t.WriteString("abc")
			panic("oops")
		}, ""},
		{"after Answer", func(t Task) {
			taskHello(t)
			panic("oops")
		}, ""},
		{"after Flush", func(t Task) {
			_, _ = t.WriteString("abc")
			_ = t.Flush()
			panic("oops")
		}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
		{"Goexit", func(t Task) {
			_, _ = t.WriteString("abc")
			runtime.Goexit()
		}, ""},
		{"after Suspend", func(t Task) {
			s := t.Suspend()
			s.Resume(taskHello)
			panic("oops")
		}, ""},
		{"after Decline", func(t Task) {
			t.Decline()
			panic("oops")
		}, ""},
		{"Decline after Write", func(t Task) {
			_, _ = t.WriteString("abc")
			t.Decline()
		}, ""},
		{"Decline after CloseAfter", func(t Task) {
			t.CloseAfter()
			t.Decline()
		}, ""},
		{"Decline after an interim answer", func(t Task) {
			t.SetStatus(103)
			t.Decline()
		}, "HTTP/1.1 103 Early Hints\r\n\r\n"},
		{"bad status", func(t Task) { t.SetStatus(101) }, ""},
		{"negative length of a file", func(t Task) { _ = t.SendFile(nil, 0, -1) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
					if string(task.Path()) == "/path" {
						task.AnswerString(200, "", "first")
						return
					}
					tt.task(task)
				}, func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
				got := dateLineRE.ReplaceAllString(s.roundTrip(get+with()+get), "")
				if want := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst" + tt.want; got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
				// As in net/http, a handler may end its goroutine without a word.
				if told := strings.Contains(s.logged(), "panic serving 198.51.100."); told == (tt.name == "Goexit") {
					t.Errorf("logged %q", s.logged())
				}
			})
		})
	}
}

// TestTaskLateUse: a Task that is over reaches no other request, whoever has it.
func TestTaskLateUse(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var kept []Task
		var iterators []func()
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
			for _, old := range kept {
				lateUse(t, old)
			}
			for i, f := range iterators {
				mustBeOver(t, fmt.Sprintf("iterator %d", i), f)
			}
			kept, iterators = append(kept, task), append(iterators, iterate(task)...)
			_, _ = task.WriteString("ok")
			if string(task.Path()) == "/path" {
				s := task.Suspend()
				lateUse(t, task)
				s.Resume(func(again Task) {
					lateUse(t, task)
					_, _ = again.WriteString("!")
				})
			}
		}, nil)
		got := s.roundTrip(strings.Repeat(get+with(), 10))
		if _, bodies := answers(t, []byte(got)); strings.Join(bodies, " ") != strings.TrimSpace(strings.Repeat("ok! ok ", 10)) {
			t.Errorf("got %q", got)
		}
		lateUse(t, Task{})
	})
}

// lateUse uses a Task that is over.
func lateUse(t *testing.T, task Task) {
	_, write := task.WriteString("leak")
	_, read := task.Read(make([]byte, 1))
	_, body := task.Body(1)
	for _, err := range []error{write, read, body, task.Flush(), task.SendFile(nil, 0, 1)} {
		if !errors.Is(err, ErrTaskOver) {
			t.Errorf("late use: %v", err)
		}
	}
	for i, f := range append(iterate(task),
		func() { task.Path() },
		func() { task.Header("Host") },
		func() { task.SetStatus(599) },
		func() { task.AddHeader("Leak", "1") },
		func() { task.Answer(599, "", nil) },
		func() { task.Decline() },
		func() { task.Suspend() },
		func() { task.Context() },
	) {
		mustBeOver(t, fmt.Sprintf("late use %d", i), f)
	}
}

// iterate gets the iterators of a Task, and returns what uses them.
func iterate(task Task) []func() {
	headers, values, segments := task.Headers(), task.HeaderValues("Host"), task.Segments()
	return []func(){
		func() {
			for range headers {
				return
			}
		},
		func() {
			for range values {
				return
			}
		},
		func() {
			for range segments {
				return
			}
		},
	}
}

// mustBeOver runs f, which uses a Task that is over.
func mustBeOver(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, ErrTaskOver) {
			t.Errorf("%s did not panic as it should", name)
		}
	}()
	f()
}

// TestTaskGone: the client goes while a handler runs.
func TestTaskGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		over := make(chan bool, 1)
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{}, func(task Task) {
			if task.Gone() {
				t.Error("gone before it went")
			}
			<-task.Context().Done()
			over <- task.Gone()
		}, nil)
		c, _ := s.send(get)
		synctest.Wait()
		c.Close()
		if !<-over {
			t.Error("the context is over, and the client not gone")
		}
	})
}

// TestTaskViewsEnd: in test builds, a view that is kept shows that it is over, also where the request was suspended.
func TestTaskViewsEnd(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("release builds do not look for views that were kept")
	}
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var kept [][]byte
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
			body, err := task.Body(10)
			if err != nil {
				t.Error(err)
			}
			kept = append(kept, task.Path(), task.Header("Host"), body)
			task.Suspend().Resume(func(task Task) {
				kept = append(kept, task.Path())
				taskHello(task)
			})
		}, nil)
		c, _ := s.send(post10)
		defer c.Close()
		synctest.Wait()
		for i, view := range kept {
			if len(view) == 0 || len(bytes.Trim(view, "\xCC")) > 0 {
				t.Errorf("view %d is still %q", i, view)
			}
		}
		if len(kept) != 4 {
			t.Errorf("%d views", len(kept))
		}
	})
}
