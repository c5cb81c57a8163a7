// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/internal/invariant"
	"github.com/waitress-go/waitress/reactor"
)

// A state is where a channel stands in its life; doc.go draws it.
type state uint8

const (
	stateIdle      state = iota // between requests; no buffer is held
	stateHead                   // a head has begun
	stateBody                   // a head is complete, and a small body is on its way
	stateHandling               // the handler runs, or waits for a thread
	stateSuspended              // the request waits to be resumed, and no goroutine has it
	stateDraining               // the answer is done; the rest of the body is thrown away
	stateLingering              // the last word is said; what still comes is thrown away
	stateClosed                 // terminal
)

func (s state) String() string {
	return [...]string{"idle", "head", "body", "handling", "suspended", "draining", "lingering", "closed"}[s]
}

// follows[s] is the set of states that may come after s.
var follows = [...]uint8{
	stateIdle:      1<<stateHead | 1<<stateHandling | 1<<stateBody | 1<<stateLingering | 1<<stateClosed,
	stateHead:      1<<stateBody | 1<<stateHandling | 1<<stateLingering | 1<<stateClosed,
	stateBody:      1<<stateHandling | 1<<stateLingering | 1<<stateClosed,
	stateHandling:  1<<stateIdle | 1<<stateSuspended | 1<<stateDraining | 1<<stateLingering | 1<<stateClosed,
	stateSuspended: 1<<stateHandling | 1<<stateClosed,
	stateDraining:  1<<stateIdle | 1<<stateLingering | 1<<stateClosed,
	stateLingering: 1 << stateClosed,
	stateClosed:    0,
}

// A channel is the protocol's state of one connection. All fields belong to the owner of the Conn, which is its loop or one
// task (reactor.Conn), unless said otherwise. It is kept small: most of them are idle at any time.
type channel struct {
	reactor.Conn

	listener *Listener // immutable
	state    state
	borrowed bool   // in is a piece of the loop's buffer
	hijacked bool   // the handler took the connection: all that is left is to close the descriptor
	finSent  bool   // lingering: the end of the stream was sent
	served   uint8  // requests that the task at hand has served, up to maxTurn
	lingered int32  // lingering: bytes thrown away
	requests uint32 // that have begun
	at       int    // how far in is consumed
	in       []byte
	head     *httpparse.Head // of the request that is being received, or nil
	x        *exchange       // the request that is being served, or nil
	hooks    *hooks          // nil without ConnState and ConnContext
	ended    error           // why no input comes any more, or nil

	// ctx is the context of the request that is being served, for PeerGone, which runs on the loop while a task owns the
	// channel.
	ctx atomic.Pointer[requestContext]

	// suspended is the request's Suspension, from Suspend until it is served again or over, for what the loop tells of a channel
	// that it does not own.
	suspended atomic.Pointer[Suspension]

	// quiet: all that the peer has sent, as far as it was read, has been used, so that the end of its stream means that it
	// has gone. PeerGone asks.
	quiet atomic.Bool

	// began is when the head that is being received began, in Unix nanoseconds, or 0 where it came in one piece or there
	// is no ReadTimeout. Before the first one it is when the connection was accepted.
	began int64
}

// An exchange is what a request needs while it is served and that is recycled after it.
type exchange struct {
	channel  *channel
	slab     *slab         // of an http.Handler's request
	native   native        // of a TaskHandler's
	body     *body         // of the request; nil without content
	turn     *reactor.Turn // the loop's turn, while its goroutine runs the handler
	inline   bool          // the handler was started on the loop, whether or not that was given away meanwhile
	whole    bool          // nothing of the request's body was still to come when the handler started
	refused  bool          // the handler is not called: too many requests wait
	kind     dispatch.Kind // of the request
	response response
	drained  int64 // bytes of the body that were thrown away

	waitBegan atomic.Int64 // when the wait for the body that is under way began, in Unix nanoseconds, or 0
	waited    atomic.Int64 // how long it was waited for before, in nanoseconds
	received  atomic.Int64 // bytes of it that have come since the first wait

	hijacked     bool         // the handler took the connection: channel is its loop's, and no longer to be touched
	continues    bool         // the request has Expect: 100-continue
	readDeadline atomic.Int64 // when reads of the body fail, in Unix nanoseconds, or 0

	// holding is whose output is held, and timer what sends it if the next answer takes its time.
	holding atomic.Pointer[channel]
	timer   *time.Timer
}

func newExchange() *exchange {
	x := new(exchange)
	x.response.x, x.native.x = x, x
	return x
}

// busy says whether there is a request.
func (x *exchange) busy() bool { return x.slab != nil || x.native.on }

// onLoop returns the turn, if the handler runs on the loop and the loop was not given away meanwhile.
func (x *exchange) onLoop() *reactor.Turn {
	if x.turn != nil && x.turn.Lost() {
		x.turn = nil
	}
	return x.turn
}

// hooks are what only channels of a Server with ConnState or ConnContext have.
type hooks struct {
	ctx  context.Context
	conn net.Conn
}

func (ch *channel) server() *Server { return ch.listener.server }

// memory is what the buffers that the channel keeps its input in are counted in, or nil.
func (ch *channel) memory() *reactor.Memory { return ch.listener.server.config.Memory }

func (ch *channel) setState(to state) {
	if invariant.Enabled && ch.state != to && follows[ch.state]&(1<<to) == 0 {
		panic("http1: channel " + ch.state.String() + " -> " + to.String())
	}
	ch.state = to
}

// A want is what a channel needs before it can go on.
type want uint8

const (
	wantInput want = iota // more bytes
	wantRoom              // its output has to leave first
	wantTask              // nothing: it was handed to a task thread and is no longer the caller's
	wantClose             // to be closed
)

// Opened implements reactor.Protocol.
func (ch *channel) Opened() {
	c := &ch.server().config
	if c.ConnState != nil || c.ConnContext != nil {
		ch.hooks = &hooks{ctx: ch.listener.ctx}
		if own := ch.listener.Conn; own != nil {
			ch.hooks.conn = own(ch.FD())
		} else {
			ch.hooks.conn = &connView{channel: ch}
		}
		if c.ConnContext != nil {
			if ch.hooks.ctx = c.ConnContext(ch.listener.ctx, ch.hooks.conn); ch.hooks.ctx == nil {
				panic("waitress: ConnContext returned nil")
			}
		}
		ch.report(http.StateNew)
	}
	ch.began = time.Now().UnixNano()
	ch.SetReadTimeout(nil, shortest(c.HeaderTimeout, c.ReadTimeout))
}

func (ch *channel) report(s http.ConnState) {
	if ch.hooks != nil && ch.server().config.ConnState != nil {
		ch.server().config.ConnState(ch.hooks.conn, s)
	}
}

func (ch *channel) baseContext() context.Context {
	if ch.hooks != nil {
		return ch.hooks.ctx
	}
	return ch.listener.ctx
}

// shortest returns the shorter of two timeouts, of which 0 or less is none.
func shortest(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// Input implements reactor.Protocol.
func (ch *channel) Input(t *reactor.Turn, p []byte) bool {
	if len(ch.in) == 0 {
		ch.in, ch.at, ch.borrowed = p, 0, true
	} else {
		ch.own()
		ch.in = append(ch.memory().Grow(ch.in, len(p)), p...)
	}
	return ch.goOn(t)
}

// InputEnd implements reactor.Protocol.
func (ch *channel) InputEnd(t *reactor.Turn, err error) {
	ch.ended = err
	ch.goOn(t)
}

// Drained implements reactor.Protocol.
func (ch *channel) Drained(t *reactor.Turn) bool { return ch.goOn(t) }

// Expired implements reactor.Protocol.
func (ch *channel) Expired(t *reactor.Turn) {
	if t == nil {
		if s := ch.suspended.Load(); s != nil {
			s.expire()
		}
		return
	}
	switch ch.state {
	case stateHead:
		ch.after(t, ch.refuse(t, errSlowHead))
	case stateBody:
		if ch.collects() {
			ch.after(t, ch.refuse(t, errSlowBody))
			return
		}
		// The rest is late: the handler starts without it, or is refused.
		w := ch.run(t, false, false)
		if w == wantInput {
			w = ch.process(t, false)
		}
		ch.after(t, w)
	case stateDraining:
		ch.after(t, ch.finish(t))
	case stateIdle, stateLingering:
		ch.Close(t)
	case stateHandling, stateSuspended, stateClosed:
		// The deadline of a body concerns its reader only.
	}
}

// Draining implements reactor.Protocol.
func (ch *channel) Draining(t *reactor.Turn) {
	if t == nil {
		if s := ch.suspended.Load(); s != nil && ch.server().draining.Load() { // else connections are only not kept
			s.shutdown()
		}
		return
	}
	switch {
	case ch.over():
		ch.Close(t)
	case ch.state == stateIdle && ch.requests == 0 && ch.server().draining.Load():
		// Its first request may be on its way: it has some time to come, as net/http gives it.
		c := &ch.server().config
		left := shortest(newGrace, shortest(c.HeaderTimeout, c.ReadTimeout)) - time.Since(time.Unix(0, ch.began))
		ch.SetReadTimeout(nil, max(left, 1))
	case ch.state == stateDraining && !ch.server().keepAlives():
		ch.after(t, ch.finish(t)) // nothing comes behind the body any more
	}
}

// Idle implements reactor.Protocol.
func (ch *channel) Idle() bool {
	return ch.state == stateIdle && ch.requests > 0 && ch.onlyEmptyLines() && !ch.Blocked()
}

// Retire implements reactor.Protocol.
func (ch *channel) Retire(t *reactor.Turn) { ch.Close(t) }

// over says whether the channel is to be closed now because connections are not kept any more: it has served, it is idle,
// and no request is on its way.
func (ch *channel) over() bool {
	return !ch.server().keepAlives() && ch.requests > 0 && ch.state == stateIdle && ch.onlyEmptyLines() && !ch.Blocked() && !ch.InputWaits()
}

// onlyEmptyLines says whether there is no input, or only what may come between requests (RFC 9112 §2.2).
func (ch *channel) onlyEmptyLines() bool { return onlyEmptyLines(ch.in[ch.at:]) }

func onlyEmptyLines(p []byte) bool {
	for _, c := range p {
		if c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// PeerGone implements reactor.Protocol. The end of the peer's stream is no reason to cancel while something that came before
// it waits: the rest of the body, or the next request. net/http does the same.
func (ch *channel) PeerGone() {
	if !ch.quiet.Load() && !ch.Over() {
		return
	}
	// In this order: a suspension that is resumed meanwhile may have been asked for its context before.
	if s := ch.suspended.Load(); s != nil {
		s.peerGone()
	}
	if ctx := ch.ctx.Load(); ctx != nil {
		ctx.peerGone()
	}
}

// usedUp notes that the body was read to its end. Whoever reads it.
func (ch *channel) usedUp() {
	if ch.onlyEmptyLines() {
		ch.beQuiet()
	}
}

// beQuiet notes that nothing waits that came before the peer's end. On whoever has the input.
func (ch *channel) beQuiet() {
	ch.quiet.Store(true)
	if ch.HalfClosed() && ch.Gone() { // which was no reason to cancel when it was reported
		ch.PeerGone()
	}
}

// cutOff notes that the body ended before its end. Whoever reads it.
func (ch *channel) cutOff() {
	ch.quiet.Store(true)
	ch.PeerGone()
}

// Closed implements reactor.Protocol.
func (ch *channel) Closed() {
	ch.setState(stateClosed)
	ch.endViews() // before their memory is another's
	ch.dropInput()
	ch.dropHead()
	if ch.x != nil {
		ch.endRequest()
	}
	if ch.hooks == nil {
		return
	}
	if view, ok := ch.hooks.conn.(*connView); ok {
		view.end()
	}
	if !ch.hijacked {
		ch.report(http.StateClosed)
	}
}

// goOn serves what can be served, on the loop. The result is Input's.
func (ch *channel) goOn(t *reactor.Turn) bool { return ch.after(t, ch.process(t, false)) }

// after does what the loop has to do when process has come to a stop. If the turn was lost on the way, the caller has
// become the channel's task, and goes on as one until it can release it.
func (ch *channel) after(t *reactor.Turn, w want) bool {
	if w == wantTask {
		return false
	}
	if t.Lost() {
		ch.work(w, false)
		return false
	}
	switch w {
	case wantInput, wantRoom:
		ch.settle(t, w)
		return true
	case wantClose, wantTask:
	}
	ch.Close(t)
	return false
}

// Run implements dispatch.Task. On the loop, where exchange.inline is set, it is the handler of one request; on a task thread
// it is everything until the channel can be released.
func (ch *channel) Run() {
	if ch.state == stateSuspended {
		ch.restore()
	}
	if ch.x.inline {
		ch.serve()
		return
	}
	c := &ch.server().config
	if !c.Dispatcher.Adaptive() {
		ch.runOnThread()
		return
	}
	// What is the channel's may be another task's by the time that this one has ended.
	conn, kind, began := &ch.Conn, ch.x.kind, time.Now()
	if c.ThreadUsage != nil && c.Dispatcher.Weigh(kind) {
		ch.runWeighed(kind, began)
	} else {
		ch.runOnThread()
	}
	took := time.Since(began)
	if took < longTask {
		return
	}
	c.Dispatcher.Lasted(kind, took)
	if c.ThreadUsage == nil || c.Dispatcher.Crowded() {
		conn.Stir()
	}
}

// runWeighed is runOnThread and finds out whether the processor was kept for long, and not left to others for more of the
// time. A goroutine has no account of that, but a thread has, and for once this one is the goroutine's alone. That the thread
// had to wait for a processor is nothing that it did, so what it had of the time counts only if it has waited for anything else.
func (ch *channel) runWeighed(kind dispatch.Kind, began time.Time) {
	c, heavy := &ch.server().config, false
	runtime.LockOSThread()
	defer func() { // also when the handler panics, or ends its goroutine
		runtime.UnlockOSThread()
		c.Dispatcher.Weighed(kind, heavy)
	}()
	cpuBefore, waitsBefore := c.ThreadUsage()
	ch.runOnThread()
	cpu, waits := c.ThreadUsage()
	cpu -= cpuBefore
	heavy = cpu >= longTask/2 && (waits == waitsBefore || cpu >= time.Since(began)/2)
}

func (ch *channel) runOnThread() {
	ch.served = 1
	if ch.serve() {
		ch.work(ch.process(nil, true), true)
	}
}

// work goes on as the channel's task, from what it wants, until the channel is its loop's again or another task's. guarded
// is as in process.
func (ch *channel) work(w want, guarded bool) {
	for {
		switch w {
		case wantTask:
			return
		case wantClose:
			ch.endViews() // the input may be the buffer of a loop that has gone on
			ch.Doom()
			ch.Release(false)
			return
		case wantInput, wantRoom:
			ch.settle(nil, w)
			if ch.Release(w == wantRoom) {
				return
			}
			if w == wantInput {
				ch.receive()
			}
		}
		w = ch.process(nil, guarded)
	}
}

// receive reads for the task, without waiting. Errors become ch.ended, except that nothing was there.
func (ch *channel) receive() {
	m := ch.memory()
	if len(ch.in) == 0 {
		ch.in, ch.at = m.Get(m.Input(inputBuffer))[:0], 0
	} else {
		ch.own()
		ch.in = m.Grow(ch.in, inputBuffer/4)
	}
	n, err := ch.TryRead(ch.in[len(ch.in):cap(ch.in)])
	ch.in = ch.in[:len(ch.in)+n]
	if err != nil && err != reactor.ErrAgain {
		ch.ended = err
	}
	if len(ch.in) == 0 {
		ch.dropInput()
	}
}

// settle makes the channel ready to be left alone: it keeps of the buffers what it must, and sets the deadline.
func (ch *channel) settle(t *reactor.Turn, w want) {
	if ch.at == len(ch.in) {
		ch.dropInput()
	} else {
		ch.own()
	}
	if w == wantRoom {
		ch.SetReadTimeout(t, 0) // the write-stall time bounds this
		return
	}
	c := &ch.server().config
	switch ch.state {
	case stateIdle:
		if !ch.onlyEmptyLines() {
			ch.setState(stateHead)
			ch.report(http.StateActive)
			ch.SetReadTimeout(t, shortest(c.HeaderTimeout, c.ReadTimeout))
			if c.ReadTimeout > 0 {
				ch.began = time.Now().UnixNano()
			}
			return
		}
		ch.dropHead()
		ch.ClearWriteDeadline()
		ch.SetReadTimeout(t, c.IdleTimeout)
	case stateDraining:
		ch.awaitBody()
	case stateBody:
		if ch.collects() {
			ch.awaitBody()
		}
	case stateHead, stateHandling, stateSuspended, stateLingering, stateClosed:
		// Set when the state began: more bytes don't buy more time.
	}
}

// own makes the input the channel's own, and throws away what of it is consumed.
func (ch *channel) own() {
	if !ch.borrowed {
		if ch.at > 0 {
			ch.in = ch.in[:copy(ch.in, ch.in[ch.at:])]
			ch.at = 0
		}
		return
	}
	rest := ch.in[ch.at:]
	ch.in, ch.at, ch.borrowed = nil, 0, false
	if len(rest) > 0 {
		ch.in = append(ch.memory().Get(len(rest))[:0], rest...)
	}
}

func (ch *channel) dropInput() {
	if !ch.borrowed && ch.in != nil {
		ch.memory().Put(ch.in)
	}
	ch.in, ch.at, ch.borrowed = nil, 0, false
}

func (ch *channel) dropHead() {
	if ch.head != nil {
		ch.server().heads.Put(ch.head)
		ch.head = nil
	}
}

// process serves the requests at hand, until something is wanted that is not. t is the loop's turn, or nil on a task
// thread; when the turn was lost in a handler, the rest is done as a task does it. guarded says that the caller is a task of
// the dispatcher, where a handler may panic: the loop is none, nor is a goroutine that was the loop.
func (ch *channel) process(t *reactor.Turn, guarded bool) want {
	for {
		if t != nil && t.Lost() {
			t = nil
		}
		switch ch.state {
		case stateIdle, stateHead:
			if w, ok := ch.receiveHead(t, guarded); !ok {
				return w
			}
		case stateBody:
			if ch.collects() {
				if w, ok := ch.collect(t); !ok {
					return w
				}
			} else if len(ch.in)-ch.at < int(ch.head.ContentLength) && ch.ended == nil {
				return wantInput
			}
			if w := ch.run(t, ch.collects() || ch.ended == nil, guarded); w != wantInput {
				return w
			}
		case stateHandling:
			if w, ok := ch.endHandling(t); !ok {
				return w
			}
		case stateDraining:
			if w, ok := ch.drain(t); !ok {
				return w
			}
		case stateLingering:
			return ch.linger(t)
		case stateSuspended, stateClosed:
			return wantClose
		}
	}
}

// receiveHead parses a head, and starts its request when it is complete. ok says that process can go on.
func (ch *channel) receiveHead(t *reactor.Turn, guarded bool) (w want, ok bool) {
	if ch.Blocked() {
		return wantRoom, false
	}
	if ch.at == len(ch.in) {
		return ch.pause(t), false
	}
	if ch.head == nil {
		ch.head = ch.server().heads.Get().(*httpparse.Head)
		ch.head.Reset()
	}
	n, err := ch.head.Parse(ch.in[ch.at:], &ch.server().config.Limits)
	if err == httpparse.ErrPartial {
		if ch.memory().Full() && !ch.onlyEmptyLines() {
			return ch.refuse(t, errNoMemory), false
		}
		return ch.pause(t), false
	}
	if ch.state == stateIdle {
		ch.report(http.StateActive)
	}
	if err != nil {
		return ch.refuse(t, err), false
	}
	if limit := ch.server().config.MaxBody; limit > 0 && ch.head.ContentLength > limit {
		return ch.refuse(t, errLargeBody), false
	}
	if (ch.head.ContentLength > 0 || ch.head.Chunked) && ch.memory().Full() {
		return ch.refuse(t, errNoMemory), false
	}
	if ch.server().config.TaskHandler != nil {
		if err := ch.beginTask(n); err != nil {
			return ch.refuse(t, err), false
		}
	} else {
		s, err := ch.newSlab(ch.head, ch.in[ch.at:ch.at+n])
		if err != nil {
			return ch.refuse(t, err), false
		}
		ch.begin(s)
	}
	ch.at += n
	ch.requests++
	if ch.server().config.BufferRequests && ch.x.body != nil {
		if err := ch.flush(t); err != nil {
			return wantClose, false
		}
		ch.x.native.keepText()
		if err := ch.beginCollect(t); err != nil {
			return wantClose, false
		}
		return wantInput, true
	}
	if length := ch.head.ContentLength; length > int64(len(ch.in)-ch.at) && length <= smallBody && !ch.head.Continue && !ch.memory().Short() {
		// What is held would wait too; and who has output waiting is not read from.
		if err := ch.flush(t); err != nil {
			return wantClose, false
		}
		ch.x.native.keepText()
		ch.setState(stateBody)
		ch.SetReadTimeout(t, bodyWait)
		return wantInput, true
	}
	whole := !ch.head.Chunked && ch.head.ContentLength <= int64(len(ch.in)-ch.at)
	w = ch.run(t, whole, guarded)
	return w, w == wantInput
}

// pause is what receiveHead does when more input is needed: nothing may be held any longer, and at the end of the input it
// is over.
func (ch *channel) pause(t *reactor.Turn) want {
	if err := ch.flush(t); err != nil {
		return wantClose
	}
	if ch.x != nil {
		ch.release()
	}
	if ch.ended != nil {
		switch {
		case ch.Blocked():
			return wantRoom // process comes back here when the output has left
		case ch.ended == io.EOF && !ch.onlyEmptyLines():
			return ch.refuse(t, errCutHead)
		}
		return wantClose
	}
	if ch.Blocked() {
		return wantRoom
	}
	if ch.over() { // the Server began to shut down while a task had the channel, or output was in the way
		return wantClose
	}
	return wantInput
}

// flush sends the answers that are held, in the exchange or in the connection.
func (ch *channel) flush(t *reactor.Turn) error {
	if x := ch.x; x != nil && len(x.response.out) > 0 {
		out := x.response.out
		x.response.out, x.native.mark = out[:0], 0
		return ch.Conn.Write(t, out)
	}
	return ch.Conn.Flush()
}

// takeExchange returns the exchange that the channel has, or has now.
func (ch *channel) takeExchange() *exchange {
	if ch.x == nil {
		ch.x = ch.server().exchanges.Get().(*exchange)
		ch.x.channel = ch
	}
	return ch.x
}

// begin makes x ready for the request with head.
func (x *exchange) begin(head *httpparse.Head) {
	x.body = nil
	x.drained = 0
	if x.waitBegan.Load() != 0 || x.waited.Load() != 0 {
		x.waitBegan.Store(0)
		x.waited.Store(0)
	}
	x.continues = head.Continue
	if x.readDeadline.Load() != 0 {
		x.readDeadline.Store(0)
	}
}

// begin makes s the request that is being served.
func (ch *channel) begin(s *slab) {
	x, head := ch.takeExchange(), ch.head
	x.begin(head)
	x.slab, x.body = s, s.body
	x.kind = ch.server().config.Dispatcher.Kind(s.request.Method, s.url.Path)
	x.response.reset(head.Minor, s.request.Method == http.MethodHead, head.KeepAlive, head.Close, head.Continue)
	s.writer.response, s.writer.channel = &x.response, ch
	if s.request.ContentLength != 0 {
		s.body.start(ch, &s.request, head)
	}
}

// run starts the handler of the request that was begun: here, if it is to run on the loop and the whole body, if any, is at
// hand; else on a task thread. wantInput means that the handler has returned and process can go on. guarded is as in process.
func (ch *channel) run(t *reactor.Turn, whole, guarded bool) want {
	ch.setState(stateHandling)
	c := &ch.server().config
	ch.SetReadTimeout(t, 0)
	if !whole && c.ReadTimeout > 0 {
		ch.limitReading()
	}
	ch.began = 0
	if c.WriteTimeout > 0 {
		ch.SetWriteDeadline(time.Now().Add(c.WriteTimeout))
	} else {
		ch.ClearWriteDeadline() // the last handler's, which stayed for its answer's sake
	}
	ch.x.turn, ch.x.inline, ch.x.whole, ch.x.refused = nil, false, whole, false
	if !whole {
		ch.x.native.keepText() // the input will move on
	}
	switch {
	case t == nil && !guarded:
		c.Dispatcher.Run(ch)
		return wantTask
	case t == nil:
		if ch.served >= maxTurn && ch.submit() == nil {
			return wantTask
		}
		ch.served = min(ch.served+1, maxTurn)
		if !ch.serve() {
			return wantTask
		}
		return wantInput
	case whole && c.Dispatcher.Place(ch.x.kind) == dispatch.Here:
		return ch.serveHere(t)
	}
	// A thread may take any time, and what the loop holds has no timer, but under the adaptive policy.
	if err := ch.flush(t); err != nil {
		return wantClose
	}
	if t.Lost() {
		c.Dispatcher.Run(ch)
		return wantTask
	}
	ch.Claim()
	if err := ch.submit(); err != nil {
		ch.Reclaim()
		if !errors.Is(err, dispatch.ErrQueueFull) {
			return wantClose
		}
		ch.x.turn, ch.x.refused = t, true
		ch.serve()
		return wantInput
	}
	return wantTask
}

// serveHere runs the handler on the loop, whose turn t is. wantInput is as in run.
func (ch *channel) serveHere(t *reactor.Turn) want {
	ch.x.turn, ch.x.inline = t, true
	ok := ch.server().config.Dispatcher.Run(ch)
	switch {
	case ch.hijacked:
		return wantTask
	case !ok:
		return ch.finish(nil)
	}
	return wantInput
}

// limitReading sets the deadline that the ReadTimeout gives the request's content.
func (ch *channel) limitReading() {
	began := ch.began
	if began == 0 {
		began = time.Now().UnixNano()
	}
	if d := int64(ch.server().config.ReadTimeout); d < math.MaxInt64-began { // else it is beyond the clock
		ch.x.readDeadline.Store(began + d)
	}
}

// collects says whether the content of the request is received before its handler is called.
func (ch *channel) collects() bool { return ch.x.body != nil && ch.x.body.collected != nil }

// submit gives the channel, which is a task's, to a task thread.
func (ch *channel) submit() error {
	c := &ch.server().config
	ch.x.native.keepText()
	ch.own()
	switch {
	case ch.urgent():
		return c.Dispatcher.SubmitUrgent(ch)
	case ch.x.whole && c.Dispatcher.Heavy(ch.x.kind):
		return c.Dispatcher.SubmitHeavy(ch)
	}
	return c.Dispatcher.Submit(ch)
}

// urgent asks whether the request goes before all others.
func (ch *channel) urgent() bool {
	c, x := &ch.server().config, ch.x
	switch {
	case x.slab != nil:
		return c.Urgent != nil && c.Urgent(&x.slab.request)
	case c.UrgentTask == nil:
		return false
	}
	n := &x.native
	n.asking, n.urgent = true, false
	c.Dispatcher.Run((*urgentCall)(n))
	n.asking = false
	n.end() // the TaskHandler gets another one
	return n.urgent
}

// An urgentCall is a call of Config.UrgentTask, as a task of the dispatcher: one that panics costs its connection, as the
// TaskHandler would.
type urgentCall native

// Run implements dispatch.Task.
func (c *urgentCall) Run() {
	n := (*native)(c)
	n.urgent = n.channel().server().config.UrgentTask(Task{n.x, n.gen.Load()})
}

// Shed implements dispatch.Task. Nothing waits.
func (c *urgentCall) Shed() {}

// Panicked implements dispatch.Task. The rest is what follows a panic where the handler runs, which may take its time.
func (c *urgentCall) Panicked(v any, stack []byte) {
	n := (*native)(c)
	n.channel().logPanic(v, stack)
	n.run = func(Task) { panic(http.ErrAbortHandler) }
}

// mayServe panics while UrgentTask has the Task.
func (n *native) mayServe(method string) {
	if n.asking {
		panic("waitress: Task." + method + " in UrgentTask, which may only ask")
	}
}

// Shed implements dispatch.Task: the request has waited for too long.
func (ch *channel) Shed() {
	ch.x.refused = true
	ch.serve()
	ch.work(ch.process(nil, false), false)
}

// serve runs the handler and completes its answer. It says whether the channel is still the caller's: not when the
// handler has hijacked the connection.
func (ch *channel) serve() bool {
	x := ch.x
	if x.native.on && (x.refused && !ch.decline() || !x.refused && ch.serveTask()) {
		return true
	}
	s := x.slab
	quiet := (s.request.ContentLength == 0 || ch.collects()) && ch.onlyEmptyLines()
	ch.quiet.Store(quiet)
	ch.ctx.Store(&s.ctx)
	if ch.HalfClosed() && (ch.Over() || quiet && ch.Gone()) {
		s.ctx.peerGone()
	}
	c := &ch.server().config
	handler, own := c.Handler, x.refused
	if c.GeneralOptions && s.request.RequestURI == "*" && s.request.Method == http.MethodOptions {
		handler, own = http.HandlerFunc(generalOptions), true
	}
	if x.refused {
		busy(&s.writer)
		s.writer.letGo()
	} else {
		ch.call(handler)
	}
	if x.hijacked {
		x.recycle(ch.server())
		return false
	}
	ch.ctx.Store(nil)
	s.ctx.end()
	x.response.finish()
	if own && c.Served != nil {
		ch.tell(ch.requestReport(&s.request), 0, x.response.status, x.response.written)
	}
	return true
}

// call runs the handler, and learns from how it went. nil is the TaskHandler, or what goes on for it.
func (ch *channel) call(handler http.Handler) {
	x, d := ch.x, ch.server().config.Dispatcher
	if !d.Adaptive() {
		ch.invoke(handler)
		return
	}
	if x.onLoop() == nil {
		began := time.Now()
		ch.invoke(handler)
		if x.whole {
			d.Learn(x.kind, dispatch.OnThread, time.Since(began) < dispatch.Slow)
		}
		return
	}
	t := x.turn
	t.Enter(&ch.Conn, uint32(x.kind))
	defer func() { // also when it panics
		if handler != nil {
			x.slab.writer.letGo()
		}
		if t.Leave(&ch.Conn) == reactor.Kept { // a loss was learned when it happened (Overstayed)
			d.Learn(x.kind, dispatch.Here, true)
		}
	}()
	ch.invoke(handler)
}

// invoke is call without looking.
func (ch *channel) invoke(handler http.Handler) {
	x := ch.x
	if handler == nil {
		x.native.call()
		return
	}
	defer x.endHijacked() // also when it panics
	handler.ServeHTTP(&x.slab.writer, &x.slab.request)
	x.slab.writer.letGo()
}

// endHijacked ends the context of a request whose connection was hijacked: the channel knows it no more.
func (x *exchange) endHijacked() {
	if x.hijacked {
		x.slab.ctx.end()
	}
}

// generalOptions answers "OPTIONS *", as net/http does: 200 and nothing, when there is no body.
func generalOptions(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "0")
	if r.ContentLength != 0 {
		// Read up to 4 KB of the body, so that the connection can be kept; what is larger is not meant well.
		mb := http.MaxBytesReader(w, r.Body, 4<<10)
		if _, err := io.Copy(io.Discard, mb); err != nil {
			w.Header().Set("Connection", "close")
		}
	}
}

// endHandling is what follows a handler that has returned: the answer leaves, or is held for the next one, and then the
// channel goes on with what is left of the request's body.
func (ch *channel) endHandling(t *reactor.Turn) (w want, ok bool) {
	x := ch.x
	if x.native.wait != nil {
		return ch.park(t), false
	}
	r := &x.response
	left := nothingLeft
	if x.body != nil {
		x.body.interrupt()
		left = x.body.remains()
	}
	last := r.closeAfter || left == tooMuchLeft || !ch.keeps()
	if s := x.slab; s != nil && s.request.MultipartForm != nil {
		if err := s.request.MultipartForm.RemoveAll(); err != nil {
			r.logf("http: removing a form's temporary files: %v", err)
		}
	}
	if r.err == nil {
		switch more := !last && left == nothingLeft && ch.at < len(ch.in); {
		case len(r.out) == 0:
		case more && t != nil && x.native.on && len(r.out) < maxOutput && !ch.server().config.Dispatcher.Adaptive():
			// It stays where the next answer will be put together: the next handler is known not to take its time.
		case more:
			r.err = ch.Conn.Hold(x.onLoop(), r.out)
			r.out = r.out[:0]
			ch.hold(t)
		default:
			r.err = ch.Conn.Write(x.onLoop(), r.out)
			r.out = r.out[:0]
		}
	}
	if !ch.Blocked() {
		ch.ClearWriteDeadline()
	}
	if r.err != nil {
		return wantClose, false
	}
	switch {
	case last && ch.parted(t):
		return wantClose, false
	case last:
		return ch.finish(t), false
	case left == someLeft:
		ch.setState(stateDraining)
		return wantInput, true
	}
	ch.endRequest()
	ch.becomeIdle()
	return wantInput, true
}

// keeps says whether the connection may be kept after this answer, as far as the Server is concerned.
func (ch *channel) keeps() bool {
	s := ch.server()
	return s.keepAlives() && (s.config.MaxRequests <= 0 || int(ch.requests) < s.config.MaxRequests)
}

// becomeIdle makes the channel ready for the next request.
func (ch *channel) becomeIdle() {
	ch.setState(stateIdle)
	if ch.head != nil {
		ch.head.Reset()
	}
	ch.report(http.StateIdle)
}

// hold sees to it that what is held leaves soon, if the next handler takes its time, on a thread or, under the adaptive policy, on
// the loop. Under the inline policy nothing is done on the loop: the next handler is known not to.
func (ch *channel) hold(t *reactor.Turn) {
	x := ch.x
	if t != nil && !ch.server().config.Dispatcher.Adaptive() || x.holding.Load() != nil { // its timer is running
		return
	}
	x.holding.Store(ch)
	if x.timer == nil {
		x.timer = time.AfterFunc(holdTime, x.holdEnded)
	} else {
		x.timer.Reset(holdTime)
	}
}

// holdEnded runs on the timer's goroutine. A late one flushes for nothing, or another channel's output a little early.
func (x *exchange) holdEnded() {
	if ch := x.holding.Swap(nil); ch != nil {
		// The error stays in the connection, where the next Write meets it.
		_ = ch.Conn.Flush()
	}
}

// endRequest lets go of the request. Its writer has been let go when the handler returned, or was never given to one.
func (ch *channel) endRequest() {
	x := ch.x
	x.body.letGo()
	x.slab, x.body = nil, nil
	ch.endViews()
	if ch.at == len(ch.in) {
		ch.release()
	}
}

// endViews lets go of a TaskHandler's request that the connection ends with, as endRequest does.
func (ch *channel) endViews() {
	if x := ch.x; x != nil && x.native.on {
		x.native.letGo()
	}
}

// release gives the exchange back.
func (ch *channel) release() {
	if x := ch.x; !x.busy() {
		ch.x = nil
		x.recycle(ch.server())
	}
}

func (x *exchange) recycle(s *Server) {
	if x.holding.Swap(nil) != nil {
		x.timer.Stop()
	}
	if r := &x.response; cap(r.out) > outputBuffer {
		reactor.PutBuffer(r.out)
		r.out = nil
	}
	x.response.out = x.response.out[:0]
	x.native.recycle()
	x.channel, x.turn, x.slab, x.body, x.hijacked = nil, nil, nil, nil, false
	s.exchanges.Put(x)
}

// drain throws away what comes of a body that its handler left unread.
func (ch *channel) drain(t *reactor.Turn) (w want, ok bool) {
	err := ch.x.body.drain(&ch.x.drained)
	switch {
	case err == io.EOF:
		ch.endRequest()
		ch.becomeIdle()
		return wantInput, true
	case err == reactor.ErrAgain && ch.ended == nil:
		return wantInput, false
	}
	// Where the next request begins is not known, or not worth finding out.
	return ch.finish(t), false
}

// finish is the end of the conversation: when the output has left, the peer is told that there is no more, and what it still
// sends is thrown away until it closes too.
func (ch *channel) finish(t *reactor.Turn) want {
	if err := ch.flush(t); err != nil {
		return wantClose
	}
	if ch.x != nil {
		ch.endRequest()
	}
	ch.setState(stateLingering)
	ch.dropHead()
	return ch.linger(t)
}

// parted says whether nothing has to be waited for after the last answer, which has been written: the client has asked for the
// end, so that it sends no more (RFC 9112 §9.6), nothing of what it has sent is unread, and the socket has taken the answer. Only a
// loop may close at once; a task would have to wake it, and the peer's close does that as well. After content a client gets
// the time to read its answer before a reset, since there are some that send an empty line behind it (RFC 9112 §2.2).
func (ch *channel) parted(t *reactor.Turn) bool {
	x := ch.x
	r := &x.response
	return t != nil && (r.wantsClose || r.minor == 0 && !r.keepAlive10) && x.body == nil &&
		ch.at == len(ch.in) && !ch.Blocked() && !ch.InputWaits()
}

// linger is stateLingering.
func (ch *channel) linger(t *reactor.Turn) want {
	ch.lingered += int32(min(len(ch.in)-ch.at, maxLinger))
	ch.at = len(ch.in)
	switch {
	case ch.Blocked():
		return wantRoom
	case ch.ended != nil:
		return wantClose
	case !ch.finSent:
		ch.finSent = true
		if err := ch.CloseWrite(); err != nil {
			return wantClose // the peer was faster
		}
		ch.SetReadTimeout(t, lingerTimeout)
	case ch.lingered > maxLinger:
		// A fast client has sent so much before it has read a word. No more is read, which holds it back, and it gets some time.
		ch.dropInput()
		ch.SetReadTimeout(t, 0)
		if t != nil && !t.Lost() {
			ch.Claim()
		}
		time.AfterFunc(lingerTimeout/2, func() {
			ch.Doom()
			ch.Release(false)
		})
		return wantTask
	}
	return wantInput
}

// awaitBody is called by who is about to wait for more of a body, its reader or the loop.
func (ch *channel) awaitBody() {
	x, now := ch.x, time.Now().UnixNano()
	if x.waited.Load() == 0 && x.waitBegan.Load() == 0 {
		x.received.Store(0)
	}
	x.endWait(now)
	x.waitBegan.Store(now)
	ch.setBodyDeadline()
}

// endWait notes that the body is not waited for any more. What a handler does between its reads is not the client's time.
func (x *exchange) endWait(now int64) {
	if began := x.waitBegan.Swap(0); began != 0 {
		x.waited.Add(max(now-began, 1))
	}
}

// setBodyDeadline bounds how long a body's reader, or the drain, waits for the next bytes. They call it, and whoever has changed
// exchange.readDeadline; when they do so at once, the one that finds it changed goes again, so that the later one counts.
func (ch *channel) setBodyDeadline() {
	c := &ch.server().config
	d := c.BodyTimeout
	if c.MinBodyRate > 0 && d > 0 {
		// What has come pays for the time that it was waited for, and BodyTimeout is in advance.
		spent := ch.x.waited.Load()
		if began := ch.x.waitBegan.Load(); began != 0 {
			spent += time.Now().UnixNano() - began
		}
		if unpaid := time.Duration(spent) - reactor.AtRate(ch.x.received.Load(), c.MinBodyRate); unpaid > 0 {
			d = max(d-unpaid, 1)
		}
	}
	for {
		ns := ch.x.readDeadline.Load()
		if at := time.Unix(0, ns); ns != 0 && (d <= 0 || time.Until(at) < d) {
			ch.SetReadDeadline(at)
		} else {
			ch.SetReadTimeout(nil, d)
		}
		if ch.x.readDeadline.Load() == ns {
			return
		}
	}
}

// Panicked implements dispatch.Task: the handler panicked, or ended its goroutine. Its answer ends where it stands, and
// the connection with it; the answers before it are delivered.
func (ch *channel) Panicked(v any, stack []byte) {
	ch.logPanic(v, stack)
	if ch.hijacked {
		return // what becomes of the connection is up to whoever has it
	}
	x := ch.x
	if x.native.on {
		ch.tellTask(true)
		x.native.abandon()
	} else {
		x.slab.writer.letGo()
		ch.ctx.Store(nil)
		x.slab.ctx.end()
	}
	x.body.interrupt()
	x.response.send()
	switch {
	case x.inline && v != dispatch.ErrGoexit:
		return // run goes on, on this goroutine
	case x.inline:
		ch.Detach(x.onLoop())
	}
	ch.work(ch.finish(nil), true)
}

// logPanic reports a panic, unless it is one that is meant to be silent.
func (ch *channel) logPanic(v any, stack []byte) {
	if v != http.ErrAbortHandler && v != dispatch.ErrGoexit {
		ch.server().config.Logf("http: panic serving %v: %v\n%s", ch.Peer(), v, stack)
	}
}
