// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// A memoryFile is a temporary file.
type memoryFile struct {
	content []byte
	most    int
	open    *int
	mu      *sync.Mutex // guards open
}

func (f *memoryFile) ReadAt(p []byte, offset int64) (int, error) {
	return bytes.NewReader(f.content).ReadAt(p, offset)
}

func (f *memoryFile) WriteAt(p []byte, offset int64) (int, error) {
	if int(offset) != len(f.content) {
		return 0, errors.New("not at the end")
	}
	if f.most > 0 && len(f.content)+len(p) > f.most {
		return 0, errors.New("no space left on device")
	}
	f.content = append(f.content, p...)
	return len(p), nil
}

func (f *memoryFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	*f.open--
	return nil
}

// chunked frames body in chunks of n bytes, with a trailer field.
func chunked(body string, n int) string {
	var b strings.Builder
	for len(body) > 0 {
		k := min(n, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", k, body[:k])
		body = body[k:]
	}
	return b.String() + "0\r\nX-Sum: 1\r\n\r\n"
}

// TestBufferRequests: the handler is called when all of the content is there, which it can read from anywhere, again and again;
// what can't be had all of is refused, and the handler not called.
func TestBufferRequests(t *testing.T) {
	const memory = 1000
	content := text(5 * memory)
	fixed := func(n int) string {
		return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + strconv.Itoa(n) + "\r\n\r\n" + content[:n]
	}
	pieces := func(n int) string {
		return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunked(content[:n], 300)
	}
	expect := strings.Replace(fixed(10), "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1)
	for _, test := range []struct {
		name   string
		raw    string // sent slowly, in two parts
		most   int    // bytes of a file
		status string // of the last answer
		size   int    // that the handler saw, or -1: it was not called
	}{
		{"small", fixed(10), 0, "200", 10},
		{"as long as the memory", fixed(memory), 0, "200", memory},
		{"longer", fixed(5 * memory), 0, "200", 5 * memory},
		{"small, chunked", pieces(10), 0, "200", 10},
		{"longer, chunked", pieces(5 * memory), 0, "200", 5 * memory},
		{"none, chunked", pieces(0), 0, "200", 0},
		{"expected", expect, 0, "200", 10},
		{"no content", get, 0, "200", 0},
		{"no room", fixed(3 * memory), memory, "507", -1},
		{"longer than MaxBody, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(text(10*memory), 300), 0, "413", -1},
		{"ill-formed", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx", 0, "400", -1},
		{"slow", fixed(100)[:120], 0, "408", -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				var mu sync.Mutex
				open, size := 0, -1
				var began time.Time
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p, Config: Config{
					BufferRequests: true, BodyMemory: memory, MaxBody: 6 * memory, BodyTimeout: 10 * time.Second,
					NewSpool: func() (reactor.Spool, error) {
						mu.Lock()
						defer mu.Unlock()
						open++
						return &memoryFile{open: &open, most: test.most, mu: &mu}, nil
					},
				}}, func(w http.ResponseWriter, r *http.Request) {
					if began = time.Now(); r.ContentLength < 0 || r.TransferEncoding != nil {
						t.Errorf("ContentLength %d, TransferEncoding %v", r.ContentLength, r.TransferEncoding)
					}
					got, err := io.ReadAll(r.Body)
					if size = len(got); err != nil || string(got) != content[:size] || r.ContentLength != int64(size) {
						t.Errorf("read %d bytes of %d, %v", len(got), r.ContentLength, err)
					}
					if strings.Contains(test.raw, "X-Sum") && r.Trailer.Get("X-Sum") != "1" {
						t.Errorf("Trailer %v", r.Trailer)
					}
					if r.ContentLength == 0 && !strings.Contains(test.raw, "chunked") {
						return
					}
					seeker := r.Body.(io.Seeker)
					for _, at := range []int64{0, int64(size / 2), int64(size) - 1} {
						if at < 0 {
							continue
						}
						if n, err := seeker.Seek(at, io.SeekStart); n != at || err != nil {
							t.Errorf("Seek: %d, %v", n, err)
						}
						if got, err := io.ReadAll(r.Body); err != nil || string(got) != content[at:size] {
							t.Errorf("from %d on read %d bytes, %v", at, len(got), err)
						}
					}
					if n, err := seeker.Seek(-1, io.SeekStart); err == nil {
						t.Errorf("Seek to before the start: %d", n)
					}
				})
				start := time.Now()
				half := len(test.raw) / 2
				c, tap := s.send(test.raw[:half])
				time.Sleep(5 * time.Second)
				if _, err := c.Write([]byte(test.raw[half:])); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				got, _ := tap.soFar()
				got = strings.TrimPrefix(got, "HTTP/1.1 100 Continue\r\n\r\n")
				if !strings.HasPrefix(got, "HTTP/1.1 "+test.status+" ") || strings.Count(got, "HTTP/1.1") != 1 || size != test.size {
					t.Errorf("the handler saw %d bytes; got %q", size, got)
				}
				if size >= 0 && began.Sub(start) < 5*time.Second {
					t.Error("the handler began before all was there")
				}
				if c.Close(); test.status == "200" && open != 0 {
					t.Errorf("%d files are open", open)
				}
				time.Sleep(time.Minute)
				if open != 0 {
					t.Errorf("at the end %d files are open", open)
				}
			})
		})
	}
}
