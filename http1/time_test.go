// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// late is by how much a timer may be late: a tick of the wheel, and the granularity of what follows it.
const late = 10 * time.Millisecond

// around fails the test unless got is want, or a little more.
func around(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+late {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

// inBubbles runs f in a bubble for each policy, on a faultless network.
func inBubbles(t *testing.T, f func(t *testing.T, p dispatch.Policy)) {
	t.Helper()
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		synctest.Test(t, func(t *testing.T) { f(t, p) })
	})
}

func sayOK(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }

// ended waits for the end of what comes, and returns it and how long that took.
func (t *tap) ended() (string, time.Duration) {
	start := time.Now()
	<-t.end
	got, _ := t.soFar()
	return got, time.Since(start)
}

func TestSlowHead(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{HeaderTimeout: 10 * time.Second}}, sayOK)
		c, tap := s.send("G")
		var sending sync.WaitGroup
		defer sending.Wait()
		defer c.Close()
		sending.Go(func() {
			for _, b := range strings.Split(with("A: "+text(1000)), "")[1:] {
				time.Sleep(time.Second)
				if _, err := io.WriteString(c, b); err != nil {
					return
				}
			}
		})
		got, d := tap.ended()
		if !strings.HasPrefix(got, "HTTP/1.1 408 ") || strings.Count(got, "HTTP/1.1") != 1 {
			t.Errorf("got %q", got)
		}
		around(t, "408", d, 10*time.Second)
	})
}

func TestSlowSecondHead(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{HeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}}, sayOK)
		c, tap := s.send(get + "GE")
		defer c.Close()
		got, d := tap.ended()
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK") || !strings.Contains(got, "okHTTP/1.1 408 ") {
			t.Errorf("got %q", got)
		}
		around(t, "408", d, 10*time.Second)
	})
}

func TestNoHeadAtAll(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{HeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}}, sayOK)
		c, tap := s.send("")
		defer c.Close()
		got, d := tap.ended()
		if got != "" {
			t.Errorf("got %q", got)
		}
		around(t, "closed", d, 10*time.Second)
	})
}

func TestIdleTimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{HeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}}, sayOK)
		c, tap := s.send(get)
		defer c.Close()
		for range 60 { // an hour in all
			time.Sleep(59 * time.Second)
			io.WriteString(c, get)
		}
		got, d := tap.ended()
		if n := strings.Count(got, "200 OK"); n != 61 || strings.Contains(got, "408") {
			t.Errorf("%d answers: %q", n, got)
		}
		around(t, "closed", d, time.Minute)
	})
}

// TestEmptyLineWhileIdle: an empty line behind a body is no start of a head. Nobody gets a 408 for one.
func TestEmptyLineWhileIdle(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		for _, apart := range []time.Duration{0, time.Second} {
			s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{HeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}}, sayOK)
			c, tap := s.send(post10)
			time.Sleep(apart)
			io.WriteString(c, "\r\n")
			time.Sleep(30 * time.Second)
			io.WriteString(c, get)
			time.Sleep(30 * time.Second)
			io.WriteString(c, "\r\n")
			got, d := tap.ended()
			c.Close()
			if n := strings.Count(got, "200 OK"); n != 2 || strings.Contains(got, "408") {
				t.Errorf("%d answers: %q", n, got)
			}
			if d > time.Minute+late {
				t.Errorf("closed after %v", d)
			}
		}
	})
}

func TestBodyTimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var read time.Duration
		s := newSim(t, 1, reactortest.Faults{Discard: 1}, simConfig{policy: p, Config: Config{BodyTimeout: 30 * time.Second}}, func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			body, err := io.ReadAll(r.Body)
			read = time.Since(start)
			var timeout interface{ Timeout() bool }
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("read %q, %v", body, err)
			}
			time.Sleep(time.Second) // the client goes on sending meanwhile
			http.Error(w, "slow", http.StatusRequestTimeout)
		})
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\nab")
		defer c.Close()
		time.Sleep(20 * time.Second)
		io.WriteString(c, "cd")
		time.Sleep(30*time.Second + time.Second/2)
		io.WriteString(c, text(1000))
		got, _ := tap.ended()
		if !strings.HasSuffix(got, "slow\n") || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("got %q", got)
		}
		if _, err := tap.soFar(); err != io.EOF {
			t.Errorf("the answer is followed by %v", err)
		}
		around(t, "timeout", read, 50*time.Second)
	})
}

func TestReadTimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var read time.Duration
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{BodyTimeout: 30 * time.Second, ReadTimeout: 20 * time.Second}}, func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			_, err := io.ReadAll(r.Body)
			read = time.Since(start)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			_, again := r.Body.Read(make([]byte, 1))
			if again != err {
				t.Errorf("read again: %v", again)
			}
			fmt.Fprint(w, "slow")
		})
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\nab")
		var sending sync.WaitGroup
		defer sending.Wait()
		defer c.Close()
		sending.Go(func() {
			for range 100 {
				time.Sleep(time.Second)
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		})
		got, _ := tap.ended()
		if !strings.HasSuffix(got, "slow") {
			t.Errorf("got %q", got)
		}
		around(t, "timeout", read, 20*time.Second)
	})
}

// TestReadTimeoutCountsTheHead: the time is that of the whole request.
func TestReadTimeoutCountsTheHead(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		start := time.Now()
		var end time.Duration
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{ReadTimeout: 20 * time.Second}}, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			end = time.Since(start)
		})
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\n")
		defer c.Close()
		time.Sleep(15 * time.Second)
		io.WriteString(c, "Content-Length: 70000\r\n\r\nab")
		tap.ended()
		around(t, "timeout", end, 20*time.Second)
	})
}

// TestReadTimeoutOfDrain: whoever throws the body away has no more time for it than a reader.
func TestReadTimeoutOfDrain(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{BodyTimeout: 30 * time.Second, ReadTimeout: 20 * time.Second}}, sayOK)
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\nab")
		var sending sync.WaitGroup
		defer sending.Wait()
		defer c.Close()
		sending.Go(func() {
			for range 100 {
				time.Sleep(time.Second)
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		})
		got, d := tap.ended()
		if _, err := tap.soFar(); !strings.HasSuffix(got, "ok") || err != io.EOF {
			t.Errorf("got %q, %v", got, err)
		}
		around(t, "end", d, 20*time.Second)
	})
}

func TestBodyWait(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var began time.Time
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			began = time.Now()
			body, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %v", body, err)
		})
		start := time.Now()
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
		time.Sleep(time.Hour)
		io.WriteString(c, "llo")
		time.Sleep(time.Second)
		c.CloseWrite()
		if got, _ := tap.ended(); !strings.HasSuffix(got, "hello <nil>") {
			t.Errorf("got %q", got)
		}
		c.Close()
		around(t, "handler", began.Sub(start), bodyWait)
		if p == dispatch.PolicyInline && s.dispatch.Stats().Submitted != 1 {
			t.Errorf("the handler ran on the loop")
		}

		start = time.Now()
		c, tap = s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
		time.Sleep(bodyWait / 2)
		io.WriteString(c, "llo")
		time.Sleep(time.Second)
		c.CloseWrite()
		tap.ended()
		c.Close()
		around(t, "handler", began.Sub(start), bodyWait/2)
	})
}

// TestAnswerBeforeBody: a handler that does not read is heard at once, though the body never comes.
func TestAnswerBeforeBody(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{BodyTimeout: 30 * time.Second}}, sayOK)
		for _, length := range []int{5, 70000, 1 << 30} {
			c, tap := s.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", length))
			time.Sleep(bodyWait + late)
			if got, _ := tap.soFar(); !strings.HasSuffix(got, "ok") {
				t.Errorf("length %d: %q so far", length, got)
			}
			tap.ended()
			c.Close()
		}
	})
}

func TestWriteTimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var wrote time.Duration
		var ctxErr error
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{WriteTimeout: 20 * time.Second}}, func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			_, err := w.Write([]byte(text(1 << 20)))
			wrote = time.Since(start)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write: %v", err)
			}
			ctxErr = r.Context().Err()
		})
		c := s.dial()
		defer c.Close()
		io.WriteString(c, get)
		time.Sleep(time.Minute)
		c.ReadAll()
		around(t, "write", wrote, 20*time.Second)
		if ctxErr != context.Canceled {
			t.Errorf("context: %v", ctxErr)
		}
	})
}

// TestWriteTimeoutOfWaitingOutput: the time goes on when the handler has returned.
func TestWriteTimeoutOfWaitingOutput(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{SendBuffer: 1000, RecvBuffer: 1000}, simConfig{policy: p, watermark: 1 << 20, Config: Config{WriteTimeout: 20 * time.Second}}, func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(text(100000)))
		})
		c := s.dial()
		defer c.Close()
		io.WriteString(c, get)
		time.Sleep(20*time.Second + late)
		if n := s.reactor.Conns(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestWriteStall(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var wrote time.Duration
		s := newSim(t, 1, reactortest.Faults{SendBuffer: 1000, RecvBuffer: 1000}, simConfig{policy: p, writeStall: 30 * time.Second}, func(w http.ResponseWriter, _ *http.Request) {
			start := time.Now()
			_, err := w.Write([]byte(text(1 << 20)))
			wrote = time.Since(start)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write: %v", err)
			}
		})
		c := s.dial()
		defer c.Close()
		io.WriteString(c, get)
		for range 4 { // slow is not stalled
			time.Sleep(20 * time.Second)
			io.ReadFull(c, make([]byte, 1500))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if wrote < 110*time.Second || wrote > 115*time.Second {
			t.Errorf("stalled after %v", wrote)
		}
	})
}

func TestLinger(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close") // or it may close at once, see TestParted
			sayOK(w, r)
		})
		open := func(raw string) (*reactortest.Client, time.Time) {
			c, tap := s.send(raw)
			if _, d := tap.ended(); d > late {
				t.Errorf("the end came after %v", d)
			}
			return c, time.Now()
		}
		closed := func(start time.Time) time.Duration {
			for s.reactor.Conns() > 0 {
				time.Sleep(time.Millisecond)
			}
			return time.Since(start)
		}

		c, start := open(get)
		around(t, "closed", closed(start), lingerTimeout)
		c.Close()

		// Who goes on sending gets no more time.
		c, start = open(get)
		go func() {
			for range 100 {
				time.Sleep(100 * time.Millisecond)
				if _, err := io.WriteString(c, get); err != nil {
					return
				}
			}
		}()
		around(t, "closed", closed(start), lingerTimeout)
		time.Sleep(time.Second)
		c.Close()

		// And no more than so many bytes are taken; it is closed later, since it may not have read its answer yet.
		c, start = open(get)
		n, err := c.Write(make([]byte, 10*maxLinger))
		if err == nil || n > 2*maxLinger {
			t.Errorf("%d bytes taken, %v", n, err)
		}
		around(t, "closed", closed(start), lingerTimeout/2)
		c.Close()

		// Who closes is closed at once.
		c, start = open(get)
		c.Close()
		if d := closed(start); d > late {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestParted is about who may be closed without waiting for its own close: a client that has said that it will send no more,
// when its answer has left, by the loop.
func TestParted(t *testing.T) {
	const large = 500 << 10 // more than the sockets take
	for _, test := range []struct {
		name, raw string
		at        time.Duration // when the connection is closed
	}{
		{"close", with("Connection: close"), 0},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", 0},
		{"1.0 head", "HEAD / HTTP/1.0\r\n\r\n", 0},
		{"1.0 kept", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", time.Minute},
		{"kept", get, time.Minute},
		{"the Server closes", "GET /close HTTP/1.1\r\nHost: x\r\n\r\n", lingerTimeout},
		{"after others", get + get + with("Connection: close"), 0},
		{"with content", "POST /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", lingerTimeout},
		{"more came", with("Connection: close") + "GET", lingerTimeout},
		{"more came meanwhile", "GET /meanwhile HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", lingerTimeout},
		{"the socket is full", "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", lingerTimeout},
		{"a panic", "GET /panic HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", lingerTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				c := simConfig{policy: p, watermark: 1 << 20, Config: Config{IdleTimeout: time.Minute}}
				asked, sent := make(chan struct{}), make(chan struct{})
				s := newSim(t, 1, reactortest.Faults{}, c, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/close":
						w.Header().Set("Connection", "close")
					case "/read":
						io.Copy(io.Discard, r.Body)
					case "/meanwhile":
						close(asked)
						<-sent
					case "/large":
						fmt.Fprint(w, text(large))
						return
					case "/panic":
						panic(http.ErrAbortHandler)
					}
					sayOK(w, r)
				})
				client := s.dial()
				defer client.Close()
				io.WriteString(client, test.raw)
				if strings.HasPrefix(test.raw, "GET /meanwhile") {
					<-asked
					io.WriteString(client, "GET")
					close(sent)
				}
				synctest.Wait() // until it has been answered, as far as the socket takes that
				tap := newTap(client)
				if test.at < time.Minute {
					if got, _ := tap.ended(); strings.HasPrefix(test.raw, "GET /large") && len(got) < large {
						t.Errorf("%d bytes of the answer came", len(got))
					}
				}
				start := time.Now()
				for s.reactor.Conns() > 0 {
					time.Sleep(time.Millisecond)
				}
				want := test.at
				if want == 0 && p == dispatch.PolicyPool {
					want = lingerTimeout // a task does not wake the loop for it
				}
				around(t, "closed", time.Since(start), want)
			})
		})
	}
}

// TestHoldTime: an answer is held for the next one of its pipeline only for a moment, whichever of them takes its time, and
// whatever it does meanwhile.
func TestHoldTime(t *testing.T) {
	bodies := map[string]string{"nobody": "", "late": "Content-Length: 5\r\n", "large": "Content-Length: 100000\r\n", "chunks": "Transfer-Encoding: chunked\r\n"}
	for body, line := range bodies {
		t.Run(body, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				if p == dispatch.PolicyInline && line == "" {
					t.Skip("a handler on the loop is known not to block")
				}
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
					d, err := time.ParseDuration(strings.Trim(r.URL.Path, "/"))
					if err != nil {
						t.Error(err)
					}
					time.Sleep(d)
				})
				raw := "GET /0s HTTP/1.1\r\nHost: a\r\n\r\nGET /0s HTTP/1.1\r\nHost: a\r\n\r\n"
				if p == dispatch.PolicyPool {
					raw += "GET /10ms HTTP/1.1\r\nHost: a\r\n\r\nGET /0s HTTP/1.1\r\nHost: a\r\n\r\n"
				}
				n := strings.Count(raw, "GET")
				c, tap := s.send(raw + "POST /1h HTTP/1.1\r\nHost: a\r\n" + line + "\r\n")
				time.Sleep(10*time.Millisecond + 2*holdTime)
				if got, _ := tap.soFar(); strings.Count(got, "200 OK") != n {
					t.Errorf("%d of %d answers so far", strings.Count(got, "200 OK"), n)
				}
				c.Close()
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestSetReadDeadline(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		done := make(chan struct{})
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{BodyTimeout: time.Hour}}, func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			rc := http.NewResponseController(w)
			start := time.Now()
			time.AfterFunc(time.Second, func() {
				if err := rc.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
					t.Error(err)
				}
			})
			_, err := io.ReadAll(r.Body) // waits already when the deadline is set
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			around(t, "read", time.Since(start), 2*time.Second)
			fmt.Fprint(w, "slow")
		})
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\nab")
		defer c.Close()
		<-done
		if got, _ := tap.ended(); !strings.HasSuffix(got, "slow") {
			t.Errorf("got %q", got)
		}
	})
}

// TestReadDeadlineWithInput: a deadline ends the reading also of what has come.
func TestReadDeadlineWithInput(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		set     func(c *http.ResponseController) error
		want    time.Duration
	}{
		{"ReadTimeout", 2 * time.Second, nil, 2 * time.Second},
		{"SetReadDeadline", 0, func(c *http.ResponseController) error { return c.SetReadDeadline(time.Now().Add(time.Second)) }, time.Second},
		{"a deadline in the past", 0, func(c *http.ResponseController) error { return c.SetReadDeadline(time.Now().Add(-time.Second)) }, 0},
		{"1970", 0, func(c *http.ResponseController) error { return c.SetReadDeadline(time.Unix(0, 0)) }, 0},
		{"1066", 0, func(c *http.ResponseController) error {
			return c.SetReadDeadline(time.Date(1066, time.October, 14, 0, 0, 0, 0, time.UTC))
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				done := make(chan struct{})
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{ReadTimeout: tt.timeout}}, func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					start := time.Now()
					if tt.set != nil {
						if err := tt.set(http.NewResponseController(w)); err != nil {
							t.Error(err)
						}
					}
					for {
						_, err := io.ReadFull(r.Body, make([]byte, 16<<10))
						switch {
						case err == nil && time.Since(start) < time.Minute:
							time.Sleep(100 * time.Millisecond)
							continue
						case !errors.Is(err, os.ErrDeadlineExceeded):
							t.Errorf("read: %v", err)
						}
						break
					}
					if d := time.Since(start); d < tt.want || d > tt.want+100*time.Millisecond {
						t.Errorf("read for %v, want %v", d, tt.want)
					}
				})
				c, _ := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
				go c.Write(make([]byte, 100000000))
				<-done
				c.Close()
			})
		})
	}
}

// TestFarDeadlines: what is beyond the clock is no deadline.
func TestFarDeadlines(t *testing.T) {
	far := time.Date(2500, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		config Config
		at     time.Time
	}{
		{"ReadTimeout", Config{ReadTimeout: math.MaxInt64}, time.Time{}},
		{"BodyTimeout", Config{BodyTimeout: math.MaxInt64, MinBodyRate: 1}, time.Time{}},
		{"all of them", Config{
			HeaderTimeout: math.MaxInt64, ReadTimeout: math.MaxInt64, BodyTimeout: math.MaxInt64, WriteTimeout: math.MaxInt64, IdleTimeout: math.MaxInt64,
		}, time.Time{}},
		{"SetReadDeadline", Config{}, far},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: tt.config}, func(w http.ResponseWriter, r *http.Request) {
					if !tt.at.IsZero() {
						if err := http.NewResponseController(w).SetReadDeadline(tt.at); err != nil {
							t.Error(err)
						}
					}
					body, err := io.ReadAll(r.Body)
					fmt.Fprintf(w, "%d %v", len(body), err)
				})
				c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
				for range 4 {
					time.Sleep(time.Hour)
					io.WriteString(c, text(50000))
				}
				c.CloseWrite()
				if got, _ := tap.ended(); !strings.HasSuffix(got, "200000 <nil>") {
					t.Errorf("got %q", got)
				}
				c.Close()
			})
		})
	}
}

// TestSetReadDeadlineWithoutReading: the time until the body is read first is the handler's own, whatever deadlines it sets.
func TestSetReadDeadlineWithoutReading(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{BodyTimeout: time.Second, MinBodyRate: 100}}, func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			body, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %v", body, err)
		})
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
		time.Sleep(time.Minute + 900*time.Millisecond)
		io.WriteString(c, "hello")
		if got, _ := tap.ended(); !strings.HasSuffix(got, "hello <nil>") {
			t.Errorf("got %q", got)
		}
		c.Close()
	})
}

// TestSetReadDeadlineMoves: a deadline that was moved or taken back before it passed does not count.
func TestSetReadDeadlineMoves(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			for _, at := range []time.Time{time.Now().Add(time.Second), {}, time.Now().Add(time.Minute)} {
				if err := rc.SetReadDeadline(at); err != nil {
					t.Error(err)
				}
			}
			body, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d %v", len(body), err)
		})
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n")
		time.Sleep(30 * time.Second)
		io.WriteString(c, text(70000)+get) // the deadline of the first request is none of the second's
		time.Sleep(time.Hour)
		io.WriteString(c, post10)
		time.Sleep(time.Hour)
		c.CloseWrite()
		got, _ := tap.ended()
		c.Close()
		for _, want := range []string{"70000 <nil>", "0 <nil>", "10 <nil>"} {
			if !strings.Contains(got, want) {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestSetWriteDeadline(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		done := make(chan time.Duration, 1)
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			start := time.Now()
			time.AfterFunc(time.Second, func() {
				if err := rc.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
					t.Error(err)
				}
			})
			_, err := w.Write([]byte(text(1 << 20))) // waits already when the deadline is set
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write: %v", err)
			}
			done <- time.Since(start)
		})
		c := s.dial()
		defer c.Close()
		io.WriteString(c, get)
		select {
		case d := <-done:
			around(t, "write", d, 2*time.Second)
		case <-time.After(time.Minute):
			t.Error("the deadline did not end the write")
			c.Reset()
			<-done
		}
	})
}

// TestSetWriteDeadlineOfTheLast: a deadline that one handler sets is none for the next, also where the first answer had to wait.
func TestSetWriteDeadlineOfTheLast(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		first := true
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, watermark: 1 << 20}, func(w http.ResponseWriter, _ *http.Request) {
			if first {
				first = false
				if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
				w.Write([]byte(text(500 << 10)))
				return
			}
			time.Sleep(time.Hour)
			fmt.Fprint(w, "second")
		})
		c := s.dial()
		io.WriteString(c, get+get)
		time.Sleep(time.Second)
		tap := newTap(c)
		time.Sleep(2 * time.Hour)
		if got, err := tap.soFar(); !strings.HasSuffix(got, "second") || err != nil {
			t.Errorf("%d bytes came, then %v", len(got), err)
		}
		c.Close()
	})
}

// TestReaderRaces: a goroutine of the handler starts to read just when the handler returns, or sets a deadline.
func TestReaderRaces(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var readers sync.WaitGroup
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			started := make(chan bool)
			readers.Go(func() {
				close(started)
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					t.Error("the reader found an end")
				}
			})
			<-started
			var n int
			fmt.Sscanf(r.URL.Path, "/%d", &n)
			for range n % 20 {
				runtime.Gosched()
			}
			if n%2 == 1 {
				http.NewResponseController(w).SetReadDeadline(time.Now())
				readers.Wait()
			}
		})
		for i := range 400 {
			c, tap := s.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", i))
			time.Sleep(time.Second)
			if got, _ := tap.soFar(); !strings.HasPrefix(got, "HTTP/1.1 200 OK") {
				t.Fatalf("request %d: got %q", i, got)
			}
			c.Close()
			tap.ended()
		}
		readers.Wait()
	})
}

// TestWriteTimeoutWhileComputing: a write timeout that passes while nothing is written fails the next write, and is no
// reason to cancel the request before.
func TestWriteTimeoutWhileComputing(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		for _, extended := range []bool{false, true} {
			s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{WriteTimeout: time.Second}}, func(w http.ResponseWriter, r *http.Request) {
				rc := http.NewResponseController(w)
				time.Sleep(10 * time.Second)
				if err := r.Context().Err(); err != nil {
					t.Error("context:", err)
				}
				if extended {
					if err := rc.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
						t.Error(err)
					}
				}
				_, _ = io.WriteString(w, "ok")
				if err := rc.Flush(); errors.Is(err, os.ErrDeadlineExceeded) == extended {
					t.Error("flush:", err)
				}
				if !extended {
					// Errors of the connection stay.
					if err := rc.SetWriteDeadline(time.Time{}); err != nil {
						t.Error(err)
					}
					if err := rc.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error("flush after the deadline was moved:", err)
					}
				}
			})
			c, tap := s.send(get)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if got, _ := tap.soFar(); strings.Contains(got, "ok") != extended {
				t.Errorf("got %q", got)
			}
			c.Close()
		}
	})
}
