// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEngines asks every engine for two pipelined answers. The engines have no way to stop but the process's end, which
// is all they need.
func TestEngines(t *testing.T) {
	for name, serve := range engines {
		t.Run(name, func(t *testing.T) {
			bound := make(chan net.Addr, 1)
			failed := make(chan error, 1)
			go func() {
				failed <- serve("127.0.0.1:0", func(a net.Addr) { bound <- a })
			}()
			var addr net.Addr
			select {
			case addr = <-bound:
			case err := <-failed:
				t.Fatal(err)
			}
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 2)); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			for range 2 {
				got, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(got.Body)
				_ = got.Body.Close()
				if err != nil || string(body) != answer || got.StatusCode != 200 || got.Header.Get("Date") == "" || got.Close {
					t.Errorf("%v, %s, %v, %q", err, got.Status, got.Header, body)
				}
			}
		})
	}
}

func TestFreePort(t *testing.T) {
	addr, err := freePort("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
