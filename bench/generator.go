// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A loadOrder is the closed loop that a generator is to make.
type loadOrder struct {
	addr     string
	conns    int
	depth    int
	duration time.Duration
}

// A load is what came of it.
type load struct {
	answered int64 // from the first request on, as the server's processor time is counted
	rate     float64
	p50, p99 time.Duration
}

// A generator makes a load and waits for its end.
type generator func(ctx context.Context, b *bench, o loadOrder) (load, error)

type namedGenerator struct {
	name     string
	generate generator
}

func (g namedGenerator) label() string { return g.name }

var generators = []namedGenerator{{"own", ownLoad}, {"wrk", wrkLoad}}

func generatorNamed(name string) (generator, error) {
	picked, err := pick(generators, name)
	if err != nil {
		return nil, err
	}
	if name == "wrk" {
		if _, err := exec.LookPath(name); err != nil {
			return nil, err
		}
	}
	return picked[0].generate, nil
}

// ownLoad runs bench/load.
func ownLoad(ctx context.Context, b *bench, o loadOrder) (load, error) {
	c, err := b.startLoad(ctx, o.addr, o.conns, "-depth", strconv.Itoa(o.depth), "-duration", o.duration.String())
	if err != nil {
		return load{}, err
	}
	defer c.stop()
	var l meter.Load
	if err := c.decode(ctx, &l, o.duration+patience); err != nil {
		return load{}, err
	}
	if l.Measured == 0 {
		return load{}, fmt.Errorf("no request was answered within %v", o.duration)
	}
	return load{
		answered: l.Answered,
		rate:     float64(l.Measured) / l.Seconds,
		p50:      l.Latency.Quantile(0.50),
		p99:      l.Latency.Quantile(0.99),
	}, nil
}

// wrkLoad runs wrk, which has no warm-up, whole seconds only, and the other answers in what it prints.
func wrkLoad(ctx context.Context, b *bench, o loadOrder) (load, error) {
	seconds := int(math.Ceil(o.duration.Seconds()))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+patience)
	defer cancel()
	args := []string{
		"--threads", strconv.Itoa(min(o.conns, b.config.loadProcs)), "--connections", strconv.Itoa(o.conns),
		"--duration", strconv.Itoa(seconds), "--latency",
	}
	if o.depth > 1 {
		script := filepath.Join(b.dir, "pipeline.lua")
		if err := os.WriteFile(script, []byte(wrkPipeline), 0o600); err != nil {
			return load{}, err
		}
		args = append(args, "--script", script)
	}
	args = append(args, "http://"+o.addr+"/", "--", strconv.Itoa(o.depth))
	out, err := exec.CommandContext(ctx, "wrk", args...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w\n%s", err, bytes.TrimSpace(out))
	}
	return parseWrk(string(out))
}

// wrkPipeline has wrk send as many requests at once as its first argument says.
const wrkPipeline = `
local batch
function init(args)
  batch = string.rep(wrk.format("GET"), tonumber(args[1]))
end
function request()
  return batch
end
`

var (
	wrkTotal   = regexp.MustCompile(`(?m)^ +(\d+) requests in ([0-9.]+(?:us|ms|s|m)),`)
	wrkP50     = regexp.MustCompile(`(?m)^ +50% +([0-9.]+(?:us|ms|s|m))$`)
	wrkP99     = regexp.MustCompile(`(?m)^ +99% +([0-9.]+(?:us|ms|s|m))$`)
	wrkTrouble = regexp.MustCompile(`(?m)^ +(Socket errors:.*|Non-2xx or 3xx responses:.*)$`)
)

// parseWrk takes the numbers out of what wrk prints.
func parseWrk(out string) (load, error) {
	if m := wrkTrouble.FindStringSubmatch(out); m != nil {
		return load{}, fmt.Errorf("wrk: %s", m[1])
	}
	total, half, tail := wrkTotal.FindStringSubmatch(out), wrkP50.FindStringSubmatch(out), wrkP99.FindStringSubmatch(out)
	if total == nil || half == nil || tail == nil {
		return load{}, fmt.Errorf("wrk: unknown output: %q", out)
	}
	l := load{}
	var err error
	if l.answered, err = strconv.ParseInt(total[1], 10, 64); err != nil {
		return load{}, fmt.Errorf("wrk: %w", err)
	}
	var elapsed time.Duration
	for _, d := range []struct {
		to   *time.Duration
		text string
	}{{&elapsed, total[2]}, {&l.p50, half[1]}, {&l.p99, tail[1]}} {
		if *d.to, err = time.ParseDuration(d.text); err != nil {
			return load{}, fmt.Errorf("wrk: %w", err)
		}
	}
	l.rate = float64(l.answered) / elapsed.Seconds()
	return l, nil
}
