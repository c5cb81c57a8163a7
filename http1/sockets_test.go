// SPDX-License-Identifier: MIT

package http1_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress"
	"github.com/waitress-go/waitress/http1"
)

// TestLikeSimulated: over the system's sockets and its poller, the server answers every scenario as it does on the simulated
// network, where it is compared with net/http.
func TestLikeSimulated(t *testing.T) {
	recordings := http1.Record(t)
	for _, policy := range []waitress.Policy{waitress.PolicyPool, waitress.PolicyInline} {
		t.Run(policy.String(), func(t *testing.T) {
			for _, rec := range recordings {
				t.Run(rec.Name, func(t *testing.T) { replay(t, rec, policy) })
			}
		})
	}
}

func replay(t *testing.T, rec *http1.Recording, policy waitress.Policy) {
	handler, noted := rec.Handler()
	c, stop := serve(t, &waitress.Server{Policy: policy, Handler: handler, Logger: zap.NewNop()})
	got := play(t, rec, c)
	stop() // when it returns, the handler has ended
	if got = http1.Plain(got); got != rec.All {
		t.Errorf("received %.6000q\n\nsimulated: %.6000q", got, rec.All)
	}
	if notes := noted(); notes != rec.Notes {
		t.Errorf("notes:\n%s\nsimulated:\n%s", notes, rec.Notes)
	}
}

// play is the client's side of a scenario: it sends each part when it has received as much as the recording's client had. It
// returns all that it received.
func play(t *testing.T, rec *http1.Recording, c *net.TCPConn) string {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var received []byte
	read := func(size int) {
		p := make([]byte, max(0, size-len(received)))
		n, err := io.ReadFull(c, p)
		received = append(received, p[:n]...)
		if err != nil {
			t.Errorf("%d bytes received of %d: %v", len(received), size, err)
		}
	}
	for i, part := range rec.Parts {
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(c, part)
			sent <- err
		}()
		read(rec.Received[i])
		if err := <-sent; err != nil && !rec.Ended {
			t.Error(err)
		}
	}
	if !rec.Ended {
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	}
	rest, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(received) + string(rest)
}

// serve starts s and connects to it. stop disconnects, and shuts it down.
func serve(t *testing.T, s *waitress.Server) (c *net.TCPConn, stop func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn), func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
}
