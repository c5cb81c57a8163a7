// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"sync"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A loop is one connection's part of the load. Its goroutine owns it until it has returned.
type loop struct {
	client   *client
	latency  *meter.Latency
	answered int64
	measured int64
}

// closedLoop opens conns connections, and then keeps depth requests under way on each for warmup and duration.
func closedLoop(ctx context.Context, addr string, conns, depth int, warmup, duration time.Duration) (*meter.Load, error) {
	loops := make([]*loop, conns)
	for i := range loops {
		c, err := dial(ctx, addr, i, depth)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.conn.Close() }()
		loops[i] = &loop{client: c, latency: meter.NewLatency()}
	}

	from := time.Now().Add(warmup)
	until := from.Add(duration)
	// A connection's failure is not the others': they go on, so that one answer more or less does not end in a hang.
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for i, l := range loops {
		wg.Go(func() { errs[i] = l.run(from, until) })
	}
	ended := context.AfterFunc(ctx, func() {
		for _, l := range loops {
			_ = l.client.conn.Close()
		}
	})
	wg.Wait()
	if !ended() {
		return nil, ctx.Err()
	}
	if err := firstOf(errs); err != nil {
		return nil, err
	}
	sum := &meter.Load{Seconds: duration.Seconds(), Latency: meter.NewLatency()}
	for _, l := range loops {
		sum.Answered += l.answered
		sum.Measured += l.measured
		sum.Latency.Merge(l.latency)
	}
	return sum, nil
}

// run exchanges batches until the time is over. What began before from or ended after until is not measured.
func (l *loop) run(from, until time.Time) error {
	if err := l.client.conn.SetDeadline(until.Add(patience)); err != nil {
		return err
	}
	depth := int64(l.client.depth)
	for begin := time.Now(); begin.Before(until); {
		if err := l.client.exchange(); err != nil {
			return err
		}
		end := time.Now()
		l.answered += depth
		if !begin.Before(from) && !end.After(until) {
			l.measured += depth
			l.latency.Record(end.Sub(begin))
		}
		begin = end
	}
	return nil
}

// firstOf returns one of errs, since what went wrong on one connection mostly went wrong on all.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
