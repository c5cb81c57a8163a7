// SPDX-License-Identifier: MIT

package reactor

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Loop owns a Poller and the connections registered with it, and serves them one after the other. It is run by one
// goroutine at a time, which may give it away to a fresh one (Conn.Detach).
type Loop struct {
	reactor *Reactor // immutable
	poller  Poller   // immutable
	sockets Sockets  // immutable, the reactor's

	conns   atomic.Int64 // open connections of the loop; the acceptor places by it
	clock   atomic.Int64 // nanoseconds of the reactor's clock at the last wake-up
	waiting atomic.Int64 // what clock was when the Wait under way began; 0: none is
	wheel   wheel
	failed  atomic.Bool // the poller no longer works
	roused  signal      // what wakes the loop then

	kind atomic.Uint32 // of the user code that runs on the loop, or ran last
	busy atomic.Uint64 // odd while user code runs on the loop, and another number each time
	seen uint64        // what busy was at the watch's last tick, if odd. Only the watch's timer
	turn *Turn         // whose tenure it is; the watch reads it while user code runs

	mu     sync.Mutex
	posted []op // guarded by mu

	// Only the goroutine that is the loop. What it has taken and not done yet is here and not on its stack, so that the next
	// one goes on with it when the loop is given away.
	again   tokenQueue // connections that may have more to read than one turn allows
	senders tokenQueue // connections with more of a file to send than one turn allows
	dead    []FD       // descriptors to close at the end of the turn
	taken   []op       // posted work, of which the first nextOp are done
	nextOp  int
	due     []*Conn // connections whose timers came up, of which the first nextDue are done
	nextDue int
	cost    int64         // nanoseconds that an event has taken lately
	drains  uint32        // how many opDrains are done
	aborted chan struct{} // closed when the first opAbort is done
	ended   chan struct{}
}

// A Turn is one goroutine's tenure of a loop: its read buffer, and the events it has still to serve. Code that runs on
// the loop gets the Turn, and so knows that it does; a task on a thread of its own has none.
type Turn struct {
	loop   *Loop
	buf    []byte
	lost   bool   // given away: another goroutine is the loop now. Only this goroutine reads or writes it
	user   uint64 // between Enter and Leave: what Loop.busy is as long as the turn is not lost; else 0
	gave   bool   // between Enter and Leave: the turn was given away
	next   int    // the event to serve next
	n      int    // how many events there are
	events [maxEvents]Event

	fileBytes int // how much of files it may still send before the next Wait
}

// A tokenQueue has connections that wait for their turn, first in, first out.
type tokenQueue struct {
	tokens []Token
	next   int // tokens before it have gone
}

func (q *tokenQueue) count() int { return len(q.tokens) - q.next }

func (q *tokenQueue) push(token Token) { q.tokens = append(q.tokens, token) }

// pop returns the first, of which there is one. What is left moves to the front when it is not more than has gone, so that a pop
// moves one token at most, on average.
func (q *tokenQueue) pop() Token {
	token := q.tokens[q.next]
	q.next++
	if q.count() <= q.next {
		q.tokens = append(q.tokens[:0], q.tokens[q.next:]...)
		q.next = 0
	}
	return token
}

// maxEvents bounds how many events one Wait returns, so that timers and posted work are not far away.
const maxEvents = 256

// Lost says whether the turn was given away, or taken: the caller runs on as a task would, and may touch the loop no more.
// Between Enter and Leave any goroutine may ask.
func (t *Turn) Lost() bool {
	if t.user != 0 {
		return t.loop.busy.Load() != t.user
	}
	return t.lost
}

// Now returns the reactor's clock as the loop read it last, as a time.
func (t *Turn) Now() time.Time { return t.loop.reactor.start.Add(time.Duration(t.loop.clock.Load())) }

// Clock is Now as the time since the reactor was made, which costs a load.
func (t *Turn) Clock() time.Duration { return time.Duration(t.loop.clock.Load()) }

// handOn makes a fresh goroutine the loop, with the events that t has still to serve. The turn keeps its buffer.
func (t *Turn) handOn() {
	fresh := newTurn(t.loop)
	fresh.n = copy(fresh.events[:], t.events[t.next:t.n])
	go t.loop.run(fresh)
}

func newTurn(l *Loop) *Turn { return &Turn{loop: l, buf: GetBuffer(turnBuffer), fileBytes: fileTurn} }

// An op is something that only the goroutine that is the loop may do, asked for by another one.
type op struct {
	conn   *Conn   // of opSettle, opCut, opSend, opDraining, opReturn and opRetire
	survey *survey // of opSurvey
	kind   opKind
}

type opKind uint8

const (
	opSettle   opKind = iota // see to what was noted while a task owned the connection
	opCut                    // end a connection, whoever owns it
	opSend                   // go on with a file that a handler on the loop has begun to send
	opSchedule               // nothing to do but look at the wheel
	opDrain                  // tell every connection that the Server shuts down
	opDraining               // tell one
	opReturn                 // own a connection again that a task had
	opAbort                  // end every connection now
	opSurvey                 // look for the connection that has been idle for longest
	opRetire                 // close one, if it is idle
	opAdopt                  // own a connection that another loop has given away
	opStop                   // end the loop
)

// post asks the loop to do o. Any goroutine.
func (l *Loop) post(o op) {
	l.mu.Lock()
	l.posted = append(l.posted, o)
	first := len(l.posted) == 1
	l.mu.Unlock()
	if first {
		l.wake()
	}
}

func (l *Loop) wake() {
	if l.failed.Load() {
		l.roused.broadcast()
		return
	}
	if err := l.poller.Wake(); err != nil {
		l.reactor.config.Fault("reactor: wake", err)
	}
}

// schedule makes the wheel look at c at tick at, or earlier. Any goroutine.
func (l *Loop) schedule(c *Conn, at int64) {
	l.wheel.mu.Lock()
	var earlier bool
	if at < c.wheelAt.Load() && c.word.Load()&wordClosed == 0 {
		earlier = l.wheel.add(c, at)
	}
	l.wheel.mu.Unlock()
	if earlier {
		l.post(op{kind: opSchedule})
	}
}

// unschedule makes the wheel look at c no more. Loop only, which owns c.
func (l *Loop) unschedule(c *Conn) {
	l.wheel.mu.Lock()
	l.wheel.remove(c)
	l.wheel.mu.Unlock()
}

// register has the poller report c, which the caller owns as a task does. What can't be watched, or came after the end of all,
// is closed when it is given to the loop.
func (l *Loop) register(c *Conn) error {
	err := l.poller.Add(c.fd, c.token())
	if err != nil {
		c.word.Or(wordUnwatched | wordDoomed)
	} else if l.reactor.failed.Load() || l.failed.Load() {
		c.Doom()
	}
	return err
}

// run is the loop:
//
//  1. serve the events of the last Wait, one after the other;
//  2. read on, and send on, where a connection had more than its share;
//  3. do what other goroutines asked for;
//  4. act on the deadlines that have passed;
//  5. close the descriptors of the connections that ended;
//  6. wait, until the next deadline at most, and not at all when 2 or 3 made more work;
//  7. where that brought more work than is good, give some of it to a loop that has none.
func (l *Loop) run(t *Turn) {
	defer func() { PutBuffer(t.buf) }()
	l.turn = t
	began := int64(0) // when the turn's events came; 0: they came to another goroutine
	for {
		if !l.serve(t) || !l.readAgain(t) || !l.sendOn(t) || !l.runPosted(t) {
			return
		}
		timeout := l.runTimers(t)
		if t.lost {
			return
		}
		if began != 0 && t.n > 0 {
			l.learn(t.n, l.clock.Load()-began)
		}
		l.closeDead()
		if l.again.count() > 0 || l.senders.count() > 0 {
			timeout = 0
		}
		t.next, t.n, t.fileBytes = 0, l.wait(t, timeout), fileTurn
		began = l.reactor.now()
		l.clock.Store(began)
		l.share(t)
	}
}

// wait fills the events of t and returns their number.
func (l *Loop) wait(t *Turn, timeout time.Duration) int {
	if l.failed.Load() {
		l.rest()
		return 0
	}
	l.waiting.Store(l.clock.Load())
	n, err := l.poller.Wait(t.events[:], timeout)
	l.waiting.Store(0)
	if err != nil {
		l.fail(err)
		return 0
	}
	return n
}

// serve acts on the events of t. It says whether t is still the loop's turn.
func (l *Loop) serve(t *Turn) bool {
	for t.next < t.n {
		e := t.events[t.next]
		t.next++
		if c := l.reactor.index.get(e.Token); c != nil && c.home() == l {
			c.ready(t, e.Ready)
			if t.lost {
				return false
			}
		}
	}
	return true
}

// readAgain goes on with the connections that reached maxReads. It says whether t is still the loop's turn.
func (l *Loop) readAgain(t *Turn) bool {
	for n := l.again.count(); n > 0 && !t.lost; n-- {
		if c := l.reactor.index.get(l.again.pop()); c != nil {
			c.word.And(^wordAgain)
			c.ready(t, Readable)
		}
	}
	return !t.lost
}

// sendOn goes on with the connections whose files are not sent, in the order in which they came to have to wait, as long
// as the turn has bytes for them. It says whether t is still the loop's turn.
func (l *Loop) sendOn(t *Turn) bool {
	for n := l.senders.count(); n > 0 && t.fileBytes > 0 && !t.lost; n-- {
		if c := l.reactor.index.get(l.senders.pop()); c != nil {
			c.word.And(^wordSender)
			c.ready(t, Writable)
		}
	}
	return !t.lost
}

// runPosted does what was asked for. It says whether t is still the loop's turn, and the loop still runs.
func (l *Loop) runPosted(t *Turn) bool {
	if l.nextOp == len(l.taken) { // else a goroutine that gave the loop away has left some
		l.mu.Lock()
		l.taken, l.posted = l.posted, l.taken[:0]
		l.mu.Unlock()
		l.nextOp = 0
	}
	for l.nextOp < len(l.taken) {
		o := l.taken[l.nextOp]
		l.taken[l.nextOp] = op{}
		l.nextOp++
		if o.conn != nil {
			if home := o.conn.home(); home != l {
				home.post(o)
				continue
			}
		}
		switch o.kind {
		case opSettle:
			o.conn.settle(t)
		case opCut:
			o.conn.abort()
		case opSend:
			if o.conn.word.Load()&wordClosed == 0 {
				o.conn.sendLater()
			}
		case opSchedule:
		case opDrain:
			l.drains++
			// One by one, since each may give the loop away.
			l.each(func(c *Conn) { l.taken = append(l.taken, op{conn: c, kind: opDraining}) })
		case opDraining:
			o.conn.draining(t)
		case opReturn:
			o.conn.returned(t)
		case opAbort:
			l.each(func(c *Conn) { c.abort() })
			l.closeDead()
			select {
			case <-l.aborted:
			default:
				close(l.aborted)
			}
		case opSurvey:
			o.survey.look(l)
		case opRetire:
			o.conn.retire(t)
		case opAdopt:
			o.conn.adopt(t)
		case opStop:
			l.closeDead()
			l.end(l.poller.Close())
			return false
		}
		if t.lost {
			return false
		}
	}
	return true
}

// each calls f for every connection of the loop.
func (l *Loop) each(f func(*Conn)) {
	l.reactor.index.each(func(c *Conn) {
		if c.home() == l && c.word.Load()&wordClosed == 0 {
			f(c)
		}
	})
}

// runTimers acts on the deadlines that have passed and returns how long the next one is away, or -1.
func (l *Loop) runTimers(t *Turn) time.Duration {
	now := l.reactor.now()
	l.clock.Store(now)
	if l.nextDue == len(l.due) { // else a goroutine that gave the loop away has left some
		l.wheel.mu.Lock()
		l.due = l.wheel.advance(now/int64(tick), l.due[:0])
		l.wheel.mu.Unlock()
		l.nextDue = 0
	}
	for l.nextDue < len(l.due) {
		c := l.due[l.nextDue]
		l.due[l.nextDue] = nil
		l.nextDue++
		c.expire(t, now)
		if t.lost {
			return 0
		}
	}
	l.wheel.mu.Lock()
	next := l.wheel.next
	l.wheel.mu.Unlock()
	if next == never {
		return -1
	}
	return max(0, time.Duration(next*int64(tick)-now))
}

// forget takes c out of the index, the wheel and the poller; its descriptor closes at the end of the turn, so that no
// event of this turn can name a successor.
func (l *Loop) forget(c *Conn) {
	l.reactor.index.del(c)
	l.unschedule(c)
	if c.word.Load()&wordUnwatched == 0 {
		if err := l.poller.Del(c.fd); err != nil && !l.failed.Load() {
			l.reactor.config.Fault("reactor: del", err)
		}
	}
	l.dead = append(l.dead, c.fd)
	l.reactor.left(c.peer)
}

func (l *Loop) closeDead() {
	if len(l.dead) == 0 {
		return
	}
	for _, fd := range l.dead {
		if err := l.sockets.Close(fd); err != nil {
			l.reactor.config.Fault("reactor: close", err)
		}
	}
	l.conns.Add(-int64(len(l.dead)))
	l.reactor.conns.Add(-int64(len(l.dead)))
	l.dead = l.dead[:0]
	l.reactor.freed.broadcast()
}

// fail ends the connections of the loop when its poller no longer works, which none does without a defect. No connection is
// placed here from now on, and one that is on its way is closed when it comes.
func (l *Loop) fail(err error) {
	l.failed.Store(true) // first: who is not among each finds it in register
	l.reactor.config.Fault("reactor: wait", err)
	l.each(func(c *Conn) { c.abort() })
}

// rest is the Wait of a loop that has failed. Tasks may have connections of it still, which the loop closes when it is told. All
// of them have been ended, so that no deadline matters.
func (l *Loop) rest() {
	roused := l.roused.wait() // asked for before the look, so that what is posted after that is not missed
	l.mu.Lock()
	posted := len(l.posted)
	l.mu.Unlock()
	if posted == 0 {
		<-roused
	}
}

func (l *Loop) end(err error) {
	if err != nil {
		l.reactor.config.Fault("reactor: close poller", err)
	}
	close(l.ended)
}
