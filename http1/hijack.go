// SPDX-License-Identifier: MIT

package http1

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// Hijack implements http.Hijacker: the connection is the handler's from now on, as a net.Conn of its own with a descriptor
// of its own, and the server knows it no more. What has been read of it already, the rest of the request's body or more, is
// in the Reader. What the handler wrote before is sent first, as far as net/http sends it: the head, and what was
// flushed.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.hijacked != nil:
		return nil, nil, http.ErrHijacked
	case w.response == nil:
		return nil, nil, errLate
	}
	taken := &hijacked{w.response.x.channel.server(), w.response.header}
	if taken.header == nil {
		taken.header = make(http.Header)
	}
	conn, rest, err := w.response.hijack()
	if err != nil {
		return nil, nil, err
	}
	w.hijacked = taken
	w.response = nil
	rw := bufio.NewReadWriter(bufio.NewReaderSize(&resumedReader{rest, conn}, max(len(rest), minHijackBuffer)), bufio.NewWriter(conn))
	if len(rest) > 0 {
		// So that Buffered says how much has been read. It can't fail: the bytes are there.
		_, err = rw.Peek(len(rest))
	}
	return conn, rw, err
}

// minHijackBuffer is the size of the buffers that net/http gives, which libraries are known to reuse.
const minHijackBuffer = 4 << 10

// A resumedReader reads what was read before, and then the connection.
type resumedReader struct {
	rest []byte
	conn net.Conn
}

func (r *resumedReader) Read(p []byte) (int, error) {
	if len(r.rest) > 0 {
		n := copy(p, r.rest)
		r.rest = r.rest[n:]
		return n, nil
	}
	return r.conn.Read(p)
}

// hijack takes the connection out of its loop. It returns a net.Conn for it and a copy of the input that was not used.
func (r *response) hijack() (net.Conn, []byte, error) {
	x := r.x
	ch := x.channel
	take := ch.listener.Take
	if take == nil {
		return nil, nil, http.ErrNotSupported
	}
	r.neverContinue()
	if r.wroteHeader {
		if !r.sentHead {
			r.writeHead(nil)
		}
		r.send()
	}
	x.body.interrupt() // another goroutine of the handler may wait for more of it
	// The descriptor goes only when all output has left by way of it.
	if err := ch.Sync(x.onLoop()); err != nil {
		return nil, nil, err
	}
	ch.Detach(x.onLoop())
	conn, read, err := take(ch.FD())
	if err != nil {
		return nil, nil, err
	}
	if ch.hooks != nil {
		if view, ok := ch.hooks.conn.(*connView); ok {
			view.taken.Store(&conn)
		}
	}
	ch.report(http.StateHijacked)
	x.slab.ctx.localAddr() // while there is a descriptor to be asked
	x.slab.writer.endDeadlines()
	rest := append(append(x.body.decoded(), ch.in[ch.at:]...), read...)
	x.body.letGo()

	// From here on the channel is the loop's, which closes its descriptor without a word: the connection lives on in the
	// other one. The exchange stays with the handler's goroutine, which gives it back (serve).
	x.hijacked = true
	ch.x = nil
	ch.ctx.Store(nil)
	ch.hijacked = true
	ch.dropInput()
	ch.SetReadDeadline(time.Time{})
	ch.ClearWriteDeadline()
	ch.Doom()
	ch.Release(false)
	return conn, rest, nil
}
