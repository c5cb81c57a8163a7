// SPDX-License-Identifier: MIT

// Bench compares servers on this machine and prints one table:
//
//	go run ./bench [-rounds N] [-duration D] [-engines LIST] [-scenarios LIST] [-driver own|wrk] [-json]
//
// Each measurement has a server process and a load process of its own, over loopback. A round measures every engine once
// in every scenario, in an order drawn anew, so that what else the machine does meanwhile falls on all alike; ratios are
// taken within a round. Processor time is the server's alone, read from /proc, so the load's cost is not in it; the
// requests per second are of both together, on the same cores. It shows no more than what is in the scenario table, and
// its loads are closed loops: it says nothing about the latency that users see who come at their own times.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A config is what the flags say.
type config struct {
	rounds    int
	duration  time.Duration
	engines   []engine
	scenarios []scenario
	generate  generator
	driver    string
	idle      int // connections
	procs     int // GOMAXPROCS of the servers, if above 0
	loadProcs int // GOMAXPROCS of the load
	json      bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	c, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	// Ending the context ends every process that was started.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	r, err := run(ctx, c)
	stop()
	if r != nil {
		if err := r.print(os.Stdout, c.json); err != nil {
			log.Fatal(err)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}

func parseFlags(args []string) (*config, error) {
	c := &config{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&c.rounds, "rounds", 5, "how often everything is measured")
	f.DurationVar(&c.duration, "duration", 2*time.Second, "time of one measurement")
	engineNames := f.String("engines", "all", "comma-separated `LIST`: "+names(engines))
	scenarioNames := f.String("scenarios", "all", "comma-separated `LIST`: "+names(scenarios))
	f.StringVar(&c.driver, "driver", "own", "what makes the load: "+names(generators)+" (if it is installed)")
	f.IntVar(&c.idle, "idle", 15_000, "connections of the idle scenario")
	f.IntVar(&c.procs, "gomaxprocs", 0, "GOMAXPROCS of the servers, if above 0")
	f.IntVar(&c.loadProcs, "load-gomaxprocs", max(1, runtime.NumCPU()/2), "GOMAXPROCS of the load")
	f.BoolVar(&c.json, "json", false, "print JSON, with the value of every round, instead of the table")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if c.rounds < 1 || c.duration <= 0 || c.idle < 1 {
		return nil, errors.New("-rounds, -duration and -idle must be above 0")
	}
	var errs [3]error
	c.engines, errs[0] = pick(engines, *engineNames)
	c.scenarios, errs[1] = pick(scenarios, *scenarioNames)
	c.generate, errs[2] = generatorNamed(c.driver)
	return c, errors.Join(errs[:]...)
}

// A named is an entry of one of the tables that a user chooses from.
type named interface{ label() string }

func names[T named](table []T) string {
	var all []string
	for _, e := range table {
		all = append(all, e.label())
	}
	return strings.Join(all, ", ")
}

// pick returns the entries that list names, in the table's order.
func pick[T named](table []T, list string) ([]T, error) {
	if list == "all" {
		return table, nil
	}
	wanted := strings.Split(list, ",")
	var picked []T
	for _, e := range table {
		if i := slices.Index(wanted, e.label()); i >= 0 {
			picked = append(picked, e)
			wanted = slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("no %q; there are %s", wanted[0], names(table))
	}
	return picked, nil
}
