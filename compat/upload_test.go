// SPDX-License-Identifier: MIT

package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
)

// A source is what a client uploads. It tells the largest heap, garbage and all, that there was meanwhile.
type source struct {
	io.Reader
	read   int64
	looked int64
	most   uint64
}

// lookEvery is after how many bytes a source looks at the heap.
const lookEvery = 1 << 20

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.read += int64(n); s.read-s.looked >= lookEvery {
		s.looked = s.read
		s.look()
	}
	return n, err
}

func (s *source) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.most = max(s.most, m.HeapAlloc)
}

// heapBound is how much the heap may grow by while a body of any size passes through client and server. It grows by 0.5 MiB
// for what is read as it comes, and by 4 MiB, or 8 with the race detector, for a form, of which 1 MiB is kept in memory.
const heapBound = 16 << 20

// TestUpload sends a form with a file of 1 GiB, 64 MiB with -short, to handlers that read it as it comes and to those that
// have it put into a temporary file. The heap of the process, which is server and client, stays small meanwhile.
func TestUpload(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	copyAll := func(w http.ResponseWriter, r io.Reader) {
		sum := sha256.New()
		n, err := io.Copy(sum, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%d bytes, %x", n, sum.Sum(nil))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		parts, err := r.MultipartReader()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		part, err := parts.NextPart()
		if err != nil || part.FileName() != "menu.bin" {
			http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
			return
		}
		copyAll(w, part)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		file, head, err := r.FormFile("menu")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer func() { _ = file.Close() }()
		if head.Size != size {
			http.Error(w, fmt.Sprint(head.Size), http.StatusBadRequest)
			return
		}
		copyAll(w, file)
	})
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	want := fmt.Sprintf("200 %d bytes, %s", size, fileSum(t, size))
	for _, path := range []string{"/stream", "/file"} {
		t.Run(path[1:], func(t *testing.T) {
			each(t, always(mux), func(t *testing.T, s *started) {
				s.client.Timeout = 0 // the size is what takes time here
				runtime.GC()
				sent := &source{Reader: file(size)}
				sent.look()
				before := sent.most
				body, contentType := form(sent)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", contentType)
				resp, text := s.do(t, req)
				if got := fmt.Sprintf("%d %s", resp.StatusCode, text); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				grown := (sent.most - before) >> 10
				if t.Logf("the heap grew by %d KiB", grown); grown > heapBound>>10 {
					t.Errorf("the heap grew by %d KiB, more than %d", grown, heapBound>>10)
				}
			})
			// The server removes what it has put into files for the form, when the answer has been given.
			if left, err := filepath.Glob(filepath.Join(temporary, "multipart-*")); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// file is size bytes that don't repeat.
func file(size int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }

func fileSum(t *testing.T, size int64) string {
	t.Helper()
	sum := sha256.New()
	if _, err := io.Copy(sum, file(size)); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// form is a form with a file, as it is read, and its media type.
func form(content io.Reader) (io.Reader, string) {
	r, w := io.Pipe()
	m := multipart.NewWriter(w)
	go func() {
		part, err := m.CreateFormFile("menu", "menu.bin")
		if err == nil {
			_, err = io.Copy(part, content)
		}
		if err == nil {
			err = m.Close()
		}
		_ = w.CloseWithError(err)
	}()
	return r, m.FormDataContentType()
}
