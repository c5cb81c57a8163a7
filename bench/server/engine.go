// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net"
	"net/http"

	"github.com/waitress-go/waitress"
)

// An engine listens on addr, calls ready with the address it got, and serves until it can't go on.
type engine func(addr string, ready func(net.Addr)) error

// engines has every server that this program can be, by the name that bench knows it by.
var engines = map[string]engine{
	"waitress-pool":   waitressEngine(waitress.PolicyPool),
	"waitress-inline": waitressEngine(waitress.PolicyInline),
	"nethttp":         netHTTPEngine,
	"gnet":            gnetEngine,
}

// answer is the same for all engines that take an http.Handler.
const answer = "Hello, World!"

func hello(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, answer)
}

// A server is the part that waitress.Server and http.Server have in common.
type server interface {
	Serve(l net.Listener) error
}

func waitressEngine(policy waitress.Policy) engine {
	return func(addr string, ready func(net.Addr)) error {
		return serveOn(addr, &waitress.Server{Handler: http.HandlerFunc(hello), Policy: policy}, ready)
	}
}

func netHTTPEngine(addr string, ready func(net.Addr)) error {
	return serveOn(addr, &http.Server{Handler: http.HandlerFunc(hello)}, ready)
}

func serveOn(addr string, s server, ready func(net.Addr)) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	ready(l.Addr())
	return s.Serve(l)
}
