// SPDX-License-Identifier: MIT

package http1

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// A reporter writes down what Config.Served is told.
type reporter struct {
	mu    sync.Mutex
	lines []string
}

func (r *reporter) served(x Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%s|%s|%s|%s|%s|%s %d %d %v", x.Method, x.Target, x.Proto, x.Host, x.Referer, x.Agent, x.Status, x.Bytes, x.Duration.Round(time.Second))
	if x.Panicked {
		line += " panicked"
	}
	if !strings.HasPrefix(x.Client, "198.51.100.") || time.Since(x.Start)-x.Duration > time.Second {
		line += fmt.Sprintf(" by %s at %v", x.Client, x.Start)
	}
	r.lines = append(r.lines, line)
}

// TestServedReports: what no http.Handler has served is told once, with what is known of it, and nothing else is.
func TestServedReports(t *testing.T) {
	const full = "Host: h\r\nUser-Agent: u\r\nReferer: r\r\n\r\n"
	refused := func(status int, rule string) int {
		return len(fmt.Sprintf("%d %s: %s\n", status, http.StatusText(status), rule))
	}
	tasks := TaskFunc(func(task Task) {
		switch string(task.Path()) {
		case "/panic":
			panic("oops")
		case "/panic-late":
			task.WriteString("abc")
			panic("oops")
		case "/wait":
			s := task.Suspend()
			s.Forget()
			time.AfterFunc(3*time.Second, func() { s.Resume(func(task Task) { task.AnswerString(201, "", "12345") }) })
		case "/stream":
			task.WriteString("abc")
			task.Flush()
			task.Suspend()
		case "/gone", "/timeout":
			task.Suspend()
		case "/slow":
			time.Sleep(2 * time.Second)
		case "/decline":
			task.Decline()
		default:
			task.AnswerString(200, ContentTypeText, "hello")
		}
	})
	for _, tt := range []struct {
		name, raw string
		native    bool
		gone      bool // the client goes
		want      []string
	}{
		{"tasks", "GET /a?b HTTP/1.1\r\n" + full + "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + "GET /slow HTTP/1.1\r\n" + full, true, false, []string{
			"GET|/a?b|HTTP/1.1|h|r|u 200 5 0s", "HEAD|/|HTTP/1.0||| 200 5 0s", "GET|/slow|HTTP/1.1|h|r|u 200 0 2s",
		}},
		{"a task with content", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", true, false, []string{"POST|/a|HTTP/1.1|h|| 200 5 0s"}},
		{"a task that is declined", "GET /decline HTTP/1.1\r\n" + full, true, false, nil},
		{"a task that panics", "GET /panic HTTP/1.1\r\n" + full, true, false, []string{"GET|/panic|HTTP/1.1|h|r|u 0 0 0s panicked"}},
		{"a task that panics late", "GET /panic-late HTTP/1.1\r\n" + full, true, false, []string{"GET|/panic-late|HTTP/1.1|h|r|u 200 3 0s panicked"}},
		{"a task that waits, forgotten", "GET /wait HTTP/1.1\r\n" + full, true, false, []string{"GET|/wait|HTTP/1.1|h|r|u 201 5 3s"}},
		{"a task whose client goes", "GET /gone HTTP/1.1\r\n" + full, true, true, []string{"GET|/gone|HTTP/1.1|h|r|u 0 0 10s"}},
		{"a stream whose client goes", "GET /stream HTTP/1.1\r\n" + full, true, true, []string{"GET|/stream|HTTP/1.1|h|r|u 200 3 10s"}},

		{"a handler", get, false, false, nil},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + full, false, false, []string{"OPTIONS|*|HTTP/1.1|h|r|u 200 0 0s"}},
		{"too slow", "GET /slowly HTTP/1.1\r\nHo", false, false, []string{fmt.Sprint("GET|/slowly|HTTP/1.1||| 408 ", refused(408, errSlowHead.Rule), " 5s")}},
		{"too slow to say what", "GE", false, false, []string{fmt.Sprint("GE||||| 408 ", refused(408, errSlowHead.Rule), " 5s")}},
		{"not HTTP", "\x16\x03\x01 \x02", false, false, []string{"\x16\x03\x01|\x02||||"}},
		{"another version", "\r\nGET / HTTP/2.0\r\n" + full, false, false, []string{"GET|/|HTTP/2.0||| 505"}},
		{"a field", "GET / HTTP/1.1\r\nA : b\r\n\r\n", true, false, []string{"GET|/|HTTP/1.1||| 400"}},
		{"a long target", "GET /" + strings.Repeat("x", 3000) + " HTTP/1.1\r\n\r\n", false, false, []string{"GET|/" + strings.Repeat("x", maxReported-5) + "|||| 414"}},
		{"long content", "POST /p HTTP/1.1\r\nContent-Length: 5000\r\n" + full, false, false, []string{fmt.Sprint("POST|/p|HTTP/1.1|h|r|u 413 ", refused(413, errLargeBody.Rule))}},
		{"long content for a task", "POST /p HTTP/1.1\r\nContent-Length: 5000\r\n" + full, true, false, []string{"POST|/p|HTTP/1.1|h|r|u 413"}},
		{"slow content, collected", "POST /c HTTP/1.1\r\nContent-Length: 50\r\n" + full, false, false, []string{fmt.Sprint("POST|/c|HTTP/1.1|h|r|u 408 ", refused(408, errSlowBody.Rule))}},
		{"slow content for a task, collected", "POST /c HTTP/1.1\r\nContent-Length: 50\r\n" + full, true, false, []string{"POST|/c|HTTP/1.1|h|r|u 408"}},
		{"behind others", get + get + "x y\r\n", false, false, []string{"x|y||||"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				var told reporter
				config := simConfig{policy: p, Config: Config{
					Served: told.served, HeaderTimeout: 5 * time.Second, BodyTimeout: 5 * time.Second, MaxBody: 1000, GeneralOptions: true,
					BufferRequests: strings.Contains(tt.name, "collected"), BodyMemory: 1000, Limits: httpparse.Limits{RequestLine: 2000},
				}}
				if tt.native {
					config.TaskHandler = tasks
				}
				s := newSim(t, 1, reactortest.Faults{}, config, sayOK)
				c := s.dial()
				go io.Copy(io.Discard, c)
				io.WriteString(c, tt.raw)
				time.Sleep(10 * time.Second)
				if tt.gone {
					c.Reset()
				}
				time.Sleep(time.Second)
				c.Close()
				synctest.Wait()
				told.mu.Lock()
				defer told.mu.Unlock()
				if !slices.EqualFunc(told.lines, tt.want, strings.HasPrefix) {
					t.Errorf("got  %q\nwant %q", told.lines, tt.want)
				}
				for _, line := range told.lines {
					if strings.Contains(line, " by ") {
						t.Errorf("%q", line)
					}
				}
			})
		})
	}
}

// TestServedShed: who was turned away since too many wait is told of too.
func TestServedShed(t *testing.T) {
	for _, native := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var told reporter
			config := simConfig{threads: 1, queue: 1, Config: Config{Served: told.served}}
			if native {
				config.TaskHandler = TaskFunc(func(task Task) { task.Decline() })
			}
			s := newSim(t, 1, reactortest.Faults{}, config, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) })
			for range 2 {
				c, _ := s.send(get)
				defer c.Close()
				synctest.Wait()
			}
			if got := s.roundTrip(get); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
				t.Errorf("got %q", got)
			}
			told.mu.Lock()
			defer told.mu.Unlock()
			if len(told.lines) != 1 || !strings.HasPrefix(told.lines[0], "GET|/path?q=1|HTTP/1.1|example.com||") || !strings.Contains(told.lines[0], " 503 ") {
				t.Errorf("%q", told.lines)
			}
		})
	}
}

// TestUrgentTask: an urgent task goes before those that wait, and the one that was asked about is no longer valid.
func TestUrgentTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked Task
		s := newSim(t, 1, reactortest.Faults{}, simConfig{threads: 1, queue: 1, Config: Config{
			UrgentTask: func(task Task) bool {
				asked = task
				return string(task.Path()) == "/health"
			},
			TaskHandler: TaskFunc(func(task Task) {
				if string(task.Path()) != "/health" {
					time.Sleep(time.Minute)
				} else if _, err := asked.Write(nil); err != ErrTaskOver {
					t.Errorf("the Task that was asked: %v", err)
				}
				task.AnswerString(200, ContentTypeText, "ok")
			}),
		}}, sayOK)
		for range 2 {
			c, _ := s.send(get)
			defer c.Close()
			synctest.Wait()
		}
		start := time.Now()
		got := s.roundTrip("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
		if d := time.Since(start); !strings.HasSuffix(got, "ok") || d > time.Minute+time.Second {
			t.Errorf("after %v got %q", d, got)
		}
	})
}

// TestUrgentTaskMayOnlyAsk: a function that does more than ask costs the connection, as a handler that panics does, and one that
// panics itself no more than that.
func TestUrgentTaskMayOnlyAsk(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(Task)
	}{
		{"Decline", Task.Decline},
		{"Suspend", func(t Task) { t.Suspend() }},
		{"Answer", taskHello},
		{"SetStatus", func(t Task) { t.SetStatus(103) }},
		{"AddHeader", func(t Task) { t.AddHeader("A", "b") }},
		{"AddTrailer", func(t Task) { t.AddTrailer("A", "b") }},
		{"Write", func(t Task) { _, _ = t.WriteString(text(100000)) }},
		{"Flush", func(t Task) { _ = t.Flush() }},
		{"SendFile", func(t Task) { _ = t.SendFile(nil, 0, 1) }},
		{"Body", func(t Task) { _, _ = t.Body(100) }},
		{"Read", func(t Task) { _, _ = t.Read(make([]byte, 1)) }},
		{"oops", func(Task) { panic("oops") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p, threads: 1, Config: Config{UrgentTask: func(task Task) bool {
					if task.ContentLength() < 0 {
						tt.f(task)
					}
					return true
				}}}, taskHello, func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
				if got := s.roundTrip(chunks + get); got != "" { // chunks never begin on a loop
					t.Errorf("got %q", got)
				}
				if log := s.logged(); strings.Count(log, "panic serving 198.51.100.") != 1 || !strings.Contains(log, tt.name) {
					t.Errorf("logged %q", log)
				}
				if got := s.roundTrip(get); !strings.HasSuffix(got, "Hello, World!") {
					t.Errorf("afterwards: %q", got)
				}
			})
		})
	}
}
