// SPDX-License-Identifier: MIT

package reactor

import (
	"fmt"
	"slices"
	"unsafe"
)

// MaxReads is maxReads, for tests of fairness.
const MaxReads = maxReads

// String describes c, for the message of a test that does not come to its end.
func (c *Conn) String() string {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	text := fmt.Sprintf("descriptor %d: word %s", c.fd, wordString(c.word.Load()))
	if q := c.out.q.Load(); q != nil {
		text += fmt.Sprintf(", %d bytes wait, blocked: %v, failed: %v", q.bytes, q.blocked, q.err)
	}
	return text
}

// ConnSize is the size of a Conn.
const ConnSize = unsafe.Sizeof(Conn{})

// Loop returns the loop that the connection lives on, or that t is a turn of.
func (c *Conn) Loop() *Loop { return c.home() }
func (t *Turn) Loop() *Loop { return t.loop }

// LoopNumber says which of the loops l is.
func (r *Reactor) LoopNumber(l *Loop) int { return slices.Index(r.loops, l) }

// NoteExpired is what the loop does when it finds that the read deadline of a task's connection has passed.
func (c *Conn) NoteExpired() { c.word.Or(wordExpired) }

// Drain and Receive are what the loop does with a report of c once it has seen that nobody has ended c.
func (c *Conn) Drain(t *Turn) bool { return c.drained(t) }
func (c *Conn) Receive(t *Turn)    { c.input(t) }

// Ticking says whether the watch over user code ticks.
func (r *Reactor) Ticking() bool { return r.watch.ticking.Load() }
