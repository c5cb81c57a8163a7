// SPDX-License-Identifier: MIT

package reactor

import "fmt"

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
