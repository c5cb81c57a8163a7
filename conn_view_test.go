// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
)

// TestConnDescriptor: the net.Conn that ConnContext gets has its descriptor asked, as long as the connection is open and,
// once a handler has hijacked it, as long as the handler's is.
func TestConnDescriptor(t *testing.T) {
	poller, err := newPoller()
	polled := err == nil // else nobody here knows a descriptor's address
	if polled {
		if err := poller.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			policies(t, func(t *testing.T, p Policy) {
				addr := "127.0.0.1:0"
				if network == "unix" {
					if noUnix() {
						t.Skip("no Unix sockets")
					}
					addr = filepath.Join(t.TempDir(), "s")
				}
				conns, taken := make(chan net.Conn, 1), make(chan net.Conn, 1)
				l, err := net.Listen(network, addr)
				if err != nil {
					t.Fatal(err)
				}
				ts := serveOn(t, &Server{
					Policy: p,
					ConnContext: func(ctx context.Context, c net.Conn) context.Context {
						conns <- c
						return ctx
					},
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path != "/take" {
							hello(w, r)
							return
						}
						c, _, err := http.NewResponseController(w).Hijack()
						if err != nil {
							t.Error(err)
						}
						taken <- c
					}),
				}, l)
				open := func() (net.Conn, syscall.RawConn, func() error) {
					c, err := net.Dial(network, ts.addr)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = c.Close() })
					view := <-conns
					raw, err := view.(syscall.Conn).SyscallConn()
					if err != nil {
						t.Fatal(err)
					}
					want := view.LocalAddr().String()
					return c, raw, func() error {
						called := false
						err := raw.Control(func(fd uintptr) {
							called = true
							if a := handleAddr(fd, network); polled && (a == nil || a.String() != want) {
								t.Errorf("the descriptor's address is %v, not %v", a, want)
							}
						})
						if called != (err == nil) {
							t.Errorf("called %v, and %v", called, err)
						}
						if a := view.LocalAddr(); a.String() != want {
							t.Errorf("the address has become %v, not %v", a, want)
						}
						return err
					}
				}

				c, _, ask := open()
				if err := ask(); err != nil {
					t.Error("before a request:", err)
				}
				send(t, c, get)
				answer(t, bufio.NewReader(c))
				if err := ask(); err != nil {
					t.Error("after it:", err)
				}

				other, raw, askOther := open()
				if polled {
					never := func(uintptr) bool { t.Error("the server's input was read"); return true }
					if raw.Read(never) == nil || raw.Write(never) == nil {
						t.Error("no error")
					}
				}
				send(t, other, "GET /take HTTP/1.1\r\nHost: x\r\n\r\n")
				own := <-taken
				if err := ts.Close(); err != nil {
					t.Error(err)
				}
				if err := ask(); !errors.Is(err, net.ErrClosed) {
					t.Error("after the end:", err)
				}
				if err := askOther(); err != nil {
					t.Error("of a hijacked one:", err)
				}
				if err := own.Close(); err != nil {
					t.Error(err)
				}
				if err := askOther(); !errors.Is(err, net.ErrClosed) {
					t.Error("of a hijacked one that is closed:", err)
				}
			})
		})
	}
}
