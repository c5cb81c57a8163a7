// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/reactor"
)

// A Suspension is a request that waits without a goroutine, a stack or a pooled buffer, for as long as it takes: a long poll, an
// event stream between two events, a question to another server. Task.Suspend makes one. It ends in one of these ways, and only
// in the first one that comes:
//
//   - Resume: a function answers, or suspends the request once more;
//   - the timeout that SuspendFor sets: its function does so;
//   - the client has gone, or the Server was closed: the connection closes, and OnGone's function is told.
//
// Until then the connection belongs to the request. What the client sends behind it stays in the kernel, and Shutdown waits for
// it as for any request that has started; OnShutdown's function is told, so that it can be resumed early.
//
// While anything that the client has sent is unread, of the request's content or behind it, the end of its stream says only that
// it sends no more, and is not taken for its going. A client can make a request wait for ever by that, whoever it waits
// for: use SuspendFor where there is no other end. A reset is noticed.
//
// All methods may be called by any goroutine, at any time; when the Suspension is over they do nothing and say so. It may be
// kept: it is not recycled, and lets go of the connection when it is over.
type Suspension struct {
	mu      sync.Mutex
	state   suspensionState // guarded by mu, as the following are
	told    bool            // of the shutdown
	gone    bool            // the client went before ServeTask had returned
	forget  bool            // Forget was called
	run     func(Task)      // Resume's, or onTimeout
	channel *channel        // nil when it is over and not about to run
	ctx     *requestContext // nil until somebody asks for it

	onTimeout  func(Task)
	onGone     func()
	onShutdown func()
	timeout    time.Duration // immutable after SuspendFor

	// What the Task needs again. The channel's owner writes and reads it.
	kept       bool // the exchange stays with the channel, since the answer was begun or the body not read
	whole      bool // nothing of the body is still to come
	kind       dispatch.Kind
	method     Method
	minor      uint8
	keepAlive  bool
	wantsClose bool
	forgotten  bool            // nobody may ask for the head and the content any more
	asked      bool            // Body has returned something
	headSize   uint32          // how much of memory is what head was parsed from; the rest is what Body has returned
	start      int64           // native's, in Unix nanoseconds, or 0
	client     *Client         // native's
	head       *httpparse.Head // nil when forgotten and nobody is to be told, or kept
	memory     []byte
}

// A suspensionState is how far a Suspension is.
type suspensionState uint8

const (
	suspending      suspensionState = iota // ServeTask has not returned yet: what comes now is noted, and counts when it has
	suspensionWaits                        // for whoever ends it
	suspensionOver                         // somebody has
)

// errAnswered is the error of a request's context when it has been answered.
var errAnswered = context.Canceled

// Suspend makes the request wait when ServeTask has returned, without a goroutine, until the Suspension is resumed. What was
// written so far is sent then. The Task is over; the function that resumes the request gets another one. That one has the
// views of the request too, from a copy of the head: they are to be asked for again. What Body has returned is copied likewise.
func (t Task) Suspend() *Suspension { return t.suspend(0, nil) }

// SuspendFor is Suspend with a time after which onTimeout runs as a function of Resume would, unless the Suspension is over by
// then. It is measured from the return of ServeTask, to a few milliseconds, and costs no timer.
func (t Task) SuspendFor(timeout time.Duration, onTimeout func(Task)) *Suspension {
	if timeout <= 0 || onTimeout == nil {
		panic("waitress: Task.SuspendFor needs a time and a function")
	}
	return t.suspend(timeout, onTimeout)
}

func (t Task) suspend(timeout time.Duration, onTimeout func(Task)) *Suspension {
	n := t.use()
	n.mayServe("Suspend")
	ch := n.channel()
	s := &Suspension{channel: ch, timeout: timeout, onTimeout: onTimeout, ctx: n.ctx}
	n.wait, n.ctx = s, nil
	n.end()
	ch.quiet.Store(ch.x.body.remains() == nothingLeft && ch.at == len(ch.in))
	ch.suspended.Store(s)
	return s
}

// Resume makes f run as ServeTask would: by the Server's policy, with a Task that is its own. It says whether it will: not when
// the Suspension is over. f is not run here, and not before ServeTask has returned. In a bounded
// pool it goes before the requests that wait for a thread, since this one was let in long ago.
func (s *Suspension) Resume(f func(Task)) bool {
	if f == nil {
		panic("waitress: Suspension.Resume needs a function")
	}
	s.mu.Lock()
	if s.state == suspensionOver || s.run != nil {
		s.mu.Unlock()
		return false
	}
	s.run = f
	if s.state == suspending {
		s.mu.Unlock()
		return true
	}
	s.end()
	return true
}

// Forget says that the function that resumes the request needs nothing of it but to answer: the copy of its head is spared, and of
// what Body has returned. What would have to look there panics then. It has to be called before ServeTask returns. Where
// each request is to be logged it is not spared.
func (s *Suspension) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget = true
}

// OnGone makes f run on a goroutine of the Server's when the client has gone, or the Server was closed, and the Suspension is
// over by that. A client that only closes its sending side has gone too, as for a request's context; it can't be told from
// one that closed the connection. While anything that it sent is unread it is not noticed that it closed: use SuspendFor. At most
// one f, the last one; where the Suspension is over already, none.
func (s *Suspension) OnGone(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onGone = f
}

// OnShutdown makes f run on a goroutine of the Server's when the Server begins to shut down, or now if it has, and the
// Suspension is not over. The Suspension goes on; Resume ends it. At most one f, the last one.
func (s *Suspension) OnShutdown(f func()) {
	s.mu.Lock()
	s.onShutdown = f
	if s.told && s.state != suspensionOver && s.run == nil {
		s.call(f)
	}
	s.mu.Unlock()
}

// Over says whether the Suspension has been resumed, or ended otherwise.
func (s *Suspension) Over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == suspensionOver || s.run != nil
}

// Context returns the context of the request: it is cancelled when the client has gone, as OnGone's function is told, or the Server
// was closed, and when the request has been answered. It is made when it is asked for.
func (s *Suspension) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx != nil:
	case s.state == suspensionOver:
		over, cancel := context.WithCancel(context.Background())
		cancel()
		return over
	default:
		s.ctx = &requestContext{base: s.channel.baseContext(), channel: s.channel}
		s.channel.ctx.Store(s.ctx)
		if s.gone {
			s.ctx.peerGone()
		}
	}
	return s.ctx
}

// end is the end of a Suspension that waits, by s.run. Under mu, which it unlocks: the channel is the caller's, and then that of
// whoever runs it.
func (s *Suspension) end() {
	s.state = suspensionOver
	ch := s.channel
	s.channel, s.onGone, s.onShutdown, s.onTimeout = nil, nil, nil, nil
	s.mu.Unlock()
	ch.Unpark()
	d := ch.server().config.Dispatcher
	if s.whole && d.Place(s.kind) == dispatch.Here {
		ch.Return()
	} else if d.SubmitUrgent(ch) != nil { // it was closed
		go d.Run(ch)
	}
}

// expire is the end by the timeout, if that has passed: it may be an earlier Suspension's that the loop has found. Before this
// one waits nothing is done, since it is told again. On the loop.
func (s *Suspension) expire() {
	s.mu.Lock()
	if s.state != suspensionWaits || !s.channel.Overdue() {
		s.mu.Unlock()
		return
	}
	s.channel.SetReadTimeout(nil, 0)
	s.run = s.onTimeout
	s.end()
}

// peerGone is the end by the client, or by Close. On the loop, or on the goroutine that has the channel.
func (s *Suspension) peerGone() {
	s.mu.Lock()
	switch {
	case s.state == suspensionOver || s.run != nil:
		s.mu.Unlock()
		return
	case s.state == suspending:
		s.gone = true
		s.mu.Unlock()
		return
	}
	s.state = suspensionOver
	ch, ctx := s.channel, s.ctx
	s.call(s.onGone)
	s.channel, s.onGone, s.onShutdown, s.onTimeout = nil, nil, nil, nil
	s.mu.Unlock()
	if ctx != nil {
		ctx.cancel(context.Canceled)
	}
	ch.tellGone(s)
	ch.Unpark()
	ch.ctx.Store(nil)
	ch.suspended.Store(nil)
	ch.Doom()
	ch.Release(false)
}

// shutdown tells that the Server shuts down. Any goroutine.
func (s *Suspension) shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told || s.state == suspensionOver || s.run != nil {
		return
	}
	s.told = true
	s.call(s.onShutdown)
}

// drop is the end of a Suspension that never waited: its handler panicked, or its connection failed before.
func (s *Suspension) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = suspensionOver
	ch := s.channel
	s.call(s.onGone)
	s.channel, s.run = nil, nil
	if s.ctx != nil {
		s.ctx.cancel(context.Canceled)
	}
	ch.ctx.Store(nil)
	ch.suspended.Store(nil)
}

// call makes f, if any, run where user code runs. Under mu, while there is a channel.
func (s *Suspension) call(f func()) {
	if f == nil {
		return
	}
	ch := s.channel
	c, d := &suspensionCall{f, ch.server(), ch.Peer()}, ch.server().config.Dispatcher
	if d.SubmitUrgent(c) != nil {
		go d.Run(c)
	}
}

// A suspensionCall is a function that is told of something, as a task of the dispatcher.
type suspensionCall struct {
	f      func()
	server *Server
	peer   string
}

// Run implements dispatch.Task.
func (c *suspensionCall) Run() { c.f() }

// Shed implements dispatch.Task. What is urgent is not shed.
func (c *suspensionCall) Shed() {}

// Panicked implements dispatch.Task.
func (c *suspensionCall) Panicked(v any, stack []byte) {
	c.server.config.Logf("http: panic in a function of the suspended request of %v: %v\n%s", c.peer, v, stack)
}

// park leaves the channel to the Suspension that its handler has made: what was written leaves, what the Task needs again is
// kept, and the rest is given back. The channel is a task's without a goroutine from then on (reactor.Conn.Park).
func (ch *channel) park(t *reactor.Turn) want {
	x := ch.x
	n, r := &x.native, &x.response
	s := n.wait
	if r.sentHead && r.err == nil {
		r.err = r.flush()
	} else if r.err == nil {
		r.err = ch.flush(x.onLoop())
	}
	if r.err != nil {
		ch.tellTask(false)
		n.wait = nil
		s.drop()
		return wantClose
	}
	if t != nil && t.Lost() {
		t = nil
	}
	s.mu.Lock()
	forget := s.forget
	s.mu.Unlock()
	n.forgotten = n.forgotten || forget
	left := x.body.remains()
	s.kind = x.kind
	s.whole = left == nothingLeft || n.body.decoder == nil && n.body.left <= int64(len(ch.in)-ch.at)
	if s.kept = n.began() || left != nothingLeft || n.length < 0 || ch.collects(); s.kept {
		n.keepText()
		// These may be pieces of the input too.
		n.content, n.decoder.ready = bytes.Clone(n.content), bytes.Clone(n.decoder.ready)
		n.wait = nil
		r.give()
	} else {
		s.method, s.minor, s.keepAlive, s.wantsClose = n.method, n.minor, n.keepAlive, n.wantsClose
		s.forgotten = n.forgotten
		s.start, s.client = n.start, n.client
		if !s.forgotten || ch.server().config.Served != nil {
			s.keep(n)
		}
		n.letGo()
		x.body.letGo()
		x.body = nil
		ch.release()
	}
	ch.dropHead()
	ch.own()
	if len(ch.in) == 0 {
		ch.dropInput()
	}
	ch.setState(stateSuspended)
	ch.ClearWriteDeadline()
	ch.SetReadTimeout(t, s.timeout)
	if t != nil {
		ch.Claim()
	}
	ch.Park()
	s.wait(ch.HalfClosed() && (ch.Over() || ch.quiet.Load() && ch.Gone()), ch.server().draining.Load())
	return wantTask
}

// wait makes the Suspension one that waits, and acts on what has happened meanwhile.
func (s *Suspension) wait(gone, draining bool) {
	s.mu.Lock()
	s.state = suspensionWaits
	gone = gone || s.gone
	if s.run != nil {
		s.end()
		return
	}
	s.mu.Unlock()
	if gone {
		s.peerGone()
	} else if draining {
		s.shutdown()
	}
}

// keep copies the request's head, and what Body has returned, to memory of just their size.
func (s *Suspension) keep(n *native) {
	head := *n.head
	head.Fields = slices.Clone(head.Fields)
	s.head = &head
	memory := make([]byte, len(n.text)+len(n.content))
	k := copy(memory, n.text)
	copy(memory[k:], n.content)
	s.memory, s.headSize, s.asked = memory, uint32(k), n.content != nil
}

// text returns what the spans of s.head are pieces of.
func (s *Suspension) text() []byte { return s.memory[:s.headSize:s.headSize] }

// restore makes the channel's owner, which has been given it by Suspension.end, serve the request again.
func (ch *channel) restore() {
	s := ch.suspended.Swap(nil)
	s.mu.Lock()
	run := s.run
	s.run = nil
	s.mu.Unlock()
	x := ch.takeExchange()
	n, r := &x.native, &x.response
	if s.kept {
		if r.out == nil {
			r.out = reactor.GetBuffer(outputBuffer)[:0]
		}
	} else {
		n.on = true
		n.method, n.minor, n.keepAlive, n.wantsClose = s.method, s.minor, s.keepAlive, s.wantsClose
		n.head, n.text, n.content, n.textKept = s.head, s.text(), nil, true
		if s.asked {
			n.content = s.memory[s.headSize:]
		}
		n.forgotten, n.start, n.client, n.skip = s.forgotten, s.start, s.client, 0
		n.length = 0
		if !s.forgotten {
			n.length = max(s.head.ContentLength, 0)
			n.skip = n.prefixed(ch.server().config.Prefix)
		}
		n.mark = len(r.out)
		x.body, x.drained, x.continues = nil, 0, false
		x.readDeadline.Store(0)
		r.reset(n.minor, n.method == MethodHead, n.keepAlive, n.wantsClose, false)
		n.answerAnew()
	}
	n.resumed = true
	n.run, n.ctx = run, s.ctx
	x.kind, x.whole, x.refused = s.kind, s.whole, false
	x.turn, x.inline = nil, false
	s.head, s.memory = nil, nil
	ch.setState(stateHandling)
	ch.SetReadTimeout(nil, 0)
	if d := ch.server().config.WriteTimeout; d > 0 {
		ch.SetWriteDeadline(time.Now().Add(d))
	}
}

// give gives back the buffers of an answer that pauses.
func (r *response) give() {
	if len(r.out) == 0 && r.out != nil {
		reactor.PutBuffer(r.out[:cap(r.out)])
		r.out = nil
	}
	if len(r.body) == 0 {
		r.body = nil
	}
}

// Returned implements reactor.Protocol: the loop has the channel again, for the function that resumes its request.
func (ch *channel) Returned(t *reactor.Turn) bool {
	ch.restore()
	w := ch.serveHere(t)
	if w == wantInput {
		w = ch.process(t, false)
	}
	return ch.after(t, w)
}
