// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/internal/invariant"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestResets: whatever is reset or cut, and whenever: nothing hangs, panics or stays open, and no answer is another request's.
// newSim and the network look for what is left.
func TestResets(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 60, func(t *testing.T, seed int64) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 99))
			faults := reactortest.Random(seed)
			faults.Reset = []float64{0, 0.01, 0.1}[rnd.IntN(3)]
			s := newSim(t, seed, faults, simConfig{
				policy: p, loops: 2, threads: 3, queue: rnd.IntN(3), writeStall: 10 * time.Second,
				Config: Config{
					Memory:        memoryFor(seed),
					HeaderTimeout: time.Second, BodyTimeout: time.Second, IdleTimeout: time.Second, MaxBody: 1 << 20,
					WriteTimeout: []time.Duration{0, 2 * time.Second}[rnd.IntN(2)], ReadTimeout: []time.Duration{0, 2 * time.Second}[rnd.IntN(2)],
				},
			}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Path", r.URL.Path)
				switch {
				case strings.HasPrefix(r.URL.Path, "/panic"):
					fmt.Fprint(w, text(3000))
					panic(http.ErrAbortHandler)
				case strings.HasPrefix(r.URL.Path, "/exit"):
					runtime.Goexit()
				case strings.HasPrefix(r.URL.Path, "/sleep"):
					select {
					case <-r.Context().Done():
					case <-time.After(100 * time.Millisecond):
					}
				case strings.HasPrefix(r.URL.Path, "/large"):
					for range 20 {
						if _, err := io.WriteString(w, text(20000)); err != nil {
							return
						}
					}
				case strings.HasPrefix(r.URL.Path, "/read"):
					io.Copy(w, r.Body)
				case strings.HasPrefix(r.URL.Path, "/part"):
					io.ReadFull(r.Body, make([]byte, 10))
					w.(http.Flusher).Flush()
				}
			})
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
					var paths []string
					for i := range 1 + rnd.IntN(6) {
						path := fmt.Sprintf("/%s/%d/%d", []string{"get", "panic", "exit", "sleep", "large", "read", "part"}[rnd.IntN(7)], k, i)
						paths = append(paths, path)
						request := []string{get, post10, chunks, post(70000), postChunked(20000)}[rnd.IntN(5)]
						request = strings.Replace(request, " /path?q=1 ", " / ", 1)
						raw.WriteString(strings.Replace(request, " / ", " "+path+" ", 1))
					}
					all := raw.String()
					if rnd.IntN(3) == 0 {
						all = all[:rnd.IntN(len(all))]
					}
					io.WriteString(c, all)
					switch rnd.IntN(4) {
					case 0:
						c.CloseWrite()
					case 1:
						time.Sleep(time.Duration(rnd.IntN(int(200 * time.Millisecond))))
						c.Reset()
					case 2:
						time.Sleep(time.Duration(rnd.IntN(int(200 * time.Millisecond))))
						c.Close()
					}
					<-tap.end
					got, _ := tap.soFar()
					at := 0
					for i, part := range strings.Split(got, "\r\nPath: ")[1:] {
						path, _, whole := strings.Cut(part, "\r\n")
						for whole && at < len(paths) && paths[at] != path {
							at++ // answered without the handler, as panics are
						}
						if whole && at == len(paths) {
							t.Errorf("answer %d is for %s; the requests were %s", i, path, paths)
						}
					}
				})
			}
			clients.Wait()
			time.Sleep(time.Minute)
			if n := s.reactor.Conns(); n != 0 {
				t.Errorf("%d connections are left\n%s", n, s.network.State())
			}
		})
	})
}

// TestRest: when all is quiet, no Rearm is missing, and connections hold no buffers.
func TestRest(t *testing.T) {
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 20, func(t *testing.T, seed int64) {
			faults := reactortest.Random(seed)
			faults.Style = reactortest.StyleStrict
			s := newSim(t, seed, faults, simConfig{policy: p}, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
			var open []*reactortest.Client
			for _, raw := range []string{"", get, get + get + get, post10, post(70000), chunks + get} {
				c, _ := s.send(raw)
				open = append(open, c)
			}
			time.Sleep(time.Hour)
			if got := s.input(); got != 0 {
				t.Errorf("%d bytes of buffers are held", got)
			}
			for _, ch := range s.channels {
				if ch.state != stateIdle || ch.x != nil || ch.head != nil {
					t.Errorf("%v, %v, %v", ch.state, ch.x, ch.head)
				}
			}
			if fds := s.network.Forgotten(); len(fds) > 0 {
				t.Errorf("no Rearm for %v", fds)
			}
			for _, c := range open {
				c.Close()
			}
		})
	})
}

func TestSizes(t *testing.T) {
	// A connection that waits is this and its place in the reactor's index. 256 is a size class, and what ARCHITECTURE.md says.
	if n := unsafe.Sizeof(channel{}); n > 256 || n != 256 && math.MaxInt > math.MaxInt32 {
		t.Errorf("a channel has %d bytes", n)
	}
	t.Logf("channel %d bytes, slab %d, exchange %d", unsafe.Sizeof(channel{}), unsafe.Sizeof(slab{}), unsafe.Sizeof(exchange{}))
}

// A feed is a connection without a network: what is read from it is always the same request, what is written is counted.
type feed struct {
	request string
	ready   chan reactor.Event
	token   reactor.Token
	due     bool // a request waits to be read
	written int
	answer  []byte
}

func (f *feed) Add(_ reactor.FD, token reactor.Token) error {
	f.token = token
	return nil
}
func (f *feed) Rearm(reactor.FD, reactor.Ready) error { return nil }
func (f *feed) Del(reactor.FD) error                  { return nil }
func (f *feed) Close() error                          { return nil }

func (f *feed) Wait(events []reactor.Event, _ time.Duration) (int, error) {
	e, ok := <-f.ready
	if !ok {
		return 0, nil
	}
	events[0] = e
	return 1, nil
}

func (f *feed) Wake() error {
	select {
	case f.ready <- reactor.Event{}:
	default:
	}
	return nil
}

// feedSockets are the operations on a feed's descriptor.
type feedSockets struct {
	*feed
	answered chan struct{}
}

func (f feedSockets) Read(_ reactor.FD, p []byte) (int, error) {
	if !f.due {
		return 0, reactor.ErrAgain
	}
	f.due = false
	return copy(p, f.request), nil
}

func (f feedSockets) Peek(reactor.FD) (int, error) { return 0, reactor.ErrAgain }

func (f feedSockets) Write(_ reactor.FD, p []byte) (int, error) {
	f.answer = append(f.answer[:0], p...)
	f.written++
	f.answered <- struct{}{}
	return len(p), nil
}

func (f feedSockets) SendFile(reactor.FD, reactor.File, int64, int) (int, error) {
	return 0, errors.ErrUnsupported
}

func (f feedSockets) CloseWrite(reactor.FD) error { return nil }
func (f feedSockets) Abort(reactor.FD) error      { return nil }
func (f feedSockets) Close(reactor.FD) error      { return nil }

// oneListener accepts one connection.
type oneListener struct{ accept chan reactor.Accepted }

func (l oneListener) Accept() (reactor.Accepted, error) {
	a, ok := <-l.accept
	if !ok {
		return a, reactor.ErrListenerClosed
	}
	return a, nil
}

func (l oneListener) Close() error { return nil }

// allocations returns how many allocations a request costs.
func allocations(tb testing.TB, policy dispatch.Policy, request string, handler http.HandlerFunc, tasks TaskHandler) float64 {
	f := &feed{request: request, ready: make(chan reactor.Event, 10)}
	sockets := feedSockets{f, make(chan struct{}, 1)}
	d, err := dispatch.New(dispatch.Config{Policy: policy})
	if err != nil {
		tb.Fatal(err)
	}
	server := New(Config{Handler: handler, TaskHandler: tasks, Dispatcher: d, IdleTimeout: time.Minute, HeaderTimeout: time.Minute, Logf: tb.Logf})
	r, err := reactor.New(reactor.Config{
		Loops: 1, NewPoller: func() (reactor.Poller, error) { return f, nil }, Sockets: sockets, HighWatermark: 1 << 20,
		Fault: func(what string, err error) { tb.Error(what, err) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	l := oneListener{make(chan reactor.Accepted, 1)}
	l.accept <- reactor.Accepted{FD: 3, Peer: "198.51.100.1:1234"}
	close(l.accept)
	if err := r.Serve(l, server.NewListener(tb.Context(), new(peer).Addr()).Open); err != nil {
		tb.Fatal(err)
	}
	n := testing.AllocsPerRun(1000, func() {
		f.due = true
		f.ready <- reactor.Event{Token: f.token, Ready: reactor.Readable}
		<-sockets.answered
	})
	if !strings.HasPrefix(string(f.answer), "HTTP/1.1 200 OK\r\n") {
		tb.Errorf("got %q", f.answer)
	}
	server.Drain()
	r.Abort()
	if err := r.Drain(tb.Context()); err != nil {
		tb.Error(err)
	}
	r.Stop()
	if err := d.Close(tb.Context()); err != nil {
		tb.Error(err)
	}
	return n
}

func TestAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Skip("checks allocate")
	}
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		for _, tt := range []struct {
			name    string
			request string
			handler http.HandlerFunc
			most    float64
		}{
			{"plain", get, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Hello, World!") }, 4},
			{"browser", with("User-Agent: x", "Accept: */*", "Accept-Language: en", "Accept-Encoding: gzip", "Cookie: a=b", "Referer: c"), func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Hello, World!") }, 5},
			{"field", get, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				io.WriteString(w, "Hello, World!")
			}, 7},
			{"body", post10, func(w http.ResponseWriter, r *http.Request) {
				var p [20]byte
				n, _ := r.Body.Read(p[:])
				w.Write(p[:n])
			}, 8},
		} {
			got := allocations(t, p, tt.request, tt.handler, nil)
			t.Logf("%s: %v allocations", tt.name, got)
			if got > tt.most {
				t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.most)
			}
		}
	})
}
