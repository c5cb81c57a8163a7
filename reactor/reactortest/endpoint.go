// SPDX-License-Identifier: MIT

package reactortest

// An endpoint is one end of a connection, as its operating system sees it. It goes on when its descriptor is closed,
// until what was sent has arrived. All of it is guarded by Network.mu.
type endpoint struct {
	random  source
	n       *Network
	in, out *stream
	watcher watcher

	closed bool // the descriptor was closed
	deaf   bool // bytes that arrive are answered with a reset: closed, or shut down for reading
	reset  bool // a reset has arrived or was sent; nothing is sent any more
}

// A watcher is told what has changed at an end, with Network.mu held.
type watcher interface {
	arrived() // bytes
	ended()   // the end of the stream
	roomed()  // there is room to send
	hungup()  // the connection is gone
}

// close closes the descriptor. What was sent goes on arriving; but where something was not read, the other side is told
// by a reset that it was in vain, which may overtake what was sent to it. This is how a server that answers without
// reading a request to its end loses the answer.
func (e *endpoint) close() {
	e.closed, e.deaf = true, true
	switch {
	case e.reset:
	case len(e.in.buf) > 0:
		e.sendReset()
	default:
		e.out.sendFin()
	}
}

// sendReset gives the connection up, and tells the other side.
func (e *endpoint) sendReset() {
	if e.reset {
		return
	}
	e.reset = true
	e.in.drop()
	if e.random.chance(0.5) {
		e.out.drop() // it had not left yet
	}
	peer := e.out.to
	e.n.after(e.random.upTo(e.n.faults.Latency), peer.resetArrived)
}

// resetArrived is the other side's reset coming in, or the network's.
func (e *endpoint) resetArrived() {
	if e.reset {
		return
	}
	e.in.deliver() // what was sent before it, as far as there is room
	if e.reset {
		return
	}
	e.reset = true
	e.in.drop()
	e.out.drop()
	if e.random.chance(e.n.faults.Discard) {
		e.in.buf = nil
	}
	e.watcher.hungup()
}

// cut lets the network end the connection for both sides.
func (e *endpoint) cut() {
	e.n.after(e.random.upTo(e.n.faults.Latency), e.out.to.resetArrived)
	e.resetArrived()
}
