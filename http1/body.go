// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/reactor"
)

// A body is a request's content as the handler reads it: straight from the channel's input, and from the socket when that
// is used up, so that what nobody reads stays in the kernel and holds the peer back.
//
// Any goroutine of the handler may read it, one at a time; mu is what makes the others, and those that come too late,
// harmless. The channel's input belongs to the body from the start of the handler to letGo. A request without content has
// none, and a nil *body has nothing left.
type body struct {
	mu       sync.Mutex
	channel  *channel        // nil after letGo
	request  *http.Request   // whose body it is; nil for a Task's
	left     int64           // of a body with Content-Length: what was not read
	decoder  *chunkedDecoder // of a chunked one
	err      error           // what every further Read returns
	closed   bool
	expected bool // 100 (Continue) is still to be sent when the first Read has to wait
	limited  bool // it is chunked, and may have no more than room more bytes
	exceeded bool // more have come
	room     int64

	collected *collected // where the content is that was received before the handler was called, or nil

	interrupter atomic.Pointer[chan struct{}] // closed when mu is let go
}

// A chunkedDecoder is a chunked body's state and what has been decoded of the input but not read.
type chunkedDecoder struct {
	httpparse.Chunked
	ready []byte // a piece of the channel's input
}

// start makes b the body of the head that was just parsed. On the owner of ch.
func (b *body) start(ch *channel, r *http.Request, head *httpparse.Head) {
	b.channel, b.request = ch, r
	b.left = head.ContentLength
	b.expected = head.Continue
	if head.Chunked {
		if b.decoder == nil {
			b.decoder = new(chunkedDecoder)
		}
		b.decoder.Reset(&ch.server().config.Limits)
		if limit := ch.server().config.MaxBody; limit > 0 {
			b.limited, b.room = true, limit
		}
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.unlock()
	switch {
	case b.closed || b.channel == nil:
		return 0, http.ErrBodyReadAfterClose
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	if at := b.channel.x.readDeadline.Load(); at != 0 && b.collected == nil && time.Now().UnixNano() >= at {
		b.err = os.ErrDeadlineExceeded // also where there is something to read: who sends fast enough gets no more time
		return 0, b.err
	}
	read := b.readFixed
	switch {
	case b.collected != nil:
		read = b.collected.read
	case b.decoder != nil:
		read = b.readChunked
	}
	n, err := read(p)
	b.err = err
	if err == io.EOF {
		b.channel.usedUp()
	}
	if n > 0 && err != io.EOF {
		err = nil // the next Read says it
	}
	return n, err
}

// Close implements io.Closer. It does not wait: what has not come is the channel's to drain. Where all has, the peer's end is
// one now, as it is when the body was read.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.unlock()
	unread := b.unread()
	b.closed = true
	if !unread {
		return nil
	}
	if ch := b.channel; b.decoder == nil && (b.left >= maxDrain || b.left > int64(len(ch.in)-ch.at)) {
		return nil
	}
	err := b.discard(&b.channel.x.drained)
	if err == reactor.ErrAgain {
		return nil
	}
	b.err = err
	if err == io.EOF {
		if b.decoder != nil {
			b.setTrailer()
		}
		b.channel.usedUp()
	}
	return nil
}

// unread says whether the body can still be read from the channel, and was not read to its end. Under mu.
func (b *body) unread() bool {
	return !b.closed && b.channel != nil && b.collected == nil && b.err == nil
}

// unwanted is called when the answer has begun to leave, after which who hasn't read the body hardly will. Where all of it has come,
// and nothing behind it, the peer's end is one from then on. net/http throws such a body away by then.
func (b *body) unwanted() {
	if b == nil || !b.mu.TryLock() { // or somebody reads it
		return
	}
	defer b.unlock()
	if !b.unread() || b.decoder != nil {
		return
	}
	if ch := b.channel; b.left <= int64(len(ch.in)-ch.at) && onlyEmptyLines(ch.in[ch.at+int(b.left):]) {
		ch.beQuiet()
	}
}

func (b *body) unlock() {
	b.mu.Unlock()
	if free := b.interrupter.Swap(nil); free != nil {
		close(*free)
	}
}

// letGo makes b forget the channel. What was not read is the channel's.
func (b *body) letGo() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.channel = nil
	b.closed = true
	b.collected.free()
	b.mu.Unlock()
}

func (b *body) readFixed(p []byte) (n int, err error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.left)]
	ch := b.channel
	switch {
	case ch.at < len(ch.in):
		n = copy(p, ch.in[ch.at:])
		ch.at += n
	case len(p) >= inputBuffer/4 || len(p) >= smallRead && ch.memory().Short():
		n, err = b.receive(p)
	default:
		if err = b.fill(); err == nil {
			n = copy(p, ch.in)
			ch.at = n
		}
	}
	if b.left -= int64(n); b.left == 0 {
		err = io.EOF
	}
	return n, err
}

func (b *body) readChunked(p []byte) (n int, err error) {
	d, ch := b.decoder, b.channel
	for {
		k := copy(p[n:], d.ready)
		d.ready = d.ready[k:]
		n += k
		switch {
		case len(d.ready) > 0:
			return n, nil
		case b.exceeded:
			return n, &http.MaxBytesError{Limit: ch.server().config.MaxBody}
		}
		// Also when p is full: the end may be at hand, and is told with the last bytes then.
		data, used, err := d.Next(ch.in[ch.at:])
		ch.at += used
		switch {
		case err == nil:
			if b.limited {
				if int64(len(data)) > b.room {
					data, b.exceeded = data[:b.room], true
				}
				b.room -= int64(len(data))
			}
			d.ready = data
		case err == httpparse.ErrPartial:
			if n > 0 {
				return n, nil // what there is, before waiting for more
			}
			if err := b.fill(); err != nil {
				return 0, err
			}
		case err == io.EOF:
			b.setTrailer()
			return n, io.EOF
		default:
			return n, err
		}
	}
}

// setTrailer fills Request.Trailer with what came behind the last chunk.
func (b *body) setTrailer() {
	buf, fields := b.decoder.Trailers()
	if len(fields) == 0 {
		return
	}
	r := b.request
	if r == nil { // a Task's: it looks for itself
		return
	}
	if r.Trailer == nil {
		r.Trailer = make(http.Header, len(fields))
	}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.Of(buf)))
		r.Trailer[name] = append(r.Trailer[name], string(f.Value.Of(buf)))
	}
}

// fill replaces the channel's input, which is used up, by more from the socket.
func (b *body) fill() error {
	ch := b.channel
	ch.dropInput()
	m := ch.memory()
	buf := m.Get(m.Input(inputBuffer))
	n, err := b.receive(buf)
	if err != nil {
		m.Put(buf)
		return err
	}
	ch.in, ch.at = buf[:n], 0
	return nil
}

// receive reads from the socket, and waits for something to read.
func (b *body) receive(p []byte) (int, error) {
	ch := b.channel
	for {
		if ch.ended != nil {
			ch.cutOff()
			return 0, bodyEnded(ch.ended)
		}
		n, err := ch.TryRead(p)
		switch {
		case err == nil && n > 0:
			ch.x.received.Add(int64(n))
			return n, nil
		case err == nil || err == reactor.ErrAgain:
			if err := b.await(); err != nil {
				return 0, err
			}
		default:
			ch.ended = err
		}
	}
}

// await waits until the socket can be read, no longer than the peer may be silent.
func (b *body) await() error {
	ch := b.channel
	if b.expected {
		b.expected = false
		if err := ch.x.response.sendContinue(nil); err != nil {
			return err
		}
	}
	if err := ch.Conn.Flush(); err != nil { // the peer may be waiting for an answer that is held
		return err
	}
	ch.awaitBody()
	err := ch.WaitReadable()
	ch.x.endWait(time.Now().UnixNano())
	return err
}

// bodyEnded is what a reader sees when the connection ended before the body did.
func bodyEnded(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A remainder says what is left of a body when its handler has returned.
type remainder uint8

const (
	nothingLeft remainder = iota
	someLeft              // it can be drained
	tooMuchLeft           // it can't, for its length, or for an error that lost the framing
)

// decoded returns a copy of what was decoded of a chunked body and not read: it was sent just before the channel's input. On the
// owner of the channel, when nobody reads.
func (b *body) decoded() []byte {
	if b == nil || b.decoder == nil {
		return nil
	}
	return bytes.Clone(b.decoder.ready)
}

// interrupt ends a Read that a goroutine of the handler is still in, now that the handler has returned, and lets no other one
// begin: the channel's input is the channel's again. On the owner of the channel.
func (b *body) interrupt() {
	if b == nil || b.channel == nil {
		return
	}
	// Not by Lock: the deadline is a timer's work, and time stands still in a bubble whose goroutines wait for a mutex.
	for !b.mu.TryLock() {
		free := make(chan struct{})
		b.interrupter.Store(&free)
		if b.mu.TryLock() {
			break
		}
		b.channel.x.readDeadline.Store(1)
		b.channel.setBodyDeadline()
		<-free
	}
	b.closed = true
	b.mu.Unlock()
}

// remains looks at what is left, without reading. While a goroutine of the handler reads, it can't tell, and takes it that
// the reader will come to the end.
func (b *body) remains() remainder {
	if b == nil {
		return nothingLeft
	}
	if !b.mu.TryLock() {
		return someLeft
	}
	defer b.mu.Unlock()
	switch {
	case b.channel == nil || b.collected != nil || b.err == io.EOF:
		return nothingLeft
	case b.err != nil:
		return tooMuchLeft
	case b.decoder == nil && b.left == 0:
		return nothingLeft
	case b.decoder == nil && b.left >= maxDrain: // received or not: how the peer's bytes are cut must not matter
		return tooMuchLeft
	}
	return someLeft
}

// drain throws away what has been received of the rest. It returns io.EOF when nothing is left, ErrAgain when more has to
// be received, and else why the connection can't be kept. On the owner of the channel, when the handler is gone.
func (b *body) drain(spent *int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	return b.discard(spent)
}

// discard is drain under mu.
func (b *body) discard(spent *int64) error {
	ch := b.channel
	most := int64(maxDrain)
	if b.decoder != nil {
		most = maxChunkedDrain
	}
	for {
		var n int64
		var err error
		if b.decoder == nil {
			n = min(b.left, int64(len(ch.in)-ch.at))
			ch.at += int(n)
			if b.left -= n; b.left == 0 {
				err = io.EOF
			} else if ch.at == len(ch.in) {
				err = reactor.ErrAgain
			}
		} else {
			var data []byte
			var k int
			b.decoder.ready = nil
			data, k, err = b.decoder.Next(ch.in[ch.at:])
			ch.at += k
			n = int64(len(data))
			if err == httpparse.ErrPartial {
				err = reactor.ErrAgain
			}
		}
		ch.x.received.Add(n)
		if *spent += n; *spent > most {
			return errDrain
		}
		if err != nil {
			return err
		}
	}
}

var errDrain = errors.New("http1: more of an unread body than is drained")
