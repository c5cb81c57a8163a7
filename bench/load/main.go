// SPDX-License-Identifier: MIT

// Load sends requests to a server over keep-alive connections, each in a closed loop: the next request leaves when the
// answer to the last has come. So a slow server is asked less often, and the latencies are those of a client that waits,
// not those of users who come at their own times. It prints what it found as one line of JSON, a meter.Load.
//
// With -idle it opens the connections, sends one request over each, prints an empty meter.Load, and leaves them alone
// until its standard input ends.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	addr := flag.String("addr", "127.0.0.1:8080", "`HOST:PORT` of the server")
	conns := flag.Int("conns", 1, "connections")
	depth := flag.Int("depth", 1, "requests sent at once over a connection (pipelining)")
	warmup := flag.Duration("warmup", 100*time.Millisecond, "time before the measurement")
	duration := flag.Duration("duration", time.Second, "time measured")
	idle := flag.Bool("idle", false, "one request a connection, then wait for the end of the standard input")
	procs := flag.Int("gomaxprocs", 0, "GOMAXPROCS, if above 0")
	flag.Parse()
	if *conns < 1 || *depth < 1 || *duration <= 0 {
		log.Fatal("-conns, -depth and -duration must be above 0")
	}
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tell := json.NewEncoder(os.Stdout).Encode
	if *idle {
		// The input ends with the driver at the latest. The other way of working ends by itself.
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		err := holdIdle(ctx, *addr, *conns, func() error { return tell(meter.Load{Answered: int64(*conns)}) })
		if err != nil {
			log.Fatal(err)
		}
		return
	}
	load, err := closedLoop(ctx, *addr, *conns, *depth, *warmup, *duration)
	if err != nil {
		log.Fatal(err)
	}
	if err := tell(load); err != nil {
		log.Fatal(err)
	}
}
