// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"
)

// A scenario is one thing to be found out about a server.
type scenario struct {
	name    string
	about   string
	metrics []metric // what measure returns, in the table's order
	// measure has a fresh server to itself and returns a value for each of the metrics.
	measure func(ctx context.Context, b *bench, s *server) (sample, error)
}

// A sample is what one measurement found.
type sample map[metric]float64

func (s scenario) label() string { return s.name }

var loadMetrics = []metric{requestRate, cpuPerRequest, p50, p99, allocsPerRequest}

var scenarios = []scenario{
	{"keepalive-1", "one connection, one request at a time", loadMetrics, closedLoop(1, 1)},
	{"keepalive-64", "64 connections, one request at a time on each", loadMetrics, closedLoop(64, 1)},
	{"pipelined-16", "64 connections, 16 requests at a time on each; a latency is the whole batch's", loadMetrics, closedLoop(64, 16)},
	{"idle", "keep-alive connections that have made one request each and wait", []metric{idleRSS, idleHeap, idleCPU}, idle},
}

// closedLoop measures depth requests at a time on each of conns connections.
func closedLoop(conns, depth int) func(context.Context, *bench, *server) (sample, error) {
	return func(ctx context.Context, b *bench, s *server) (sample, error) {
		if err := b.warm(ctx, s, conns, depth); err != nil {
			return nil, err
		}
		before, err := s.stats(ctx)
		if err != nil {
			return nil, err
		}
		cpuBefore, err := s.cpu()
		if err != nil {
			return nil, err
		}
		l, err := b.config.generate(ctx, b, loadOrder{s.addr, conns, depth, b.config.duration})
		if err != nil {
			return nil, err
		}
		cpuAfter, err := s.cpu()
		if err != nil {
			return nil, err
		}
		after, err := s.stats(ctx)
		if err != nil {
			return nil, err
		}
		return sample{
			requestRate:      l.rate,
			cpuPerRequest:    micros(cpuAfter-cpuBefore) / float64(l.answered),
			p50:              micros(l.p50),
			p99:              micros(l.p99),
			allocsPerRequest: float64(after.Mallocs-before.Mallocs) / float64(l.answered),
		}, nil
	}
}

// settle is how long an idle server gets to finish what its last requests left to do.
const settle = 300 * time.Millisecond

// minIdle is the shortest time whose processor time, told in hundredths of a second, says something.
const minIdle = 500 * time.Millisecond

// idle measures what waiting connections cost.
func idle(ctx context.Context, b *bench, s *server) (sample, error) {
	// What a server sets up for its first requests and keeps is not the connections'.
	if err := b.warm(ctx, s, 8, 1); err != nil {
		return nil, err
	}
	before, err := s.stats(ctx)
	if err != nil {
		return nil, err
	}
	held, err := b.holdIdle(ctx, s)
	if err != nil {
		return nil, err
	}
	defer held.stop()
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	after, err := s.stats(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	cpuBefore, err := s.cpu()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := pause(ctx, max(b.config.duration, minIdle)); err != nil {
		return nil, err
	}
	cpuAfter, err := s.cpu()
	if err != nil {
		return nil, err
	}
	n := float64(b.config.idle)
	return sample{
		idleRSS:  float64(after.RSSBytes-before.RSSBytes) / n,
		idleHeap: (float64(after.HeapBytes) - float64(before.HeapBytes)) / n,
		idleCPU:  100 * (cpuAfter - cpuBefore).Seconds() / time.Since(begin).Seconds(),
	}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
