// SPDX-License-Identifier: MIT

// Load sends requests to a server and prints how long the answers took. What to send comes as a meter.Order, one line of
// JSON on the standard input; what came of it is printed as a meter.Load, one line too. It ends early when its input
// does, and fails on the first answer that is not the one due.
//
// All connections are served by one thread with one epoll, so that it costs little of the machine that the server runs on
// too; -cpu keeps that thread on one core. It runs on Linux only.
//
// In a closed loop the next request leaves when the answer to the last has come. So a slow server is asked less often, and
// the latencies are those of a client that waits. In an open loop requests are due at times that do not depend on the
// server, and a latency counts from that time, whether a connection was free for the request then or not.
package main

import (
	"bufio"
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

// defaultMaxDelay is how long an answer may take.
const defaultMaxDelay = 10 * time.Second

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	cpu := flag.Int("cpu", -1, "the only `CORE` to run on, if 0 or above")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if *cpu >= 0 {
		if err := pin(*cpu); err != nil {
			log.Fatal(err)
		}
	}
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		log.Fatal(err)
	}
	var o meter.Order
	if err := json.Unmarshal(line, &o); err != nil {
		log.Fatal(err)
	}
	if o.MaxDelay <= 0 {
		o.MaxDelay = defaultMaxDelay
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	tell := json.NewEncoder(os.Stdout).Encode
	if o.Hold > 0 {
		err = hold(ctx, &o, func() error { return tell(meter.Load{}) })
	} else {
		var l *meter.Load
		if l, err = drive(ctx, &o); err == nil {
			err = tell(l)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}
