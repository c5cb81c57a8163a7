// SPDX-License-Identifier: MIT

package http1

import (
	"io"
	"math"
	"net/http"

	"github.com/waitress-go/waitress/httpparse"
)

// Read reads the request's content, as the Body of an http.Request is read: straight from what has been received, and from the
// connection when that is used up, so that a client that sends more than is read is held back. It asks the client to go on
// where that waits for 100 (Continue). At the end it returns io.EOF. A Task can be used as an io.Reader, though that
// allocates where the Task escapes.
func (t Task) Read(p []byte) (int, error) {
	if t.over() {
		return 0, ErrTaskOver
	}
	n := &t.x.native
	n.mayServe("Read")
	n.view()
	n.bodyUsed = true
	switch {
	case t.x.body == nil:
		return 0, io.EOF
	case n.lost != nil:
		return 0, n.lost
	}
	return n.body.Read(p)
}

// Body returns all of the content that was not read yet, which may be no longer than most bytes: *http.MaxBytesError beyond
// that. What has been received already is returned as it lies there; the rest is waited for, as by Read. It may be called
// again, with the same result, except that content whose length was declared and too much is still there for one that takes
// more; of content in chunks some has been lost by then. The bytes are a view like the others.
func (t Task) Body(most int) ([]byte, error) {
	if t.over() {
		return nil, ErrTaskOver
	}
	n := &t.x.native
	n.mayServe("Body")
	n.view()
	n.bodyUsed = true
	if n.content != nil || t.x.body == nil {
		return n.content, nil
	}
	if n.lost != nil {
		return nil, n.lost
	}
	p, err := n.body.all(most)
	switch {
	case err == nil:
		n.content = p
	case n.length < 0: // too much is found out by reading it
		n.lost = err
	}
	return p, err
}

// Trailer returns the value of the first field of that name, in any case, in the trailer section of a chunked request, and nil
// where there is none. There is one when Read has returned io.EOF, or Body has returned.
func (t Task) Trailer(name string) []byte {
	n := t.use()
	n.view()
	if n.body.decoder == nil || t.x.body == nil || n.body.err != io.EOF {
		return nil
	}
	buf, fields := n.decoder.Trailers()
	for _, f := range fields {
		if equalFold(f.Name.Of(buf), name) {
			return piece(buf, f.Value)
		}
	}
	return nil
}

// startTask is start for a Task, whose body is used again and again.
func (b *body) startTask(ch *channel, head *httpparse.Head, decoder *chunkedDecoder) {
	b.decoder, b.err, b.closed, b.limited, b.exceeded, b.room, b.collected = nil, nil, false, false, false, 0, nil
	if head.Chunked {
		decoder.ready = nil
		b.decoder = decoder
	}
	b.start(ch, nil, head)
}

// all reads to the end. The result is a piece of the channel's input if all of it is there, and else of its own.
func (b *body) all(most int) ([]byte, error) {
	ch := b.channel
	switch {
	case b.collected != nil && b.collected.size > int64(most):
		return nil, &http.MaxBytesError{Limit: int64(most)}
	case b.collected == nil && b.decoder == nil:
		if b.left > int64(most) {
			return nil, &http.MaxBytesError{Limit: int64(most)}
		}
		if n := int(b.left); n <= len(ch.in)-ch.at && b.err == nil {
			p := ch.in[ch.at : ch.at+n : ch.at+n]
			ch.at += n
			b.left, b.err = 0, io.EOF
			ch.usedUp()
			return p, nil
		}
	}
	size := 512
	switch {
	case b.collected != nil:
		size = int(b.collected.size) + 1
	case b.decoder == nil:
		size = int(b.left) + 1 // with room to find the end
	}
	most = min(max(most, 0), math.MaxInt-1)
	p := make([]byte, 0, min(size, most+1, smallBody)) // what is declared only may never come
	for {
		if len(p) == cap(p) {
			p = append(p, 0)[:len(p)]
		}
		n, err := b.Read(p[len(p):min(cap(p), most+1)])
		p = p[:len(p)+n]
		switch {
		case len(p) > most:
			return nil, &http.MaxBytesError{Limit: int64(most)}
		case err == io.EOF:
			return p, nil
		case err != nil:
			return nil, err
		}
	}
}
