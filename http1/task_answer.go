// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"unsafe"

	"github.com/waitress-go/waitress/internal/invariant"
	"github.com/waitress-go/waitress/reactor"
)

// Content types that are often wanted.
const (
	ContentTypeText   = "text/plain; charset=utf-8"
	ContentTypeHTML   = "text/html; charset=utf-8"
	ContentTypeJSON   = "application/json"
	ContentTypeBinary = "application/octet-stream"
)

// Answer answers the request: status, from 200 on, a Content-Type, which is left out where it is empty, and the whole content. The
// fields that were added before go with it. Nothing can be added after it, and after a Write it is ignored, which is logged. What
// an answer of that status can't have, content with 204 or 304, is left out.
func (t Task) Answer(status int, contentType string, content []byte) {
	n := t.use()
	mustBeFinal(status)
	if !n.unwritten("Answer") {
		return
	}
	n.setStatus(status)
	if contentType != "" {
		addLine(n, fieldContentType, "Content-Type", contentType)
	}
	n.answer(content)
}

// AnswerString is Answer with the content as a string.
func (t Task) AnswerString(status int, contentType, content string) {
	t.Answer(status, contentType, bytesOf(content))
}

// AnswerPreset is Answer with the status and the fields of p: the fastest way to answer. The fields that were added before go
// with it.
func (t Task) AnswerPreset(p *Preset, content []byte) {
	n := t.use()
	if n.unwritten("AnswerPreset") {
		n.setPreset(p)
		n.answer(content)
	}
}

// AnswerPresetString is AnswerPreset with the content as a string.
func (t Task) AnswerPresetString(p *Preset, content string) { t.AnswerPreset(p, bytesOf(content)) }

// SetPreset begins the answer with p's status and fields, in the place of an earlier one's. What SetStatus sets afterwards takes
// the place of the status. There is one Content-Type, Date and Server field at most, and the later one counts, whether it is a
// Preset's, was added, or is Answer's.
func (t Task) SetPreset(p *Preset) {
	if n := t.use(); n.open("SetPreset") {
		n.setPreset(p)
	}
}

// SetStatus sets the status of the answer; it is 200 where nothing does. A status from 100 to 199 is sent at once, with the
// fields that were added, which stay for the final answer too (RFC 8297 §2); an HTTP/1.0 client gets none. 101, which
// would change the protocol, and what is beyond 999 make it panic: a request to upgrade is one to Decline.
func (t Task) SetStatus(status int) {
	n := t.use()
	if !n.open("SetStatus") {
		return
	}
	if status < http.StatusContinue || status == http.StatusSwitchingProtocols {
		panic("waitress: Task.SetStatus: no status of an answer: " + strconv.Itoa(status))
	}
	if status < http.StatusOK {
		n.statusSet = true
		n.inform(status)
		return
	}
	mustBeFinal(status)
	n.setStatus(status)
}

// AddHeader adds a field line to the answer. A name that is none is left out, and line breaks in a value become spaces, so that
// passing on what a client sent does not let it write lines of its own. What frames the answer is the server's:
// Transfer-Encoding is left out, Content-Length is as SetContentLength, and "close" in Connection as CloseAfter; what else
// Connection says is left out of the connection's last answer. A Content-Type, Date or Server field takes the place of an
// earlier one.
func (t Task) AddHeader(name, value string) { addHeader(t.use(), name, value) }

// AddHeaderBytes is AddHeader for bytes.
func (t Task) AddHeaderBytes(name, value []byte) { addHeader(t.use(), name, value) }

// AddHeaderInt is AddHeader for a number.
func (t Task) AddHeaderInt(name string, value int64) {
	var p [20]byte
	addHeader(t.use(), bytesOf(name), strconv.AppendInt(p[:0], value, 10))
}

// SetContentLength says how long the content will be, for one that is written piece by piece: it is sent as it is written
// then, and not in chunks. Writing more is refused, and with less the connection ends behind it. A length is ignored, and
// that is logged, where more than that was written before.
func (t Task) SetContentLength(length int64) {
	if length < 0 {
		panic("waitress: Task.SetContentLength: negative")
	}
	if n := t.use(); n.open("SetContentLength") {
		n.declare(length)
	}
}

// CloseAfter makes this answer the last one of its connection.
func (t Task) CloseAfter() {
	if n := t.use(); n.open("CloseAfter") {
		n.x.response.closeAfter = true
	}
}

// Write adds to the content. Up to 2 KiB are kept until the handler returns, and go out with their length and the head; what is
// longer goes out in chunks, or for an HTTP/1.0 client up to the end of the connection, unless SetContentLength was called.
// It waits when the client has too much to read already (Server.OutbufHighWatermark). p is the caller's again afterwards. After
// Answer it returns an error.
func (t Task) Write(p []byte) (int, error) {
	if t.over() {
		return 0, ErrTaskOver
	}
	if !t.x.native.unanswered("Write") {
		return 0, errComplete
	}
	return t.x.response.write(p)
}

// WriteString is Write for a string.
func (t Task) WriteString(s string) (int, error) { return t.Write(bytesOf(s)) }

// Flush sends what was written so far, the head first.
func (t Task) Flush() error {
	if t.over() {
		return ErrTaskOver
	}
	t.x.native.mayServe("Flush")
	return t.x.response.flush()
}

// AddTrailer adds a field line to the trailer section, which follows the content of an answer in chunks: called before the
// content has begun to leave, it makes it one. Names that frame, route or authenticate a message are left out (RFC 9110
// §6.5.1), and so is the whole section where there are no chunks: for HTTP/1.0, HEAD, and content with a length. A Trailer
// field that announces the names is the handler's to add.
func (t Task) AddTrailer(name, value string) {
	n := t.use()
	n.mayServe("AddTrailer")
	if allowedTrailer(http.CanonicalHeaderKey(name)) {
		n.trailers = appendLine(n.trailers, name, value)
	}
}

// SendFile sends length bytes of f from offset on as the content, or the next piece of it. Where the answer has no length yet,
// this is it. Where f has less than that, or can't be read, it returns an error and nothing has been sent, so that something else can
// be answered: io.ErrUnexpectedEOF where there is less. A large piece is counted as written at once and sent by the loop from
// the file, which the caller may close meanwhile; when the file turns out to be shorter by then, the connection ends
// there. A small one, or one that goes out in chunks, is read and written. It panics if length is negative.
func (t Task) SendFile(f *os.File, offset, length int64) error {
	if t.over() {
		return ErrTaskOver
	}
	n, r := &t.x.native, &t.x.response
	if !n.unanswered("SendFile") {
		return errComplete
	}
	if length < 0 {
		panic("waitress: Task.SendFile: negative length")
	}
	if !r.bodyAllowed() {
		return http.ErrBodyNotAllowed
	}
	var small []byte // all of it
	if length <= smallFile && !r.isHead {
		p := reactor.GetBuffer(smallFile)
		defer reactor.PutBuffer(p)
		small = p[:length]
		if _, err := f.ReadAt(small, offset); err != nil {
			return unexpected(err)
		}
	} else if err := hasPiece(f, offset, length); err != nil {
		return err
	}
	if !r.sentHead && r.written == 0 && r.contentLength < 0 && len(n.trailers) == 0 {
		r.contentLength = length
	}
	switch {
	case r.isHead: // nothing of it is sent
		if r.written += length; r.contentLength >= 0 && r.written > r.contentLength {
			return http.ErrContentLength
		}
		return nil
	case length <= smallFile:
		_, err := r.write(small)
		return err
	case n.channel().server().config.DupFile != nil:
		if sent, err := r.writeFile(f, offset, length); sent || err != nil {
			return err
		}
	}
	return r.copyFile(f, offset, length)
}

// hasPiece returns why there are no length bytes of f from offset on to be read, if that is known.
func hasPiece(f *os.File, offset, length int64) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case offset < 0:
		return &fs.PathError{Op: "read", Path: f.Name(), Err: fs.ErrInvalid}
	case info.IsDir():
		return &fs.PathError{Op: "read", Path: f.Name(), Err: errors.New("is a directory")}
	case info.Mode().IsRegular() && info.Size()-offset < length:
		return io.ErrUnexpectedEOF
	}
	return nil
}

// unexpected is err of a read that was to be of a certain length.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// copyFile reads and writes.
func (r *response) copyFile(f *os.File, offset, length int64) error {
	p := reactor.GetBuffer(copyBuffer)
	defer reactor.PutBuffer(p)
	for length > 0 {
		k, err := f.ReadAt(p[:min(length, copyBuffer)], offset)
		if _, err := r.write(p[:k]); err != nil {
			return err
		}
		offset, length = offset+int64(k), length-int64(k)
		if err != nil && length > 0 {
			return unexpected(err)
		}
	}
	return nil
}

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// open says whether the head can still be changed, and reports the call if not.
func (n *native) open(method string) bool {
	n.mayServe(method)
	r := &n.x.response
	if r.sentHead {
		r.logf("http: Task.%s after the head of the answer has been sent, to %s", method, n.channel().Peer())
		return false
	}
	return true
}

// unwritten says whether nothing of the answer but its head can have been made yet, and reports the call if not.
func (n *native) unwritten(method string) bool {
	if !n.open(method) {
		return false
	}
	r := &n.x.response
	if r.written > 0 {
		r.logf("http: Task.%s after Write, to %s", method, n.channel().Peer())
		return false
	}
	return true
}

// unanswered says whether content can still be added, and reports the call if not.
func (n *native) unanswered(method string) bool {
	n.mayServe(method)
	r := &n.x.response
	if r.done {
		r.logf("http: Task.%s after Answer, to %s", method, n.channel().Peer())
		return false
	}
	return true
}

// declare sets the length of the content. Not to less than was written: what is beyond the length would be the next answer to
// the client. Nor when a Write was refused for an earlier length, since some of the content is missing then.
func (n *native) declare(length int64) {
	r := &n.x.response
	if length < r.written || r.contentLength >= 0 && r.contentLength < r.written {
		r.logf("http: a Content-Length of %d after %d bytes of content, to %s", length, r.written, n.channel().Peer())
		return
	}
	r.contentLength = length
}

// setStatus sets the status, and leaves out what was written if an answer of that one has no content.
func (n *native) setStatus(status int) {
	r := &n.x.response
	r.status = status
	n.statusSet = true
	if len(r.body) > 0 && !r.bodyAllowed() {
		r.body, r.written = r.body[:0], 0
	}
}

func (n *native) setPreset(p *Preset) {
	n.preset = p
	if twice := n.special & p.special; twice != 0 {
		n.fields = appendWithout(n.fields[:0], n.fields, twice)
		n.special &^= twice
	}
	n.setStatus(p.status)
}

func addHeader[N, V string | []byte](n *native, name N, value V) {
	if !n.open("AddHeader") {
		return
	}
	special := specialField(name)
	switch special {
	case fieldContentLength:
		if length, ok := parseInt(value); ok {
			n.declare(length)
		} else {
			n.x.response.logf("http: invalid Content-Length of %q", string(value))
		}
		return
	case fieldTransferEncoding:
		return
	case fieldConnection:
		if hasToken(string(value), "close") {
			n.x.response.closeAfter = true
			return
		}
	case fieldContentType, fieldDate, fieldServer: // that they are there is all that matters
	}
	addLine(n, special, name, value)
}

// addLine adds a field line that is special, or not. Of those that an answer has one of it takes the place of an earlier one.
func addLine[N, V string | []byte](n *native, special fieldSet, name N, value V) {
	const single = fieldContentType | fieldDate | fieldServer
	if twice := n.special & special & single; twice != 0 {
		n.fields = appendWithout(n.fields[:0], n.fields, twice)
	}
	n.special |= special
	n.fields = appendLine(n.fields, name, value)
}

// inform sends an interim answer.
func (n *native) inform(status int) {
	r := &n.x.response
	if n.minor == 0 {
		return
	}
	if status == http.StatusContinue {
		r.neverContinue()
	}
	r.out = appendStatusLine(r.out, 1, status)
	r.out = append(r.out, n.fields...)
	r.out = append(r.out, "\r\n"...)
	r.send()
}

// answer completes the answer with all of its content.
func (n *native) answer(content []byte) {
	r := &n.x.response
	r.done = true
	if !r.bodyAllowed() {
		content = nil
	}
	r.contentLength = -1 // what counts is what is there
	r.written = int64(len(content))
	r.emit(content)
}

// writeHead puts the head together, as response.writeHead does for a map of fields. p is the first piece of the content, and all
// of it where the answer is done.
func (n *native) writeHead(p []byte) {
	r, ch := &n.x.response, n.channel()
	r.sentHead = true
	r.neverContinue()
	keep, allowed := ch.keeps(), r.bodyAllowed()
	if r.contentLength >= 0 && r.contentLength < int64(len(p)) { // declare lets no such length pass
		if invariant.Enabled {
			panic("http1: a Content-Length that is less than the content")
		}
		r.contentLength = -1
	}
	toldLength := r.contentLength >= 0
	if !toldLength && r.done && allowed && (r.isHead && len(p) > 0 || !r.isHead && (len(n.trailers) == 0 || n.minor == 0)) {
		r.contentLength, toldLength = int64(len(p)), true
	}
	kept10 := r.keepAlive10 && keep && (r.isHead || toldLength || !allowed)
	body := n.x.body
	switch {
	case !keep, r.wantsClose, n.minor == 0 && !kept10:
		r.closeAfter = true
	case body == nil:
	case n.x.continues && body.remains() != nothingLeft, body.remains() == tooMuchLeft:
		r.closeAfter = true
	}
	r.chunking = false
	if allowed && !toldLength && !r.isHead {
		if r.chunking = n.minor > 0; !r.chunking {
			r.closeAfter = true
		}
	}

	out, special := r.out, n.special
	switch p := n.preset; {
	case p == nil:
		out = appendStatusLine(out, n.minor, r.status)
	case p.status == r.status && n.minor > 0 && p.special&special == 0:
		out = append(out, p.head...)
		special |= p.special
	default:
		out = appendStatusLine(out, n.minor, r.status)
		out = appendWithout(out, p.head[p.fields:], special)
		special |= p.special
	}
	if r.closeAfter && special&fieldConnection != 0 {
		out = appendWithout(out, n.fields, fieldConnection)
	} else {
		out = append(out, n.fields...)
	}
	if toldLength && allowed && n.minor > 0 && !r.closeAfter && special&(fieldServer|fieldDate) == 0 && n.x.turn != nil {
		out = append(out, ch.listener.turnDate(n.x.turn).usual...)
		out = strconv.AppendInt(out, r.contentLength, 10)
		r.out = append(out, "\r\n\r\n"...)
		return
	}
	if special&fieldServer == 0 {
		out = appendIdent(out, ch.server().config.Ident)
	}
	if special&fieldDate == 0 {
		out = ch.listener.appendDate(out, n.x.turn)
	}
	switch {
	case toldLength && allowed:
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, r.contentLength, 10)
		out = append(out, "\r\n"...)
	case r.chunking:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case r.closeAfter && n.minor > 0:
		out = append(out, "Connection: close\r\n"...)
	case kept10 && !r.closeAfter && special&fieldConnection == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	r.out = append(out, "\r\n"...)
}

var _ io.ReadWriter = Task{}
