// SPDX-License-Identifier: MIT

// Echo answers every request with what the server made of it, as JSON: the application that a request parser is
// examined with. GET /__log?peer=IP:PORT lists the requests that came over one client connection.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/waitress-go/waitress"
)

func main() {
	listen := flag.String("listen", "0.0.0.0:8080", "`HOST:PORT` to serve on")
	policy := waitress.PolicyPool
	flag.TextVar(&policy, "policy", policy, "where handlers run: pool, inline or adaptive")
	native := flag.Bool("native", false, "serve without net/http's types")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "echo: unknown argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}

	app := &echo{log: newRequestLog(maxLogRequests, maxLogBytes)}
	tasks := func(s *waitress.Server) {
		if *native {
			s.TaskHandler = app
		}
	}
	if err := waitress.Serve(app, waitress.Listen(*listen), waitress.WithPolicy(policy), everyRequest, tasks); err != nil {
		log.Fatal(err)
	}
}

var _ http.Handler = (*echo)(nil)

// everyRequest leaves "OPTIONS *" to the application too.
func everyRequest(s *waitress.Server) { s.DisableGeneralOptionsHandler = true }
