// SPDX-License-Identifier: MIT

package reactor

import (
	"sync"
	"sync/atomic"
)

// An output is what waits to leave on a connection. While nothing waits, which is nearly always, it is a lock and a nil
// pointer, and what is written goes straight to the socket.
//
//	            Write: the socket takes all of it
//	            ┌──────┐
//	            ▼      │      Hold                      Write, Flush
//	          empty ───┴───────────────▶ held ─────────────────────────▶ empty, or blocked
//	            │ ▲                                                      where the socket is full
//	short write │ │ the loop has drained it
//	            ▼ │
//	         blocked ──▶ failed, by a write error, a deadline or the close: nothing leaves any more
type output struct {
	mu sync.Mutex
	q  atomic.Pointer[queue] // changed under mu; loaded without it only to ask whether there is one
}

// A queue is output that the socket did not take, or that is held back so that several answers leave in one write. Its
// fields are guarded by the output's lock, except stall.
type queue struct {
	segments [][]byte // pooled buffers; those before first, and head bytes of that one, are gone
	first    int
	head     int
	bytes    int           // how many have not left
	blocked  bool          // the socket was full: the loop drains when it is not
	err      error         // failed: why
	waiter   chan struct{} // closed when there is room again, or an error
	stall    atomic.Int64  // when the peer must have taken something, or never
}

var (
	queues = sync.Pool{New: func() any { return new(queue) }}
	// closedQueue is the output of every connection that was closed. Immutable.
	closedQueue = failedQueue(ErrClosed)
)

func failedQueue(err error) *queue {
	q := &queue{err: err}
	q.stall.Store(never)
	return q
}

func newQueue() *queue {
	q := queues.Get().(*queue)
	q.stall.Store(never)
	return q
}

// waits says whether there is any output that has not left, or the output has failed.
func (o *output) waits() bool { return o.q.Load() != nil }

func (o *output) stallAt() int64 {
	if q := o.q.Load(); q != nil {
		return q.stall.Load()
	}
	return never
}

// emptied makes o empty again. Under o.mu, with q as its queue and nothing left in it.
func (o *output) emptied(q *queue) {
	o.q.Store(nil)
	q.wake()
	q.segments, q.first = q.segments[:0], 0
	q.blocked = false
	queues.Put(q)
}

// fail makes every write from now on return err, throws away what waits, and wakes the writer. Any goroutine; the
// first error stays, but for ErrClosed, which says that not even the descriptor may be used any more.
func (o *output) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.q.Load()
	if q != nil && q.err != nil && err != ErrClosed {
		return
	}
	if q == nil || q == closedQueue {
		if err == ErrClosed {
			o.q.Store(closedQueue)
			return
		}
		q = newQueue()
		o.q.Store(q)
	}
	q.fail(err)
}

func (q *queue) fail(err error) {
	q.err = err
	for _, s := range q.segments[q.first:] {
		PutBuffer(s)
	}
	q.segments, q.first, q.head, q.bytes, q.blocked = nil, 0, 0, 0, false
	q.stall.Store(never)
	q.wake()
}

func (q *queue) wake() {
	if q.waiter != nil {
		close(q.waiter)
		q.waiter = nil
	}
}

// push copies p behind what waits.
func (q *queue) push(p []byte) {
	q.bytes += len(p)
	if n := len(q.segments); n > q.first {
		last := q.segments[n-1]
		k := copy(last[len(last):cap(last)], p)
		q.segments[n-1] = last[:len(last)+k]
		p = p[k:]
	}
	for len(p) > 0 {
		s := GetBuffer(max(segmentSize, min(len(p), turnBuffer)))
		k := copy(s, p)
		q.segments = append(q.segments, s[:k])
		p = p[k:]
	}
}

// Write sends p: to the socket at once as far as that takes it; the rest is copied into the queue, which the loop
// drains. It waits while the queue is at the high watermark, and that no longer than the peer goes on taking something
// within the write-stall time. Writing nothing sends what is held. t is the turn if the caller is the loop's goroutine,
// else nil; before it waits it gives the loop away. One goroutine at a time. After an error, which is ErrStalled,
// ErrDeadline, ErrClosed or one of the Sockets', nothing leaves any more.
func (c *Conn) Write(t *Turn, p []byte) error {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(p) > 0 {
		q := o.q.Load()
		switch {
		case q == nil:
			c.clear(wordWritable)
			n, err := c.loop.sockets.Write(c.fd, p)
			if n == len(p) {
				return nil
			}
			p = p[n:]
			q = newQueue()
			o.q.Store(q)
			if err != nil && err != ErrAgain {
				q.fail(err)
				return err
			}
			c.block(q)
			if c.clear(wordWritable) {
				// The loop was told between the write and here, when it could see no reason to act.
				q.blocked = false
			}
		case q.err != nil:
			return q.err
		case !q.blocked && q.bytes >= c.loop.reactor.config.HighWatermark:
			c.send(q) // held
		case q.bytes >= c.loop.reactor.config.HighWatermark:
			c.waitRoom(t, q)
		default:
			k := min(len(p), c.loop.reactor.config.HighWatermark-q.bytes)
			q.push(p[:k])
			p = p[k:]
			if !q.blocked {
				c.send(q)
			}
		}
	}
	return c.flush()
}

// Hold is Write that may leave p waiting although the socket would take it, so that it leaves together with what is
// written next. Whoever holds must see to it that a Write or Flush follows soon.
func (c *Conn) Hold(t *Turn, p []byte) error {
	o := &c.out
	o.mu.Lock()
	q := o.q.Load()
	if q == nil {
		q = newQueue()
		o.q.Store(q)
	}
	if q.err == nil && (q.blocked || q.bytes+len(p) <= segmentSize) && q.bytes+len(p) <= c.loop.reactor.config.HighWatermark {
		q.push(p)
		o.mu.Unlock()
		return nil
	}
	o.mu.Unlock()
	return c.Write(t, p)
}

// Flush sends what is held. Any goroutine, at any time.
func (c *Conn) Flush() error {
	if !c.out.waits() {
		return nil
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.flush()
}

// flush is Flush under the output's lock.
func (c *Conn) flush() error {
	q := c.out.q.Load()
	if q != nil && q.err == nil && !q.blocked {
		c.send(q)
		q = c.out.q.Load() // the one that was may be another connection's by now
	}
	if q == nil {
		return nil
	}
	return q.err
}

// Sync waits until all output has left. t is as in Write, and so are the errors.
func (c *Conn) Sync(t *Turn) error {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		q := o.q.Load()
		switch {
		case q == nil:
			return nil
		case q.err != nil:
			return q.err
		case !q.blocked:
			c.send(q)
		default:
			c.waitRoom(t, q)
		}
	}
}

// Blocked says whether output waits for the socket to take it: Release(true) and Drained tell when it has left.
func (c *Conn) Blocked() bool {
	if !c.out.waits() {
		return false
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	q := c.out.q.Load()
	return q != nil && q.blocked
}

// send writes what the socket takes of q, and leaves c.out empty, blocked or failed. Under the output's lock.
func (c *Conn) send(q *queue) (progress bool) {
	for q.first < len(q.segments) {
		s := q.segments[q.first]
		n, err := c.loop.sockets.Write(c.fd, s[q.head:])
		q.head += n
		q.bytes -= n
		progress = progress || n > 0
		switch {
		case q.head == len(s):
			PutBuffer(s)
			q.segments[q.first] = nil
			q.first++
			q.head = 0
		case err == nil || err == ErrAgain:
			c.block(q)
			return progress
		default:
			q.fail(err)
			return progress
		}
	}
	c.out.emptied(q)
	return progress
}

// block notes that the socket took less than it was given: the poller will report when it takes more, and the peer has
// to take something within the write-stall time. Under the output's lock.
func (c *Conn) block(q *queue) {
	q.blocked = true
	if err := c.loop.poller.Rearm(c.fd, Writable); err != nil {
		q.fail(err)
		return
	}
	if d := c.loop.reactor.config.WriteStall; d > 0 && q.stall.Load() == never {
		at := later(c.loop.reactor.now(), d)
		q.stall.Store(at)
		c.schedule(at)
	}
}

// waitRoom waits until q is below the low watermark, or failed. Under the output's lock, which it gives up meanwhile.
func (c *Conn) waitRoom(t *Turn, q *queue) {
	if q.waiter == nil {
		q.waiter = make(chan struct{})
	}
	room := q.waiter
	c.out.mu.Unlock()
	c.Detach(t)
	<-room
	c.out.mu.Lock()
}

// drain is the loop's answer to a report that c may be written. It says whether c is still the loop's to act on.
func (c *Conn) drain(t *Turn) bool {
	o := &c.out
	o.mu.Lock()
	q := o.q.Load()
	if q == nil || q.err == nil && !q.blocked {
		o.mu.Unlock()
		return true
	}
	if err := q.err; err != nil {
		o.mu.Unlock()
		c.fail(err)
		return false
	}
	stalled := q.stall.Load()
	q.stall.Store(never) // so that block sets it anew
	progress := c.send(q)
	if !progress && q.err == nil && q.blocked {
		q.stall.Store(stalled)
		c.schedule(stalled)
	}
	after := o.q.Load()
	if after != nil && after.err == nil && after.bytes <= c.loop.reactor.config.HighWatermark/2 {
		after.wake()
	}
	o.mu.Unlock()
	switch {
	case after == nil:
		return c.drained(t)
	case after.err != nil:
		c.fail(after.err)
		return false
	}
	return true
}

// drained tells the owner that all output has left. Loop only; the result as drain's.
func (c *Conn) drained(t *Turn) bool {
	for {
		w := c.word.Load()
		if w&taskOwned == 0 {
			// A task may have written more, and released, since.
			return c.out.waits() || c.proto.Drained(t) && !t.lost
		}
		if c.word.CompareAndSwap(w, w|wordDrained) {
			return true
		}
	}
}
