// SPDX-License-Identifier: MIT

package reactor

import (
	"sync"
	"time"
)

// lookAgain is how often the acceptor looks for a connection that has become idle, while a new one waits for its place.
const lookAgain = 20 * time.Millisecond

// admit opens a, or turns it away.
func (r *Reactor) admit(a Accepted, open func() (*Conn, Protocol)) error {
	if r.config.Admit != nil && !r.config.Admit(a.Peer) {
		return r.config.Sockets.Close(a.FD)
	}
	if r.config.MaxConns > 0 {
		r.placing.Lock()
		defer r.placing.Unlock()
	}
	if !r.makeRoom() {
		r.left(a.Peer)
		return r.config.Sockets.Close(a.FD)
	}
	return r.open(a, open)
}

func (r *Reactor) left(peer string) {
	if r.config.Left != nil {
		r.config.Left(peer)
	}
}

// makeRoom waits until there may be one more connection, and says whether it is still wanted: not when the Server ends. A
// connection that waits for a request makes room for a new one, whoever has waited longest first.
func (r *Reactor) makeRoom() bool {
	for {
		freed := r.freed.wait()
		switch {
		case r.config.MaxConns <= 0 || r.Conns() < r.config.MaxConns:
			return true
		case r.draining.Load():
			return false
		}
		r.retireOldest()
		again := time.NewTimer(lookAgain)
		select {
		case <-freed:
		case <-again.C:
		}
		again.Stop()
	}
}

// A survey looks for the connection that has been idle for longest. Every loop looks among its own, and the last one decides.
type survey struct {
	reactor *Reactor
	mu      sync.Mutex
	left    int   // guarded by mu, as what follows; loops that have not looked yet
	oldest  *Conn // nil: none is idle
	at      int64 // its read deadline, which came first
}

func (r *Reactor) retireOldest() {
	s := &survey{reactor: r, left: len(r.loops), at: never}
	for _, l := range r.loops {
		l.post(op{kind: opSurvey, survey: s})
	}
}

// look is l's part of the survey. Loop only.
func (s *survey) look(l *Loop) {
	var oldest *Conn
	var first int64 = never
	l.each(func(c *Conn) {
		if c.word.Load()&(taskOwned|wordDoomed) == 0 {
			if at := c.readAt.Load(); (at < first || oldest == nil) && c.proto.Idle() {
				oldest, first = c, at
			}
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if oldest != nil && (first < s.at || s.oldest == nil) {
		s.oldest, s.at = oldest, first
	}
	if s.left--; s.left == 0 && s.oldest != nil {
		s.oldest.home().post(op{kind: opRetire, conn: s.oldest})
	}
}

// retire closes c if it is idle still. Loop only.
func (c *Conn) retire(t *Turn) {
	if c.word.Load()&(taskOwned|wordDoomed|wordClosed|wordReadable) == 0 && c.proto.Idle() {
		c.proto.Retire(t)
	}
}
