// SPDX-License-Identifier: MIT

// Server is one process of one engine, answering "Hello, World!" to everything, for bench to measure. It prints
// "Serving on http://HOST:PORT" once it listens, and for each meter.StatsSignal (SIGUSR1) a meter.Stats as one line of
// JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("server: ")
	names := strings.Join(slices.Sorted(maps.Keys(engines)), ", ")
	name := flag.String("engine", "nethttp", "what serves: "+names)
	listen := flag.String("listen", "127.0.0.1:0", "`HOST:PORT` to serve on")
	procs := flag.Int("gomaxprocs", 0, "GOMAXPROCS, if above 0")
	untilEOF := flag.Bool("until-eof", false, "end with the standard input, as a process does not outlive its driver")
	flag.Parse()

	serve, ok := engines[*name]
	if !ok {
		log.Fatalf("no engine %q; there are %s", *name, names)
	}
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	if *untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	go tellStats()
	log.Fatal(serve(*listen, func(addr net.Addr) {
		fmt.Printf("Serving on http://%s\n", addr)
	}))
}

// tellStats prints the process's Stats each time it is asked to.
func tellStats() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, meter.StatsSignal)
	for range asked {
		stats, err := meter.ReadStats()
		if err != nil {
			log.Fatal(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(stats); err != nil {
			log.Fatal(err)
		}
	}
}
