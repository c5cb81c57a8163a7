// SPDX-License-Identifier: MIT

package reactor

import (
	"errors"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
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
//
// A file is queued whole, as a segment of its own, and no byte of it is held in memory. Whoever sends it does so piece by
// piece, so that neither the lock nor the loop is anybody's for longer than a piece takes:
//
//   - A task sends until all has left or the socket is full, and lets go of the lock between two pieces. The queue is
//     held meanwhile, as if by Hold, so what a Flush does then is right too.
//   - A handler on the loop sends one piece, and leaves the rest to the loop.
//   - The loop sends one piece each time that it comes to the connection, and fileTurn bytes in all before it looks for
//     events again (Loop.senders). Until it comes back the queue is blocked, though not by the socket.
type output struct {
	mu sync.Mutex
	q  atomic.Pointer[queue] // changed under mu; loaded without it only to ask whether there is one
}

// A queue is output that the socket did not take, or that is held back so that several answers leave in one write. Its
// fields are guarded by the output's lock, except stall.
type queue struct {
	segments []segment // those before first, and head bytes of that one, are gone
	first    int
	head     int
	bytes    int   // how many in buffers have not left
	spooled  int64 // how many in Spools
	files    int   // segments that are files of somebody else's
	blocked  bool  // the socket was full: the loop drains when it is not

	unspooled bool          // there is no room in temporary files
	since     int64         // when the socket was full for the first time
	left      int64         // how many bytes have left since
	err       error         // failed: why
	waiter    chan struct{} // closed when there is room again, or an error
	stall     atomic.Int64  // when the peer must have taken something, or never
	memory    *Memory       // that the buffers are counted in, or nil
}

// A segment is a piece of output: bytes in a pooled buffer, or a part of a file.
type segment struct {
	p    []byte
	file *filePart // nil for bytes
}

// A filePart is what of a file has not left.
type filePart struct {
	File
	offset int64
	n      int64
	copied bool  // it can't be sent, only read and written
	spool  Spool // the same as File, or nil
}

const (
	// maxFiles bounds how many files wait on one connection, since each has a descriptor. The high watermark does not
	// count them: they take no memory.
	maxFiles = 4

	// filePiece is how much of a file is sent at once on a loop, taskPiece how much on another goroutine, and fileTurn how much
	// a loop sends of all files together before it looks for events. All of it may have to come from a disk.
	filePiece = 256 << 10
	taskPiece = 1 << 20
	fileTurn  = 1 << 20
)

// free gives back what s is made of. It is the one place where files are closed.
func (s segment) free(m *Memory) {
	if s.file != nil {
		_ = s.file.Close() // it was only read
		return
	}
	m.Put(s.p)
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

func (c *Conn) newQueue() *queue {
	q := queues.Get().(*queue)
	q.stall.Store(never)
	q.memory = c.home().reactor.config.Memory
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
	q.blocked, q.unspooled, q.since, q.left, q.memory = false, false, 0, 0, nil
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
		q = failedQueue(err)
		o.q.Store(q)
	}
	q.fail(err)
}

func (q *queue) fail(err error) {
	q.err = err
	for _, s := range q.segments[q.first:] {
		s.free(q.memory)
	}
	q.segments, q.first, q.head, q.bytes, q.spooled, q.files, q.blocked = nil, 0, 0, 0, 0, 0, false
	q.stall.Store(never)
	q.wake()
}

func (q *queue) wake() {
	if q.waiter != nil {
		close(q.waiter)
		q.waiter = nil
	}
}

// waiting is how many bytes wait, but for those of files that are somebody else's.
func (q *queue) waiting() int64 { return int64(q.bytes) + q.spooled }

// room is how much of p the high watermark leaves room for.
func (c *Conn) room(q *queue, p []byte) int {
	return int(min(int64(len(p)), int64(c.home().reactor.config.HighWatermark)-q.waiting()))
}

// push copies p behind what waits, and returns how much of it: all, unless memory is short.
func (q *queue) push(p []byte) (n int) {
	if last := len(q.segments) - 1; last >= q.first && q.segments[last].file == nil {
		s := q.segments[last].p
		n = copy(s[len(s):cap(s)], p)
		q.segments[last].p = s[:len(s)+n]
	}
	for n < len(p) {
		s := GetBuffer(max(segmentSize, min(len(p)-n, turnBuffer)))
		if !q.memory.Reserve(cap(s)) {
			PutBuffer(s)
			break
		}
		k := copy(s, p[n:])
		q.segments = append(q.segments, segment{p: s[:k]})
		n += k
	}
	q.bytes += n
	return n
}

// pop frees the first segment.
func (q *queue) pop() {
	s := q.segments[q.first]
	if s.file != nil && s.file.spool == nil {
		q.files--
	}
	s.free(q.memory)
	q.segments[q.first] = segment{}
	q.first++
	q.head = 0
}

// Write sends p: to the socket at once as far as that takes it; the rest is copied into the queue, which the loop
// drains. It waits while the queue is at the high watermark, or Config.Memory is used up and the rest has no room in a file
// either, and that no longer than the peer goes on taking something within the write-stall time. Writing nothing sends what
// is held. t is the turn if the caller is the loop's goroutine, else nil; before it waits it gives the loop away. One
// goroutine at a time. After an error, which is ErrStalled, ErrDeadline, ErrClosed or one of the Sockets', nothing leaves
// any more.
func (c *Conn) Write(t *Turn, p []byte) error {
	if c.late() {
		return ErrDeadline
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(p) > 0 {
		q := o.q.Load()
		switch {
		case q == nil:
			c.clear(wordWritable)
			n, err := c.home().sockets.Write(c.fd, p)
			if n == len(p) {
				return nil
			}
			p = p[n:]
			q = c.newQueue()
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
		case !q.blocked && q.bytes >= c.home().reactor.config.HighWatermark:
			c.sendHeld(q)
		case q.waiting() >= int64(c.home().reactor.config.HighWatermark):
			c.waitRoom(t, q)
		case c.spools(q):
			p = p[c.spool(t, q, p[:c.room(q, p)]):]
		case q.unspooled && q.blocked && q.bytes >= c.home().reactor.config.Overflow:
			c.waitRoom(t, q)
		default:
			k := c.room(q, p)
			if c.home().reactor.config.NewSpool != nil {
				k = min(k, max(c.home().reactor.config.Overflow-q.bytes, 0))
			}
			n := q.push(p[:k])
			p = p[n:]
			switch {
			case !q.blocked:
				c.sendHeld(q)
			case n == k:
			case c.home().reactor.config.NewSpool != nil && !q.unspooled:
				p = p[c.spool(t, q, p[:c.room(q, p)]):]
			default:
				// What its own client takes is what it goes on by, whatever the others do: that needs no memory.
				c.waitRoom(t, q)
			}
		}
	}
	return c.flush()
}

// WriteFile is Write of the n bytes of f from offset on, n > 0. What the socket does not take stays in the file, until the
// loop sends it: nothing is copied, and nothing but f is kept for it. The caller waits only while maxFiles files wait
// already. f is the connection's from now on, whatever is returned: it is closed when the bytes have left, or never will. If
// they can't be read, or are fewer than n, the output fails as by a write error, and Config.Fault is told.
func (c *Conn) WriteFile(t *Turn, f File, offset, n int64) error {
	if c.late() {
		return errors.Join(ErrDeadline, f.Close())
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.q.Load()
	for q != nil && q.err == nil && q.files == maxFiles {
		c.waitRoom(t, q)
		q = o.q.Load()
	}
	s := segment{file: &filePart{File: f, offset: offset, n: n}}
	switch {
	case q == nil:
		q = c.newQueue()
		o.q.Store(q)
	case q.err != nil:
		s.free(nil) // it is a file
		return q.err
	}
	q.segments = append(q.segments, s)
	q.files++
	for q != nil && q.err == nil && !q.blocked {
		piece := taskPiece
		if t != nil && !t.Lost() {
			piece = filePiece
		}
		c.send(q, &piece)
		if q = o.q.Load(); q == nil || q.err != nil || q.blocked {
			break
		}
		if t != nil && !t.Lost() {
			q.blocked = true
			c.home().post(op{conn: c, kind: opSend})
			break
		}
		o.mu.Unlock()
		runtime.Gosched() // whoever waits for the lock is to get it, and not the one that has just had it
		o.mu.Lock()
		q = o.q.Load()
	}
	if q == nil {
		return nil
	}
	return q.err
}

// late says whether the write deadline has passed.
func (c *Conn) late() bool {
	at := c.writeAt.Load()
	return at != never && at <= c.home().reactor.now()
}

// Hold is Write that may leave p waiting although the socket would take it, so that it leaves together with what is
// written next. Whoever holds must see to it that a Write or Flush follows soon.
func (c *Conn) Hold(t *Turn, p []byte) error {
	if c.late() {
		return ErrDeadline
	}
	o := &c.out
	o.mu.Lock()
	q := o.q.Load()
	if q == nil {
		q = c.newQueue()
		o.q.Store(q)
	}
	if q.err == nil && (q.blocked || q.bytes+len(p) <= segmentSize) && q.bytes+len(p) <= c.home().reactor.config.HighWatermark {
		p = p[q.push(p):]
	}
	o.mu.Unlock()
	if len(p) == 0 {
		return nil
	}
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
		c.sendHeld(q)
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
			c.sendHeld(q)
		default:
			c.waitRoom(t, q)
		}
	}
}

// Blocked says whether output waits for the socket to take it: Release(true) and Drained tell when it has left. It is
// split so that the usual answer costs no call.
func (c *Conn) Blocked() bool { return c.out.waits() && c.out.isBlocked() }

func (o *output) isBlocked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.q.Load()
	return q != nil && q.blocked
}

// sendHeld sends what is held. There is a file in it only while a WriteFile is sending that, and goes on.
func (c *Conn) sendHeld(q *queue) {
	piece := filePiece
	c.send(q, &piece)
}

// send writes what the socket takes of q, but of files no more than what files counts down from. It leaves c.out empty,
// blocked or failed; or held, if there is more of a file to send. Under the output's lock.
func (c *Conn) send(q *queue, files *int) (progress bool) {
	q.blocked = false
	for q.first < len(q.segments) {
		s := q.segments[q.first]
		var n int
		var err error
		var done bool
		if s.file == nil {
			n, err = c.home().sockets.Write(c.fd, s.p[q.head:])
			q.head += n
			q.bytes -= n
			done = q.head == len(s.p)
		} else {
			if *files == 0 {
				return progress
			}
			n, err = c.sendFile(s.file, *files)
			*files -= n
			if s.file.spool != nil {
				q.spooled -= int64(n)
			}
			done = s.file.n == 0
		}
		progress = progress || n > 0
		q.left += int64(n)
		switch {
		case done:
			q.pop()
		case err == nil && s.file != nil:
			return progress
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

// sendFile sends up to most bytes of f. ErrAgain says that the socket is full, and some may have been sent. Under the
// output's lock.
func (c *Conn) sendFile(f *filePart, most int) (n int, err error) {
	most = int(min(int64(most), f.n))
	if !f.copied {
		n, err = c.home().sockets.SendFile(c.fd, f.File, f.offset, most)
		f.copied = errors.Is(err, errors.ErrUnsupported)
	}
	if f.copied {
		var k int
		k, err = c.copyFile(f.File, f.offset+int64(n), most-n)
		n += k
	}
	f.offset += int64(n)
	f.n -= int64(n)
	switch {
	case err == nil && n < most:
		err = ErrAgain
	case err != nil && err != ErrAgain && !errors.Is(err, ErrReset):
		c.home().reactor.config.Fault("reactor: send file", err)
	}
	return n, err
}

// copyFile is SendFile where the Sockets have none for f: it reads and writes. What is read and not taken is read again, so
// that nothing has to be kept for a connection that is slow.
func (c *Conn) copyFile(f File, offset int64, n int) (done int, err error) {
	p := GetBuffer(min(n, turnBuffer))
	defer func() { PutBuffer(p) }()
	for done < n {
		k, err := f.ReadAt(p[:min(len(p), n-done)], offset+int64(done))
		switch {
		case k > 0: // and an error comes again
		case err == nil || err == io.EOF:
			return done, io.ErrUnexpectedEOF
		default:
			return done, err
		}
		sent, err := c.home().sockets.Write(c.fd, p[:k])
		done += sent
		if sent < k {
			return done, err
		}
	}
	return done, nil
}

// block notes that the socket took less than it was given: the poller will report when it takes more, and the peer has
// to take something within the write-stall time, and not less than the minimum rate on average. Under the output's lock.
func (c *Conn) block(q *queue) {
	q.blocked = true
	if err := c.home().poller.Rearm(c.fd, Writable); err != nil {
		q.fail(err)
		return
	}
	c.schedule(c.writeAt.Load()) // the wheel may have passed it while nothing waited
	if d := c.home().reactor.config.WriteStall; d > 0 && q.stall.Load() == never {
		now := c.home().reactor.now()
		if q.since == 0 {
			q.since, q.left = now, 0
		}
		at := later(now, d)
		if rate := c.home().reactor.config.MinRate; rate > 0 {
			at = min(at, later(later(q.since, d), AtRate(q.left, rate)))
		}
		q.stall.Store(at)
		c.schedule(at)
	}
}

// AtRate is how long n bytes take at rate bytes a second, or the longest Duration where that is longer.
func AtRate(n int64, rate int) time.Duration {
	// What is too large for a Duration may be any when it is converted to one.
	if d := float64(n) / float64(rate) * float64(time.Second); d < math.MaxInt64 {
		return time.Duration(d)
	}
	return math.MaxInt64
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
	piece := min(filePiece, t.fileBytes)
	t.fileBytes -= piece
	progress := c.send(q, &piece)
	t.fileBytes += piece
	after := o.q.Load()
	if !progress && after == q && q.err == nil { // it may have been empty, where its writer waits for memory
		q.stall.Store(stalled)
		c.schedule(stalled)
	}
	if after != nil && after.err == nil && !after.blocked {
		after.blocked = true
		c.sendLater()
	}
	if after != nil && after.err == nil && after.waiting() <= int64(c.home().reactor.config.HighWatermark/2) && after.files < maxFiles {
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

// sendLater lets the loop come back to c, which has more of a file to send than the loop has time for now. Loop only.
func (c *Conn) sendLater() {
	if c.word.Load()&wordSender == 0 {
		c.word.Or(wordSender)
		c.home().senders.push(c.token())
	}
}

// drained tells the owner that all output has left. Loop only; the result as drain's.
func (c *Conn) drained(t *Turn) bool {
	for {
		w := c.word.Load()
		if w&(taskOwned|wordDoomed) == wordDoomed {
			return false // a task that waited for this has ended the connection since; settle closes it
		}
		if w&taskOwned == 0 {
			// A task may have written more, and released, since.
			return c.out.waits() || c.proto.Drained(t) && !t.lost
		}
		if c.word.CompareAndSwap(w, w|wordDrained) {
			return true
		}
	}
}
