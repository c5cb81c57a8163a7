// SPDX-License-Identifier: MIT

package waitress

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestOutbufOverflow: a handler is done when it has written its answer, though nobody reads it; where there is no folder for
// temporary files it waits, and the log says why. The answer is whole either way, and nothing is left behind.
func TestOutbufOverflow(t *testing.T) {
	for _, lost := range []bool{false, true} {
		name := "in a file"
		if lost {
			name = "no folder"
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
			written := make(chan error, 1)
			core, logs := observer.New(zap.ErrorLevel)
			logged := make(chan struct{})
			first := sync.OnceFunc(func() { close(logged) })
			log := zap.New(core, zap.Hooks(func(zapcore.Entry) error {
				first()
				return nil
			}))
			ts := serve(t, &Server{
				OutbufOverflow: 64 << 10, TempDir: dir, Logger: log,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if lost {
						if err := os.Remove(dir); err != nil {
							t.Error(err)
						}
					}
					w.Header().Set("Content-Length", strconv.Itoa(len(body)))
					_, err := w.Write(body)
					written <- err
				}),
			})
			c := ts.dial(t)
			send(t, c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			if lost {
				wait(t, "the log", logged) // a client that reads at once may be as fast as the handler
			} else {
				select {
				case err := <-written:
					if err != nil {
						t.Error(err)
					}
				case <-time.After(patience):
					t.Fatal("the handler waits for its client")
				}
				if names, err := os.ReadDir(dir); err != nil || len(names) > 0 && !systemCapabilities().namedFiles {
					t.Errorf("%d names in the folder, %v", len(names), err)
				}
			}
			all, err := io.ReadAll(c)
			if err != nil || !bytes.HasSuffix(all, body) || !bytes.HasPrefix(all, []byte("HTTP/1.1 200 OK\r\n")) {
				t.Errorf("got %d bytes, %v", len(all), err)
			}
			if lost {
				if err := <-written; err != nil {
					t.Error(err)
				}
			}
			if n := logs.Len(); lost && n == 0 || !lost && n != 0 {
				t.Errorf("the log: %v", logs.All())
			}
			if names, err := os.ReadDir(dir); !lost && (err != nil || len(names) > 0) {
				t.Errorf("at the end: %d names in the folder, %v", len(names), err)
			}
		})
	}
}
