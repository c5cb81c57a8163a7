// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waitress-go/waitress/internal/invariant"
)

// TestBufferMemory: 200 clients that upload and 200 that do not read what they asked for, of a mebibyte each, hold 16 MiB at most,
// by the Server's count and, as far as that can be told, in the heap; others are served meanwhile, and in the end all of them.
func TestBufferMemory(t *testing.T) {
	const size = 1 << 20
	clients, bound := 200, int64(16<<20)
	if invariant.Enabled {
		clients, bound = clients/8, bound/8 // the race detector takes its time
	}
	content := strings.Repeat("0123456789abcdef", size/16)
	for _, test := range []struct {
		name   string
		policy Policy
		files  bool
	}{
		{"pool", PolicyPool, false},
		{"inline", PolicyInline, false},
		{"adaptive", PolicyAdaptive, false},
		{"files", PolicyPool, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Server{Policy: test.policy, BufferMemory: bound, TempDir: t.TempDir()}
			if test.files {
				s.BufferRequests, s.InbufOverflow, s.OutbufOverflow = true, size, size
			}
			var down sync.WaitGroup // until they have written something
			down.Add(clients)
			var most atomic.Int64
			look := func() {
				s.mu.Lock()
				n := s.run.memory.Used()
				s.mu.Unlock()
				if n > most.Load() {
					most.Store(n)
				}
			}
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				look()
				defer look()
				switch r.URL.Path {
				case "/up":
					if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
						t.Errorf("read %d bytes, %v", n, err)
					}
				case "/down":
					w.Header().Set("Content-Length", fmt.Sprint(size))
					_, err := io.WriteString(w, content[:size/2])
					down.Done()
					if err == nil {
						_, err = io.WriteString(w, content[size/2:])
					}
					if err != nil {
						t.Error(err)
					}
					return
				}
				hello(w, r)
			})
			// What the kernel keeps of a connection is a fifth of a mebibyte for a Unix socket, and may be several for TCP.
			network, address := "unix", filepath.Join(socketDir(t), "socket")
			if systemCapabilities().noUnix {
				network, address = "tcp", "127.0.0.1:0"
			}
			l := listenOn(t, network, address)
			serveAll(t, s, l)
			dial := func() net.Conn {
				c, err := net.Dial(network, l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				return c
			}
			before := heap()
			readers := make([]net.Conn, clients)
			for i := range readers {
				readers[i] = dial()
				send(t, readers[i], "GET /down HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			if test.files {
				down.Wait() // nobody has to wait
			}
			var uploads sync.WaitGroup
			for range clients {
				c := dial()
				uploads.Go(func() {
					_, err := fmt.Fprintf(c, "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, content)
					if err != nil {
						t.Error(err)
						return
					}
					if status, _, err := readAnswer(c); err != nil || status != http.StatusOK {
						t.Errorf("an upload got %d, %v", status, err)
					}
				})
			}
			small := dial()
			r := bufio.NewReader(small)
			for range 100 {
				send(t, small, get)
				if resp, body := answer(t, r); resp.StatusCode != http.StatusOK || body != "Hello, World!" {
					t.Errorf("a small request got %d %q", resp.StatusCode, body)
				}
				look()
			}
			uploads.Wait()
			grown, allowed := heap()-before, 3*bound
			if systemCapabilities().ownBuffers {
				allowed += int64(2 * clients * (netMaxInput + netOutput))
			}
			if grown > allowed {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
			var reading sync.WaitGroup
			for _, c := range readers {
				reading.Go(func() {
					if status, body, err := readAnswer(c); err != nil || status != http.StatusOK || body != content {
						t.Errorf("a download got %d, %d bytes, %v", status, len(body), err)
					}
				})
			}
			reading.Wait()
			if n := most.Load(); n > bound || n < bound/2 {
				t.Errorf("%d bytes were used", n)
			}
			t.Logf("at most %.1f MiB by the count; the heap had grown by %.1f MiB", float64(most.Load())/(1<<20), float64(grown)/(1<<20))
			for _, c := range readers {
				_ = c.Close()
			}
		})
	}
}

// heap returns how many bytes of the heap are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// readAnswer reads an answer, for goroutines that are not the test's.
func readAnswer(c net.Conn) (status int, body string, err error) {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	p, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(p), err
}
