// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestSlowClients: clients that send or take a byte now and then, so that they are never silent, are gone after their deadlines, while
// others are served. bench/slowloris does it with 15,000, and looks at what the others notice.
func TestSlowClients(t *testing.T) {
	const timeout = 300 * time.Millisecond
	kinds := []struct {
		name, begin string
		clients     int
		reads       bool
	}{
		{"slow heads", "GET / HTTP/1.1\r\nHost: a\r\nX: ", 125, false},
		{"slow contents", "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 125, false},
		{"slow readers", "GET /long HTTP/1.1\r\nHost: a\r\n\r\n", 50, true}, // fewer, since the kernel takes megabytes for each
	}
	policies(t, func(t *testing.T, p Policy) {
		ts := serve(t, &Server{
			Policy: p, ReadHeaderTimeout: timeout, BodyTimeout: timeout, WriteStallTimeout: timeout, OutbufHighWatermark: 64 << 10,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/read":
					_, _ = io.Copy(io.Discard, r.Body)
				case "/long":
					for {
						if _, err := w.Write(make([]byte, 64<<10)); err != nil {
							return
						}
					}
				}
				hello(w, r)
			}),
		})
		good := ts.dial(t)
		r := bufio.NewReader(good)
		send(t, good, get) // before its own deadline
		answer(t, r)
		over := make(chan struct{})
		var slow sync.WaitGroup
		defer slow.Wait()
		defer close(over)
		for _, k := range kinds {
			clients := make([]net.Conn, k.clients)
			for i := range clients {
				c := ts.dial(t)
				if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
					t.Fatal(err)
				}
				clients[i] = c
				send(t, c, k.begin)
			}
			slow.Go(func() {
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-over:
						return
					case <-tick.C:
					}
					for _, c := range clients {
						if k.reads {
							_, _ = c.Read(make([]byte, 1)) // there is always something, or the end
						} else {
							_, _ = c.Write([]byte{'x'}) // an error is what is waited for
						}
					}
				}
			})
		}
		for began := time.Now(); ; {
			send(t, good, get)
			if _, body := answer(t, r); body != "Hello, World!" {
				t.Fatalf("the good client got %q", body)
			}
			if ts.conns() == 1 {
				return
			}
			if time.Since(began) > patience {
				t.Fatalf("%d slow clients are still there", ts.conns()-1)
			}
		}
	})
}
