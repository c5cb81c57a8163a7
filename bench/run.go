// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

const loadProgram = "github.com/waitress-go/waitress/bench/load"

// A bench is one run: the programs it has built, in a folder that goes with it.
type bench struct {
	config *config
	dir    string
}

// run measures what c says. When it fails or ctx ends before it is through, the report holds what was measured until then;
// it is nil if nothing could be.
func run(ctx context.Context, c *config) (*report, error) {
	machine, err := meter.ThisMachine()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{c, dir}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	r := &report{machine: machine, config: c, samples: map[cell][]sample{}}
	for _, e := range c.engines {
		if e.module != "" {
			r.versions = append(r.versions, e.name+" "+b.version(e))
		}
	}
	return r, b.measure(ctx, r)
}

// measure runs the rounds. What fails is left out of that round, and the others go on.
func (b *bench) measure(ctx context.Context, r *report) error {
	var failures []error
	for round := range b.config.rounds {
		for _, sc := range b.config.scenarios {
			for _, i := range rand.Perm(len(b.config.engines)) {
				e := b.config.engines[i]
				s, err := b.once(ctx, sc, e)
				if ctx.Err() != nil {
					return errors.Join(append(failures, errors.New("interrupted"))...)
				}
				if err != nil {
					failures = append(failures, fmt.Errorf("%s, %s: %w", sc.name, e.name, err))
					log.Print(failures[len(failures)-1])
					continue
				}
				r.add(cell{sc.name, e.name}, round, s)
				first := sc.metrics[0]
				log.Printf("round %d of %d: %s, %s: %s %s", round+1, b.config.rounds, sc.name, e.name, first.format(s[first]), first)
			}
		}
	}
	if n := len(failures); n > 0 {
		return fmt.Errorf("%d measurements failed", n)
	}
	return nil
}

// once makes one measurement, on a server of its own.
func (b *bench) once(ctx context.Context, sc scenario, e engine) (sample, error) {
	var args []string
	if b.config.procs > 0 {
		args = []string{"-gomaxprocs", strconv.Itoa(b.config.procs)}
	}
	s, err := startServer(ctx, e, b.binary(e.program), args...)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return sc.measure(ctx, b, s)
}

// build compiles the programs of the engines and of the load.
func (b *bench) build(ctx context.Context) error {
	programs := []string{loadProgram}
	for _, e := range b.config.engines {
		if !slices.Contains(programs, e.program) {
			programs = append(programs, e.program)
		}
	}
	for _, p := range programs {
		out, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary(p), p).CombinedOutput()
		if err != nil {
			return fmt.Errorf("go build %s: %w\n%s", p, err, out)
		}
	}
	return nil
}

// binary is where the program of a package is built. Packages of bench differ in their last element.
func (b *bench) binary(pkg string) string { return filepath.Join(b.dir, path.Base(pkg)) }

// version is that of the module that an engine's program has its server from.
func (b *bench) version(e engine) string {
	info, err := buildinfo.ReadFile(b.binary(e.program))
	if err != nil {
		return "of unknown version"
	}
	for _, m := range info.Deps {
		if m.Path == e.module {
			return m.Version
		}
	}
	return "of unknown version"
}

// warmTime is enough for a server to have its buffers, its threads and its hot code in place.
const warmTime = 300 * time.Millisecond

// warm loads a fresh server for a moment.
func (b *bench) warm(ctx context.Context, s *server, conns, depth int) error {
	c, err := b.startLoad(ctx, s.addr, conns, "-depth", strconv.Itoa(depth), "-duration", warmTime.String())
	if err != nil {
		return err
	}
	defer c.stop()
	return c.decode(ctx, new(meter.Load), warmTime+patience)
}

// holdIdle opens the connections of the idle scenario. They stay open until the child is stopped.
func (b *bench) holdIdle(ctx context.Context, s *server) (*child, error) {
	c, err := b.startLoad(ctx, s.addr, b.config.idle, "-idle")
	if err != nil {
		return nil, err
	}
	if err := c.decode(ctx, new(meter.Load), patience); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (b *bench) startLoad(ctx context.Context, addr string, conns int, args ...string) (*child, error) {
	return start(ctx, "load", b.binary(loadProgram), append(args,
		"-addr", addr, "-conns", strconv.Itoa(conns), "-gomaxprocs", strconv.Itoa(b.config.loadProcs))...)
}
