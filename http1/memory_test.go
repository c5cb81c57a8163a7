// SPDX-License-Identifier: MIT

package http1

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestMemory: clients that upload, and clients that do not read what they asked for, hold no more than the bound together; others
// are served meanwhile, and in the end all of them.
func TestMemory(t *testing.T) {
	const clients, size, bound = 30, 256 << 10, 2 << 20 // of each kind: it would be seven times too much
	content := text(size)
	for _, test := range []struct {
		name    string
		buffer  bool // BufferRequests
		spool   bool // output may go to files
		chunked bool
	}{
		{name: "streams"},
		{name: "chunks", chunked: true},
		{name: "collected", buffer: true},
		{name: "collected chunks", buffer: true, chunked: true},
		{name: "files", buffer: true, spool: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				memory := reactor.NewMemory(bound)
				var most, running atomic.Int64
				look := func() {
					if n := memory.Used(); n > most.Load() {
						most.Store(n) // a higher one may get lost, but not for long
					}
				}
				var mu sync.Mutex
				open := 0
				newSpool := func() (reactor.Spool, error) {
					mu.Lock()
					defer mu.Unlock()
					open++
					return &memoryFile{open: &open, mu: &mu}, nil
				}
				config := simConfig{policy: p, watermark: 1 << 20, Config: Config{
					Memory: memory, BufferRequests: test.buffer, BodyMemory: size, NewSpool: newSpool,
				}}
				if test.spool {
					config.watermark, config.overflow, config.newSpool = 1<<30, 1<<20, newSpool
				}
				s := newSim(t, 1, reactortest.Faults{}, config, func(w http.ResponseWriter, r *http.Request) {
					running.Add(1)
					defer running.Add(-1)
					switch r.URL.Path {
					case "/up":
						look()
						n, err := io.Copy(io.Discard, r.Body)
						if err != nil || n != size {
							t.Errorf("read %d bytes, %v", n, err)
						}
						look()
					case "/down":
						w.Header().Set("Content-Length", fmt.Sprint(size))
						for i := 0; i < size; i += 32 << 10 {
							if _, err := io.WriteString(w, content[i:i+32<<10]); err != nil {
								t.Error(err)
							}
							look()
						}
						return
					}
					io.WriteString(w, "ok")
				})
				var down, up []*reactortest.Client
				for range clients {
					c := s.dial()
					io.WriteString(c, "GET /down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
					down = append(down, c)
				}
				synctest.Wait()
				if writers := running.Load(); (writers == 0) != test.spool {
					t.Errorf("%d handlers wait", writers)
				}
				if n := memory.Used(); n < bound/2 {
					t.Errorf("only %d bytes are used", n)
				}
				var uploads sync.WaitGroup
				for range clients {
					c := s.dial()
					up = append(up, c)
					uploads.Go(func() {
						if test.chunked {
							io.WriteString(c, "POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(content, 5000))
						} else {
							fmt.Fprintf(c, "POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", size, content)
						}
					})
				}
				for range 10 {
					look()
					if got := s.roundTrip(get); !strings.HasSuffix(got, "ok") {
						t.Errorf("got %q", got)
					}
					c, tap := s.send(get[:10]) // a head in two pieces
					time.Sleep(time.Millisecond)
					io.WriteString(c, get[10:])
					c.CloseWrite()
					if got, _ := tap.ended(); !strings.HasSuffix(got, "ok") {
						t.Errorf("got %q", got)
					}
					c.Close()
				}
				uploads.Wait()
				for i, c := range up {
					if got, err := c.ReadAll(); err != nil || !strings.HasSuffix(string(got), "ok") {
						t.Errorf("upload %d: got %q, %v", i, got, err)
					}
					c.Close()
				}
				for i, c := range down {
					if got, err := c.ReadAll(); err != nil || !strings.HasSuffix(string(got), "\r\n\r\n"+content) {
						t.Errorf("download %d: got %d bytes, %v", i, len(got), err)
					}
					c.Close()
				}
				if look(); most.Load() > bound {
					t.Errorf("%d bytes were used", most.Load())
				}
			})
		})
	}
}

// TestMemoryFull: at the bound, what can't be held is refused, and what need not be is served. What has been let in goes on.
func TestMemoryFull(t *testing.T) {
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		memory := reactor.NewMemory(1 << 20)
		s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{Memory: memory}}, func(w http.ResponseWriter, r *http.Request) {
			if n, err := io.Copy(io.Discard, r.Body); err != nil || r.Method == http.MethodPost && n != 100_000 {
				t.Errorf("read %d bytes, %v", n, err)
			}
			io.WriteString(w, "ok")
		})
		upload := "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
		started, tap := s.send(upload + text(1000))
		synctest.Wait()
		others := memory.Get(1 << 20) // all that there is, and what has been let in is beyond it
		for _, test := range []struct{ raw, status string }{
			{get, "200"},
			{strings.Repeat(get, 20), "200"},
			{post10, "503"},
			{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "503"},
			{"GET / HTTP/1.1\r\nHost: ", "503"},
			{"\r\n", ""},
		} {
			c, tap := s.send(test.raw)
			synctest.Wait()
			got, _ := tap.soFar()
			if !strings.HasPrefix(got, strings.TrimRight("HTTP/1.1 "+test.status, " ")) && got != test.status ||
				strings.Contains(got, "\r\nRetry-After: 1\r\n") != (test.status == "503") {
				t.Errorf("%q got %q", test.raw, got)
			}
			c.Close()
		}
		for range 99 {
			io.WriteString(started, text(1000))
			time.Sleep(time.Millisecond)
		}
		if got, _ := tap.ended(); !strings.HasSuffix(got, "ok") {
			t.Errorf("got %q", got)
		}
		started.Close()
		memory.Put(others)
	})
}

// TestMemoryOnLoop: what the loop itself answers, while its client takes only a part of it and there is no memory for the rest, is
// waited for by a goroutine that is not the loop: others are served meanwhile.
func TestMemoryOnLoop(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		half      bool // the client ends its stream
		want      string
	}{
		{"head that ends", "GET / HT", true, "HTTP/1.1 400 "},
		{"100-continue", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false, "HTTP/1.1 100 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				const limit = 1 << 20
				memory := reactor.NewMemory(limit)
				memory.Reserve(limit - limit/8)
				s := newSim(t, 1, reactortest.Faults{SendBuffer: 8, RecvBuffer: 8}, simConfig{policy: p, Config: Config{
					Memory: memory, BufferRequests: true, BodyMemory: 1 << 10,
				}}, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
				c := s.dial()
				defer c.Close()
				io.WriteString(c, test.raw)
				if test.half {
					c.CloseWrite()
				}
				synctest.Wait()
				if got := s.roundTrip(get); !strings.HasSuffix(got, "ok") {
					t.Errorf("the other got %q", got)
				}
				tap := newTap(c)
				synctest.Wait()
				if got, _ := tap.soFar(); !strings.HasPrefix(got, test.want) {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}
