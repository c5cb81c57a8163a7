// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// dialers is how many connections are being opened at a time: enough to hide the round trips, and far less than a
// server's backlog holds.
const dialers = 64

// holdIdle opens conns connections, sends one request over each, calls ready, and keeps them until ctx ends.
func holdIdle(ctx context.Context, addr string, conns int, ready func() error) error {
	held := make([]net.Conn, conns)
	defer func() {
		for _, c := range held {
			if c != nil {
				drop(c)
			}
		}
	}()
	errs := make([]error, dialers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for d := range dialers {
		wg.Go(func() {
			for errs[d] == nil {
				i := int(next.Add(1) - 1)
				if i >= conns {
					return
				}
				held[i], errs[d] = open(ctx, addr, i)
			}
		})
	}
	wg.Wait()
	if err := firstOf(errs); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// open opens the i-th connection and uses it once. The connection is nil on failure.
func open(ctx context.Context, addr string, i int) (net.Conn, error) {
	c, err := dial(ctx, addr, i, 1)
	if err != nil {
		return nil, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		drop(c.conn)
		return nil, err
	}
	if err := c.exchange(); err != nil {
		drop(c.conn)
		return nil, err
	}
	return c.conn, c.conn.SetDeadline(time.Time{})
}

// drop closes a connection by a reset, so that its port does not stay taken for the minute that a peer's last packets
// might need.
func drop(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
