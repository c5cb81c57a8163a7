// SPDX-License-Identifier: MIT

package http1

import (
	"io"
	"io/fs"
	"reflect"
	"strconv"
	"syscall"

	"github.com/waitress-go/waitress/reactor"
)

const (
	// copyBuffer is what ReadFrom reads into, as net/http's does: the sizes of a long answer's chunks show it.
	copyBuffer = 32 << 10

	// sniffed is how much of a file is written before the rest is sent, while the head is not: as much as it takes to
	// tell the Content-Type, and an answer to whether the file can be read at all.
	sniffed = 512

	// smallFile is how much is not worth a handle of its own: it leaves with the head in one write.
	smallFile = maxOutput
)

// ReadFrom implements io.ReaderFrom. What src has in a regular file, an *os.File or an io.LimitedReader of one, is
// counted as written at once and sent by the loop from the file, which the handler may close meanwhile; if it turns
// out to be shorter by then, the connection ends there. All else, and what is chunked or may not be sent at all, is read
// and written. Afterwards src stands behind what was written.
func (w *writer) ReadFrom(src io.Reader) (n int64, err error) {
	if f, limit := fileOf(src); f != nil {
		if n, err = w.sendFile(f, limit); err != nil {
			return n, err
		}
	}
	m, err := w.copy(src) // also what has been appended meanwhile
	return n + m, err
}

// A copyWriter hides ReadFrom from io.Copy. Of an answer of declared length it sends what there is when a read was short: the source
// may take its time, and whoever copies from it can't flush. net/http sends all that ReadFrom reads for such an answer.
type copyWriter struct{ w *writer }

func (c copyWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err == nil && len(p) < copyBuffer {
		err = c.w.sendPart()
	}
	return n, err
}

// sendPart flushes an answer of declared length, if more of it is to come.
func (w *writer) sendPart() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.response
	if r == nil || r.isHead || r.written >= r.contentLength { // -1 where none is declared
		return nil
	}
	return r.flush()
}

func (w *writer) copy(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok && l.N <= 0 {
		return 0, nil
	}
	p := reactor.GetBuffer(copyBuffer)
	defer reactor.PutBuffer(p)
	return io.CopyBuffer(copyWriter{w}, src, p)
}

// A file is what is used of an *os.File.
type file interface {
	fs.File
	io.Seeker
	syscall.Conn
}

// fileOf returns the file that src reads, or nil, and the limit to that, if any. io.Copy shows an *os.File in a type of
// package os's own; any other type that embeds one may read something else than the file.
func fileOf(src io.Reader) (file, *io.LimitedReader) {
	limit, _ := src.(*io.LimitedReader)
	if limit != nil {
		src = limit.R
	}
	f, ok := src.(file)
	if !ok {
		return nil, nil
	}
	t := reflect.TypeOf(f)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() != "os" {
		return nil, nil
	}
	return f, limit
}

// sendFile gives what f has, up to limit, to the connection. Where that is not the way it does nothing, or stops, and what
// it leaves is to be copied.
func (w *writer) sendFile(f file, limit *io.LimitedReader) (n int64, err error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, nil //nolint:nilerr // reading it tells what is wrong
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, nil //nolint:nilerr // likewise
	}
	left := info.Size() - at
	if limit != nil {
		left = min(left, limit.N)
	}
	if left <= smallFile {
		return 0, nil
	}
	sniffs, ok := w.sends(left)
	if !ok {
		return 0, nil
	}
	advance := func(k int64) {
		n += k
		left -= k
		if limit != nil {
			limit.N -= k
		}
	}
	if sniffs {
		k, err := w.copy(io.LimitReader(f, sniffed))
		advance(k)
		if err != nil || k < sniffed {
			return n, err
		}
	}
	if ok, err := w.writeFile(f, at+n, left); !ok {
		return n, err
	}
	advance(left)
	_, err = f.Seek(at+n, io.SeekStart)
	return n, err
}

// sends says whether n bytes of a file would be sent as they are, and whether the first of them have to be written before,
// since the head is not.
func (w *writer) sends(n int64) (sniffs, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.response
	if r == nil || r.isHead || r.wroteHeader && !r.bodyAllowed() || r.x.channel.server().config.DupFile == nil {
		return false, false
	}
	if r.sentHead {
		return false, r.fits(n)
	}
	length, framed := r.contentLength, r.fields.transferEncoding != ""
	if !r.wroteHeader {
		// What the handler has set counts when it writes, which it does only when there is something to read.
		length, framed = -1, len(r.header["Transfer-Encoding"]) > 0
		if declared, err := strconv.ParseInt(r.header.Get("Content-Length"), 10, 64); err == nil {
			length = declared
		}
	}
	// Else it will be chunked, or so short that its length can be given, or refused.
	return true, !framed && (length == -1 && r.minor == 0 || n <= length-r.written)
}

// fits says whether n bytes may follow as they are, as far as is known when the head was written.
func (r *response) fits(n int64) bool {
	return !r.chunking && r.bodyAllowed() && (r.contentLength == -1 || n <= r.contentLength-r.written)
}

// writeFile gives n bytes of f from offset on to the connection, and says whether it has.
func (w *writer) writeFile(f file, offset, n int64) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.response
	if r == nil {
		return false, w.over()
	}
	return r.writeFile(f, offset, n)
}

// writeFile is the writer's, after the head or enough for it was written.
func (r *response) writeFile(f file, offset, n int64) (bool, error) {
	if !r.fits(n) {
		return false, nil
	}
	r.emit(r.body)
	r.body = r.body[:0]
	if r.chunking {
		return false, nil
	}
	if r.send(); r.err != nil {
		return false, r.err
	}
	own, err := r.x.channel.server().config.DupFile(f)
	if err != nil {
		return false, nil //nolint:nilerr // there may be no descriptor left; copying needs none
	}
	if r.err = r.x.channel.Conn.WriteFile(r.x.onLoop(), own, offset, n); r.err != nil {
		return false, r.err
	}
	r.written += n
	return true, nil
}
