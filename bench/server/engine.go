// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"net/http"

	"github.com/waitress-go/waitress"
	"github.com/waitress-go/waitress/bench/internal/app"
)

// engines has every server that this program can be, by the name that bench knows it by.
var engines = map[string]app.Engine{
	"waitress-pool":          waitressEngine(waitress.PolicyPool),
	"waitress-inline":        waitressEngine(waitress.PolicyInline),
	"waitress-adaptive":      waitressEngine(waitress.PolicyAdaptive),
	"waitress-native":        nativeEngine(waitress.PolicyAdaptive),
	"waitress-native-inline": nativeEngine(waitress.PolicyInline),
	"nethttp":                netHTTPEngine,
	"gnet":                   gnetEngine,
}

// A server is the part that waitress.Server and http.Server have in common.
type server interface {
	Serve(l net.Listener) error
}

func waitressEngine(policy waitress.Policy) app.Engine {
	return func(o *app.Options, ready func(net.Addr)) error {
		return serveOn(o, &waitress.Server{Handler: app.Handler(o.Files), Policy: policy}, ready)
	}
}

func netHTTPEngine(o *app.Options, ready func(net.Addr)) error {
	return serveOn(o, &http.Server{Handler: app.Handler(o.Files)}, ready)
}

func serveOn(o *app.Options, s server, ready func(net.Addr)) error {
	l, err := o.Listen()
	if err != nil {
		return err
	}
	ready(l.Addr())
	return s.Serve(l)
}
