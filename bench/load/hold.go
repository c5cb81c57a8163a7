// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// dialers is how many connections are being opened at a time: enough to hide the round trips, and far less than a
// server's backlog holds.
const dialers = 64

// hold opens the ordered connections, sends one request over each, calls ready, and keeps them until ctx ends.
func hold(ctx context.Context, o *meter.Order, ready func() error) error {
	held := make([]net.Conn, o.Hold)
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
			buf := make([]byte, 16<<10)
			for errs[d] == nil {
				i := int(next.Add(1) - 1)
				if i >= len(held) {
					return
				}
				held[i], errs[d] = open(ctx, o, i, buf)
			}
		})
	}
	wg.Wait()
	// What went wrong on one connection mostly went wrong on all.
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// open opens the i-th connection and uses it once. The connection is nil on failure.
func open(ctx context.Context, o *meter.Order, i int, buf []byte) (net.Conn, error) {
	d := net.Dialer{Timeout: o.MaxDelay}
	spread(&d, o.Addr, i)
	c, err := d.DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(o.MaxDelay)); err != nil {
		drop(c)
		return nil, err
	}
	if o.TLS {
		// The key exchange is the cheapest one, since this side pays for half of it; what a connection keeps is the same.
		c = tls.Client(c, &tls.Config{
			InsecureSkipVerify: true, // the server has made its certificate itself
			CurvePreferences:   []tls.CurveID{tls.X25519},
		})
	}
	if err := exchange(c, &o.Groups[0].Kinds[0], buf); err != nil {
		drop(c)
		return nil, err
	}
	return c, c.SetDeadline(time.Time{})
}

// exchange sends a request and takes the answer.
func exchange(c net.Conn, k *meter.Kind, buf []byte) error {
	if _, err := io.WriteString(c, k.Head); err != nil {
		return err
	}
	for a := (&answer{}); ; {
		n, err := c.Read(buf)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		used, whole, err := a.take(buf[:n], k)
		if err == nil && whole && used < n {
			err = errUnasked
		}
		if err != nil || whole {
			return err
		}
	}
}

var errUnasked = errors.New("bytes that nobody asked for")

// drop closes a connection by a reset, so that its port does not stay taken for the minute that a peer's last packets
// might need.
func drop(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
