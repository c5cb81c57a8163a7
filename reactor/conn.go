// SPDX-License-Identifier: MIT

package reactor

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// A Protocol is what a connection speaks: the layer above. The reactor calls it on the goroutine that is the loop at
// that moment, except where a method says otherwise, and never twice at once for one connection.
type Protocol interface {
	// Input gets bytes that were just read, while the loop owns the connection. p is a piece of t's buffer: it stays
	// as it is until Input returns, also when t is given away meanwhile. The result says whether the loop still owns
	// the connection and may read on; after false the reactor does not touch it any more until it is released.
	Input(t *Turn, p []byte) bool

	// InputEnd says that the peer's stream ended (io.EOF) or the connection failed (another error), while the loop
	// owns it. It is called once; no Input follows.
	InputEnd(t *Turn, err error)

	// Drained says that all output has left, while the loop owns the connection. The result is as Input's.
	Drained(t *Turn) bool

	// Expired says that the read deadline has passed while the loop owns the connection. A nil t says that the connection
	// was parked a moment ago, and that the loop does not own it: somebody may have gone on with it since, and the deadline
	// may be another one (Overdue). It is told again, a tick of the wheel later, as long as that stays as it is.
	Expired(t *Turn)

	// PeerGone says that the peer closed or reset the connection, or the Server ended it, while a task owns it.
	// The loop calls it without owning the connection: it may only cancel and note.
	PeerGone()

	// Draining says, while the loop owns the connection, that the Server is shutting down: an idle connection closes now,
	// any other after its request. A nil t is as Expired's.
	Draining(t *Turn)

	// Returned says that the loop owns the connection again, after Conn.Return. The result is as Input's.
	Returned(t *Turn) bool

	// Idle says, while the loop owns the connection, that it waits for a request and has served one before; Retire closes
	// such a connection, since another one needs its place.
	Idle() bool
	Retire(t *Turn)

	// Opened is the first call, on the acceptor's goroutine, before any event is reported. It sets the first deadline.
	Opened()

	// Closed is the last call, on the loop: the connection is out of the index, and its descriptor is closed at the end
	// of the turn.
	Closed()
}

// Why a connection's output failed. Write returns these, or an error of the Sockets.
var (
	// ErrStalled: the peer took nothing of the waiting output for the write-stall time.
	ErrStalled error = &timeoutError{"reactor: peer does not read: write stalled"}
	// ErrDeadline: the write deadline has passed.
	ErrDeadline error = &timeoutError{"reactor: write deadline exceeded"}
	// ErrClosed: the connection was closed on this side.
	ErrClosed = errors.New("reactor: connection closed")
)

// A timeoutError is a net.Error whose Timeout is true, and os.ErrDeadlineExceeded to errors.Is, as the errors of the
// net package are.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string        { return e.text }
func (e *timeoutError) Timeout() bool        { return true }
func (e *timeoutError) Temporary() bool      { return true }
func (e *timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// A Conn is one connection. It is embedded in the layer above's own record, so that both are one allocation.
//
// Invariant: at any instant it belongs to its loop or to one task, as the bit taskOwned of word says, and only the owner
// reads from it, changes its read deadline or gives it to the other. Its output has a lock of its own, since the
// loop drains it whoever the owner is.
//
//	        Claim (loop)                         every event: the loop acts at once
//	loop-owned ────────────▶ task-owned          every event: one bit in word, and the task woken if it waits
//	     ▲                        │
//	     └────────────────────────┘
//	  Release (task): one compare-and-swap, which fails when something happened
//	  meanwhile that the task has not seen; then the task goes on itself
type Conn struct {
	loop  atomic.Pointer[Loop] // replaced when it goes to another one (share.go)
	proto Protocol             // immutable after open
	fd    FD                   // immutable after open
	gen   uint32               // immutable after open

	word    atomic.Uint32
	wheelAt atomic.Int64  // the tick of the wheel's entry, or never; written under the wheel's lock
	timer   entry         // guarded by the wheel's lock
	readAt  atomic.Int64  // the read deadline in nanoseconds of the reactor's clock, or never; written by the owner
	writeAt atomic.Int64  // the write deadline likewise; written by whoever runs the request
	wakeup  chan struct{} // where the owning task waits; made by the first wait of a task, which is rare
	out     output

	peer string // immutable after open
}

// The bits of Conn.word. The loop sets those of events; who clears one is said with it.
const (
	// taskOwned: set by the loop (Claim), cleared by the task (Release).
	taskOwned uint32 = 1 << iota
	// wordReadable: a read may find something. Set by an event, and by a read that filled its buffer; cleared by the
	// owner before it reads.
	wordReadable
	// wordDrained: the output emptied while a task owned the connection. Cleared by the task.
	wordDrained
	// wordWritable: the socket could be written while a task owned the connection and nothing waited to leave. Set by an
	// event; cleared and looked at by a writer around its write, which may come short just before the report.
	wordWritable
	// wordExpired: the read deadline passed while a task owned the connection. Cleared by SetReadDeadline.
	wordExpired
	// wordPeerClosed and wordHangup stay set: a short read is then no proof that the end was reached.
	wordPeerClosed
	wordHangup
	// wordWaiting: the task that owns the connection waits on wakeup for any of the above. Set by the task, cleared by
	// the loop, which then owes it a signal.
	wordWaiting
	// wordDoomed: the connection is to be closed as soon as its loop owns it. Set by the loop or by the owner.
	wordDoomed
	// wordClosed: terminal.
	wordClosed
	// wordEnded: InputEnd was called. Set by the loop, stays.
	wordEnded
	// wordAgain: the connection is in Loop.again, and gets no more reads before its turn comes there. Loop only.
	wordAgain
	// wordUnwatched: the poller did not take it. Set before the loop owns it for the first time.
	wordUnwatched
	// wordSender: the connection is in Loop.senders. Loop only.
	wordSender
	// wordParked: the task that owns the connection has no goroutine, and waits for a call of the layer above. Set by the
	// task, cleared by whoever ends that.
	wordParked
	// wordDraining: a shutdown is to be told when the loop owns the connection, since its task may have looked for one just
	// before, or it was on its way to the loop. Set and cleared by the loop.
	wordDraining
)

// wordString lists the bits of a word, for failing invariants.
func wordString(w uint32) string {
	names := [...]string{
		"task", "readable", "drained", "writable", "expired", "peerClosed", "hangup", "waiting", "doomed",
		"closed", "ended", "again", "unwatched", "sender", "parked", "draining",
	}
	var set []string
	for i, name := range names {
		if w&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return "{" + strings.Join(set, " ") + "}"
}

// clear clears bit and says whether it was set. Where it is not, as is usual, it costs a load.
func (c *Conn) clear(bit uint32) bool {
	return c.word.Load()&bit != 0 && c.word.And(^bit)&bit != 0
}

// home is the loop that the connection is on. It stays there while a task owns it.
func (c *Conn) home() *Loop { return c.loop.Load() }

// FD returns the descriptor. It is valid while the caller owns the connection.
func (c *Conn) FD() FD { return c.fd }

// Peer returns the remote address as the listener gave it.
func (c *Conn) Peer() string { return c.peer }

// Claim gives the connection to a task. The loop calls it when it owns the connection, before it hands the task on.
func (c *Conn) Claim() {
	for {
		w := c.word.Load()
		invariantf(w&taskOwned == 0, "Claim of a connection that a task owns", w)
		if c.word.CompareAndSwap(w, (w|taskOwned)&^wordDrained) {
			return
		}
	}
}

// Detach gives the loop away, if t is still the turn of its goroutine: a fresh one is the loop from the next event on. The caller
// becomes the connection's task, which it has to Release, and keeps the turn's buffer, whose bytes it may still be reading.
// Whoever runs on the loop calls it before anything that may wait. A nil t is no turn.
func (c *Conn) Detach(t *Turn) {
	switch {
	case t == nil:
	case t.user != 0: // c was claimed by Enter
		t.gave = t.loop.takeOver(t.user, nil) || t.gave
	case !t.lost:
		c.Claim()
		t.lost = true
		t.handOn()
	}
}

// Reclaim is Release for the loop itself, when the task it claimed the connection for was refused.
func (c *Conn) Reclaim() { c.word.And(^taskOwned) }

// Park leaves the connection, which the caller's task owns, to no goroutine: its deadline and the Server's shutdown are told to
// the layer above from now on, as its peer's end is, and one of its callers becomes the task by Unpark. Which one is for the
// layer above to see to.
func (c *Conn) Park() {
	if c.word.Or(wordParked)&wordExpired != 0 {
		// The deadline passed while there was a task to note it for.
		c.word.And(^wordExpired)
		c.schedule(c.readAt.Load())
	}
}

// Unpark makes the caller the task of a connection that was parked.
func (c *Conn) Unpark() { c.word.And(^wordParked) }

// Return makes the loop own the connection, which the caller's task owns, and call Returned: for a task that is to go on where
// the loop runs. Any goroutine.
func (c *Conn) Return() { c.home().post(op{conn: c, kind: opReturn}) }

// returned is Return on the loop. It goes on to Returned even where the connection has been ended meanwhile, since somebody waits
// for that.
func (c *Conn) returned(t *Turn) {
	c.word.And(^(taskOwned | wordDrained | wordWaiting))
	if c.proto.Returned(t) && !t.lost && !c.condemned() {
		c.input(t)
	}
}

// Release gives the connection back to its loop, for input or, with draining, for the moment when its output has left
// (the loop then calls Drained). It fails, and the task still owns the connection, when what is waited for has happened
// already: there may be something to read, or the output is gone. What is held is sent first, since neither would come
// before it is; a connection whose output has failed is closed.
func (c *Conn) Release(draining bool) bool {
	if c.Flush() != nil {
		c.Doom()
	}
	pending := wordReadable
	if draining {
		pending = wordDrained
	}
	for {
		if draining {
			// A drain from before the last write says nothing; one from now on sets the bit again.
			c.word.And(^wordDrained)
			if !c.out.waits() {
				return false
			}
		}
		w := c.word.Load()
		invariantf(w&taskOwned != 0, "Release of a connection that no task owns", w)
		if w&pending != 0 && w&wordDoomed == 0 {
			if draining {
				continue // the loop may have been late to tell of an earlier one
			}
			return false
		}
		if c.word.CompareAndSwap(w, w&^(taskOwned|wordDrained|wordWaiting)) {
			if w&(wordDoomed|wordExpired|wordDraining) != 0 {
				c.home().post(op{conn: c, kind: opSettle})
			}
			return true
		}
	}
}

// Doom makes the loop close the connection as soon as it owns it, without waiting for output that is still there. Only
// the owner calls it. A task then calls Release.
func (c *Conn) Doom() { c.word.Or(wordDoomed) }

// TryRead reads what is there, for the task that owns the connection. It returns (0, ErrAgain) when nothing is,
// (0, io.EOF) at the end of the peer's stream.
func (c *Conn) TryRead(p []byte) (int, error) {
	if c.word.Load()&wordReadable == 0 {
		return 0, ErrAgain
	}
	c.word.And(^wordReadable)
	n, err := c.home().sockets.Read(c.fd, p)
	c.afterRead(n, len(p), err)
	return n, err
}

// afterRead notes what a read of up to size bytes says about the next one: a full one, or any one after the peer's
// close, may be followed by more; after a short one a report will come, which has to be asked for. Owner only.
func (c *Conn) afterRead(n, size int, err error) {
	switch {
	case n == size, n > 0 && c.word.Load()&(wordPeerClosed|wordHangup) != 0:
		c.word.Or(wordReadable)
	case err == nil || err == ErrAgain:
		if err := c.home().poller.Rearm(c.fd, Readable); err != nil {
			// The descriptor can no longer be watched; the next read says why, or that it is over.
			c.word.Or(wordReadable | wordHangup)
		}
	}
}

// WaitReadable waits, for the task that owns the connection, until TryRead is worth a try. It returns
// os.ErrDeadlineExceeded when the read deadline has passed.
func (c *Conn) WaitReadable() error {
	return c.wait(wordReadable)
}

// wait parks the task until one of bits, or the end of waiting for reads, has been set.
func (c *Conn) wait(bits uint32) error {
	if c.wakeup == nil {
		c.wakeup = make(chan struct{}, 1)
	}
	for {
		w := c.word.Load()
		switch {
		case w&wordDoomed != 0:
			return ErrClosed
		case w&bits != 0:
			return nil
		case w&wordExpired != 0:
			at := c.readAt.Load()
			if at <= c.home().reactor.now() {
				return os.ErrDeadlineExceeded
			}
			// The deadline was moved while the loop noted that it had passed.
			c.word.And(^wordExpired)
			c.schedule(at)
			continue
		}
		if c.word.CompareAndSwap(w, w|wordWaiting) {
			<-c.wakeup
		}
	}
}

// InputWaits says whether the socket holds bytes that were not read. It is a system call. Owner only.
func (c *Conn) InputWaits() bool {
	_, err := c.home().sockets.Peek(c.fd)
	return err == nil
}

// CloseWrite sends the end of the stream behind what was written, which must have left. Owner only.
func (c *Conn) CloseWrite() error { return c.home().sockets.CloseWrite(c.fd) }

// HalfClosed says whether the peer has closed its side, so that Gone may be true. It costs nothing to ask.
func (c *Conn) HalfClosed() bool { return c.word.Load()&(wordPeerClosed|wordHangup) != 0 }

// Gone says whether the peer's side is known to be over: reset, or ended with nothing left to read. Any goroutine that
// keeps the connection from being closed meanwhile: its task, or its loop.
func (c *Conn) Gone() bool {
	w := c.word.Load()
	if w&(wordHangup|wordDoomed) != 0 {
		return true
	}
	if w&wordPeerClosed == 0 {
		return false
	}
	_, err := c.home().sockets.Peek(c.fd)
	return err != nil && err != ErrAgain
}

// Over says whether the connection has ended in both directions: it was reset, or failed, or the Server ended it. Any
// goroutine.
func (c *Conn) Over() bool { return c.word.Load()&(wordHangup|wordDoomed) != 0 }

// SetReadDeadline sets when a read fails or, while the loop owns the connection, Expired is called. The zero Time means
// never. Owner only.
func (c *Conn) SetReadDeadline(t time.Time) {
	c.setReadAt(c.home().reactor.at(t))
}

// SetReadTimeout is SetReadDeadline for d from now; d <= 0 means never. t is the turn if the caller is the loop's
// goroutine, else nil: the loop has just looked at the clock.
func (c *Conn) SetReadTimeout(t *Turn, d time.Duration) {
	at := int64(never)
	switch {
	case d <= 0:
	case t != nil:
		at = later(t.loop.clock.Load(), d)
	default:
		at = later(c.home().reactor.now(), d)
	}
	c.setReadAt(at)
}

// Overdue says whether the read deadline has passed. Owner only.
func (c *Conn) Overdue() bool { return c.readAt.Load() <= c.home().reactor.now() }

func (c *Conn) setReadAt(at int64) {
	if c.readAt.Load() != at { // a store costs as much as ten loads
		c.readAt.Store(at)
	}
	if c.word.Load()&wordExpired != 0 {
		c.word.And(^wordExpired)
	}
	c.schedule(at)
}

// SetWriteDeadline sets when writes fail with ErrDeadline, and with them the output that waits then. Where none waits,
// nothing fails before the next write. The zero Time means never. Only whoever runs the connection's request.
func (c *Conn) SetWriteDeadline(t time.Time) {
	at := c.home().reactor.at(t)
	c.writeAt.Store(at)
	c.schedule(at)
}

// ClearWriteDeadline is SetWriteDeadline of the zero Time, and costs nothing where none is set.
func (c *Conn) ClearWriteDeadline() {
	if c.writeAt.Load() != never {
		c.writeAt.Store(never)
	}
}

// later is d after at, or never where that is beyond the clock.
func later(at int64, d time.Duration) int64 {
	if int64(d) > never-at {
		return never
	}
	return at + int64(d)
}

// schedule makes sure that the wheel looks at c at time at or before.
func (c *Conn) schedule(at int64) {
	if at == never {
		return
	}
	if t := tickFor(at, c.home().clock.Load()); t < c.wheelAt.Load() {
		c.home().schedule(c, t)
	}
}

// expire is called by the loop when c's entry in the wheel came up: it acts on every deadline that has passed and puts
// c back for the next one.
func (c *Conn) expire(t *Turn, now int64) {
	if c.word.Load()&wordClosed != 0 || c.condemned() {
		return
	}
	if c.out.stallAt() <= now {
		c.fail(ErrStalled)
	} else if c.out.waits() && c.writeAt.Load() <= now { // in this order: who sets a later one may write then
		c.writeAt.Store(never)
		c.fail(ErrDeadline)
	}
	for {
		w := c.word.Load()
		if c.readAt.Load() > now {
			break // looked at after w: a task may have moved it before it released c
		}
		if w&wordParked != 0 {
			c.proto.Expired(nil)
			break
		}
		if w&taskOwned == 0 {
			if w&(wordClosed|wordDoomed) == 0 { // its task may have ended it since
				c.readAt.Store(never)
				c.scheduleNext(w, now) // before Expired, which may lose the turn, and the connection with it
				c.proto.Expired(t)
			}
			return
		}
		// The deadline stays: it is what a read meets from now on, until a new one is set.
		if c.word.CompareAndSwap(w, (w|wordExpired)&^wordWaiting) {
			if w&wordWaiting != 0 {
				c.wakeup <- struct{}{}
			}
			break
		}
	}
	if w := c.word.Load(); w&wordClosed == 0 {
		c.scheduleNext(w, now)
	}
}

// scheduleNext puts c back into the wheel for nextDeadline.
func (c *Conn) scheduleNext(w uint32, now int64) {
	if at := c.nextDeadline(w, now); at != never {
		c.home().schedule(c, tickFor(at, now))
	}
}

// nextDeadline is deadline without those that have been noted already, or that the next Write will note.
func (c *Conn) nextDeadline(w uint32, now int64) int64 {
	at := c.out.stallAt()
	if w&wordExpired == 0 {
		at = min(at, c.readAt.Load())
	}
	if write := c.writeAt.Load(); write > now {
		at = min(at, write)
	}
	return at
}

// fail ends the output with err, and the connection with it. Loop only.
func (c *Conn) fail(err error) {
	c.out.fail(err)
	if c.doom() {
		c.proto.PeerGone()
	} else {
		c.close()
	}
}

// doom marks the connection for closing and wakes its task. It says whether there is one. Loop only.
func (c *Conn) doom() (task bool) {
	for {
		w := c.word.Load()
		if w&taskOwned == 0 {
			return false
		}
		if c.word.CompareAndSwap(w, (w|wordDoomed)&^wordWaiting) {
			if w&wordWaiting != 0 {
				c.wakeup <- struct{}{}
			}
			return true
		}
	}
}

// settle is the loop's part of what a task left behind when it released c.
func (c *Conn) settle(t *Turn) {
	w := c.word.Load()
	switch {
	case w&(taskOwned|wordClosed) != 0:
		return // another task has it already, and will see to it; or it is over
	case w&wordDoomed != 0:
		c.close()
		return
	case w&wordExpired != 0:
		c.word.And(^wordExpired)
		c.expire(t, c.home().reactor.now())
	}
	if !t.lost && c.clear(wordDraining) {
		c.draining(t)
	}
	if !t.lost {
		c.input(t)
	}
}

// draining tells of a shutdown, now or when c's task has released it. Loop only.
func (c *Conn) draining(t *Turn) {
	for {
		w := c.word.Load()
		switch {
		case w&(wordDoomed|wordClosed) != 0: // settle closes it, or it is over
		case w&wordParked != 0:
			c.proto.Draining(nil)
		case w&taskOwned == 0:
			c.proto.Draining(t)
		case !c.word.CompareAndSwap(w, w|wordDraining):
			continue
		}
		return
	}
}

// abort ends c now, or as soon as its task lets go of it. Loop only.
func (c *Conn) abort() {
	c.out.fail(ErrClosed)
	if !c.doom() {
		c.close()
		return
	}
	if err := c.home().sockets.Abort(c.fd); err != nil {
		c.home().reactor.config.Fault("reactor: abort", err)
	}
	c.proto.PeerGone()
}

// Cut asks the loop to end the connection, whoever owns it. Any goroutine.
func (c *Conn) Cut() { c.home().post(op{conn: c, kind: opCut}) }

// Close closes the connection at once. Only the loop that owns it, as the Turn shows.
func (c *Conn) Close(*Turn) { c.close() }

func (c *Conn) close() {
	w := c.word.Load()
	if w&wordClosed != 0 {
		return
	}
	invariantf(w&taskOwned == 0, "close of a connection that a task owns", w)
	c.word.Or(wordClosed)
	c.out.fail(ErrClosed) // before the poller forgets c: a Flush may be under way
	c.home().forget(c)
	c.proto.Closed()
}

// ready is one event of the poller: it is noted first, since what is done about it may hand c on, and where a task owns
// c the note is all. Loop only.
func (c *Conn) ready(t *Turn, r Ready) {
	var set uint32
	if r&(Readable|PeerClosed|Hangup) != 0 {
		set = wordReadable
	}
	if r&PeerClosed != 0 {
		set |= wordPeerClosed
	}
	if r&Hangup != 0 {
		set |= wordHangup
	}
	if r&Writable != 0 {
		set |= wordWritable
	}
	c.note(set)
	if c.condemned() {
		return
	}
	// After the note: a writer whose write came short sees the note, or else its output is seen here.
	if r&(Writable|Hangup) != 0 && c.out.waits() && !c.drain(t) {
		return
	}
	c.input(t)
}

// condemned closes c if its task has released it doomed, and says whether it did. The task has posted that, but an event or a
// timer may be first, and must not serve it once more. Loop only.
func (c *Conn) condemned() bool {
	if c.word.Load()&(wordDoomed|taskOwned) != wordDoomed {
		return false
	}
	c.close()
	return true
}

// note sets bits of events in the word and tells the task, if there is one. Loop only.
func (c *Conn) note(set uint32) {
	for {
		w := c.word.Load()
		if w&taskOwned == 0 {
			if set &^= wordWritable; set != 0 { // nobody writes but this goroutine
				c.word.Or(set)
			}
			return
		}
		if w|set == w && w&wordWaiting == 0 {
			return
		}
		if c.word.CompareAndSwap(w, (w|set)&^wordWaiting) {
			if w&wordWaiting != 0 {
				c.wakeup <- struct{}{}
			}
			if set&^w&(wordPeerClosed|wordHangup) != 0 && c.Gone() {
				c.proto.PeerGone()
			}
			return
		}
	}
}

// maxReads bounds how often a loop reads from one connection before the others get their turn.
const maxReads = 4

// input reads for the loop, which owns c, until nothing more is there or the layer above has enough. Loop only.
func (c *Conn) input(t *Turn) {
	for reads := 0; ; reads++ {
		// A task that had the connection when the loop looked last may have ended it since: then settle closes it.
		if c.word.Load()&(wordReadable|wordClosed|wordEnded|wordAgain|wordDoomed|taskOwned) != wordReadable {
			return
		}
		if c.out.waits() {
			// Drained comes first: who does not read is not read from. It does not come for what is held, or failed.
			if err := c.Flush(); err != nil {
				c.fail(err)
				return
			} else if c.out.waits() {
				return
			}
		}
		if reads == maxReads {
			c.word.Or(wordAgain)
			t.loop.again.push(c.token())
			return
		}
		c.word.And(^wordReadable)
		buf := t.buf[:c.home().reactor.config.Memory.Input(len(t.buf))]
		n, err := c.home().sockets.Read(c.fd, buf)
		c.afterRead(n, len(buf), err)
		switch {
		case n > 0:
			if !c.proto.Input(t, buf[:n]) || t.lost {
				return
			}
		case err == ErrAgain:
			return
		default:
			if err == nil {
				err = io.ErrNoProgress
			}
			c.word.Or(wordEnded)
			c.proto.InputEnd(t, err)
			return
		}
	}
}

// Resume reads on after the layer above refused more (Input or Drained returned true only later). Loop only, which owns c.
func (c *Conn) Resume(t *Turn) { c.input(t) }

func (c *Conn) token() Token { return Token(c.gen)<<32 | Token(uint32(c.fd)) }
