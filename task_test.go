// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestTaskHandler: a pipeline for both kinds of handlers on a real socket, a large file among the answers.
func TestTaskHandler(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := strings.Repeat("0123456789abcdef", 32<<10)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{Policy: p, Handler: http.HandlerFunc(hello), TaskHandler: TaskFunc(func(task Task) {
			switch string(task.Path()) {
			case "/file":
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				if err := task.SendFile(f, 16, int64(len(content)-16)); err != nil {
					t.Error(err)
				}
			case "/task":
				body, err := task.Body(1 << 20)
				if err != nil {
					t.Error(err)
				}
				task.Answer(200, ContentTypeText, fmt.Appendf(nil, "%d", len(body)))
			default:
				task.Decline()
			}
		})})
		c := ts.dial(t)
		const rounds = 20
		var sending sync.WaitGroup
		sending.Go(func() {
			for i := range rounds {
				send(t, c, fmt.Sprintf("GET /file HTTP/1.1\r\nHost: a\r\n\r\nPOST /task HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%sGET / HTTP/1.1\r\nHost: a\r\n\r\n",
					i*1000, strings.Repeat("x", i*1000)))
			}
		})
		r := bufio.NewReader(c)
		for i := range rounds {
			for _, want := range []string{content[16:], fmt.Sprint(i * 1000), "Hello, World!"} {
				if _, body := answer(t, r); body != want {
					t.Fatalf("round %d: got %d bytes, want %d", i, len(body), len(want))
				}
			}
		}
		sending.Wait()
	})
}

// TestSuspension: requests that wait are resumed by another one, told of a shutdown, and waited for; and Close ends those that
// are left.
func TestSuspension(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		for _, end := range []string{"resume", "shutdown", "close"} {
			const clients = 50
			parked := make(chan *Suspension, clients)
			gone := make(chan struct{}, clients)
			ok := func(task Task) { task.AnswerString(200, ContentTypeText, "resumed") }
			ts := serve(t, &Server{Policy: p, Loops: 2, TaskHandler: TaskFunc(func(task Task) {
				s := task.Suspend()
				s.OnGone(func() { gone <- struct{}{} })
				s.OnShutdown(func() { s.Resume(ok) })
				parked <- s
			})})
			var answers sync.WaitGroup
			for range clients {
				c := ts.dial(t)
				send(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				answers.Go(func() {
					r := bufio.NewReader(c)
					if end == "close" {
						if p, _ := io.ReadAll(r); len(p) > 0 {
							t.Errorf("got %q", p)
						}
						return
					}
					if _, body := answer(t, r); body != "resumed" {
						t.Errorf("got %q", body)
					}
				})
			}
			var all []*Suspension
			for range clients {
				all = append(all, <-parked)
			}
			switch end {
			case "resume":
				for _, s := range all {
					if !s.Resume(ok) {
						t.Error("could not be resumed")
					}
				}
			case "shutdown":
				if err := ts.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			case "close":
				if err := ts.Close(); err != nil {
					t.Error(err)
				}
				for range clients {
					<-gone
				}
			}
			answers.Wait()
			for _, s := range all {
				if s.Resume(ok) || !s.Over() {
					t.Error("resumed twice")
				}
			}
		}
	})
}

// TestTaskEndOfViews: in test builds a request is overwritten when it is over, and not later, when its memory may be another one's:
// also where the connection ends with it. The race detector is what finds out.
func TestTaskEndOfViews(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		large := make([]byte, 1<<20)
		ts := serve(t, &Server{Policy: p, Loops: 2, TaskHandler: TaskFunc(func(task Task) {
			if string(task.Path()) != "/endless" {
				task.Answer(200, "", task.Path())
				return
			}
			for {
				if _, err := task.Write(large); err != nil {
					return
				}
			}
		})})
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for j := range 20 {
					c := ts.dial(t)
					r := bufio.NewReader(c)
					path := fmt.Sprintf("/%d/%d", i, j)
					// The input is the connection's own when the last head comes in two pieces.
					send(t, c, "GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET "+path+" HTTP/1.1\r\nHo")
					if _, body := answer(t, r); body != "/first" {
						t.Errorf("got %q", body)
					}
					send(t, c, "st: a\r\nConnection: close\r\n\r\n")
					if _, body := answer(t, r); body != path {
						t.Errorf("got %q, want %s", body, path)
					}
					c.Close()
					if j%5 == 0 {
						c = ts.dial(t)
						send(t, c, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
						if _, err := c.Read(make([]byte, 1)); err != nil {
							t.Error(err)
						}
						c.Close()
					}
				}
			})
		}
		clients.Wait()
	})
}
