// SPDX-License-Identifier: MIT

// Hello greets whoever asks, whatever the path.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/waitress-go/waitress"
)

func main() {
	listen := flag.String("listen", "0.0.0.0:8080", "`HOST:PORT` to serve on")
	policy := waitress.PolicyPool
	flag.TextVar(&policy, "policy", policy, "where handlers run: pool, inline or adaptive")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "hello: unknown argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}

	err := waitress.Serve(http.HandlerFunc(hello), waitress.Listen(*listen), waitress.WithPolicy(policy))
	if err != nil {
		log.Fatal(err)
	}
}

func hello(w http.ResponseWriter, _ *http.Request) {
	// A write fails when the client has gone, and then nobody is left to tell.
	_, _ = io.WriteString(w, "Hello, World!")
}
