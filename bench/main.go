// SPDX-License-Identifier: MIT

// Bench compares servers on this machine and prints one table:
//
//	go run ./bench [-rounds N] [-seconds S] [-engines LIST] [-scenarios LIST] [-json] [-html FILE] [-svg FILE]
//
// Each measurement has a server process and a load process of its own, over loopback. A round measures every engine once
// in every scenario, in an order drawn anew, so that what else the machine does meanwhile falls on all alike; ratios are
// taken within a round. Most scenarios have two loads: a closed loop for the throughput and the server's processor time,
// and an open loop, at a fixed rate, for the latencies that users see who come at their own times. Processor time is the
// server's alone, so the load's cost is not in it; the requests per second are of both together, on the same cores.
//
// It runs on Linux only. It shows no more than what is in the scenario table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A config is what the flags say.
type config struct {
	rounds     int
	duration   time.Duration
	engines    []engine
	scenarios  []scenario
	base       string
	idle       int     // connections
	rateFactor float64 // of the open loops
	procs      int     // GOMAXPROCS of the servers, if above 0
	loadCPU    int     // the core of the load, if 0 or above
	json       bool
	html, svg  string // files to write, or ""
	from       string // a file to read instead of measuring, or ""
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
	var r *report
	if c.from != "" {
		r, err = readReport(c.from)
	} else {
		r, err = run(ctx, c)
	}
	stop()
	if r != nil {
		err = errors.Join(err, r.write(c, os.Stdout))
	}
	if err != nil {
		log.Fatal(err)
	}
}

func parseFlags(args []string) (*config, error) {
	c := &config{}
	cpu, _ := meter.SpareCPU() // an error means another system, which run refuses
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&c.rounds, "rounds", 3, "how often everything is measured")
	seconds := f.Float64("seconds", 2, "time of one load; a measurement has one or two")
	engineNames := f.String("engines", "own", "comma-separated `LIST`, own, which need no other module ("+names(own())+"), or all: "+names(engines))
	scenarioNames := f.String("scenarios", "all", "comma-separated `LIST`, or all: "+names(scenarios))
	f.StringVar(&c.base, "base", "nethttp", "the `ENGINE` that the others are set against")
	f.IntVar(&c.idle, "idle", 15_000, "idle connections")
	f.Float64Var(&c.rateFactor, "rates", 1, "what the rates of the open loops are multiplied by")
	f.IntVar(&c.procs, "gomaxprocs", 0, "processors the servers use at most, if above 0")
	f.IntVar(&c.loadCPU, "load-cpu", cpu, "the only core the load runs on; -1 for any")
	f.BoolVar(&c.json, "json", false, "print JSON, with the value of every round, instead of the table")
	f.StringVar(&c.html, "html", "", "write a page with plots to `FILE`")
	f.StringVar(&c.svg, "svg", "", "write the plot of the ratios to `FILE`")
	f.StringVar(&c.from, "from", "", "measure nothing, but read what -json has printed from `FILE`")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "Usage: go run ./bench [flags]\n\nScenarios:\n")
		for _, s := range scenarios {
			fmt.Fprintf(f.Output(), "  %-15s %s\n", s.name, s.about)
		}
		fmt.Fprintf(f.Output(), "\nEngines:\n")
		for _, e := range engines {
			fmt.Fprintf(f.Output(), "  %-22s %s\n", e.name, e.about)
		}
		fmt.Fprintf(f.Output(), "\nFlags:\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	c.duration = time.Duration(*seconds * float64(time.Second))
	if c.rounds < 1 || c.duration <= 0 || c.idle < 1 || c.rateFactor <= 0 {
		return nil, errors.New("-rounds, -seconds, -idle and -rates must be above 0")
	}
	if c.procs < 0 {
		return nil, errors.New("-gomaxprocs must not be below 0")
	}
	given := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if c.from != "" {
		return c, onlyReads(given)
	}
	var errs [2]error
	c.engines, errs[0] = pickEngines(*engineNames)
	c.scenarios, errs[1] = pick(scenarios, *scenarioNames)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return c, c.check(given["base"])
}

// onlyReads returns an error if there are flags that say what is measured, where nothing is.
func onlyReads(given map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains([]string{"from", "json", "html", "svg"}, name) {
			return fmt.Errorf("-%s says what to measure, and -from measures nothing", name)
		}
	}
	return nil
}

// check returns an error if nothing comes of the engines with the scenarios, or no ratios where a base was chosen. It tells what is
// left out besides.
func (c *config) check(baseChosen bool) error {
	has := func(name string) bool {
		return slices.ContainsFunc(c.engines, func(e engine) bool { return e.name == name })
	}
	switch {
	case has(c.base):
	case baseChosen:
		return fmt.Errorf("-base %s is not measured; that are %s", c.base, names(c.engines))
	default:
		log.Printf("no ratios: %s is not measured, and -base names no other", c.base)
	}
	left := 0
	for _, sc := range c.scenarios {
		if !slices.ContainsFunc(c.engines, func(e engine) bool { return e.has&sc.needs == sc.needs }) {
			log.Printf("left out: %s: it needs what no engine of these has: %s", sc.name, names(c.engines))
			left++
		}
	}
	if left == len(c.scenarios) {
		return errors.New("nothing is left to measure")
	}
	return nil
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
	for i, name := range wanted {
		if slices.Contains(wanted[:i], name) {
			return nil, fmt.Errorf("%q twice", name)
		}
	}
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

// pickEngines knows what can't be had, besides. Of all it leaves out what that is.
func pickEngines(list string) ([]engine, error) {
	if list == "own" {
		return own(), nil
	}
	picked, err := pick(engines, list)
	var here []engine
	for _, e := range picked {
		switch err := e.available(); {
		case err == nil:
			here = append(here, e)
		case list == "all":
			log.Printf("left out: %s: %v", e.name, err)
		default:
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return here, err
}
