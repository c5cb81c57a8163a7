// SPDX-License-Identifier: MIT

package reactor

import "time"

// Connections are dealt out evenly, but their requests need not be: the ones that ask may all be on one loop, while others
// have nothing to do. So a loop whose Wait has returned more work than it can do in Config.ShareAfter gives half of the
// connections to a loop that waits, if there is one, and they stay there. Nobody decides for all loops; each looks at its own
// queue, for which it knows how long an event has taken lately, and at the others' only when that is long.
//
//	          share (the loop that has it)             adopt (the other one)
//	on a loop ───────────────────────────▶ nobody's ──────────────────────▶ on the other loop
//	           poller.Del, claimed as by      opAdopt   poller.Add, what came meanwhile,
//	           a task, out of the wheel                 into the wheel
//
// What a connection's poller reports late, and what others have posted to the loop that it was on, finds that it has gone:
// the first is dropped, since Add reports anew, and the second follows it.

const (
	// idleFor is how long a loop has waited when it counts as one that has nothing to do. A busy one waits for less between two
	// batches of events.
	idleFor = int64(50 * time.Microsecond)
	// maxShared bounds how many connections change their loop at once: to change takes about as long as half a quick request.
	maxShared = 32
	// costShift says how fast the cost of an event follows the last turn's: by one of 8 parts.
	costShift = 3
)

// learn notes that n events have taken so long. Loop only.
func (l *Loop) learn(n int, took int64) { l.cost += (took/int64(n) - l.cost) >> costShift }

// share gives some of the connections that t has events of to a loop that has nothing to do, if the last of them would wait for
// too long here. Loop only, right after Wait: nothing else is under way then that has a connection of this loop in hand.
func (l *Loop) share(t *Turn) {
	after := l.reactor.config.ShareAfter
	if after == 0 || int64(t.n-1)*l.cost < int64(after) {
		return
	}
	to := l.idler()
	if to == nil {
		return
	}
	for i, moved := t.n-1, 0; i >= (t.n+moved+1)/2 && moved < maxShared; i-- {
		e := &t.events[i]
		if c := l.reactor.index.get(e.Token); c != nil && c.home() == l && c.movable(e.Ready) && l.move(c, to) {
			moved++
			t.n--
			*e = t.events[t.n] // which has been looked at
		}
	}
}

// idler returns a loop that has nothing to do, and still works, or nil.
func (l *Loop) idler() *Loop {
	r := l.reactor
	for _, other := range r.loops {
		if other == l || other.failed.Load() {
			continue
		}
		if since := other.waiting.Load(); r.config.ShareAfter < 0 || since != 0 && l.clock.Load()-since >= idleFor {
			return other
		}
	}
	return nil
}

// movable says whether the connection waits for a request and nothing else, of which a report of r may be the begin.
func (c *Conn) movable(r Ready) bool {
	return r&^(Readable|Writable) == 0 && c.word.Load()&^wordWritable == 0 && !c.out.waits() && c.proto.Idle()
}

// move takes c from l and has the loop to adopt it. It says whether it did. Loop only, which owns c.
func (l *Loop) move(c *Conn, to *Loop) bool {
	if err := l.poller.Del(c.fd); err != nil {
		l.reactor.config.Fault("reactor: del", err)
		return false
	}
	c.Claim() // so that nobody ends it before it is registered again
	l.unschedule(c)
	l.conns.Add(-1)
	to.conns.Add(1)
	c.loop.Store(to)
	if l.reactor.drains.Load() != l.drains {
		c.word.Or(wordDraining) // to may have told all of its own before c was one of them
	}
	to.post(op{conn: c, kind: opAdopt})
	return true
}

// adopt makes the loop own c, which another one has given to it. Loop only.
func (c *Conn) adopt(t *Turn) {
	l := t.loop
	if err := l.register(c); err != nil {
		l.reactor.config.Fault("reactor: add", err)
	}
	c.Reclaim()
	c.schedule(c.nextDeadline(c.word.Load(), l.reactor.now()))
	c.settle(t)
}
