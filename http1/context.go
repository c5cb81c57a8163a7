// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// A requestContext is a request's context. It is cancelled when the peer goes away, when the handler returns, and when the
// context it is based on is; it costs nothing until somebody asks for Done or AfterFunc, which few handlers do.
//
// It implements AfterFunc, so that contexts derived from it need no goroutine to follow it.
type requestContext struct {
	base    context.Context
	channel *channel

	mu    sync.Mutex
	err   error
	asked *askedContext // nil until somebody asks for something of it
}

// An askedContext is what a requestContext has only when it is asked for it. Guarded by the requestContext's mu.
type askedContext struct {
	done     chan struct{} // closed when err is set
	unfollow func() bool   // stops following base
	after    map[*afterFunc]struct{}
	local    net.Addr  // found while the connection is the request's
	gone     bool      // the peer has gone
	over     bool      // the request has let go of the connection
	notify   chan bool // CloseNotify's, with room for one; or nil
}

// ask returns c.asked. Under mu.
func (c *requestContext) ask() *askedContext {
	if c.asked == nil {
		c.asked = new(askedContext)
	}
	return c.asked
}

type afterFunc struct{ f func() }

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) { return c.base.Deadline() }

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.ask()
	if asked.done == nil {
		asked.done = make(chan struct{})
		if c.err != nil {
			close(asked.done)
		} else {
			c.follow(asked)
		}
	}
	return asked.done
}

// follow makes c end with its base. Under mu.
func (c *requestContext) follow(asked *askedContext) {
	if asked.unfollow == nil && c.base.Done() != nil {
		asked.unfollow = context.AfterFunc(c.base, func() { c.cancel(c.base.Err()) })
	}
}

// Err implements context.Context.
func (c *requestContext) Err() error {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := c.base.Err(); err != nil {
		c.cancel(err)
		return err
	}
	return nil
}

// Value implements context.Context. http.LocalAddrContextKey is looked up when asked for: it is a system call.
func (c *requestContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return c.channel.server().config.HTTPServer
	case http.LocalAddrContextKey:
		return c.localAddr()
	}
	return c.base.Value(key)
}

func (c *requestContext) localAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.ask()
	if asked.local == nil {
		asked.local = c.channel.listener.addr
		if find := c.channel.listener.LocalAddr; find != nil && (c.err == nil || asked.gone && !asked.over) {
			if a := find(c.channel.FD(), c.channel.listener.network); a != nil {
				asked.local = a
			}
		}
	}
	return asked.local
}

// AfterFunc is what the context package looks for when a context is derived from c: f runs in its own goroutine when c is
// over, unless stop is called before.
func (c *requestContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	asked := c.ask()
	c.follow(asked)
	a := &afterFunc{f}
	if asked.after == nil {
		asked.after = make(map[*afterFunc]struct{})
	}
	asked.after[a] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := asked.after[a]
		delete(asked.after, a)
		return waiting
	}
}

// closeNotify returns a channel that gets a value when the peer goes away.
func (c *requestContext) closeNotify() <-chan bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.ask()
	if asked.notify == nil {
		asked.notify = make(chan bool, 1)
		if asked.gone {
			asked.notify <- true
		}
	}
	return asked.notify
}

// peerGone ends the context because the peer has gone away. Any goroutine.
func (c *requestContext) peerGone() {
	c.mu.Lock()
	if asked := c.ask(); !asked.gone {
		asked.gone = true
		if asked.notify != nil {
			asked.notify <- true
		}
	}
	c.mu.Unlock()
	c.cancel(context.Canceled)
}

// end ends the context with its request, which is about to let go of the connection. On the owner of the channel.
func (c *requestContext) end() { c.stop(context.Canceled, true) }

// cancel ends the context. Any goroutine; the first error stays.
func (c *requestContext) cancel(err error) { c.stop(err, false) }

// stop is cancel, or end if the request is over.
func (c *requestContext) stop(err error, over bool) {
	c.mu.Lock()
	if over && c.asked != nil {
		c.asked.over = true
	}
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	asked := c.asked
	if asked == nil {
		c.mu.Unlock()
		return
	}
	if asked.done != nil {
		close(asked.done)
	}
	after, unfollow := asked.after, asked.unfollow
	asked.after, asked.unfollow = nil, nil
	c.mu.Unlock()
	if unfollow != nil {
		unfollow()
	}
	for a := range after {
		go a.f()
	}
}
