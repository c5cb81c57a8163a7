// SPDX-License-Identifier: MIT

package main

// A need is what a scenario asks of an engine, and not all have.
type need uint8

const (
	needHandlers need = 1 << iota // all of the app's routes; without it, canned answers to "/"
	needFiles                     // files, and a connection that is closed when the client wants that
	needTLS
	needHeap  // tells its heap
	needStart // is one process that starts to serve at once
)

// What engines have.
const (
	goProcess = needHeap | needStart
	goServer  = goProcess | needHandlers | needFiles | needTLS
)

// An engine is one server under comparison.
type engine struct {
	name    string
	about   string
	program string // the package of its program, which takes the flags of bench/server
	module  string // whose version is told, or "" where it is Go's or this module's own
	has     need
	missing string // why it can't be chosen, or ""
}

const (
	module     = "github.com/waitress-go/waitress"
	ownServer  = module + "/bench/server"
	peerModule = module + "/bench/peers"
	peerServer = peerModule + "/server"
)

// engines has them in the order of the table's columns.
var engines = []engine{
	{"waitress-pool", "this server, handlers on task threads", ownServer, "", goServer, ""},
	{"waitress-inline", "this server, handlers on the event loops", ownServer, "", goServer, ""},
	{"waitress-adaptive", "this server, handlers where they have proved to belong", ownServer, "", goServer, ""},
	{"waitress-native", "this server, without net/http's types", ownServer, "", goServer, "there is no such handler yet"},
	{"nethttp", "the standard library's server", ownServer, "", goServer, ""},
	{
		"gnet", "an event loop that parses nothing and answers canned bytes: a floor, not a server",
		ownServer, "github.com/panjf2000/gnet/v2", goProcess, "",
	},
	{"fasthttp", "has its own handlers", peerServer, "github.com/valyala/fasthttp", goServer, ""},
	{"hertz", "has its own handlers, on netpoll", peerServer, "github.com/cloudwego/hertz", goServer &^ needTLS, ""},
	{"nbio", "takes http.Handler", peerServer, "github.com/lesismal/nbio", goServer &^ needTLS, ""},
	{"nginx", "is configured to answer, where it is installed", peerServer, "", needFiles, ""},
	{"limit", "a little C around epoll that parses nothing, where there is a compiler: the machine's floor", peerServer, "", 0, ""},
}

func (e engine) label() string { return e.name }

// own returns the engines that need no other module, which is what is measured unless others are named.
func own() []engine {
	var list []engine
	for _, e := range engines {
		if e.program == ownServer && e.missing == "" {
			list = append(list, e)
		}
	}
	return list
}
