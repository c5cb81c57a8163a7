// SPDX-License-Identifier: MIT

package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/internal/invariant"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// A sim is a whole server but for its operating system, on a simulated network. It ends with its test.
type sim struct {
	t        *testing.T
	network  *reactortest.Network
	listener *reactortest.Listener
	server   *Server
	reactor  *reactor.Reactor
	dispatch *dispatch.Dispatcher

	mu       sync.Mutex
	logs     []string   // guarded by mu
	channels []*channel // guarded by mu; of all connections, in the order of their accepts
}

// A simConfig is what tests of the sim vary. The zero value is a server with one loop and no timeouts.
type simConfig struct {
	Config
	policy     dispatch.Policy
	threads    int
	queue      int
	target     time.Duration
	interval   time.Duration
	loops      int
	watermark  int
	writeStall time.Duration
	base       context.Context

	overflow int // of output, into what newSpool makes
	newSpool func() (reactor.Spool, error)

	poller func(reactor.Poller) reactor.Poller // wraps every poller
}

// trust makes the adaptive policy expect that requests are quick, so that they begin on the loop, which takes a while otherwise.
func (s *sim) trust() {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		// Two that were not asked for, since one of them may fall on the entry of a method before.
		known := func() bool {
			return s.dispatch.Place(s.dispatch.Kind(method, "/?")) == dispatch.Here && s.dispatch.Place(s.dispatch.Kind(method, "/??")) == dispatch.Here
		}
		for i := 0; i < 1000 && !known(); i++ {
			s.dispatch.Learn(s.dispatch.Kind(method, fmt.Sprint("/", i)), dispatch.OnThread, true)
		}
	}
}

// memoryFor returns a Memory that is short for every third seed, though not full, since others have most of it; else nil.
func memoryFor(seed int64) *reactor.Memory {
	if seed%3 != 0 {
		return nil
	}
	const limit = 1 << 30
	m := reactor.NewMemory(limit)
	m.Reserve(limit - limit/8)
	return m
}

// simulate runs f for a number of seeds, each in a bubble of its own and on a network with that seed's mixture of faults.
func simulate(t *testing.T, runs int, f func(t *testing.T, seed int64)) {
	t.Helper()
	if invariant.Enabled {
		runs = (runs + 3) / 4 // the race detector takes its time
	}
	reactortest.Seeds(t, runs, func(t *testing.T, seed int64) {
		synctest.Test(t, func(t *testing.T) { f(t, seed) })
	})
}

// eachPolicy runs f as a subtest for each policy.
func eachPolicy(t *testing.T, f func(t *testing.T, p dispatch.Policy)) {
	t.Helper()
	for _, p := range []dispatch.Policy{dispatch.PolicyPool, dispatch.PolicyInline, dispatch.PolicyAdaptive} {
		t.Run(p.String(), func(t *testing.T) { f(t, p) })
	}
}

func newSim(t *testing.T, seed int64, faults reactortest.Faults, config simConfig, handler http.HandlerFunc) *sim {
	t.Helper()
	s := &sim{t: t, network: reactortest.New(t, seed, faults)}
	s.listener = s.network.Listen("192.0.2.1:80")
	var err error
	s.dispatch, err = dispatch.New(dispatch.Config{
		Policy: config.policy, Threads: config.threads, Queue: config.queue, Target: config.target, Interval: config.interval,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.trust()
	if config.Handler = handler; config.Logf == nil {
		config.Logf = s.logf
	}
	config.Dispatcher = s.dispatch
	config.HTTPServer = &http.Server{Handler: handler}
	if config.Memory == nil {
		config.Memory = reactor.NewMemory(math.MaxInt64) // only counted
	}
	others := config.Memory.Used()
	s.server = New(config.Config)
	s.reactor, err = reactor.New(reactor.Config{
		Loops: max(config.loops, 1),
		NewPoller: func() (reactor.Poller, error) {
			if config.poller != nil {
				return config.poller(s.network.NewPoller()), nil
			}
			return s.network.NewPoller(), nil
		},
		Sockets:       s.network.Sockets(),
		HighWatermark: max(config.watermark, 1<<12),
		WriteStall:    config.writeStall,
		Memory:        config.Memory,
		Overflow:      config.overflow,
		NewSpool:      config.newSpool,
		ShareAfter:    time.Duration(-(seed & 1)), // with every other seed connections change their loop whenever they can
		Overstayed:    s.server.Overstayed,
		Fault: func(what string, err error) {
			if !errors.Is(err, reactor.ErrExhausted) {
				t.Errorf("fault: %s: %v", what, err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	base := config.base
	if base == nil {
		base = t.Context()
	}
	l := s.server.NewListener(base, s.listener.Addr())
	open := func() (*reactor.Conn, reactor.Protocol) {
		c, p := l.Open()
		s.mu.Lock()
		s.channels = append(s.channels, p.(*channel))
		s.mu.Unlock()
		return c, p
	}
	go func() { served <- s.reactor.Serve(s.listener, open) }()
	t.Cleanup(func() {
		if err := s.listener.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		s.server.Drain()
		s.reactor.Abort()
		if err := s.reactor.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		s.reactor.Stop()
		if err := s.dispatch.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if n := config.Memory.Used() - others; n != 0 {
			t.Errorf("%d bytes of buffers are counted at the end", n)
		}
	})
	return s
}

func (s *sim) logf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, fmt.Sprintf(format, args...))
}

// logged returns what the server reported.
func (s *sim) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.logs, "\n")
}

func (s *sim) dial() *reactortest.Client {
	s.t.Helper()
	c, err := s.network.Dial(s.listener)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// send dials, sends raw, and collects what comes back.
func (s *sim) send(raw string) (*reactortest.Client, *tap) {
	s.t.Helper()
	c := s.dial()
	t := newTap(c)
	if _, err := io.WriteString(c, raw); err != nil {
		s.t.Fatal(err)
	}
	return c, t
}

// roundTrip sends raw, ends the stream, and returns all that comes back.
func (s *sim) roundTrip(raw string) string {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		s.t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		s.t.Fatal(err)
	}
	all, err := c.ReadAll()
	if err != nil {
		s.t.Fatalf("after %q: %v", all, err)
	}
	return string(all)
}

// answers parses a stream of responses to requests with the given methods ("GET" for what is beyond them).
func answers(t *testing.T, stream []byte, methods ...string) (all []*http.Response, bodies []string) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(stream))
	for i := 0; ; i++ {
		if _, err := r.Peek(1); err == io.EOF {
			return all, bodies
		}
		req := &http.Request{Method: http.MethodGet}
		if i < len(methods) {
			req.Method = methods[i]
		}
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			t.Fatalf("answer %d of %q: %v", i, stream, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("content of answer %d: %v", i, err)
		}
		resp.Body.Close()
		all, bodies = append(all, resp), append(bodies, string(body))
	}
}

// TestPipelineUnderFaults is the main job under every kind of trouble: several connections, each with a pipeline of
// requests with and without bodies of both kinds, answers short and long, and every byte compared.
func TestPipelineUnderFaults(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 40, func(t *testing.T, seed int64) {
			faults := reactortest.Random(seed)
			sizes := []int{0, 1, 100, 3000, 70000}
			if faults.SendBuffer < 256 || faults.RecvBuffer < 256 {
				sizes = []int{0, 1, 20, 100, 3000} // or a few bytes at a time take all day
			}
			s := newSim(t, seed, faults, simConfig{policy: p, loops: 2, Config: Config{Memory: memoryFor(seed)}}, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Errorf("reading the body: %v", err)
				}
				fmt.Fprintf(w, "%s %s %d ", r.Method, r.URL, len(body))
				w.Write(body)
			})
			var wg sync.WaitGroup
			for k := range 4 {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(seed), uint64(k)))
					var send, want bytes.Buffer
					n := 1 + rnd.IntN(8)
					for i := range n {
						size := sizes[rnd.IntN(len(sizes))]
						body := strings.Repeat(fmt.Sprintf("%d", i%10), size)
						switch rnd.IntN(3) {
						case 0:
							fmt.Fprintf(&send, "GET /%d/%d HTTP/1.1\r\nHost: x\r\n\r\n", k, i)
							fmt.Fprintf(&want, "GET /%d/%d 0 \n", k, i)
						case 1:
							fmt.Fprintf(&send, "POST /%d/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", k, i, len(body), body)
							fmt.Fprintf(&want, "POST /%d/%d %d %s\n", k, i, len(body), body)
						case 2:
							fmt.Fprintf(&send, "PUT /%d/%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", k, i)
							for rest := body; rest != ""; {
								part := rest[:1+rnd.IntN(len(rest))]
								rest = rest[len(part):]
								fmt.Fprintf(&send, "%x\r\n%s\r\n", len(part), part)
							}
							send.WriteString("0\r\n\r\n")
							fmt.Fprintf(&want, "PUT /%d/%d %d %s\n", k, i, len(body), body)
						}
					}
					c := s.dial()
					defer c.Close()
					go func() {
						c.Write(send.Bytes())
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
			wg.Wait()
		})
	})
}
