// SPDX-License-Identifier: MIT

package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestRefusals: each is one answer, behind those of the requests before it, and the end of the connection.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		status    int
	}{
		{"long head", with("A: " + text(5000)), 431},
		{"many fields", with(strings.Split(strings.Repeat("A: b\n", 30), "\n")[:30]...), 431},
		{"long request line", "GET /" + strings.Repeat("x", 2000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"long body", post(2000), 413},
		{"long body that is to be asked for", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n", 413},
		{"huge body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 413},
		{"syntax", "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400},
		{"length and coding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"expectation", with("Expect: miracles"), 417},
		{"coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{"version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{
					MaxBody: 1000, Limits: httpparse.Limits{HeadBytes: 4000, RequestLine: 1000, Headers: 20},
				}}, sayOK)
				c, tap := s.send(get + post10 + tt.raw + get + get)
				stream, _ := tap.ended()
				c.Close()
				all, bodies := answers(t, []byte(stream))
				if len(all) != 3 || bodies[0] != "ok" || bodies[1] != "ok" || all[2].StatusCode != tt.status || !all[2].Close || all[2].ContentLength != int64(len(bodies[2])) {
					t.Errorf("got %q", stream)
				}
				if s.logged() != "" {
					t.Errorf("logged %s", s.logged())
				}
				c, tap = s.send(strings.Replace(tt.raw, "GET", "HEAD", 1)) // as far as the method was read
				stream, _ = tap.ended()
				c.Close()
				if i := strings.Index(stream, "\r\n\r\n"); strings.HasPrefix(tt.raw, "GET") && tt.status != 505 && stream[i+4:] != "" {
					t.Errorf("HEAD got %q", stream)
				}
			})
		})
	}
}

func TestIdent(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{Ident: "waitress"}}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/own":
				w.Header().Set("Server", "mine")
			case "/none":
				w.Header()["Server"] = nil
			case "/early":
				w.WriteHeader(http.StatusEarlyHints)
			}
		})
		for path, want := range map[string]string{"/": "waitress", "/own": "mine", "/none": "", "/early": "waitress", "/bad path": "waitress"} {
			got := s.roundTrip("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
			if n := strings.Count(got, "Server: "); want == "" && n != 0 || want != "" && (n != 1 || !strings.Contains(got, "\r\nServer: "+want+"\r\n")) {
				t.Errorf("%s: got %q", path, got)
			}
		}
	})
}

// TestQueueFullLateBody: who is refused while it waits for the rest of a small body gets its answer, and no more time than others.
func TestQueueFullLateBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{threads: 1, queue: 1, Config: Config{BodyTimeout: time.Second, IdleTimeout: time.Minute}}, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
		})
		for range 2 { // one runs, one waits
			c, _ := s.send(get)
			defer c.Close()
			synctest.Wait()
		}
		c, tap := s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
		defer c.Close()
		time.Sleep(bodyWait + late)
		if got, _ := tap.soFar(); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
			t.Errorf("got %q", got)
		}
		if got, d := tap.ended(); strings.Count(got, "HTTP/1.1") != 1 || d > time.Second+lingerTimeout {
			t.Errorf("got %q, closed after %v", got, d)
		}
	})
}

func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{threads: 1, queue: 1}, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute)
			fmt.Fprint(w, "ok")
		})
		a, aTap := s.send(with("Connection: close"))
		synctest.Wait()
		b, bTap := s.send(with("Connection: close"))
		synctest.Wait()
		// The connection is kept.
		c, cTap := s.send(get + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + with("Connection: close"))
		got, d := cTap.ended()
		if d > late || strings.Count(got, "HTTP/1.1 503 ") != 3 || strings.Count(got, "\r\nRetry-After: 1\r\n") != 3 || strings.Count(got, "\r\nConnection: close\r\n") != 1 {
			t.Errorf("after %v: %q", d, got)
		}
		for _, tap := range []*tap{aTap, bTap} {
			if got, _ := tap.ended(); !strings.HasSuffix(got, "ok") {
				t.Errorf("got %q", got)
			}
		}
		a.Close()
		b.Close()
		c.Close()
	})
}

// TestMinBodyRateOfSlowHandler: what the handler does between its reads is not the client's time.
func TestMinBodyRateOfSlowHandler(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		const records = 100
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{MinBodyRate: 100, BodyTimeout: time.Second}}, func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			if err := c.EnableFullDuplex(); err != nil {
				t.Error(err)
			}
			for i := range records {
				if _, err := io.ReadFull(r.Body, make([]byte, 10)); err != nil {
					t.Errorf("record %d: %v", i, err)
					return
				}
				time.Sleep(time.Minute)
				io.WriteString(w, "next\n")
				if err := c.Flush(); err != nil {
					t.Error(err)
				}
			}
		})
		c := s.dial()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", 10*records, text(10))
		answered := 0
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if lines.Text() != "next" {
				continue
			}
			answered++
			time.Sleep(100 * time.Millisecond) // 100 bytes a second
			if answered < records {
				io.WriteString(c, text(10))
			}
		}
		c.Close()
		if answered != records {
			t.Errorf("%d records were answered", answered)
		}
	})
}

// TestMinBodyRate: a body that comes in drops is given up, whoever waits for it, and one that comes at the rate is not.
func TestMinBodyRate(t *testing.T) {
	const rate, wait = 100, 10 * time.Second
	for _, test := range []struct {
		name    string
		drop    int // bytes every 5 s
		buffer  bool
		unread  bool // the handler does not read
		chunked bool
		ok      bool
	}{
		{"drops", 5, false, false, false, false},
		{"drops, chunked", 5, false, false, true, false},
		{"drops, collected", 5, true, false, false, false},
		{"drops, chunked and collected", 5, true, false, true, false},
		{"drops that nobody reads", 5, false, true, false, false},
		{"enough", 600, false, false, false, true},
		{"enough, chunked", 600, false, false, true, true},
		{"enough, collected", 600, true, false, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{
					MinBodyRate: rate, BodyTimeout: wait, BufferRequests: test.buffer, BodyMemory: 1 << 20,
				}}, func(w http.ResponseWriter, r *http.Request) {
					if test.unread {
						return
					}
					if _, err := io.ReadAll(r.Body); (err == nil) != test.ok {
						t.Errorf("read: %v", err)
					}
				})
				const drops = 40
				head := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + strconv.Itoa(drops*test.drop) + "\r\n\r\n"
				if test.chunked {
					head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
				}
				c, tap := s.send(head)
				start := time.Now()
				for range drops {
					drop := text(test.drop)
					if test.chunked {
						drop = strconv.FormatInt(int64(len(drop)), 16) + "\r\n" + drop + "\r\n"
					}
					if _, err := c.Write([]byte(drop)); err != nil {
						break
					}
					time.Sleep(5 * time.Second)
				}
				if test.ok {
					if test.chunked {
						if _, err := c.Write([]byte("0\r\n\r\n")); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(time.Second)
					if got, _ := tap.soFar(); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
						t.Errorf("got %q", got)
					}
				} else if d := time.Since(start); d > 3*wait {
					t.Errorf("given up after %v", d)
				}
				c.Close()
			})
		})
	}
}

// TestShed: under a load that is too much, who has waited for too long is told so, and those that come later are served; urgent
// requests go before all of them.
func TestShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1, reactortest.Faults{}, simConfig{
			threads: 1, queue: 1000, target: 50 * time.Millisecond, interval: 100 * time.Millisecond,
			Config: Config{Urgent: func(r *http.Request) bool { return r.URL.Path == "/health" }},
		}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				time.Sleep(10 * time.Millisecond)
			}
			fmt.Fprint(w, "ok")
		})
		var taps []*tap
		for range 400 { // four times what is possible
			time.Sleep(10 * time.Millisecond / 4)
			_, tap := s.send(with("Connection: close"))
			taps = append(taps, tap)
		}
		start := time.Now()
		_, health := s.send("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if got, _ := health.ended(); !strings.HasSuffix(got, "ok") || time.Since(start) > 11*time.Millisecond {
			t.Errorf("the health check got %q after %v", got, time.Since(start))
		}
		served, shed := 0, 0
		for i, tap := range taps {
			switch got, _ := tap.ended(); {
			case strings.HasPrefix(got, "HTTP/1.1 200 ") && strings.HasSuffix(got, "ok"):
				served++
			case strings.HasPrefix(got, "HTTP/1.1 503 ") && strings.Contains(got, "\r\nRetry-After: 1\r\n"):
				shed++
			default:
				t.Errorf("request %d: %q", i, got)
			}
		}
		if served < 90 || shed < 250 {
			t.Errorf("%d were served, of 100 that could be, and %d shed", served, shed)
		}
	})
}

// TestNoReader: a client that does not read holds the watermark, and one thread; nobody else notices; and when it reads, all
// of the answer is there.
func TestNoReader(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		const size, piece = 50 << 20, 32 << 10
		block := []byte(text(piece))
		written := 0
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, watermark: 1 << 20}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/large" {
				fmt.Fprint(w, "ok")
				return
			}
			w.Header().Set("Content-Length", fmt.Sprint(size))
			for written < size {
				n, err := w.Write(block)
				written += n
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		c := s.dial()
		defer c.Close()
		io.WriteString(c, "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		synctest.Wait()
		if most := 1<<20 + 2*(64<<10) + maxOutput + piece; written > most || written < 1<<20 {
			t.Errorf("%d bytes written, want about %d", written, most)
		}
		if n := s.dispatch.Stats().Running; n > 1 {
			t.Errorf("%d threads", n)
		}
		for range 10 {
			if got := s.roundTrip(get); !strings.HasSuffix(got, "ok") {
				t.Errorf("got %q", got)
			}
		}
		n := 0
		buf := make([]byte, 64<<10)
		for {
			k, err := c.Read(buf)
			if n == 0 && k > 0 {
				n -= bytes.Index(buf[:k], []byte("\r\n\r\n")) + 4
			}
			n += k
			if err != nil {
				break
			}
		}
		if n != size {
			t.Errorf("%d bytes of content", n)
		}
	})
}

// TestPanicAfterGivingTheLoopAway: a goroutine that was the loop, and is none any more, still runs handlers that may panic.
func TestPanicAfterGivingTheLoopAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, 1, reactortest.Faults{SendBuffer: 1000, RecvBuffer: 1000}, simConfig{policy: dispatch.PolicyInline}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/panic":
				panic("oops")
			case "/large":
				for range 10 {
					w.Write([]byte(text(20000)))
				}
			case "/both":
				for range 10 {
					w.Write([]byte(text(20000)))
				}
				panic("oops")
			}
			fmt.Fprint(w, "ok")
		})
		for _, raw := range []string{
			"GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /both HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /small HTTP/1.1\r\nHost: a\r\n\r\nGET /both HTTP/1.1\r\nHost: a\r\n\r\n",
		} {
			c := s.dial()
			io.WriteString(c, raw)
			time.Sleep(time.Second)
			stream, err := c.ReadAll()
			c.Close()
			if n := strings.Count(string(stream), text(20000)); err != nil || n < 9 {
				t.Errorf("%d bytes, %d pieces, %v", len(stream), n, err)
			}
		}
		if n := strings.Count(s.logged(), "oops"); n != 4 {
			t.Errorf("logged %s", s.logged())
		}
	})
}

// TestUnreadBodyIsNotReadAhead: what the handler does not read stays with the client.
func TestUnreadBodyIsNotReadAhead(t *testing.T) {
	for _, head := range []string{"Content-Length: 10000000", "Transfer-Encoding: chunked"} {
		inBubbles(t, func(t *testing.T, p dispatch.Policy) {
			s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) {
				io.ReadFull(r.Body, make([]byte, 10))
				time.Sleep(time.Hour)
			})
			c, _ := s.send("POST / HTTP/1.1\r\nHost: a\r\n" + head + "\r\n\r\n")
			defer c.Close()
			sent := make(chan int)
			go func() {
				n, _ := io.WriteString(c, "989680\r\n"+strings.Repeat("x", 10000000))
				sent <- n
			}()
			time.Sleep(time.Minute)
			if got := s.input(); got > 64<<10+inputBuffer { // what one turn of the loop reads
				t.Errorf("%d bytes were read ahead", got)
			}
			c.SetWriteDeadline(time.Now())
			// What the client could send is in the buffers of the network.
			if n := <-sent; n > 2*(64<<10)+2*inputBuffer+(64<<10) {
				t.Errorf("%d bytes were taken", n)
			}
			c.Reset()
			time.Sleep(2 * time.Hour)
		})
	}
}

// input returns how many bytes of input the channels hold. The test is in a bubble whose other goroutines are blocked.
func (s *sim) input() (n int) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.channels {
		n += cap(ch.in)
	}
	return n
}

// TestFlood: a client that pipelines without end, and such that no read ends with a request, makes the server keep no more
// than what it reads at once.
func TestFlood(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		const n = 10000
		most := 0
		var s *sim
		s = newSim(t, 1, reactortest.Faults{RecvBuffer: 10007, SendBuffer: 10007}, simConfig{policy: p}, func(w http.ResponseWriter, _ *http.Request) {
			s.mu.Lock()
			most = max(most, cap(s.channels[0].in))
			s.mu.Unlock()
		})
		c := s.dial()
		defer c.Close()
		tap := newTap(c)
		go func() {
			io.WriteString(c, strings.Repeat("GET /abcdefghijklmnopqrstuvwxyz HTTP/1.1\r\nHost: a\r\n\r\n", n))
			c.CloseWrite()
		}()
		got, _ := tap.ended()
		if k := strings.Count(got, "200 OK"); k != n {
			t.Errorf("%d answers", k)
		}
		if most > 128<<10 {
			t.Errorf("%d bytes of input were kept", most)
		}
	})
}

// TestTurns: a connection with a long pipeline leaves the only thread to others now and then, also when each of its reads ends with
// a request.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const request = "GET /busy HTTP/1.1\r\nHost: a\r\n\r\n"
		s := newSim(t, 1, reactortest.Faults{RecvBuffer: 10 * len(request), SendBuffer: 10 * len(request)}, simConfig{threads: 1}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/busy" {
				time.Sleep(time.Millisecond)
			}
		})
		busy := s.dial()
		busyTap := newTap(busy)
		go io.WriteString(busy, strings.Repeat(request, 1000))
		time.Sleep(10 * time.Millisecond)
		c, tap := s.send(with("Connection: close"))
		if _, d := tap.ended(); d > (maxTurn+2)*time.Millisecond+late {
			t.Errorf("the other one waited for %v", d)
		}
		time.Sleep(5 * time.Second)
		if got, _ := busyTap.soFar(); strings.Count(got, "200 OK") != 1000 {
			t.Errorf("%d answers", strings.Count(got, "200 OK"))
		}
		c.Close()
		busy.Close()
	})
}

// TestFloodWithoutReading: who sends requests and reads no answers is not read from.
func TestFloodWithoutReading(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		served := 0
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, _ *http.Request) {
			served++
			io.WriteString(w, text(1000))
		})
		c := s.dial()
		go io.WriteString(c, strings.Repeat(get, 100000))
		synctest.Wait()
		time.Sleep(time.Minute)
		if served > 500 {
			t.Errorf("%d requests were served", served)
		}
		if got := s.input(); got > 128<<10 {
			t.Errorf("%d bytes of input were kept", got)
		}
		c.Reset()
	})
}
