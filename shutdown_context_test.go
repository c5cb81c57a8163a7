// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestShutdownContext: Shutdown, whether it waits or has given up, ends no request's context, and neither does what comes of
// RegisterOnShutdown. It ends when the handler has returned, and its answer arrives; or when Close is called. So it is with
// net/http.
func TestShutdownContext(t *testing.T) {
	type server interface {
		Serve(l net.Listener) error
		RegisterOnShutdown(f func())
		Shutdown(ctx context.Context) error
		Close() error
	}
	kinds := map[string]func(h http.Handler) server{
		"net/http": func(h http.Handler) server { return &http.Server{Handler: h} },
	}
	for _, p := range []Policy{PolicyPool, PolicyInline, PolicyAdaptive} {
		// Inline handlers that wait need a loop each.
		kinds[p.String()] = func(h http.Handler) server { return &Server{Policy: p, Loops: 2, Handler: h} }
	}
	for kind, newServer := range kinds {
		for _, how := range []string{"returns", "closed"} {
			if kind == PolicyInline.String() && how == "closed" {
				continue // the handler that waits holds up the loop that would end its context
			}
			t.Run(kind+", "+how, func(t *testing.T) {
				contexts, release := make(chan context.Context, 1), make(chan struct{})
				s := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					contexts <- r.Context()
					select {
					case <-release:
						hello(w, r)
					case <-r.Context().Done():
					}
				}))
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }()
				ts := &testServer{addr: l.Addr().String()}
				c := ts.dial(t)
				send(t, c, get)
				ctx := <-contexts

				told := make(chan struct{})
				s.RegisterOnShutdown(func() { close(told) })
				deadline, cancel := context.WithCancel(t.Context())
				down := make(chan error, 1)
				go func() { down <- s.Shutdown(deadline) }()
				wait(t, "what was registered", told)
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error("Serve:", err)
				}
				cancel()
				if err := <-down; !errors.Is(err, context.Canceled) {
					t.Error("Shutdown:", err)
				}
				if err := ctx.Err(); err != nil {
					t.Error("the request's context after Shutdown:", err)
				}
				if how == "returns" {
					close(release)
					if resp, body := answer(t, bufio.NewReader(c)); body != "Hello, World!" || !resp.Close {
						t.Errorf("got %q, close %v", body, resp.Close)
					}
				}
				if err := s.Close(); err != nil {
					t.Error("Close:", err)
				}
				wait(t, "the end of the request's context", ctx.Done())
				if !errors.Is(ctx.Err(), context.Canceled) {
					t.Error("the request's context:", ctx.Err())
				}
				if how == "closed" {
					mustBeClosed(t, "the connection", c)
				}
			})
		}
	}
}

// TestCloseIsNoShutdown: what RegisterOnShutdown was given is called by each Shutdown, and not by Close, as by net/http.
func TestCloseIsNoShutdown(t *testing.T) {
	type server interface {
		RegisterOnShutdown(f func())
		Shutdown(ctx context.Context) error
		Close() error
	}
	for kind, s := range map[string]server{"net/http": new(http.Server), "waitress": new(Server)} {
		synctest.Test(t, func(t *testing.T) {
			var told atomic.Int32
			s.RegisterOnShutdown(func() { told.Add(1) })
			for i, end := range []func() error{s.Close, s.Close, func() error { return s.Shutdown(t.Context()) }, func() error { return s.Shutdown(t.Context()) }} {
				if err := end(); err != nil {
					t.Error(kind, err)
				}
				synctest.Wait()
				if got, want := told.Load(), int32(max(0, i-1)); got != want {
					t.Errorf("%s: told %d times after call %d, want %d", kind, got, i, want)
				}
			}
		})
	}
}
