// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"io"
	"net"
	"regexp"
	"testing"

	"github.com/waitress-go/waitress"
)

// exchange sends raw to a server of its own, and returns all that comes back until the server closes.
func exchange(t *testing.T, raw string, s *waitress.Server) string {
	t.Helper()
	everyRequest(s)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, raw); err != nil {
		t.Error(err)
	}
	p, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	c.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, waitress.ErrServerClosed) {
		t.Error(err)
	}
	return string(p)
}

// TestNative: the answers are the same, whoever gives them, but for the order of the head's fields.
func TestNative(t *testing.T) {
	const last = "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	content := regexp.MustCompile(`(?s)^HTTP/1\.[01] (\d+)|\{"method".*?\}|X-Echo: .*?\r\n`)
	for _, raw := range []string{
		last,
		"GET /a%20b?c=%41 HTTP/1.1\r\nHost: h\r\nX: 1\r\nx: 2\r\nb: \xe9\r\n\r\n" + last,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + last,
		"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n" + last,
		"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + last,
		"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + last,
		"GET http://H:1/p HTTP/1.1\r\nHost: h\r\n\r\n" + last,
		"PURGE / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" + last,
	} {
		want := content.FindAllString(exchange(t, raw, &waitress.Server{Handler: newEcho()}), -1)
		got := content.FindAllString(exchange(t, raw, &waitress.Server{TaskHandler: newEcho()}), -1)
		if len(want) == 0 || len(got) != len(want) {
			t.Fatalf("%q: got %q, want %q", raw, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: got %q, want %q", raw, got[i], want[i])
			}
		}
	}
}
