// SPDX-License-Identifier: MIT

package main

// An engine is one server under comparison.
type engine struct {
	name    string
	about   string
	program string // the package of its program, which takes the flags of bench/server
	module  string // whose version is told, or "" where it is Go's or this module's own
}

// reference is the engine that the others are set against.
const reference = "nethttp"

const ownServer = "github.com/waitress-go/waitress/bench/server"

// engines has them in the order of the table's columns.
var engines = []engine{
	{"waitress-pool", "this server, handlers on task threads", ownServer, ""},
	{"waitress-inline", "this server, handlers on the event loops", ownServer, ""},
	{"nethttp", "the standard library's server", ownServer, ""},
	{"gnet", "an event loop that parses nothing and answers canned bytes: a floor, not a server", ownServer, "github.com/panjf2000/gnet/v2"},
}

func (e engine) label() string { return e.name }
