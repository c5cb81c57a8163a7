// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waitress-go/waitress/bench/internal/child"
	"github.com/waitress-go/waitress/bench/internal/meter"
)

const loadProgram = module + "/bench/load"

// A bench is one run: the programs it has built, in a folder that goes with it.
type bench struct {
	config *config
	dir    string
	rate   float64 // hashRate
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
	b := &bench{c, dir, hashRate()}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	if err := b.makeFiles(); err != nil {
		return nil, err
	}
	samples := samples{}
	err = b.measure(ctx, samples)
	return newReport(c, machine, b.versions(), samples), err
}

// measure runs the rounds. What fails is left out of that round, and the others go on.
func (b *bench) measure(ctx context.Context, to samples) error {
	failures := 0
	for round := range b.config.rounds {
		for _, sc := range b.config.scenarios {
			for _, i := range rand.Perm(len(b.config.engines)) {
				e := b.config.engines[i]
				if e.has&sc.needs != sc.needs {
					continue
				}
				s, err := b.once(ctx, sc, e)
				if ctx.Err() != nil {
					return errors.New("interrupted")
				}
				if err != nil {
					failures++
					log.Printf("%s, %s: %v", sc.name, e.name, err)
					continue
				}
				to.add(cell{sc.name, e.name}, round, b.config.rounds, s)
				log.Printf("round %d of %d: %s, %s", round+1, b.config.rounds, sc.name, e.name)
			}
		}
	}
	if failures > 0 {
		return fmt.Errorf("%d measurements failed", failures)
	}
	return nil
}

// once makes one measurement, on a server of its own.
func (b *bench) once(ctx context.Context, sc scenario, e engine) (sample, error) {
	var args []string
	if sc.needs&needTLS != 0 {
		args = append(args, "-tls")
	}
	s, err := b.start(ctx, e, args...)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	return sc.measure(ctx, b, s)
}

// start starts a server of an engine.
func (b *bench) start(ctx context.Context, e engine, args ...string) (*server, error) {
	args = append(args, "-files", b.dir)
	if b.config.procs > 0 {
		args = append(args, "-gomaxprocs", strconv.Itoa(b.config.procs))
	}
	return startServer(ctx, e, b.binary(e.program), args...)
}

// processors is how many a server uses.
func (b *bench) processors() int {
	if b.config.procs > 0 {
		return b.config.procs
	}
	return runtime.GOMAXPROCS(0)
}

// build compiles the programs of the engines and of the load. Those of the peers are a module of their own, so that what
// they need is not what users of this module get.
func (b *bench) build(ctx context.Context) error {
	programs := []string{loadProgram}
	for _, e := range b.config.engines {
		if !slices.Contains(programs, e.program) {
			programs = append(programs, e.program)
		}
	}
	for _, p := range programs {
		args := []string{"build", "-o", b.binary(p), p}
		if strings.HasPrefix(p, peerModule) {
			dir, err := moduleDir(ctx)
			if err != nil {
				return err
			}
			args = slices.Insert(args, 1, "-C", filepath.Join(dir, "bench", "peers"))
		}
		out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("go build %s: %w\n%s", p, err, out)
		}
	}
	return nil
}

// moduleDir is where this module's checkout is.
func moduleDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// makeFiles makes what is downloaded. The files are empty on the disk: reading them costs no more than what is cached.
func (b *bench) makeFiles() error {
	for name, size := range map[string]int64{name1M: size1M, name100M: size100M} {
		name = filepath.Join(b.dir, name)
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return err
		}
		if err := os.Truncate(name, size); err != nil {
			return err
		}
	}
	// Servers that change to another user read here too.
	return os.Chmod(b.dir, 0o755)
}

// binary is where the program of a package is built.
func (b *bench) binary(pkg string) string {
	name := strings.ReplaceAll(strings.TrimPrefix(pkg, module+"/"), "/", "-")
	return filepath.Join(b.dir, path.Base(name))
}

// versions tells those of the modules that engines have their servers from.
func (b *bench) versions() []string {
	var all []string
	for _, e := range b.config.engines {
		if e.module == "" {
			continue
		}
		version := "of unknown version"
		if info, err := buildinfo.ReadFile(b.binary(e.program)); err == nil {
			for _, m := range info.Deps {
				if m.Path == e.module {
					version = m.Version
				}
			}
		}
		all = append(all, e.name+" "+version)
	}
	return all
}

// The times of a load. A warm-up is enough for a server to have its buffers, its threads and its hot code in place.
const (
	warmTime = 300 * time.Millisecond
	leadTime = 100 * time.Millisecond // before what is measured, for the connections
	maxDelay = 20 * time.Second       // of an answer
)

// warm loads a server for a moment.
func (b *bench) warm(ctx context.Context, s *server, groups []meter.Group) error {
	_, err := b.order(ctx, s, &meter.Order{Duration: warmTime, Groups: groups})
	return err
}

// load makes a load, and returns the server's processor time with it.
func (b *bench) load(ctx context.Context, s *server, groups []meter.Group) (*meter.Load, time.Duration, error) {
	before, err := s.cpu()
	if err != nil {
		return nil, 0, err
	}
	l, err := b.order(ctx, s, &meter.Order{Warmup: leadTime, Duration: b.config.duration, Groups: groups})
	if err != nil {
		return nil, 0, err
	}
	after, err := s.cpu()
	if err == nil && l.Answered() == 0 {
		err = fmt.Errorf("no request was answered within %v", b.config.duration)
	}
	return l, after - before, err
}

// hold opens idle connections. They stay open until the child is stopped.
func (b *bench) hold(ctx context.Context, s *server, secure bool) (*child.Child, error) {
	o := &meter.Order{Hold: b.config.idle, TLS: secure, Groups: []meter.Group{plain(1, helloKind)}}
	c, err := b.startLoad(ctx, s, o)
	if err != nil {
		return nil, err
	}
	if err := c.Decode(ctx, new(meter.Load), 4*child.Patience); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (b *bench) order(ctx context.Context, s *server, o *meter.Order) (*meter.Load, error) {
	c, err := b.startLoad(ctx, s, o)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	l := new(meter.Load)
	return l, c.Decode(ctx, l, o.Warmup+o.Duration+maxDelay+child.Patience)
}

func (b *bench) startLoad(ctx context.Context, s *server, o *meter.Order) (*child.Child, error) {
	o.Addr, o.MaxDelay = s.addr, maxDelay
	for i := range o.Groups {
		if o.Groups[i].Rate > 0 && b.config.rateFactor != 1 {
			o.Groups = slices.Clone(o.Groups)
			o.Groups[i].Rate *= b.config.rateFactor
		}
	}
	line, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return child.Start(ctx, "load", string(line)+"\n", b.binary(loadProgram), "-cpu", strconv.Itoa(b.config.loadCPU))
}
