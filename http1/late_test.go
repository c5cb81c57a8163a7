// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestLateUse: what a goroutine does with the writer and the body of a request that is over fails, and the next answers are as if it
// had not.
func TestLateUse(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var late sync.WaitGroup
		stop := make(chan struct{})
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("A", "1")
			over := make(chan struct{})
			context := r.Context()
			late.Go(func() {
				defer close(over)
				<-context.Done()
				rc := http.NewResponseController(w)
				closed := false // until the owner of the channel has come that far, the body can be read, and the header is its own
				for i := 0; ; i++ {
					if closed {
						h.Set("Leak", "1")
					}
					w.Header().Set("Leak", "2")
					w.WriteHeader(599)
					if _, err := w.Write([]byte("leak")); err == nil {
						t.Error("a late Write did not fail")
					}
					if _, err := io.WriteString(w, "leak"); err == nil {
						t.Error("a late WriteString did not fail")
					}
					for _, err := range []error{rc.Flush(), rc.SetReadDeadline(time.Now()), rc.SetWriteDeadline(time.Now()), rc.EnableFullDuplex()} {
						if err == nil {
							t.Error("a late use did not fail")
						}
					}
					n, err := r.Body.Read(make([]byte, 2))
					if closed && (n != 0 || err == nil) {
						t.Errorf("a late Read gave %d, %v", n, err)
					}
					closed = closed || errors.Is(err, http.ErrBodyReadAfterClose) // and the answer is done with the header
					_ = context.Value(http.LocalAddrContextKey)
					select {
					case <-stop:
						return
					default:
						if i > 200 {
							return
						}
					}
				}
			})
			fmt.Fprintf(w, "ok %d", r.ContentLength)
		})
		const n = 30
		c, tap := s.send(strings.Repeat(post10+chunks, n) + with("Connection: close"))
		stream, _ := tap.ended()
		close(stop)
		late.Wait()
		c.Close()
		all, bodies := answers(t, []byte(stream))
		if len(all) != 2*n+1 || strings.Contains(stream, "eak") || strings.Contains(stream, "599") {
			t.Errorf("%d answers: %.1000q", len(all), stream)
		}
		for i, body := range bodies[:2*n] {
			if want := []string{"ok 10", "ok -1"}[i%2]; body != want {
				t.Errorf("answer %d is %q", i, body)
			}
		}
		if s.logged() != "" {
			t.Errorf("logged %s", s.logged())
		}
	})
}

// TestReaderOutlivesHandler: the handler returns while a goroutine of its waits for the body. The reader gets an error at
// once, and the client its answer.
func TestReaderOutlivesHandler(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		for _, head := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
			reader := make(chan error, 1)
			s := newSim(t, 1, reactortest.Faults{Discard: 1}, simConfig{policy: p, Config: Config{BodyTimeout: time.Hour}}, func(w http.ResponseWriter, r *http.Request) {
				go func() {
					_, err := io.Copy(io.Discard, r.Body)
					reader <- err
				}()
				time.Sleep(time.Second) // it waits
				fmt.Fprint(w, "ok")
			})
			c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\n" + head + "\r\n\r\n")
			got, d := tap.ended()
			c.Close()
			if !strings.HasSuffix(got, "ok") {
				t.Errorf("got %q", got)
			}
			around(t, "answer", d, time.Second)
			if err := <-reader; err == nil {
				t.Error("the reader found an end")
			}
		}
	})
}

// TestConcurrentWrites: writes of several goroutines come out whole.
func TestConcurrentWrites(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
			var writers sync.WaitGroup
			for _, line := range []string{"a", "b"} {
				line = strings.Repeat(line, 999) + "\n"
				writers.Go(func() {
					for i := range 200 {
						if _, err := io.WriteString(w, line); err != nil {
							t.Error(err)
							return
						}
						if i%50 == 0 {
							w.(http.Flusher).Flush()
						}
					}
				})
			}
			writers.Wait()
		})
		stream := s.roundTrip(get)
		_, bodies := answers(t, []byte(stream))
		lines := strings.Split(bodies[0], "\n")
		if len(lines) != 401 {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines[:400] {
			if len(line) != 999 || strings.Trim(line, line[:1]) != "" {
				t.Fatalf("line %q", line)
			}
		}
	})
}

// TestReadAndWrite: a body is read by one goroutine while another one answers: an echo of more than all buffers hold.
func TestReadAndWrite(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 10, func(t *testing.T, seed int64) {
			s := newSim(t, seed, reactortest.Random(seed), simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				if _, err := io.Copy(w, r.Body); err != nil {
					t.Errorf("copy: %v", err)
				}
			})
			want := text(300000)
			for _, raw := range []string{
				"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + want,
				"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + want + "\r\n0\r\n\r\n",
			} {
				c := s.dial()
				var sending sync.WaitGroup
				sending.Go(func() {
					io.WriteString(c, raw)
					c.CloseWrite()
				})
				stream, err := c.ReadAll()
				sending.Wait()
				c.Close()
				if err != nil {
					t.Fatal(err)
				}
				if _, bodies := answers(t, stream); len(bodies) != 1 || bodies[0] != want {
					t.Errorf("%d bytes", len(stream))
				}
			}
		})
	})
}

// TestKeptRequest: a request may be kept, and is as it was, whatever its connection and its successors do.
func TestKeptRequest(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		var kept []*http.Request
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(_ http.ResponseWriter, r *http.Request) { kept = append(kept, r) })
		var raw strings.Builder
		for i := range 20 {
			fmt.Fprintf(&raw, "POST /p%d?q%d HTTP/1.1\r\nHost: h%d\r\nA: v%d\r\nContent-Length: 3\r\n\r\nabc", i, i, i, i)
		}
		s.roundTrip(raw.String())
		synctest.Wait()
		if len(kept) != 20 {
			t.Fatalf("%d requests", len(kept))
		}
		for i, r := range kept {
			if got, want := fmt.Sprintf("%v %s %s %s", r.URL, r.RequestURI, r.Host, r.Header.Get("A")), fmt.Sprintf("/p%d?q%d /p%d?q%d h%d v%d", i, i, i, i, i, i); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if _, err := r.Body.Read(make([]byte, 3)); !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("body: %v", err)
			}
			if r.Context().Err() == nil {
				t.Error("the context goes on")
			}
		}
	})
}
