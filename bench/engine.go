// SPDX-License-Identifier: MIT

package main

import "os/exec"

// A need is what a scenario asks of an engine, and not all have.
type need uint8

const (
	needHandlers need = 1 << iota // all of the app's routes; without it, canned answers to "/"
	needSleep                     // answers a request after 10 ms
	needFiles                     // files, and a connection that is closed when the client wants that
	needTLS
	needHeap  // tells its heap
	needStart // is one process that starts to serve at once
)

// What engines have.
const (
	goProcess = needHeap | needStart
	goServer  = goProcess | needHandlers | needSleep | needFiles | needTLS
)

// An engine is one server under comparison.
type engine struct {
	name    string
	about   string
	program string // the package of its program, which takes the flags of bench/server
	module  string // whose version is told, or "" where it is Go's or this module's own
	has     need
	tool    string // the program it needs, or ""
}

const (
	module     = "github.com/waitress-go/waitress"
	ownServer  = module + "/bench/server"
	peerModule = module + "/bench/peers"
	peerServer = peerModule + "/server"
)

// engines has them in the order of the table's columns.
var engines = []engine{
	{name: "waitress-pool", about: "this server, handlers on task threads", program: ownServer, has: goServer},
	{name: "waitress-inline", about: "this server, handlers on the event loops", program: ownServer, has: goServer},
	{name: "waitress-adaptive", about: "this server, handlers where they have proved to belong", program: ownServer, has: goServer},
	{name: "waitress-native", about: "this server, adaptive too, without net/http's types", program: ownServer, has: goServer},
	{name: "waitress-native-inline", about: "the same, handlers on the event loops", program: ownServer, has: goServer},
	{name: "nethttp", about: "the standard library's server", program: ownServer, has: goServer},
	{
		name: "gnet", about: "an event loop that parses nothing and answers canned bytes: a floor, not a server",
		program: ownServer, module: "github.com/panjf2000/gnet/v2", has: goProcess,
	},
	{name: "fasthttp", about: "has its own handlers", program: peerServer, module: "github.com/valyala/fasthttp", has: goServer},
	{
		name: "hertz", about: "has its own handlers, on netpoll",
		program: peerServer, module: "github.com/cloudwego/hertz", has: goServer &^ needTLS,
	},
	{name: "nbio", about: "takes http.Handler", program: peerServer, module: "github.com/lesismal/nbio", has: goServer &^ needTLS},
	{name: "nginx", about: "is configured to answer", program: peerServer, has: needFiles, tool: "nginx"},
	{name: "limit", about: "a little C around epoll that parses nothing: the machine's floor", program: peerServer, has: needSleep, tool: "cc"},
}

func (e engine) label() string { return e.name }

// available returns an error if an engine can't be had here.
func (e engine) available() error {
	if e.tool == "" {
		return nil
	}
	_, err := exec.LookPath(e.tool)
	return err
}

// own returns the engines that need no other module, which is what is measured unless others are named.
func own() []engine {
	var list []engine
	for _, e := range engines {
		if e.program == ownServer {
			list = append(list, e)
		}
	}
	return list
}
