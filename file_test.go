// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// patternFile makes a file of that size in a directory of the test, and returns its name and its content.
func patternFile(t *testing.T, size int) (name string, content []byte) {
	t.Helper()
	name, content = filepath.Join(t.TempDir(), "file.bin"), pollerPattern(size)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name, content
}

// keepsFiles says whether handlers may leave before their files have, which is what most of these tests are about.
func keepsFiles(t *testing.T) bool {
	t.Helper()
	name, _ := patternFile(t, 0)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	own, err := dupFile(f)
	if errors.Is(err, errors.ErrUnsupported) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return own.Close() == nil
}

// testPollerSendFile asks of SendFile what it promises, where it is supported.
func testPollerSendFile(r *pollerRig) {
	const size, offset = 9 << 20, 100
	name, content := patternFile(r.T, offset+size)
	f, err := os.Open(name)
	r.check(err)
	defer f.Close()
	file, err := dupFile(f)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	r.check(err)
	defer file.Close()
	r.check(f.Close()) // the duplicate lives on

	c := r.add()
	if n, err := r.SendFile(c.fd, struct{ reactor.File }{file}, 0, 10); n != 0 || !errors.Is(err, errors.ErrUnsupported) {
		r.Errorf("SendFile of a stranger's File: %d, %v", n, err)
	}
	if n, err := r.SendFile(c.fd, file, 0, offset); errors.Is(err, errors.ErrUnsupported) {
		return
	} else if n != offset || err != nil {
		r.Fatalf("SendFile: %d, %v", n, err)
	}
	read := make(chan error, 1)
	start := make(chan struct{})
	go func() {
		<-start
		got, err := io.ReadAll(c.peer)
		if err == nil && !bytes.Equal(got, content) {
			err = fmt.Errorf("got %d bytes, not those of the file", len(got))
		}
		read <- err
	}()
	sent, full := 0, 0
	send := func() {
		for sent < size {
			want := min(size-sent, 1<<20)
			n, err := r.SendFile(c.fd, file, int64(offset+sent), want)
			sent += n
			if n < want && err == nil || errors.Is(err, reactor.ErrAgain) {
				full++
				r.check(r.poller.Rearm(c.fd, reactor.Writable))
				return
			}
			r.check(err)
		}
		r.check(r.CloseWrite(c.fd))
	}
	send()
	if full == 0 {
		r.Error("9 MB went to a peer that reads nothing")
	}
	close(start)
	r.until(func() bool {
		for _, e := range r.events {
			if sent < size && e.Token == c.token && e.Ready&reactor.Writable != 0 {
				send()
			}
		}
		clear(r.events)
		return sent == size
	})
	r.check(<-read)

	// The end of the file is no full buffer.
	c = r.add()
	r.check(os.Truncate(name, 1000))
	if n, err := r.SendFile(c.fd, file, 0, 2000); n != 1000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		r.Errorf("SendFile beyond the end: %d, %v", n, err)
	}
	if n, err := r.SendFile(c.fd, file, 1000, 1); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		r.Errorf("SendFile behind the end: %d, %v", n, err)
	}
	_, err = io.ReadFull(c.peer, make([]byte, 1000))
	r.check(err)
	r.check(c.peer.Reset())
	r.seen(c, reactor.Hangup)
	if n, err := r.SendFile(c.fd, file, 0, 10); n != 0 || !errors.Is(err, reactor.ErrReset) {
		r.Errorf("SendFile after a reset: %d, %v", n, err)
	}
}

// TestFilesLikeNetHTTP: the same requests to the same FileServer, here and at net/http, over TCP and over TLS.
func TestFilesLikeNetHTTP(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, 512, 20_000, 100_000, 5 << 20} {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(size)), pollerPattern(size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sparse.Truncate(8<<20), sparse.Close()); err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(dir))
	mux := http.NewServeMux()
	mux.Handle("/", files)
	mux.HandleFunc("/copy/{name}", func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(dir, r.PathValue("name")))
		if err != nil {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		defer f.Close()
		if length := r.FormValue("length"); length != "" {
			w.Header().Set("Content-Length", length)
		}
		n, err := io.Copy(w, f)
		at, _ := f.Seek(0, io.SeekCurrent)
		w.Header().Set(http.TrailerPrefix+"Copied", fmt.Sprintf("%d, %v, at %d", n, err, at))
		if r.FormValue("panic") != "" {
			panic(http.ErrAbortHandler)
		}
	})
	want := httptest.NewServer(mux)
	defer want.Close()

	for _, kind := range []string{"TCP", "TLS"} {
		policies(t, func(t *testing.T, p Policy) {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS()}}
			defer client.CloseIdleConnections()
			s := &Server{Policy: p, Handler: mux}
			var url string
			if kind == "TLS" {
				i := 0
				for netKinds[i].name != kind {
					i++
				}
				url = "https://" + netKinds[i].serve(t, s).l.Addr().String()
			} else {
				url = "http://" + serve(t, s).addr
			}
			for _, test := range []struct{ method, path, header string }{
				{"GET", "/0", ""},
				{"GET", "/1", ""},
				{"GET", "/512", ""},
				{"GET", "/20000", ""},
				{"GET", "/100000", ""},
				{"GET", "/5242880", ""},
				{"GET", "/sparse", ""},
				{"HEAD", "/5242880", ""},
				{"GET", "/", ""},
				{"GET", "/none", ""},
				{"GET", "/5242880", "Range: bytes=5000-4000000"},
				{"GET", "/5242880", "Range: bytes=-50000"},
				{"GET", "/5242880", "Range: bytes=9999999-"},
				{"GET", "/5242880", "If-Modified-Since: Fri, 15 Nov 2999 08:12:31 GMT"},
				{"GET", "/5242880", "If-Unmodified-Since: Tue, 15 Nov 1994 08:12:31 GMT"},
				{"GET", "/copy/0", ""},
				{"GET", "/copy/20000", ""},
				{"GET", "/copy/100000", ""},
				{"HEAD", "/copy/100000", ""},
				{"GET", "/copy/5242880?length=5242880", ""},
				{"GET", "/copy/sparse?length=8388608", ""},
				{"GET", "/copy/100000?length=100001", ""},
				{"GET", "/copy/100000?length=100000&panic=1", ""},
			} {
				ask := func(url string) string {
					req, err := http.NewRequest(test.method, url+test.path, http.NoBody)
					if err != nil {
						t.Fatal(err)
					}
					if name, value, ok := strings.Cut(test.header, ": "); ok {
						req.Header.Set(name, value)
					}
					resp, err := client.Do(req)
					if err != nil {
						return err.Error()
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					resp.Header.Del("Date")
					head := fmt.Sprint(resp.Status, resp.Header, resp.Trailer, resp.ContentLength, resp.TransferEncoding, resp.Close, err)
					return fmt.Sprintf("%s %d bytes, %x", head, len(body), sha256.Sum256(body))
				}
				if got, want := ask(url), ask(want.URL); got != want {
					t.Errorf("%s %s of %s, %q:\n%s\nnet/http:\n%s", kind, test.method, test.path, test.header, got, want)
				}
			}
		})
	}
}

// TestFileLateReaders: 3 MB of a file for each of many clients, none of which reads before all have asked. Every byte is
// compared.
func TestFileLateReaders(t *testing.T) {
	if !keepsFiles(t) {
		return
	}
	policies(t, func(t *testing.T, p Policy) {
		const n, size = 100, 3 << 20
		name, content := patternFile(t, size)
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, name)
		})})
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = ts.dial(t)
			send(t, conns[i], get)
		}
		got := make([]byte, size)
		for i, c := range conns {
			_ = c.SetDeadline(time.Now().Add(patience))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, got); err != nil || resp.ContentLength != size || !bytes.Equal(got, content) {
				t.Fatalf("client %d: not the bytes of the file, %v", i, err)
			}
			_ = c.Close()
		}
	})
}

// TestFileDownloads: many downloads that nobody reads hold neither goroutines nor buffers: a few threads serve them all, and a
// small request beside them. Some clients go away, and what is left when the Server closes gives its descriptors back (TestMain looks).
func TestFileDownloads(t *testing.T) {
	if !keepsFiles(t) {
		return
	}
	policies(t, func(t *testing.T, p Policy) {
		const n, size = 200, 64 << 20
		poller, err := newPoller()
		polled := err == nil // else each connection has its goroutines
		if polled {
			if err := poller.Close(); err != nil {
				t.Fatal(err)
			}
		}
		f, err := os.Create(filepath.Join(t.TempDir(), "large"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
			t.Fatal(err)
		}
		var returned sync.WaitGroup
		ts := serve(t, &Server{Policy: p, Threads: 8, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/large" {
				hello(w, r)
				return
			}
			http.ServeFile(w, r, f.Name())
			returned.Done()
		})})
		small := ts.dial(t)
		before := runtime.NumGoroutine()
		conns := make([]net.Conn, n)
		returned.Add(n)
		for i := range conns {
			conns[i] = ts.dial(t)
			send(t, conns[i], "GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		all := make(chan struct{})
		go func() {
			returned.Wait()
			close(all)
		}()
		wait(t, "the handlers", all)
		send(t, small, get)
		if _, body := answer(t, bufio.NewReader(small)); body != "Hello, World!" {
			t.Errorf("got %q", body)
		}
		if more := runtime.NumGoroutine() - before; more >= 50 && polled {
			t.Errorf("%d goroutines more for %d downloads", more, n)
		}
		for _, c := range conns[:n/2] {
			_ = c.Close()
		}
	})
}

// A lockedBuffer is where a Server logs to that a test reads meanwhile.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestFileTruncated: a file that is cut while it is sent ends the connection behind what there was of it, and is reported.
func TestFileTruncated(t *testing.T) {
	if !keepsFiles(t) {
		return
	}
	policies(t, func(t *testing.T, p Policy) {
		const size, rest = 64 << 20, 20 << 20
		f, err := os.Create(filepath.Join(t.TempDir(), "large"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		var logs lockedBuffer
		returned := make(chan struct{})
		ts := serve(t, &Server{Policy: p, ErrorLog: log.New(&logs, "", 0), Handler: http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				http.ServeFile(w, r, f.Name())
				close(returned)
			})})
		c := ts.dial(t)
		send(t, c, get)
		wait(t, "the handler", returned)
		if err := f.Truncate(rest); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		if n > rest || err == nil {
			t.Errorf("%d bytes arrived, %v", n, err)
		}
		if err := ts.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(logs.String(), "unexpected EOF") {
			t.Errorf("logged: %q", logs.String())
		}
	})
}

// TestFileGrows: what is appended while a file is sent is not part of the answer.
func TestFileGrows(t *testing.T) {
	if !keepsFiles(t) {
		return
	}
	policies(t, func(t *testing.T, p Policy) {
		const size = 20 << 20
		name, content := patternFile(t, size)
		returned := make(chan struct{}, 1)
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, name)
			returned <- struct{}{}
		})})
		c := ts.dial(t)
		send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		wait(t, "the handler", returned)
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("appended"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		if _, body := answer(t, r); body != string(content) {
			t.Error("other bytes arrived")
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("behind it: %v", err)
		}
	})
}

// TestFileHijack: what of a file has been written has left before the connection is the handler's.
func TestFileHijack(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		const size = 20 << 20
		name, content := patternFile(t, size)
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(name)
			if err != nil {
				t.Error(err)
				return
			}
			w.Header().Set("Content-Length", strconv.Itoa(size+len("behind it")))
			if n, err := io.Copy(w, f); n != size || err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
			_ = f.Close()
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "behind it")
			_ = c.Close()
		})})
		c := ts.dial(t)
		send(t, c, get)
		if _, body := answer(t, bufio.NewReader(c)); body != string(content)+"behind it" {
			t.Errorf("%d other bytes arrived", len(body))
		}
	})
}

// TestFileShutdown: Shutdown lets a slow client have its file.
func TestFileShutdown(t *testing.T) {
	if !keepsFiles(t) {
		return
	}
	policies(t, func(t *testing.T, p Policy) {
		const size = 20 << 20
		name, content := patternFile(t, size)
		returned := make(chan struct{}, 1)
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, name)
			returned <- struct{}{}
		})})
		c := ts.dial(t)
		send(t, c, get)
		wait(t, "the handler", returned)
		ended := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			ended <- ts.Shutdown(ctx)
		}()
		if _, body := answer(t, bufio.NewReader(c)); body != string(content) {
			t.Error("other bytes arrived")
		}
		_ = c.Close()
		if err := <-ended; err != nil {
			t.Error("Shutdown:", err)
		}
	})
}
