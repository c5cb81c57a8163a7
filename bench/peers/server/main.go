// SPDX-License-Identifier: MIT

// Server is bench/server for the peers: one process of one engine, with the same routes, flags and signals. nginx and the C
// program run as children of this one, which only starts and ends them.
package main

import "github.com/waitress-go/waitress/bench/internal/app"

var engines = map[string]app.Engine{
	"fasthttp": fastHTTPEngine,
	"hertz":    hertzEngine,
	"nbio":     nbioEngine,
	"nginx":    nginxEngine,
	"limit":    limitEngine,
}

func main() { app.Main(engines) }
