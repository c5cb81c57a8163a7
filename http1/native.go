// SPDX-License-Identifier: MIT

package http1

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/internal/invariant"
	"github.com/waitress-go/waitress/reactor"
)

// A native is what a request needs besides its exchange while a TaskHandler serves it: no slab, no header map and no context, but
// the head as it was parsed and the bytes that it was parsed from. It is a part of the exchange and recycled with it.
//
// The bytes stay where they were received as long as the handler runs on the goroutine that parsed them and needs nothing
// more of the input; else keepText has made a copy.
type native struct {
	gen atomic.Uint64 // of the Task that may be used; the owner of the channel changes it

	x          *exchange       // immutable
	on         bool            // the request is the TaskHandler's
	declined   bool            // Decline was called; on until the http.Handler's request is made
	resumed    bool            // the request was suspended before
	forgotten  bool            // and its head and content were given up then
	statusSet  bool            // the handler has chosen a status
	bodyUsed   bool            // the handler has read of the body, or asked for all of it
	textKept   bool            // text is a copy, and not a piece of the channel's input
	asking     bool            // UrgentTask has the Task
	urgent     bool            // what it has said
	method     Method          // of the request, as minor and the following are
	minor      uint8           //
	keepAlive  bool            //
	wantsClose bool            //
	skip       uint32          // how much of the path is Config.Prefix
	length     int64           // of the content; -1: chunked
	head       *httpparse.Head // the channel's, or the Suspension's
	text       []byte          // what head's spans are pieces of
	store      []byte          // where copies of text lie; kept from request to request
	content    []byte          // what Body has returned
	lost       error           // what Body has returned when that has cost it some of the content
	body       body
	decoder    chunkedDecoder // body's, where it is chunked
	ctx        *requestContext
	start      int64   // when the handler began, in Unix nanoseconds, or 0: nobody is to be told
	client     *Client // what proxies tell of the request's client; nil for nothing

	fields   []byte      // of the answer: the handler's field lines
	special  fieldSet    // which of fieldSet's are in there; a Content-Type, Date or Server takes the place of preset's
	preset   *Preset     // of the answer, or nil
	trailers []byte      // of the answer: field lines to follow the content
	mark     int         // where in response.out the answer begins, unless a part of it was sent
	wait     *Suspension // Suspend was called
	run      func(Task)  // what resumes the request
}

// maxStore bounds the buffers that a native keeps from request to request.
const maxStore = 4 << 10

func (n *native) channel() *channel { return n.x.channel }

// end lets nobody use the Task any more.
func (n *native) end() { n.gen.Store(n.gen.Load() + 1) }

// began says whether there is anything of an answer.
func (n *native) began() bool {
	r := &n.x.response
	return n.statusSet || len(n.fields) > 0 || n.preset != nil || len(n.trailers) > 0 || r.written > 0 || r.sentHead || r.contentLength >= 0 || r.closeAfter
}

// beginTask makes the head that was just parsed, the first size bytes of the input, the request that is being served. What
// response.out holds of the answers before it stays there.
func (ch *channel) beginTask(size int) error {
	head, text := ch.head, ch.in[ch.at:ch.at+size]
	if head.Trailer && head.Chunked && !announcesWell(head, text) {
		return errTrailer
	}
	x := ch.takeExchange()
	n, r := &x.native, &x.response
	n.on = true
	n.head, n.text, n.textKept = head, text, false
	n.method = knownMethod(head.Method.Of(text))
	n.minor, n.keepAlive, n.wantsClose = head.Minor, head.KeepAlive, head.Close
	n.length = max(head.ContentLength, 0)
	n.mark = len(r.out)
	x.begin(head)
	if d := ch.server().config.Dispatcher; d.Adaptive() {
		x.kind = d.Kind(stringOf(head.Method.Of(text)), stringOf(text[head.Target.Start:head.Query]))
	}
	r.reset(head.Minor, n.method == MethodHead, head.KeepAlive, head.Close, head.Continue)
	n.answerAnew()
	if head.Chunked {
		n.length = -1
	}
	if n.length != 0 {
		n.body.startTask(ch, head, &n.decoder)
		x.body = &n.body
	}
	if c := &ch.server().config; c.Prefix != "" || c.Proxies != nil {
		n.skip = 0
		n.skip = n.prefixed(c.Prefix)
		n.findClient()
	}
	return nil
}

// announcesWell says whether no Trailer field names one that frames the message (RFC 9110 §6.5.1), as slab.setTrailer does.
func announcesWell(head *httpparse.Head, text []byte) bool {
	for _, f := range head.Fields {
		if f.ID != httpparse.NameTrailer {
			continue
		}
		list := string(f.Value.Of(text)) // few requests have one
		if hasToken(list, "transfer-encoding") || hasToken(list, "trailer") || hasToken(list, "content-length") {
			return false
		}
	}
	return true
}

// answerAnew says that there is nothing of an answer yet.
func (n *native) answerAnew() {
	r := &n.x.response
	r.wroteHeader, r.status = true, 200
	n.statusSet, n.bodyUsed = false, false
	n.lost = nil
	n.fields, n.trailers = n.fields[:0], n.trailers[:0]
	n.special, n.preset = 0, nil
}

// keepText makes text a copy, before the input moves or goes.
func (n *native) keepText() {
	if !n.on || n.textKept {
		return
	}
	n.store = append(n.store[:0], n.text...)
	n.text, n.textKept = n.store, true
}

// serveTask runs the TaskHandler, or what resumes the request. It says whether that has served the request, or suspended it: else
// it is the http.Handler's, and has been made so.
func (ch *channel) serveTask() bool {
	x := ch.x
	n := &x.native
	if !n.resumed && ch.server().config.Served != nil {
		n.start = time.Now().UnixNano()
	}
	ch.call(nil)
	switch {
	case n.declined:
		return !ch.decline()
	case n.wait != nil:
		return true // endHandling parks it
	}
	n.end()
	n.endContext()
	if r := &x.response; !r.done || r.chunking { // else Answer has done it all
		r.finish()
	}
	ch.tellTask(false)
	return true
}

// call runs the TaskHandler, or what resumes the request.
func (n *native) call() {
	t := Task{n.x, n.gen.Load()}
	if f := n.run; f != nil {
		n.run = nil
		f(t)
		return
	}
	if n.told().malformed != "" {
		n.refuseClient(t)
		return
	}
	n.channel().server().config.TaskHandler.ServeTask(t)
}

// decline makes the request of a Task that was declined the http.Handler's. It says whether there is one now.
func (ch *channel) decline() bool {
	x := ch.x
	n, r := &x.native, &x.response
	n.endContext()
	n.on, n.declined = false, false
	if len(r.out) > 0 { // of the requests before
		r.err = ch.Conn.Hold(x.onLoop(), r.out)
		r.out = r.out[:0]
	}
	if r.err != nil {
		return false
	}
	s, err := ch.newSlab(n.head, n.text)
	if err != nil { // its tests show that there is no such request
		r.err = err
		return false
	}
	n.letGo()
	deadline, kind, refused := x.readDeadline.Load(), x.kind, x.refused
	collected := n.body.collected != nil && x.body != nil
	ch.begin(s)
	x.readDeadline.Store(deadline)
	x.kind, x.refused = kind, refused
	if collected { // it is no longer in the input
		s.body.collected, s.body.decoder, n.body.collected = n.body.collected, n.body.decoder, nil
		ch.endCollect()
	}
	return true
}

// abandon is for a handler that did not return: what it made of an answer and has not sent is not sent.
func (n *native) abandon() {
	n.end()
	n.endContext()
	if s := n.wait; s != nil {
		n.wait = nil
		s.drop()
	}
	if r := &n.x.response; !r.sent {
		r.out = r.out[:n.mark]
	}
}

// newContext makes the context of the request that is being served.
func (ch *channel) newContext() *requestContext {
	ctx := &requestContext{base: ch.baseContext(), channel: ch}
	quiet := ch.x.body.remains() == nothingLeft && ch.at == len(ch.in)
	ch.quiet.Store(quiet)
	ch.ctx.Store(ctx)
	if ch.HalfClosed() && (ch.Over() || quiet && ch.Gone()) {
		ch.PeerGone()
	}
	return ctx
}

func (n *native) endContext() {
	if ctx := n.ctx; ctx != nil {
		n.channel().ctx.Store(nil)
		ctx.cancel(errAnswered)
		n.ctx = nil
	}
}

// letGo forgets the request: its views end here.
func (n *native) letGo() {
	if invariant.Enabled {
		spoil(n.text)
		spoil(n.content)
	}
	n.on = false
	n.head, n.text, n.content, n.ctx, n.preset, n.run, n.wait = nil, nil, nil, nil, nil, nil, nil
	n.resumed, n.forgotten = false, false
}

// stringOf is p as a string, for who does not keep it.
func stringOf(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// spoil overwrites what a view may still point to. It is the request's own, wherever it lies: consumed input, or a copy.
func spoil(p []byte) {
	for i := range p {
		p[i] = 0xCC
	}
}

// recycle is exchange.recycle's part.
func (n *native) recycle() {
	for _, p := range []*[]byte{&n.store, &n.fields, &n.trailers} {
		if cap(*p) > maxStore {
			*p = nil
		}
	}
}

// A turnDate is the Date field as a loop knows it.
type turnDate struct {
	until time.Duration // by the loop's clock
	line  []byte
	usual []byte // the Server field, if there is one, the Date field, and what comes before a length
}

// appendDate appends the Date field. On the loop its own clock says how long the line is good, which spares a look at the
// system's for each answer; a change of the system's time is noticed after a second.
func (l *Listener) appendDate(p []byte, t *reactor.Turn) []byte {
	if t == nil {
		return l.server.date.append(p)
	}
	return append(p, l.turnDate(t).line...)
}

func (l *Listener) turnDate(t *reactor.Turn) *turnDate {
	now := t.Clock()
	if d := l.date.Load(); d != nil && now < d.until {
		return d
	}
	d := &turnDate{line: l.server.date.append(nil)}
	d.usual = append(appendIdent(nil, l.server.config.Ident), d.line...)
	d.usual = append(d.usual, "Content-Length: "...)
	d.until = now + time.Second - time.Duration(time.Now().Nanosecond())
	l.date.Store(d)
	return d
}

// appendIdent appends the Server field, if there is one.
func appendIdent(p []byte, ident string) []byte {
	if ident == "" {
		return p
	}
	p = append(p, "Server: "...)
	p = append(p, ident...)
	return append(p, "\r\n"...)
}
