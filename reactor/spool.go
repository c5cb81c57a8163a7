// SPDX-License-Identifier: MIT

package reactor

import (
	"io"
	"runtime"
)

// A Spool is a temporary file for output that its client does not take: what is written behind its end is sent from there.
type Spool interface {
	File
	io.WriterAt
}

// spoolSize is how long a Spool gets. What has been sent of it takes room until all has, so that a connection that is always
// behind goes on with another one now and then.
const spoolSize = 256 << 20

// spools says whether output of c may go to a Spool now: then it does, from Config.Overflow bytes in memory on.
func (c *Conn) spools(q *queue) bool {
	config := &c.home().reactor.config
	return config.NewSpool != nil && !q.unspooled && q.blocked && (q.bytes >= config.Overflow || q.tail() != nil)
}

// tail returns the Spool that the output ends with, or nil.
func (q *queue) tail() *filePart {
	if n := len(q.segments); n > q.first {
		return q.segments[n-1].spool()
	}
	return nil
}

func (s segment) spool() *filePart {
	if s.file != nil && s.file.spool != nil {
		return s.file
	}
	return nil
}

// spool writes a piece of p behind the output that waits, and returns how much that was. Where it can't, Config.Fault is told,
// and the rest of this output waits for its client in the old way. Under the output's lock, which it lets go of for a moment.
func (c *Conn) spool(t *Turn, q *queue, p []byte) int {
	c.Detach(t) // the disk may take its time
	part := q.tail()
	if part == nil || part.offset+part.n >= spoolSize {
		s, err := c.home().reactor.config.NewSpool()
		if err != nil {
			q.unspooled = true
			c.home().reactor.config.Fault("reactor: temporary file for output", err)
			return 0
		}
		part = &filePart{File: s, spool: s}
		q.segments = append(q.segments, segment{file: part})
	}
	n, err := part.spool.WriteAt(p[:min(len(p), filePiece)], part.offset+part.n)
	if err != nil {
		q.unspooled = true
		c.home().reactor.config.Fault("reactor: temporary file for output", err)
	}
	part.n += int64(n)
	q.spooled += int64(n)
	c.out.mu.Unlock()
	runtime.Gosched() // the loop may want to send
	c.out.mu.Lock()
	return n
}
