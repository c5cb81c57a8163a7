// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor"
)

// An idealNet is a Poller, Sockets and a Listener whose connections always have one more request to read and take every
// answer at once: what is left to measure is this server's own work.
type idealNet struct {
	request  []byte
	conns    int
	tokens   chan reactor.Token
	ready    []reactor.Token
	left     atomic.Int64  // answers that are still wanted
	finished chan struct{} // gets one when left has come to 0
	again    chan struct{} // more are wanted, or the poller was woken
}

func (n *idealNet) Add(_ reactor.FD, token reactor.Token) error { n.tokens <- token; return nil }
func (n *idealNet) Rearm(reactor.FD, reactor.Ready) error       { return nil }
func (n *idealNet) Del(reactor.FD) error                        { return nil }
func (n *idealNet) Close() error                                { return nil }

func (n *idealNet) Wake() error {
	select {
	case n.again <- struct{}{}:
	default:
	}
	return nil
}

func (n *idealNet) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	if n.left.Load() <= 0 && timeout != 0 {
		<-n.again
		return 0, nil
	}
	for i, token := range n.ready {
		events[i] = reactor.Event{Token: token, Ready: reactor.Readable | reactor.Writable}
	}
	return len(n.ready), nil
}

// idealSockets are the Sockets: their Close is not the Poller's.
type idealSockets struct{ *idealNet }

func (n idealSockets) Read(_ reactor.FD, p []byte) (int, error) { return copy(p, n.request), nil }
func (n idealSockets) Peek(reactor.FD) (int, error)             { return 0, reactor.ErrAgain }
func (n idealSockets) CloseWrite(reactor.FD) error              { return nil }
func (n idealSockets) Abort(reactor.FD) error                   { return nil }
func (n idealSockets) Close(reactor.FD) error                   { return nil }

func (n idealSockets) SendFile(reactor.FD, reactor.File, int64, int) (int, error) {
	return 0, errors.ErrUnsupported
}

func (n idealSockets) Write(_ reactor.FD, p []byte) (int, error) {
	if n.left.Add(-1) == 0 {
		n.finished <- struct{}{}
	}
	return len(p), nil
}

// idealListener accepts conns connections and then waits to be closed.
type idealListener struct {
	*idealNet
	accepted int
	closed   chan struct{}
}

func (l *idealListener) Accept() (reactor.Accepted, error) {
	if l.accepted == l.conns {
		<-l.closed
		return reactor.Accepted{}, reactor.ErrListenerClosed
	}
	l.accepted++
	return reactor.Accepted{FD: reactor.FD(l.accepted), Peer: "192.0.2.1:1234"}, nil
}

func (l *idealListener) Close() error { close(l.closed); return nil }

// BenchmarkRequest is what a request costs from the read of its bytes to the write of its answer, without a kernel: 64
// connections, one loop, handlers inline.
func BenchmarkRequest(b *testing.B) {
	const browser = "GET /index.html?a=b HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Accept-Language: en-US,en;q=0.9\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n"
	for _, request := range []struct{ name, raw string }{{"hello", "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"}, {"browser", browser}, {"pipelined", strings.Repeat("GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", 16)}} {
		b.Run(request.name, func(b *testing.B) { benchmarkRequest(b, request.raw, hello, nil) })
		b.Run(request.name+"-native", func(b *testing.B) { benchmarkRequest(b, request.raw, hello, TaskFunc(taskHello)) })
	}
	b.Run("fields", func(b *testing.B) { // an answer that has some
		benchmarkRequest(b, "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-cache")
			hello(w, r)
		}, nil)
	})
}

// hello sets no field, so that the server makes all of them.
func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello, World!") }

func benchmarkRequest(b *testing.B, raw string, handler http.HandlerFunc, tasks TaskHandler) {
	const conns = 64
	n := &idealNet{
		request: []byte(raw), conns: conns, tokens: make(chan reactor.Token, conns),
		finished: make(chan struct{}, conns), again: make(chan struct{}, 1),
	}
	d, err := dispatch.New(dispatch.Config{Policy: dispatch.PolicyInline})
	if err != nil {
		b.Fatal(err)
	}
	s := New(Config{
		Dispatcher:  d,
		TaskHandler: tasks,
		IdleTimeout: time.Minute,
		Logf:        b.Errorf,
		Handler:     handler,
	})
	r, err := reactor.New(reactor.Config{
		Loops:         1,
		NewPoller:     func() (reactor.Poller, error) { return n, nil },
		Sockets:       idealSockets{n},
		HighWatermark: 1 << 20,
		Fault:         func(what string, err error) { b.Error(what, err) },
	})
	if err != nil {
		b.Fatal(err)
	}
	l := &idealListener{idealNet: n, closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l, s.NewListener(context.Background(), &net.TCPAddr{}).Open) }()
	for range conns {
		n.ready = append(n.ready, <-n.tokens)
	}
	b.ReportAllocs()
	b.ResetTimer()
	n.left.Store(int64(b.N))
	_ = n.Wake()
	<-n.finished
	b.StopTimer()
	_ = l.Close()
	if err := <-served; err != nil {
		b.Error(err)
	}
	r.Abort()
	if err := r.Drain(context.Background()); err != nil {
		b.Error(err)
	}
	r.Stop()
	if err := d.Close(context.Background()); err != nil {
		b.Error(err)
	}
}
