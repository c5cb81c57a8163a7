// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// reopen is Config.DupFile without a system: *os.File is a reactor.File.
func reopen(c syscall.Conn) (reactor.File, error) {
	return os.Open(c.(interface{ Name() string }).Name())
}

// A tree is a directory of files with sizes for names.
type tree string

func newTree(t *testing.T, sizes ...int) tree {
	t.Helper()
	dir := t.TempDir()
	for _, size := range sizes {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(size)), []byte(text(size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tree(dir)
}

func (d tree) open(size int) *os.File {
	f, err := os.Open(filepath.Join(string(d), fmt.Sprint(size)))
	if err != nil {
		panic(err)
	}
	return f
}

// content serves a file as http.ServeFile does, with a time that is always the same, and closes it.
func (d tree) content(size int) handler {
	return does(func(w http.ResponseWriter, r *http.Request) {
		f := d.open(size)
		defer f.Close()
		w.Header().Set("Etag", `"x"`)
		http.ServeContent(w, r, "file.txt", time.Unix(1e9, 0), f)
	})
}

// copies copies a file, and notes where that leaves it. before is what is done first.
func (d tree) copies(size int, before func(w http.ResponseWriter, f *os.File)) handler {
	return func(n *notes, w http.ResponseWriter, _ *http.Request) {
		f := d.open(size)
		defer f.Close()
		if before != nil {
			before(w, f)
		}
		k, err := io.Copy(w, f)
		at, _ := f.Seek(0, io.SeekCurrent)
		n.printf("copied %d, %s, at %d", k, kindOf(err), at)
	}
}

// copiesN is copies of a limited number of bytes, and something behind it.
func (d tree) copiesN(size int, limit int64, before func(w http.ResponseWriter, f *os.File)) handler {
	return func(n *notes, w http.ResponseWriter, _ *http.Request) {
		f := d.open(size)
		defer f.Close()
		if before != nil {
			before(w, f)
		}
		l := &io.LimitedReader{R: f, N: limit}
		k, err := io.Copy(w, l)
		at, _ := f.Seek(0, io.SeekCurrent)
		n.printf("copied %d, %s, at %d, %d left", k, kindOf(err), at, l.N)
		n.write(w, "behind it")
	}
}

// length sets a Content-Length.
func length(size int) func(w http.ResponseWriter, f *os.File) {
	return func(w http.ResponseWriter, _ *os.File) { w.Header().Set("Content-Length", fmt.Sprint(size)) }
}

// An upperCase is a file that reads otherwise than the file.
type upperCase struct{ *os.File }

func (u upperCase) Read(p []byte) (int, error) {
	n, err := u.File.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

// WriteTo keeps io.Copy from asking the file itself.
func (u upperCase) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct {
		io.Reader
		io.Seeker
	}{u, u.File})
}

func fileScenarios(d tree, sizes []int) (all []scenario) {
	add := func(name, raw string, h handler) { all = append(all, scenario{name: name, raw: raw, handler: h}) }
	for _, size := range sizes {
		name := func(what string) string { return fmt.Sprintf("%s of %d", what, size) }
		add(name("ServeContent"), get+get, d.content(size))
		add(name("copy with length"), get+get, d.copies(size, length(size)))
		if size > 1<<20 {
			continue
		}
		add(name("ServeContent for HEAD"), head+get, d.content(size))
		add(name("copy"), get+get, d.copies(size, nil))
		add(name("copy for HEAD"), head+get, d.copies(size, nil))
		add(name("copy with too large a length"), get+get, d.copies(size, length(size+1)))
		if size > 0 {
			add(name("copy with too small a length"), get+get, d.copies(size, length(size-1)))
		}
		add(name("copy for 1.0"), get10, d.copies(size, nil))
		add(name("copy for 1.0, to be kept"), get10ka+get, d.copies(size, length(size)))
		add(name("copy of a part"), get+get, d.copiesN(size, int64(size)/2, length(size/2+9)))
		add(name("copy of more than all"), get+get, d.copiesN(size, int64(size)+100, length(size+9)))
	}
	const size = 100_000
	ranged := func(name string, lines ...string) { add(name, with(lines...)+get, d.content(size)) }
	ranged("first range", "Range: bytes=0-49999")
	ranged("last range", "Range: bytes=-50000")
	ranged("open range", "Range: bytes=20000-")
	ranged("unsatisfiable range", "Range: bytes=200000-")
	ranged("If-Range that holds", `If-Range: "x"`, "Range: bytes=5-90000")
	ranged("If-Range that does not", `If-Range: "y"`, "Range: bytes=5-90000")
	ranged("If-None-Match", `If-None-Match: "x"`)
	ranged("If-Match that does not", `If-Match: "y"`)
	ranged("If-Modified-Since", "If-Modified-Since: Tue, 15 Nov 2011 08:12:31 GMT")
	ranged("If-Unmodified-Since", "If-Unmodified-Since: Tue, 15 Nov 1994 08:12:31 GMT")
	add("two ranges", with("Range: bytes=10-40000, 50000-99000"), does(func(w http.ResponseWriter, r *http.Request) {
		d.content(size)(nil, &boundaryless{ResponseWriter: w}, r)
	}))
	add("range for HEAD", strings.Replace(with("Range: bytes=5-90000"), "GET", "HEAD", 1)+get, d.content(size))
	add("range for 1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\nRange: bytes=5-90000\r\n\r\n"+get, d.content(size))
	add("copy, to be closed", with("Connection: close"), d.copies(size, length(size)))
	add("copy after a write", get+get, d.copies(size, func(w http.ResponseWriter, f *os.File) {
		length(size+5)(w, f)
		io.WriteString(w, "first")
	}))
	add("copy after a flush", get+get, d.copies(size, func(w http.ResponseWriter, f *os.File) {
		length(size)(w, f)
		w.(http.Flusher).Flush()
	}))
	add("copy after a flush without length", get+get, d.copies(size, func(w http.ResponseWriter, _ *os.File) {
		w.(http.Flusher).Flush()
	}))
	add("copy from the middle", get+get, d.copies(size, func(w http.ResponseWriter, f *os.File) {
		length(size-30_000)(w, f)
		f.Seek(30_000, io.SeekStart)
	}))
	add("copy from behind the end", get+get, d.copies(size, func(w http.ResponseWriter, f *os.File) { f.Seek(size+10, io.SeekStart) }))
	for _, code := range []int{204, 206, 304, 404} {
		add(fmt.Sprint("copy with ", code), get+get, d.copies(size, func(w http.ResponseWriter, f *os.File) {
			length(size)(w, f)
			w.WriteHeader(code)
		}))
	}
	add("copy with a coding", get, d.copies(size, func(w http.ResponseWriter, _ *os.File) { w.Header().Set("Content-Encoding", "x") }))
	add("copy with identity", get, d.copies(size, func(w http.ResponseWriter, _ *os.File) { w.Header().Set("Transfer-Encoding", "identity") }))
	add("copy with both framings", get, d.copies(size, func(w http.ResponseWriter, f *os.File) {
		length(size)(w, f)
		w.Header().Set("Transfer-Encoding", "chunked")
	}))
	add("copy of a closed file", get+get, d.copies(size, func(_ http.ResponseWriter, f *os.File) { f.Close() }))
	add("copy of a directory", get+get, func(n *notes, w http.ResponseWriter, _ *http.Request) {
		f, err := os.Open(string(d))
		if err != nil {
			panic(err)
		}
		defer f.Close()
		k, err := io.Copy(w, f)
		n.printf("%d, %s", k, kindOf(err))
	})
	for _, flushed := range []bool{false, true} {
		add(fmt.Sprint("copy of a file that can't be read, flushed: ", flushed), get, func(n *notes, w http.ResponseWriter, _ *http.Request) {
			f, err := os.OpenFile(filepath.Join(string(d), fmt.Sprint(size)), os.O_WRONLY, 0)
			if err != nil {
				panic(err)
			}
			defer f.Close()
			if flushed {
				w.(http.Flusher).Flush()
			}
			k, err := io.Copy(w, f)
			n.printf("%d, %s", k, kindOf(err))
			n.write(w, "so it is said")
		})
	}
	add("copy of a pipe", get+get, func(n *notes, w http.ResponseWriter, _ *http.Request) {
		f, end, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		defer f.Close()
		var written sync.WaitGroup
		written.Go(func() { // a pipe may take less at once
			io.WriteString(end, text(50_000))
			end.Close()
		})
		length(50_000)(w, nil)
		k, err := io.Copy(w, f)
		n.printf("%d, %s", k, kindOf(err))
		written.Wait()
	})
	add("copy of what embeds a file", get+get, func(n *notes, w http.ResponseWriter, _ *http.Request) {
		f := d.open(size)
		defer f.Close()
		length(size)(w, nil)
		k, err := io.Copy(w, upperCase{f})
		n.printf("%d, %s", k, kindOf(err))
	})
	add("two copies", get+get, func(n *notes, w http.ResponseWriter, r *http.Request) {
		length(2*size)(w, nil)
		d.copies(size, nil)(n, w, r)
		d.copies(size, nil)(n, w, r)
	})
	return all
}

// TestFilesLikeNetHTTP: what is in files reaches the client as it does from net/http, and leaves the same traces in the handler.
func TestFilesLikeNetHTTP(t *testing.T) {
	sizes := []int{0, 1, 511, 512, 513, 2048, smallFile, smallFile + 1, 100_000, 5 << 20}
	d := newTree(t, sizes...)
	for _, sc := range fileScenarios(d, sizes) {
		t.Run(sc.name, func(t *testing.T) { compare(t, &sc) })
	}
}

// TestFileSent: what of a file can be sent from it is, and everything else is not.
func TestFileSent(t *testing.T) {
	const size = 100_000
	d := newTree(t, size)
	for _, test := range []struct {
		name    string
		raw     string
		handler handler
		sent    int
	}{
		{"ServeContent", get, d.content(size), size - sniffed},
		{"range", with("Range: bytes=0-49999"), d.content(size), 50_000 - sniffed},
		{"small range", with("Range: bytes=100-200"), d.content(size), 0},
		{"HEAD", head, d.content(size), 0},
		{"two ranges", with("Range: bytes=0-40000,50000-60000"), d.content(size), 0},
		{"chunked", get, d.copies(size, nil), 0},
		{"declared", get, d.copies(size, length(size)), size - sniffed},
		{"declared and flushed", get, d.copies(size, func(w http.ResponseWriter, f *os.File) {
			length(size)(w, f)
			w.(http.Flusher).Flush()
		}), size},
		{"declared too short", get, d.copies(size, length(size-1)), 0},
		{"a part", get, d.copiesN(size, 30_000, length(30_009)), 30_000 - sniffed},
		{"1.0", get10, d.copies(size, nil), size - sniffed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				s := newSim(t, 0, reactortest.Faults{SendBuffer: 1 << 20}, simConfig{Config: Config{
					DupFile: func(c syscall.Conn) (reactor.File, error) {
						f, err := reopen(c)
						return &countedFile{File: f, count: func(n int) { sent += n }}, err
					},
				}}, func(w http.ResponseWriter, r *http.Request) { test.handler(new(notes), w, r) })
				s.roundTrip(test.raw)
				if sent != test.sent {
					t.Errorf("%d bytes were sent, not %d", sent, test.sent)
				}
			})
		})
	}
}

// A countedFile counts what is read of it.
type countedFile struct {
	reactor.File
	count func(n int)
}

func (f *countedFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.File.ReadAt(p, offset)
	f.count(n)
	return n, err
}

// TestNoDescriptorLeft: where the file can't be had a second time it is copied.
func TestNoDescriptorLeft(t *testing.T) {
	const size = 100_000
	d := newTree(t, size)
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, 0, reactortest.Faults{}, simConfig{policy: p, Config: Config{
				DupFile: func(syscall.Conn) (reactor.File, error) { return nil, errors.New("none left") },
			}}, func(w http.ResponseWriter, r *http.Request) { d.content(size)(nil, w, r) })
			if _, bodies := answers(t, []byte(s.roundTrip(get+get))); len(bodies) != 2 || bodies[0] != text(size) || bodies[1] != text(size) {
				t.Error("other bytes arrived")
			}
		})
	})
}

// TestFilesUnderFaults: pipelines of answers from files and from memory, on a network of every kind.
func TestFilesUnderFaults(t *testing.T) {
	sizes := []int{0, 100, smallFile + 1, 60_000}
	d := newTree(t, sizes...)
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		simulate(t, 30, func(t *testing.T, seed int64) {
			faults := reactortest.Random(seed)
			faults.SendBuffer, faults.RecvBuffer = max(faults.SendBuffer, 256), max(faults.RecvBuffer, 256)
			s := newSim(t, seed, faults, simConfig{policy: p, loops: 2, Config: Config{DupFile: reopen}},
				func(w http.ResponseWriter, r *http.Request) {
					var size int
					if k, _ := fmt.Sscanf(r.URL.Path, "/file/%d", &size); k == 1 {
						d.content(size)(nil, w, r)
						return
					}
					fmt.Fprint(w, r.URL.Path)
				})
			var wg sync.WaitGroup
			for k := range 4 {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(uint64(seed), uint64(k)))
					var send strings.Builder
					var want []string
					for i := range 1 + random.IntN(8) {
						path, body := fmt.Sprintf("/text/%d", i), fmt.Sprintf("/text/%d", i)
						if size := sizes[random.IntN(len(sizes))]; random.IntN(2) == 0 {
							path, body = fmt.Sprintf("/file/%d", size), text(size)
						}
						fmt.Fprintf(&send, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
						want = append(want, body)
					}
					c := s.dial()
					defer c.Close()
					go func() {
						io.WriteString(c, send.String())
						c.CloseWrite()
					}()
					stream, err := c.ReadAll()
					if err != nil {
						t.Errorf("%v\n%s", err, s.network.State())
						return
					}
					if _, bodies := answers(t, stream); strings.Join(bodies, "\n") != strings.Join(want, "\n") {
						t.Errorf("connection %d got other bytes", k)
					}
				})
			}
			wg.Wait()
		})
	})
}

// TestFileOutlivesHandler: the handler is long gone, and its thread with it, when the client begins to read; a Shutdown waits
// for what was promised.
func TestFileOutlivesHandler(t *testing.T) {
	const size = 5 << 20
	d := newTree(t, size)
	eachPolicy(t, func(t *testing.T, p dispatch.Policy) {
		synctest.Test(t, func(t *testing.T) {
			var returned atomic.Bool
			s := newSim(t, 1, reactortest.Faults{SendBuffer: 10_000, RecvBuffer: 10_000},
				simConfig{policy: p, writeStall: time.Hour, Config: Config{DupFile: reopen}},
				func(w http.ResponseWriter, r *http.Request) {
					d.content(size)(nil, w, r)
					returned.Store(true)
				})
			c := s.dial()
			defer c.Close()
			io.WriteString(c, get)
			synctest.Wait()
			if !returned.Load() {
				t.Error("the handler waits for its client")
			}
			if n := s.dispatch.Stats().Running; n != 0 {
				t.Errorf("%d threads are busy", n)
			}
			drained := make(chan error, 1)
			s.server.Drain()
			go func() { drained <- s.reactor.Drain(context.Background()) }()
			time.Sleep(time.Minute)
			if len(drained) > 0 {
				t.Error("Shutdown did not wait")
			}
			stream, err := c.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if _, bodies := answers(t, stream); len(bodies) != 1 || bodies[0] != text(size) {
				t.Error("other bytes arrived")
			}
			c.Close()
			if err := <-drained; err != nil {
				t.Error(err)
			}
		})
	})
}

// TestFileWriteTimeout: a deadline, and a client that takes nothing, end a file's answer as they do any other, also when the
// handler has returned.
func TestFileWriteTimeout(t *testing.T) {
	const size = 1 << 20
	d := newTree(t, size)
	inBubbles(t, func(t *testing.T, p dispatch.Policy) {
		for _, config := range []simConfig{
			{policy: p, Config: Config{DupFile: reopen, WriteTimeout: 20 * time.Second}},
			{policy: p, Config: Config{DupFile: reopen}, writeStall: 20 * time.Second},
		} {
			s := newSim(t, 1, reactortest.Faults{SendBuffer: 1000, RecvBuffer: 1000}, config,
				func(w http.ResponseWriter, r *http.Request) { d.content(size)(nil, w, r) })
			c := s.dial()
			io.WriteString(c, get)
			time.Sleep(20*time.Second - time.Millisecond)
			if n := s.reactor.Conns(); n != 1 {
				t.Errorf("%d connections before the time", n)
			}
			time.Sleep(time.Millisecond + late)
			if n := s.reactor.Conns(); n != 0 {
				t.Errorf("%d connections", n)
			}
			c.Close()
		}
	})
}

// A trickle reads a thousand bytes a second, n times.
type trickle struct{ n int }

func (r *trickle) Read(p []byte) (int, error) {
	if r.n--; r.n < 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	return copy(p, text(1000)), nil
}

// TestCopySlowSource: what is copied from a slow source leaves as it comes, where the answer's length was declared, as it does with
// net/http over TCP; other answers wait for a Flush.
func TestCopySlowSource(t *testing.T) {
	for _, tt := range []struct {
		name, declared string
		streams        bool
	}{
		{"declared", "3000", true},
		{"chunked", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubbles(t, func(t *testing.T, p dispatch.Policy) {
				s := newSim(t, 1, reactortest.Faults{}, simConfig{policy: p}, func(w http.ResponseWriter, _ *http.Request) {
					if tt.declared != "" {
						w.Header().Set("Content-Length", tt.declared)
					}
					if n, err := io.Copy(w, &trickle{n: 3}); n != 3000 || err != nil {
						t.Errorf("copied %d, %v", n, err)
					}
				})
				c, tap := s.send(get)
				time.Sleep(1500 * time.Millisecond)
				got, _ := tap.soFar()
				if i := strings.Index(got, "\r\n\r\n"); (i >= 0 && len(got) == i+4+1000) != tt.streams {
					t.Errorf("%d bytes have come after the first second", len(got))
				}
				time.Sleep(2 * time.Second)
				if got, _ := tap.soFar(); len(got) < 3000 {
					t.Errorf("%d bytes have come", len(got))
				}
				c.Close()
			})
		})
	}
}
