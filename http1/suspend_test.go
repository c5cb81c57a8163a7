// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestSuspendResume: a suspended request holds no goroutine and no buffer, and is answered when it is resumed; what the client
// sent behind it waits.
func TestSuspendResume(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var parked *Suspension
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{IdleTimeout: time.Second, WriteTimeout: time.Second}}, func(task Task) {
			if string(task.Path()) == "/path" {
				parked = task.Suspend()
				return
			}
			taskHello(task)
		}, nil)
		c, tap := s.send(with() + get + with())
		defer c.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, _ := tap.soFar(); strings.Count(got, "Hello, World!") != 1 {
			t.Errorf("before: %q", got)
		}
		if ch := s.channels[0]; ch.x != nil || ch.head != nil || ch.state != stateSuspended {
			t.Errorf("while it waits: %v, exchange %v, head %v", ch.state, ch.x, ch.head)
		}
		if parked.Over() {
			t.Error("over before it was resumed")
		}
		if !parked.Resume(func(task Task) {
			task.AnswerString(200, "", fmt.Sprintf("%s %s %s", task.Method(), task.Target(), task.Header("host")))
		}) {
			t.Error("could not be resumed")
		}
		if parked.Resume(taskHello) || !parked.Over() {
			t.Error("resumed twice")
		}
		synctest.Wait()
		got, _ := tap.soFar()
		if _, bodies := answers(t, []byte(got)); strings.Join(bodies, "|") != "Hello, World!|GET /path?q=1 example.com|Hello, World!" {
			t.Errorf("got %q", bodies)
		}
	})
}

// TestSuspendEnds: who ends a suspension, and that nobody does twice.
func TestSuspendEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *sim, c *reactortest.Client, parked *Suspension)
		want string
		gone bool
	}{
		{"resume", func(_ *sim, _ *reactortest.Client, parked *Suspension) {
			parked.Resume(func(t Task) { t.AnswerString(200, "", "resumed") })
		}, "resumed", false},
		{"timeout", func(*sim, *reactortest.Client, *Suspension) { time.Sleep(11 * time.Second) }, "late", false},
		{"close", func(_ *sim, c *reactortest.Client, _ *Suspension) { c.Close() }, "", true},
		{"end of the stream", func(_ *sim, c *reactortest.Client, _ *Suspension) { c.CloseWrite() }, "", true},
		{"reset", func(_ *sim, c *reactortest.Client, _ *Suspension) { c.Reset() }, "", true},
		{"abort", func(s *sim, _ *reactortest.Client, _ *Suspension) { s.reactor.Abort() }, "", true},
		{"panic of what resumes it", func(_ *sim, _ *reactortest.Client, parked *Suspension) {
			parked.Resume(func(Task) { panic("oops") })
		}, "", false},
		{"Goexit of what resumes it", func(_ *sim, _ *reactortest.Client, parked *Suspension) {
			parked.Resume(func(Task) { runtime.Goexit() })
		}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				var parked *Suspension
				var gone atomic.Int32
				s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
					parked = task.SuspendFor(10*time.Second, func(t Task) { t.AnswerString(200, "", "late") })
					parked.OnGone(func() { gone.Add(1) })
				}, nil)
				c, tap := s.send(get)
				synctest.Wait()
				ctx := parked.Context()
				if ctx.Err() != nil {
					t.Error("the context is over")
				}
				tt.end(s, c, parked)
				synctest.Wait()
				<-ctx.Done()
				time.Sleep(20 * time.Second)
				if parked.Resume(taskHello) || !parked.Over() || parked.Context().Err() == nil {
					t.Error("not over")
				}
				c.Close()
				<-tap.end
				got, _ := tap.soFar()
				if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != tt.want {
					t.Errorf("got %q", got)
				}
				if want := map[bool]int32{true: 1}[tt.gone]; gone.Load() != want {
					t.Errorf("OnGone ran %d times", gone.Load())
				}
			})
		})
	}
}

// TestSuspendEarly: what ends a suspension before its handler has returned counts when it has.
func TestSuspendEarly(t *testing.T) {
	for _, tt := range []struct {
		name string
		task func(s *sim, c *reactortest.Client, task Task)
		want string
		free bool // the loop has to hear of something meanwhile
	}{
		{"resumed", func(_ *sim, _ *reactortest.Client, task Task) {
			if parked := task.Suspend(); !parked.Resume(taskHello) || parked.Resume(taskHello) {
				panic("could not be resumed once")
			}
		}, "Hello, World!", false},
		{"resumed elsewhere", func(_ *sim, _ *reactortest.Client, task Task) {
			parked := task.Suspend()
			go parked.Resume(taskHello)
		}, "Hello, World!", false},
		{"resumed, and again", func(_ *sim, _ *reactortest.Client, task Task) {
			task.Suspend().Resume(func(task Task) {
				task.Suspend().Resume(func(task Task) {
					task.AnswerString(200, "", string(task.Path()))
				})
			})
		}, "/path", false},
		{"timeout", func(_ *sim, _ *reactortest.Client, task Task) {
			task.SuspendFor(time.Nanosecond, taskHello)
			time.Sleep(time.Second)
		}, "Hello, World!", false},
		{"gone", func(s *sim, c *reactortest.Client, task Task) {
			parked := task.Suspend()
			parked.OnGone(func() { s.logf("gone") })
			c.CloseWrite()
			time.Sleep(time.Second)
		}, "", false},
		{"gone before", func(s *sim, c *reactortest.Client, task Task) {
			c.CloseWrite()
			time.Sleep(time.Second)
			parked := task.Suspend()
			parked.OnGone(func() { s.logf("gone") })
		}, "", false},
		{"gone before its context is asked for", func(s *sim, c *reactortest.Client, task Task) {
			parked := task.Suspend()
			c.CloseWrite()
			time.Sleep(time.Second)
			parked.Context()
			parked.Resume(func(task Task) {
				if task.Context().Err() != nil {
					s.logf("gone")
				}
			})
		}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				if tt.free && p == dispatch.PolicyInline {
					return
				}
				var s *sim
				var c *reactortest.Client
				s = newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) { tt.task(s, c, task) }, nil)
				c = s.dial()
				tap := newTap(c)
				if _, err := io.WriteString(c, get); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				got, _ := tap.soFar()
				if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != tt.want {
					t.Errorf("got %q", got)
				}
				if want := map[bool]string{true: "gone"}[strings.HasPrefix(tt.name, "gone")]; s.logged() != want {
					t.Errorf("logged %q", s.logged())
				}
				c.Close()
			})
		})
	}
}

// TestSuspendForget: a request that is to be forgotten can be answered, and no more.
func TestSuspendForget(t *testing.T) {
	for _, raw := range []string{get, post10} {
		for _, told := range []func(Report){nil, func(Report) {}} { // who is told of the head needs it
			for _, read := range []bool{false, true} {
				inBubbles(t, func(t *testing.T, p dispatch.Policy) { testSuspendForget(t, p, raw, read, told) })
			}
		}
	}
}

func testSuspendForget(t *testing.T, p dispatch.Policy, raw string, read bool, told func(Report)) {
	s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{Served: told}}, func(task Task) {
		if read {
			if _, err := task.Body(10); err != nil {
				t.Error(err)
			}
		}
		parked := task.Suspend()
		parked.Forget()
		parked.Resume(func(task Task) {
			for i, f := range []func(){
				func() { task.Path() },
				func() { task.Header("Host") },
				func() { task.ContentLength() },
				func() { _, _ = task.Body(10) },
				func() { _, _ = task.Read(make([]byte, 1)) },
				func() { task.Trailer("A") },
			} {
				func() {
					defer func() {
						if recover() == nil {
							t.Errorf("%d: it was not forgotten", i)
						}
					}()
					f()
				}()
			}
			task.AnswerString(200, "", task.Method().String())
		})
	}, nil)
	got := dateLineRE.ReplaceAllString(s.roundTrip(raw+head+get10), "")
	method, _, _ := strings.Cut(raw, " ")
	if want := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(method), method) +
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nGET"; got != want {
		t.Errorf("got %q", got)
	}
}

// TestSuspendBody: the body of a request can be read before and after it was suspended.
func TestSuspendBody(t *testing.T) {
	for _, collects := range []bool{false, true} {
		t.Run(fmt.Sprintf("collects=%v", collects), func(t *testing.T) { testSuspendBody(t, collects) })
	}
}

func testSuspendBody(t *testing.T, collects bool) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		for _, tt := range []struct {
			name, path string
			body       string
		}{
			{"before", "/before", "Content-Length: 5\r\n\r\nhello"},
			{"after", "/after", "Content-Length: 5\r\n\r\nhello"},
			{"chunked, before", "/before", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
			{"chunked, after", "/after", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
			{"chunked, half", "/half", "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"},
			{"half", "/half", "Content-Length: 5\r\n\r\nhello"},
			{"not", "/not", "Content-Length: 5\r\n\r\nhello"},
		} {
			s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{BufferRequests: collects, BodyMemory: 1 << 20}}, func(task Task) {
				half := make([]byte, 2)
				switch string(task.Path()) {
				case "/before":
					if _, err := task.Body(10); err != nil {
						t.Error(err)
					}
				case "/half":
					if _, err := io.ReadFull(task, half); err != nil {
						t.Error(err)
					}
				case "/":
					taskHello(task)
					return
				}
				task.Suspend().Resume(func(task Task) {
					if string(task.Path()) == "/not" {
						return
					}
					rest, err := task.Body(10)
					if err != nil {
						t.Error(err)
					}
					if string(task.Path()) == "/half" {
						rest = bytes.Join([][]byte{half, rest}, nil)
					}
					task.Answer(200, "", rest)
				})
			}, nil)
			raw := "POST " + tt.path + " HTTP/1.1\r\nHost: a\r\n" + tt.body
			want := map[bool]string{true: "|Hello, World!", false: "hello|Hello, World!"}[tt.path == "/not"]
			eachSplit(raw, func(parts ...string) {
				c := s.dial()
				tap := newTap(c)
				for _, part := range parts {
					if _, err := io.WriteString(c, part); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				_, _ = io.WriteString(c, with())
				time.Sleep(time.Second)
				got, _ := tap.soFar()
				if _, bodies := answers(t, []byte(got)); strings.Join(bodies, "|") != want {
					t.Errorf("%s, in %d parts: got %q", tt.name, len(parts), got)
				}
				c.Close()
			})
		}
	})
}

// TestSuspendStream: an answer that is begun, and goes on between suspensions, as a stream of events does.
func TestSuspendStream(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 20, func(t *testing.T, seed int64) {
			s := newTaskSim(t, seed, reactortest.Random(seed), simConfig{policy: p, loops: 2}, func(task Task) {
				var next func(task Task)
				events := 0
				next = func(task Task) {
					if events++; events > 10 {
						return
					}
					fmt.Fprintf(task, "event %d of %s %s\n", events, task.Path(), strings.Repeat("x", events*300))
					parked := task.Suspend()
					if events%2 == 0 {
						parked.Resume(next)
						return
					}
					time.AfterFunc(time.Millisecond, func() {
						if !parked.Resume(next) {
							t.Error("could not be resumed")
						}
					})
				}
				task.SetStatus(202)
				next(task)
			}, nil)
			var want strings.Builder
			for i := range 10 {
				fmt.Fprintf(&want, "event %d of /path %s\n", i+1, strings.Repeat("x", (i+1)*300))
			}
			c := s.dial()
			go func() { // the buffers may have no room for both before an answer was read
				if _, err := io.WriteString(c, get+with("Connection: close")); err != nil {
					t.Error(err)
				}
			}()
			stream, err := c.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			all, bodies := answers(t, stream)
			if len(all) != 2 || bodies[0] != want.String() || all[0].StatusCode != 202 || bodies[1] != strings.ReplaceAll(want.String(), "/path", "/") {
				t.Errorf("%d answers, %.1000q", len(all), stream)
			}
		})
	})
}

// TestSuspendShutdown: a shutdown is told to the requests that wait, and waits for them.
func TestSuspendShutdown(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		for _, late := range []bool{false, true} { // the Server shuts down before the request comes to wait
			s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
				parked := task.Suspend()
				if late {
					time.Sleep(time.Second)
				}
				parked.OnShutdown(func() {
					time.Sleep(time.Second)
					if !parked.Resume(taskHello) {
						t.Error("could not be resumed")
					}
				})
			}, nil)
			c, tap := s.send(get + get)
			if !late {
				synctest.Wait()
			} else {
				time.Sleep(time.Second / 2)
			}
			s.server.Drain()
			if err := s.reactor.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			<-tap.end
			got, _ := tap.soFar()
			all, bodies := answers(t, []byte(got))
			if len(all) != 1 || bodies[0] != "Hello, World!" || !all[0].Close {
				t.Errorf("got %q", got)
			}
			c.Close()
		}
	})
}

// TestSuspendNoShutdown: that connections are not kept any more is no shutdown; one that follows is told.
func TestSuspendNoShutdown(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var told atomic.Int32
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
			task.Suspend().OnShutdown(func() { told.Add(1) })
		}, nil)
		c, _ := s.send(get)
		defer c.Close()
		synctest.Wait()
		s.server.SetKeepAlivesEnabled(false)
		s.reactor.CloseIdle()
		synctest.Wait()
		if n := told.Load(); n != 0 {
			t.Errorf("told %d times before the shutdown", n)
		}
		s.server.Drain()
		s.reactor.CloseIdle()
		synctest.Wait()
		if n := told.Load(); n != 1 {
			t.Errorf("told %d times of the shutdown", n)
		}
	})
}

// TestSuspendShutdownBegun: OnShutdown's function runs at once where the shutdown has begun, unless the suspension is over.
func TestSuspendShutdownBegun(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var parked *Suspension
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) { parked = task.Suspend() }, nil)
		c, tap := s.send(get)
		defer c.Close()
		synctest.Wait()
		s.server.Drain()
		s.reactor.CloseIdle()
		synctest.Wait()
		parked.OnShutdown(func() { parked.Resume(taskHello) })
		synctest.Wait()
		if got, _ := tap.soFar(); !strings.HasSuffix(got, "Hello, World!") {
			t.Errorf("got %q", got)
		}
		parked.OnShutdown(func() { t.Error("told of the shutdown when it was over") })
		synctest.Wait()
	})
}

// TestSuspendToldLate: the loop may find a connection parked, and come to tell that when somebody has gone on with it already. It
// must leave the connection alone then.
func TestSuspendToldLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *sim
		told := 0
		s = newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: dispatch.PolicyPool, Config: Config{
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateIdle { // on the task's goroutine
					told++
					s.server.SetKeepAlivesEnabled(false)
					s.channels[0].Expired(nil)
					s.channels[0].Draining(nil)
				}
			},
		}}, func(task Task) { task.Suspend().Resume(taskHello) }, nil)
		if got := s.roundTrip(get); told != 1 || !strings.HasSuffix(got, "Hello, World!") {
			t.Errorf("told %d times, got %q", told, got)
		}
	})
}

// TestSuspendAgain: the timeout of one suspension, that the loop has found to have passed when that was over, does not end the
// next one.
func TestSuspendAgain(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newTaskSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(task Task) {
			task.SuspendFor(time.Minute, taskHello)
		}, nil)
		c, tap := s.send(get)
		defer c.Close()
		synctest.Wait()
		s.channels[0].Expired(nil)
		synctest.Wait()
		if got, _ := tap.soFar(); got != "" {
			t.Errorf("early: %q", got)
		}
		time.Sleep(2 * time.Minute)
		if got, _ := tap.soFar(); !strings.HasSuffix(got, "Hello, World!") {
			t.Errorf("late: %q", got)
		}
	})
}

// TestSuspendRaces: whatever ends a suspension, and whenever, one thing does, and the client gets the answer to its request and
// no other, or none.
func TestSuspendRaces(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 80, func(t *testing.T, seed int64) {
			faults := reactortest.Random(seed)
			rnd := rand.New(rand.NewPCG(uint64(seed), 7))
			faults.Reset = []float64{0, 0.02}[rnd.IntN(2)]
			var all sync.WaitGroup
			var ends, begun atomic.Int64
			s := newTaskSim(t, seed, faults, simConfig{
				policy: p, loops: 2, threads: []int{0, 3}[rnd.IntN(2)], writeStall: 10 * time.Second,
				Config: Config{HeaderTimeout: time.Minute, IdleTimeout: time.Second, BodyTimeout: time.Second},
			}, func(task Task) {
				if bytes.HasPrefix(task.Path(), []byte("/http")) {
					task.Decline()
					return
				}
				begun.Add(1)
				d := time.Duration(len(task.Query())) * time.Millisecond
				answer := func(task Task) {
					ends.Add(1)
					task.AnswerString(200, "", string(task.Path()))
				}
				parked := task.SuspendFor(2*time.Millisecond+d, answer)
				parked.OnGone(func() { ends.Add(1) })
				for i := range 2 {
					all.Go(func() {
						time.Sleep(d + time.Duration(i)*time.Millisecond)
						if i == 0 {
							parked.Context()
						}
						parked.Resume(answer)
					})
				}
			}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
			var clients sync.WaitGroup
			for k := range 6 {
				clients.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(seed), uint64(k)))
					c, err := s.network.Dial(s.listener)
					if err != nil {
						return
					}
					defer c.Close()
					tap := newTap(c)
					var raw strings.Builder
					var want []string
					for i := range 1 + rnd.IntN(5) {
						path := fmt.Sprintf("/%s/%d/%d", []string{"http", "wait", "wait"}[rnd.IntN(3)], k, i)
						want = append(want, path)
						fmt.Fprintf(&raw, "GET %s?%s HTTP/1.1\r\nHost: a\r\n\r\n", path, strings.Repeat("x", rnd.IntN(5)))
					}
					io.WriteString(c, raw.String())
					pause := time.Duration(rnd.IntN(int(10 * time.Millisecond)))
					switch rnd.IntN(6) {
					case 0:
						c.CloseWrite()
					case 1:
						time.Sleep(pause)
						c.CloseWrite()
					case 2:
						time.Sleep(pause)
						c.Reset()
					case 3:
						time.Sleep(pause)
						c.Close()
					case 4:
						time.Sleep(pause)
						if k == 0 {
							s.server.Drain()
							s.reactor.Abort()
						}
					}
					<-tap.end
					got, _ := tap.soFar()
					at := 0
					for part := range strings.SplitSeq(got, "HTTP/1.1 200 OK\r\n") {
						_, body, whole := strings.Cut(part, "\r\n\r\n")
						if !whole || body == "" {
							continue
						}
						if at == len(want) || !strings.HasPrefix(want[at], body) && !strings.HasPrefix(body, want[at]) {
							t.Errorf("answer %d is %q; the requests were %s", at, body, want)
							return
						}
						at++
					}
				})
			}
			clients.Wait()
			all.Wait()
			time.Sleep(time.Minute)
			if n := s.reactor.Conns(); n != 0 {
				t.Errorf("%d connections are left\n%s", n, s.network.State())
			}
			if begun.Load() != ends.Load() {
				t.Errorf("%d suspensions, and %d ends", begun.Load(), ends.Load())
			}
		})
	})
}
