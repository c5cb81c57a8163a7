// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"

	"github.com/waitress-go/waitress/bench/internal/app"
)

// A canned server is a floor, not a server: it counts the ends of heads that come in, parses nothing, and answers each
// with the same bytes.
type canned struct {
	gnet.BuiltinEventEngine

	addr   net.Addr
	ready  func(net.Addr)
	answer atomic.Pointer[[]byte] // made anew each second for its Date, as other servers do
}

var endOfHead = []byte("\r\n\r\n")

func gnetEngine(o *app.Options, ready func(net.Addr)) error {
	if err := o.Plain(); err != nil {
		return err
	}
	bound, err := app.FreePort(o.Addr)
	if err != nil {
		return err
	}
	c := &canned{addr: bound, ready: ready}
	c.OnTick()
	// Its log would be on the standard output, where our own lines go; what ends it, Run returns.
	return gnet.Run(c, "tcp://"+bound.String(),
		gnet.WithMulticore(true), gnet.WithTicker(true), gnet.WithLogger(zap.NewNop().Sugar()))
}

// OnBoot is called when the socket listens already, though nobody accepts yet.
func (c *canned) OnBoot(gnet.Engine) gnet.Action {
	c.ready(c.addr)
	return gnet.None
}

// OnTick makes the answer for the next second.
func (c *canned) OnTick() (time.Duration, gnet.Action) {
	b := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: %d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s",
		time.Now().UTC().Format(http.TimeFormat), len(app.Hello), app.Hello)
	c.answer.Store(&b)
	return time.Second, gnet.None
}

// OnTraffic answers as many requests as have come whole, with one write.
func (c *canned) OnTraffic(conn gnet.Conn) gnet.Action {
	in, err := conn.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	n := bytes.Count(in, endOfHead)
	if n == 0 {
		return gnet.None
	}
	if _, err := conn.Discard(bytes.LastIndex(in, endOfHead) + len(endOfHead)); err != nil {
		return gnet.Close
	}
	out := *c.answer.Load()
	if n > 1 {
		out = bytes.Repeat(out, n)
	}
	if _, err := conn.Write(out); err != nil {
		return gnet.Close
	}
	return gnet.None
}
