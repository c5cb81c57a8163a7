// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/waitress-go/waitress/reactor"
)

const (
	// bodyBuffer is how much of a body is kept back before the head is sent, as in net/http: a handler that returns
	// before it has written more gets a Content-Length, and what is longer goes out in chunks whose borders clients of
	// net/http have seen at these places.
	bodyBuffer = 2048

	// outputBuffer is where an answer is put together, and maxOutput how large that may grow before it is sent.
	outputBuffer = 4 << 10
	maxOutput    = 16 << 10
)

// errLate is what a handler's ResponseWriter returns when the handler has returned.
var errLate = errors.New("http1: ResponseWriter used after its handler returned")

// A writer is the http.ResponseWriter of one request. It belongs to the request for ever, while the response behind
// it is recycled: a goroutine that outlives its handler finds the writer without a response, and never another client's.
//
// Deadlines have a lock of their own: a Write that waits holds mu, and a deadline is what ends it.
type writer struct {
	mu       sync.Mutex
	response *response // nil after letGo and Hijack; guarded by mu
	hijacked *hijacked // what is left after Hijack; guarded by mu

	deadlines sync.Mutex
	channel   *channel // nil after letGo and Hijack; guarded by deadlines
}

func (w *writer) letGo() {
	w.mu.Lock()
	w.response = nil
	w.mu.Unlock()
	w.endDeadlines()
}

// endDeadlines lets nobody set a deadline any more.
func (w *writer) endDeadlines() {
	w.deadlines.Lock()
	w.channel = nil
	w.deadlines.Unlock()
}

// A hijacked is what is left of a response whose connection was hijacked.
type hijacked struct {
	server *Server
	header http.Header // nobody sends it, but it can be filled and read, as httputil.ReverseProxy does
}

// Header implements http.ResponseWriter.
func (w *writer) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.hijacked != nil:
		return w.hijacked.header
	case w.response == nil:
		return make(http.Header)
	}
	if w.response.header == nil {
		w.response.header = make(http.Header)
	}
	return w.response.header
}

// Write implements http.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.response == nil {
		if w.hijacked != nil && len(p) > 0 {
			w.misuse("Write")
		}
		return 0, w.over()
	}
	return w.response.write(p)
}

// WriteString implements io.StringWriter.
func (w *writer) WriteString(s string) (int, error) {
	// What write gets it reads, and keeps only copies of.
	return w.Write(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.response != nil:
		w.response.writeHeader(code)
	case w.hijacked != nil:
		w.misuse("WriteHeader")
	}
}

// over is why there is no response. Under mu.
func (w *writer) over() error {
	if w.hijacked != nil {
		return http.ErrHijacked
	}
	return errLate
}

// misuse reports a call of method after Hijack. Under mu.
func (w *writer) misuse(method string) {
	f := callerOf()
	w.hijacked.server.config.Logf("http: response.%s on hijacked connection from %s (%s:%d)", method, f.Function, path.Base(f.File), f.Line)
}

// Flush implements http.Flusher.
func (w *writer) Flush() {
	// The error stays in the connection, where the next Write meets it.
	_ = w.FlushError()
}

// FlushError is Flush for http.ResponseController.
func (w *writer) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.response == nil {
		return w.over()
	}
	return w.response.flush()
}

// CloseNotify implements http.CloseNotifier, for programmes older than Request.Context: the channel gets a value when the
// client goes away before the answer is complete.
func (w *writer) CloseNotify() <-chan bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.response != nil:
		return w.response.x.slab.ctx.closeNotify()
	case w.hijacked != nil:
		return nil // nobody watches the connection any more
	}
	panic("http1: CloseNotify called after its handler returned")
}

// SetReadDeadline is for http.ResponseController: reads of the body fail after t.
func (w *writer) SetReadDeadline(t time.Time) error {
	w.deadlines.Lock()
	defer w.deadlines.Unlock()
	if w.channel == nil {
		return errLate
	}
	w.channel.x.readDeadline.Store(unixNano(t))
	w.channel.setBodyDeadline()
	return nil
}

// unixNano is t for exchange.readDeadline: 0 for none, which is also what is beyond the clock, and 1 for all that was before it began.
func unixNano(t time.Time) int64 {
	switch {
	case t.IsZero() || t.After(time.Unix(0, math.MaxInt64)):
		return 0
	case !t.After(time.Unix(0, 1)):
		return 1
	}
	return t.UnixNano()
}

// SetWriteDeadline is for http.ResponseController: writes fail after t.
func (w *writer) SetWriteDeadline(t time.Time) error {
	w.deadlines.Lock()
	defer w.deadlines.Unlock()
	if w.channel == nil {
		return errLate
	}
	w.channel.SetWriteDeadline(t)
	return nil
}

// EnableFullDuplex is for http.ResponseController. Reading and writing never wait for each other here; what changes is
// that an unread body is no reason to close the connection with the head.
func (w *writer) EnableFullDuplex() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.response == nil {
		return w.over()
	}
	w.response.fullDuplex = true
	return nil
}

// A response is one answer in the making. It is recycled with its exchange.
type response struct {
	x *exchange // immutable

	header http.Header // the handler's, who may keep it; nil until it asks for it
	fields fieldLines  // what was in it at WriteHeader
	status int

	minor        uint8 // of the request's version
	isHead       bool  // the request is HEAD
	keepAlive10  bool  // it is HTTP/1.0 and asks for the connection to be kept
	wantsClose   bool  // it asks for the connection to be closed
	wroteHeader  bool  // WriteHeader was called
	sentHead     bool  // the head is in out, or beyond
	chunking     bool  // the body is chunked
	fullDuplex   bool  // EnableFullDuplex was called
	done         bool  // the handler has returned, or has given all of the answer
	sent         bool  // a part of the answer has gone to the connection
	closeAfter   bool  // the connection ends with this answer
	trailersSaid bool  // there are trailer fields, by declaration or prefix

	contentLength int64 // what the handler declared, or -1
	written       int64 // what it wrote
	trailers      []string
	body          []byte // written and not emitted, up to bodyBuffer. Kept from request to request
	out           []byte // emitted and not sent
	err           error  // of the connection

	interim  sync.Mutex // guards expected, and keeps 100 (Continue) from following the head
	expected bool       // the client waits for 100 (Continue)
}

// reset makes r ready for a request. What out holds, answers to the requests before, stays there.
func (r *response) reset(minor uint8, isHead, keepAlive, wantsClose, expected bool) {
	r.minor, r.isHead = minor, isHead
	r.keepAlive10 = minor == 0 && keepAlive && !wantsClose
	r.wantsClose = wantsClose
	r.status = 0
	r.wroteHeader, r.sentHead, r.chunking, r.fullDuplex, r.done, r.closeAfter, r.trailersSaid = false, false, false, false, false, false, false
	r.sent = false
	r.contentLength, r.written = -1, 0
	r.trailers = r.trailers[:0]
	if r.out == nil {
		r.out = reactor.GetBuffer(outputBuffer)[:0]
	}
	r.body = r.body[:0]
	r.err = nil
	r.expected = expected
	r.header = nil
}

func (r *response) logf(format string, args ...any) {
	r.x.channel.server().config.Logf(format, args...)
}

func (r *response) writeHeader(code int) {
	if r.wroteHeader {
		f := callerOf()
		r.logf("http: superfluous response.WriteHeader call from %s (%s:%d)", f.Function, path.Base(f.File), f.Line)
		return
	}
	if code < 100 || code > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", code))
	}
	if code < 101 || code > 199 {
		r.neverContinue()
	}
	if code <= 199 && code != http.StatusSwitchingProtocols {
		// RFC 8297 §2: the fields stay for the final answer too.
		r.fields.snapshot(r.header)
		r.out = appendStatusLine(r.out, r.minor, code)
		r.out = r.fields.append(r.out, fieldContentLength|fieldTransferEncoding)
		r.out = append(r.out, "\r\n"...)
		r.send()
		return
	}
	r.wroteHeader = true
	r.status = code
	r.fields.snapshot(r.header)
	if cl := r.fields.contentLength; cl != "" {
		if n, err := strconv.ParseInt(cl, 10, 64); err == nil && n >= 0 {
			r.contentLength = n
		} else {
			r.logf("http: invalid Content-Length of %q", cl)
			delete(r.header, "Content-Length")
			r.fields.remove(fieldContentLength)
		}
	}
}

// callerOf finds the code that called a method of the ResponseWriter.
func callerOf() runtime.Frame {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(1, pc)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "github.com/waitress-go/waitress/http1.(*") &&
			!strings.HasPrefix(f.Function, "github.com/waitress-go/waitress/http1.callerOf") || !more {
			return f
		}
	}
}

// neverContinue forgets that the client waits for 100 (Continue): it gets something else.
func (r *response) neverContinue() {
	if !r.x.continues {
		return
	}
	r.interim.Lock()
	r.expected = false
	r.interim.Unlock()
}

// sendContinue sends 100 (Continue), unless the answer has begun. The body's reader calls it, on whichever goroutine, or the
// channel's owner.
func (r *response) sendContinue(t *reactor.Turn) error {
	r.interim.Lock()
	defer r.interim.Unlock()
	if !r.expected {
		return nil
	}
	r.expected = false
	return r.x.channel.Conn.Write(t, []byte("HTTP/1.1 100 Continue\r\n\r\n"))
}

func (r *response) bodyAllowed() bool { return bodyAllowed(r.status) }

// bodyAllowed says whether an answer of that status may have content (RFC 9110 §6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func (r *response) write(p []byte) (int, error) {
	if !r.wroteHeader {
		r.writeHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !r.bodyAllowed() {
		return 0, http.ErrBodyNotAllowed
	}
	r.written += int64(len(p))
	if r.contentLength != -1 && r.written > r.contentLength {
		return 0, http.ErrContentLength
	}
	if r.err != nil {
		return 0, r.err
	}
	n := 0
	for len(r.body)+len(p) > bodyBuffer {
		if len(r.body) == 0 {
			r.emit(p)
			n, p = n+len(p), nil
			break
		}
		k := bodyBuffer - len(r.body)
		r.body = append(r.body, p[:k]...)
		n, p = n+k, p[k:]
		r.emit(r.body)
		r.body = r.body[:0]
	}
	if r.err != nil {
		return n, r.err
	}
	if len(p) > 0 {
		if r.body == nil {
			r.body = make([]byte, 0, bodyBuffer)
		}
		r.body = append(r.body, p...)
	}
	return n + len(p), nil
}

// emit passes the next piece of the body on, with the head before the first one.
func (r *response) emit(p []byte) {
	if !r.sentHead {
		r.writeHead(p)
	}
	if r.isHead || len(p) == 0 {
		return
	}
	if r.chunking {
		r.out = strconv.AppendUint(r.out, uint64(len(p)), 16)
		r.out = append(r.out, "\r\n"...)
	}
	r.put(p)
	if r.chunking {
		r.out = append(r.out, "\r\n"...)
	}
}

// put moves p to out, or, where it is too large to be worth copying, out and p to the socket.
func (r *response) put(p []byte) {
	if len(r.out)+len(p) <= maxOutput {
		r.out = append(reactor.GrowBuffer(r.out, len(p)), p...)
		return
	}
	// The first packets go out full: what out has room for travels with the head.
	k := min(max(maxOutput-len(r.out), 0), len(p))
	r.out = append(reactor.GrowBuffer(r.out, k), p[:k]...)
	r.send()
	if p = p[k:]; len(p) >= maxOutput && r.err == nil {
		r.err = r.x.channel.Conn.Write(r.x.onLoop(), p)
		return
	}
	r.out = append(reactor.GrowBuffer(r.out, len(p)), p...)
}

// send writes what is in out.
func (r *response) send() {
	if r.err == nil && len(r.out) > 0 {
		r.err = r.x.channel.Conn.Write(r.x.onLoop(), r.out)
	}
	r.sent = true
	r.out = r.out[:0]
}

func (r *response) flush() error {
	if !r.wroteHeader {
		r.writeHeader(http.StatusOK)
	}
	r.emit(r.body)
	r.body = r.body[:0]
	r.send()
	if r.err == nil {
		r.err = r.x.channel.Conn.Flush()
	}
	if !r.fullDuplex {
		r.x.body.unwanted()
	}
	return r.err
}

// finish completes the answer in out. The handler has returned, and its writer has been let go.
func (r *response) finish() {
	r.done = true
	if !r.wroteHeader {
		r.writeHeader(http.StatusOK)
	}
	if len(r.body) > 0 || !r.sentHead {
		r.emit(r.body)
	}
	if r.chunking && !r.isHead {
		r.out = append(r.out, "0\r\n"...)
		if n := &r.x.native; n.on {
			r.out = append(r.out, n.trailers...)
		} else {
			r.out = r.appendTrailers(r.out)
		}
		r.out = append(r.out, "\r\n"...)
	}
	if !r.isHead && r.contentLength != -1 && r.bodyAllowed() && r.contentLength != r.written {
		r.closeAfter = true // the peer waits for more, or takes what follows for it
	}
}

// writeHead puts the head together. p is the first piece of the body, which may be all of it.
func (r *response) writeHead(p []byte) {
	if n := &r.x.native; n.on {
		n.writeHead(p)
		return
	}
	r.sentHead = true
	ch, f := r.x.channel, &r.fields
	keep := ch.keeps()
	var drop fieldSet
	var contentLength int64 = -1 // to be added
	var contentType, connection string
	var transferEncoding bool

	r.declareTrailers()
	hasTE := f.transferEncoding != ""
	// A handler that is done and set no length gets one, except where an answer has none, where the framing is
	// the handler's own, and for HEAD where nothing says that GET would have no content.
	if r.done && !r.trailersSaid && !hasTE && r.bodyAllowed() && !f.has(fieldContentLength) && (!r.isHead || len(p) > 0) {
		r.contentLength = int64(len(p))
		contentLength = r.contentLength
	}
	hasCL := r.contentLength != -1

	if r.keepAlive10 && (r.isHead || hasCL || !r.bodyAllowed()) && keep {
		if !f.has(fieldConnection) {
			connection = "keep-alive"
		}
	} else if r.minor == 0 || r.wantsClose {
		r.closeAfter = true
	}
	if f.connection == "close" || !keep {
		r.closeAfter = true
	}
	if r.x.continues && r.x.body.remains() != nothingLeft {
		// The client may send the body it was not asked for, or the next request in its place.
		r.closeAfter = true
	}
	if !r.closeAfter && !r.fullDuplex && r.x.body != nil && r.x.body.remains() == tooMuchLeft {
		r.closeAfter = true
		drop |= fieldConnection
		connection = "close"
	}

	if r.bodyAllowed() {
		if !hasTE && len(p) > 0 && !f.has(fieldContentType) && f.contentEncoding == "" {
			contentType = detectContentType(p)
		}
	} else {
		drop |= fieldContentLength | fieldTransferEncoding
		if r.status == http.StatusNotModified {
			drop |= fieldContentType
		}
	}
	if hasCL && hasTE && f.transferEncoding != "identity" {
		r.logf("http: WriteHeader called with both Transfer-Encoding of %q and a Content-Length of %d", f.transferEncoding, r.contentLength)
		drop |= fieldContentLength
		hasCL = false
	}
	switch {
	case r.isHead || !r.bodyAllowed(), hasCL:
		drop |= fieldTransferEncoding
	case r.minor == 0:
		r.closeAfter = true
		drop |= fieldTransferEncoding
	case f.transferEncoding == "identity":
		r.closeAfter = true
		drop |= fieldTransferEncoding
	default:
		r.chunking, transferEncoding = true, true
		drop |= fieldContentLength
		if f.transferEncoding == "chunked" {
			drop |= fieldTransferEncoding
		}
	}
	if r.closeAfter && (!keep || !f.connectionCloses) && !r.switchesProtocols() {
		drop |= fieldConnection
		if r.minor != 0 {
			connection = "close"
		} else if connection == "keep-alive" {
			connection = ""
		}
	}

	out := appendStatusLine(r.out, r.minor, r.status)
	out = f.append(out, drop)
	if !f.has(fieldServer) {
		out = appendIdent(out, ch.server().config.Ident)
	}
	if !f.has(fieldDate) {
		out = ch.listener.appendDate(out, r.x.turn)
	}
	if contentLength >= 0 {
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, contentLength, 10)
		out = append(out, "\r\n"...)
	}
	if contentType != "" {
		out = append(out, "Content-Type: "...)
		out = append(out, contentType...)
		out = append(out, "\r\n"...)
	}
	if connection != "" {
		out = append(out, "Connection: "...)
		out = append(out, connection...)
		out = append(out, "\r\n"...)
	}
	if transferEncoding {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	r.out = append(out, "\r\n"...)
}

func (r *response) switchesProtocols() bool {
	return r.status == http.StatusSwitchingProtocols && r.fields.upgrades && r.fields.upgrade != ""
}

// statusLines are the status lines of HTTP/1.1 that net/http has a text for.
var statusLines = func() (lines [600]string) {
	for code := range lines {
		if text := http.StatusText(code); text != "" {
			lines[code] = "HTTP/1.1 " + strconv.Itoa(code) + " " + text + "\r\n"
		}
	}
	return lines
}()

func appendStatusLine(p []byte, minor uint8, code int) []byte {
	start := len(p)
	if code < len(statusLines) && statusLines[code] != "" {
		p = append(p, statusLines[code]...)
	} else {
		p = append(p, "HTTP/1.1 "...)
		p = strconv.AppendInt(p, int64(code), 10)
		p = append(p, " status code "...)
		p = strconv.AppendInt(p, int64(code), 10)
		p = append(p, "\r\n"...)
	}
	p[start+len("HTTP/1.")] = '0' + minor
	return p
}
