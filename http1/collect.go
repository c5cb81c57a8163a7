// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/reactor"
)

// A collected is a request's content that was received as a whole before its handler is called: in memory up to a limit, and
// in a temporary file from there on. The channel adds to it; then whoever handles the request reads it.
type collected struct {
	limit    int                           // of the bytes in memory
	newSpool func() (reactor.Spool, error) // immutable
	budget   *reactor.Memory               // immutable; what memory is counted in, or nil
	memory   []byte                        // the first bytes
	file     reactor.Spool                 // the others, or nil
	size     int64

	mu sync.Mutex // guards at, and the close of file
	at int64      // where the next Read begins
}

// add appends p.
func (c *collected) add(p []byte) error {
	if k := c.room(len(p)); k > 0 {
		c.memory = append(c.memory, p[:k]...)
		c.size += int64(k)
		p = p[k:]
	}
	if len(p) == 0 {
		return nil
	}
	if c.file == nil {
		var err error
		if c.file, err = c.newSpool(); err != nil {
			return err
		}
	}
	n, err := c.file.WriteAt(p, c.size-int64(len(c.memory)))
	c.size += int64(n)
	return err
}

// room makes room in memory for n bytes more, or as many as may be there. Where memory is short there will be no more of it.
func (c *collected) room(n int) int {
	n = min(n, c.limit-len(c.memory))
	if n <= cap(c.memory)-len(c.memory) {
		return n
	}
	size := min(max(2*cap(c.memory), len(c.memory)+n, leastCollected), c.limit)
	if !c.budget.Reserve(size - cap(c.memory)) {
		c.limit = cap(c.memory)
		return c.limit - len(c.memory)
	}
	c.memory = append(make([]byte, 0, size), c.memory...)
	return n
}

// ReadAt implements io.ReaderAt. Under mu, or while nobody reads.
func (c *collected) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < int64(len(c.memory)) {
		n = copy(p, c.memory[offset:])
	}
	if n < len(p) && c.file != nil {
		k, err := c.file.ReadAt(p[n:], offset+int64(n)-int64(len(c.memory)))
		if n += k; err != nil && err != io.EOF {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// read is Read of the body that c is the content of.
func (c *collected) read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.ReadAt(p, c.at)
	if c.at += int64(n); c.at == c.size && err == nil {
		err = io.EOF
	}
	return n, err
}

// free lets go of the memory, and closes the file. Nobody reads any more.
func (c *collected) free() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.Free(cap(c.memory))
	c.memory = nil
	if c.file != nil {
		_ = c.file.Close() // it was only read
		c.file = nil
	}
}

// leastCollected is how much memory a request's content gets at first.
const leastCollected = 512

// A collectedBody is the Body of a request whose content was collected. It can be read from anywhere, again and again.
type collectedBody struct{ *body }

var _ io.ReadSeekCloser = collectedBody{}

// Seek implements io.Seeker.
func (b collectedBody) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.unlock()
	if b.closed || b.channel == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	c := b.collected
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	default:
		return 0, errors.New("http1: Seek: invalid whence")
	}
	if offset < 0 {
		return 0, errors.New("http1: Seek: negative position")
	}
	c.at, b.err = min(offset, c.size), nil
	return c.at, nil
}

// Why a request whose content is collected is refused.
var (
	errSlowBody = &httpparse.SyntaxError{Status: http.StatusRequestTimeout, Rule: "the content took too long"}
	errCutBody  = &httpparse.SyntaxError{Status: http.StatusBadRequest, Rule: "the connection ended inside the content (RFC 9112 §8)"}
	errNoRoom   = &httpparse.SyntaxError{Status: http.StatusInsufficientStorage, Rule: "there is no room for the content"}
)

// beginCollect lets the content of the request that was begun be received before its handler is called.
func (ch *channel) beginCollect(t *reactor.Turn) error {
	c := &ch.server().config
	b := ch.x.body
	b.collected = &collected{limit: c.BodyMemory, newSpool: c.NewSpool, budget: c.Memory}
	if c.ReadTimeout > 0 {
		ch.limitReading()
	}
	ch.setState(stateBody)
	if b.expected {
		b.expected = false
		return ch.x.response.sendContinue(t)
	}
	return nil
}

// collect takes what has been received of the content. ok says that the handler can be called, w what else is wanted.
func (ch *channel) collect(t *reactor.Turn) (w want, ok bool) {
	b := ch.x.body
	err := b.collect()
	switch {
	case err == io.EOF:
		ch.endCollect()
		return 0, true
	case err == reactor.ErrAgain && ch.ended == nil:
		return wantInput, false
	case err == reactor.ErrAgain:
		err = errCutBody
	}
	return ch.refuse(t, err), false
}

// collect moves the content that is at hand into b.collected. It returns io.EOF at the content's end, ErrAgain where more has to
// come, and else why the request is refused.
func (b *body) collect() error {
	ch := b.channel
	for {
		var data []byte
		var err error
		if b.decoder == nil {
			n := int(min(b.left, int64(len(ch.in)-ch.at)))
			data = ch.in[ch.at : ch.at+n]
			ch.at += n
			if b.left -= int64(n); b.left == 0 {
				err = io.EOF
			} else if ch.at == len(ch.in) {
				err = reactor.ErrAgain
			}
		} else {
			var k int
			data, k, err = b.decoder.Next(ch.in[ch.at:])
			ch.at += k
			if err == httpparse.ErrPartial {
				err = reactor.ErrAgain
			}
			if b.room -= int64(len(data)); b.limited && b.room < 0 {
				return errLargeBody
			}
		}
		ch.x.received.Add(int64(len(data)))
		if failed := b.collected.add(data); failed != nil {
			ch.server().config.Logf("http: temporary file for a request's content: %v", failed)
			return errNoRoom
		}
		if err != nil {
			return err
		}
	}
}

// endCollect makes the content what the handler reads.
func (ch *channel) endCollect() {
	x := ch.x
	b := x.body
	if b.decoder != nil {
		b.setTrailer()
	}
	if x.slab == nil {
		x.native.length = b.collected.size
		return
	}
	r := &x.slab.request
	r.ContentLength, r.TransferEncoding = b.collected.size, nil
	r.Body = collectedBody{b}
}
