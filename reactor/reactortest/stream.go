// SPDX-License-Identifier: MIT

package reactortest

import (
	"slices"
	"time"
)

// A stream is one direction of a connection.
//
//	from.send ─▶ flight ───────────────────────────▶ buf ─▶ to.take
//	             under way: at most SendBuffer bytes     arrived: at most RecvBuffer bytes
//
// Bytes arrive when they are due, there is room, and nothing holds them. The end of the stream arrives behind the last
// of them. All of it is guarded by Network.mu.
type stream struct {
	n        *Network
	from, to *endpoint

	flight []segment
	sent   int       // bytes in flight
	due    time.Time // when what is sent next arrives at the earliest, because the one before must arrive first
	buf    []byte    // arrived
	held   bool      // nothing arrives until a fault is over
	clog   bool      // no room until a fault is over

	finSent bool // nothing is sent any more
	finDue  time.Time
	fin     bool // the end has arrived
}

type segment struct {
	p   []byte
	due time.Time
}

// room returns how many bytes could be sent now.
func (s *stream) room() int {
	if s.clog {
		return 0
	}
	return max(0, s.n.faults.SendBuffer-s.sent)
}

// schedule draws how long the next thing sent is under way, and lets the stream deliver then.
func (s *stream) schedule() time.Time {
	now := time.Now()
	due := now.Add(s.from.random.upTo(s.n.faults.Latency))
	if due.Before(s.due) {
		due = s.due
	}
	s.due = due
	s.n.after(due.Sub(now), s.deliver)
	return due
}

// send takes all of p, which there is room for, in one piece or more.
func (s *stream) send(p []byte, fragment float64) {
	for len(p) > 0 {
		k := len(p)
		if s.from.random.chance(fragment) {
			k = 1 + s.from.random.IntN(k)
		}
		s.flight = append(s.flight, segment{slices.Clone(p[:k]), s.schedule()})
		s.sent += k
		p = p[k:]
	}
}

func (s *stream) sendFin() {
	if !s.finSent {
		s.finSent = true
		s.finDue = s.schedule()
	}
}

// deliver lets arrive what can. It is called whenever something that it looks at has changed.
func (s *stream) deliver() {
	now := time.Now()
	moved := 0
	for !s.held && len(s.flight) > 0 && !s.flight[0].due.After(now) {
		if s.to.deaf {
			// Bytes for a descriptor that was closed are answered with a reset.
			s.to.sendReset()
			return
		}
		k := min(len(s.flight[0].p), s.n.faults.RecvBuffer-len(s.buf))
		if k <= 0 {
			break
		}
		s.buf = append(s.buf, s.flight[0].p[:k]...)
		if s.flight[0].p = s.flight[0].p[k:]; len(s.flight[0].p) == 0 {
			s.flight = s.flight[1:]
		}
		s.sent -= k
		moved += k
	}
	if moved > 0 {
		s.to.watcher.arrived()
		if s.room() > 0 {
			s.from.watcher.roomed()
		}
	}
	if s.finSent && !s.fin && !s.held && len(s.flight) == 0 && !s.finDue.After(now) && !s.to.reset {
		s.fin = true
		s.to.watcher.ended()
	}
}

// take moves what fits of the arrived bytes to p.
func (s *stream) take(p []byte) int {
	k := copy(p, s.buf)
	if s.buf = s.buf[k:]; len(s.buf) == 0 {
		s.buf = nil
	}
	s.n.after(0, s.deliver) // there is room in buf
	return k
}

// hold lets all but the first k arrived bytes be under way again, until a pause is over. Nobody can tell, as long as
// the end has not arrived behind them.
func (s *stream) hold(k int, pause time.Duration) {
	if back := slices.Clone(s.buf[k:]); len(back) > 0 {
		s.flight = slices.Insert(s.flight, 0, segment{back, time.Time{}})
		s.sent += len(back)
		s.buf = s.buf[:k]
	}
	s.held = true
	s.n.after(pause, func() {
		s.held = false
		s.deliver()
	})
}

// choke lets the stream have no room until a pause is over.
func (s *stream) choke(pause time.Duration) {
	s.clog = true
	s.n.after(pause, func() {
		s.clog = false
		if s.room() > 0 {
			s.from.watcher.roomed()
		}
	})
}

// drop forgets what is under way.
func (s *stream) drop() { s.flight, s.sent = nil, 0 }
