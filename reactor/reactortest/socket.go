// SPDX-License-Identifier: MIT

package reactortest

import (
	"fmt"
	"io"
	"runtime"

	"github.com/waitress-go/waitress/reactor"
)

// A socket is the server's end of a connection: what a descriptor names. All of it is guarded by Network.mu.
type socket struct {
	endpoint
	fd       reactor.FD
	peerAddr string
	reg      *registration // nil before Add and after Del
	poller   *poller       // the one that it was registered with last; stays after Del
	token    reactor.Token // that it was registered by

	reading  bool // a Read is under way
	writing  bool // a Write is under way
	peeked   bool // Peek has said that there is a byte, so there is
	resetOut bool // an operation has returned the reset
	abort    abortStyle
}

// An abortStyle is what reads find after Abort. Systems differ.
type abortStyle uint8

const (
	abortNone abortStyle = iota // not aborted
	abortEnd                    // the end of the file
	abortRest                   // what had arrived, and then the end of the file
	abortFail                   // an error
)

// String describes s for Network.State. Network.mu is held.
func (s *socket) String() string {
	text := fmt.Sprintf("peer %s; in: %d arrived, %d under way, end: %v; out: %d under way, end: %v; "+
		"reset: %v, aborted: %v", s.peerAddr, len(s.in.buf), s.in.sent, s.in.fin, s.out.sent, s.out.finSent,
		s.reset, s.abort != abortNone)
	if s.reg == nil {
		return text + "; not registered"
	}
	return text + "; " + s.reg.String()
}

// readable, writable and gone are what is true of s now, as a Poller would see it.
func (s *socket) readable() bool {
	return len(s.in.buf) > 0 || s.in.fin || s.reset || s.abort != abortNone
}

func (s *socket) writable() bool {
	return s.out.room() > 0 || s.out.finSent || s.reset || s.abort != abortNone
}

func (s *socket) gone() bool {
	return s.reset || s.abort != abortNone || s.in.fin && s.out.finSent
}

func (s *socket) ready() (ready reactor.Ready) {
	if s.readable() {
		ready |= reactor.Readable
	}
	if s.writable() {
		ready |= reactor.Writable
	}
	if s.in.fin {
		ready |= reactor.PeerClosed
	}
	if s.gone() {
		ready |= reactor.Hangup
	}
	return ready
}

func (s *socket) arrived() { s.report(reactor.Readable) }
func (s *socket) roomed()  { s.report(reactor.Writable) }
func (s *socket) hungup()  { s.report(reactor.Readable | reactor.Writable | reactor.Hangup) }

func (s *socket) ended() {
	s.report(reactor.Readable | reactor.PeerClosed)
	if s.gone() {
		s.hungup()
	}
}

func (s *socket) report(edge reactor.Ready) {
	if s.reg != nil && !s.closed {
		s.reg.edge(edge)
	}
}

// sockets is a Network as reactor.Sockets.
type sockets Network

var _ reactor.Sockets = (*sockets)(nil)

// begin finds the socket that an operation of dir is for, and marks the operation as under way. It lets go of the lock
// now and then, so that a second one that should not be there has a chance to be seen.
func (n *Network) begin(op string, fd reactor.FD, busy func(*socket) *bool) (*socket, error) {
	s, err := n.socket(op, fd)
	if err != nil {
		return nil, err
	}
	if *busy(s) {
		return nil, n.violate("%s of descriptor %d while another is under way", op, fd)
	}
	if s.random.chance(0.25) {
		*busy(s) = true
		n.unlock()
		runtime.Gosched()
		n.mu.Lock()
		*busy(s) = false
	}
	if s.closed {
		return nil, n.violate("%s of descriptor %d, which was closed meanwhile", op, fd)
	}
	if s.random.chance(n.faults.Reset) {
		s.cut()
	}
	return s, nil
}

func reading(s *socket) *bool { return &s.reading }
func writing(s *socket) *bool { return &s.writing }

// wrap returns err, or an error that wraps it, but for io.EOF and ErrAgain, which the contract has as they are.
func (s source) wrap(f *Faults, op string, err error) error {
	if err != nil && err != io.EOF && err != reactor.ErrAgain && s.chance(f.Wrap) {
		return fmt.Errorf("reactortest: %s: %w", op, err)
	}
	return err
}

// Read implements reactor.Sockets.
func (x *sockets) Read(fd reactor.FD, p []byte) (int, error) {
	n := (*Network)(x)
	n.mu.Lock()
	defer n.unlock()
	s, err := n.begin("Read", fd, reading)
	if err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, n.violate("Read of descriptor %d into no bytes", fd)
	}
	k, err := s.read(p)
	if s.reg != nil && k < len(p) {
		s.reg.met |= reactor.Readable
	}
	return k, s.random.wrap(&n.faults, "read", err)
}

func (s *socket) read(p []byte) (int, error) {
	peeked := s.peeked
	s.peeked = false
	if err := s.readEnd(false); err != nil {
		return 0, err
	}
	// Only while more could come can there be less than there is.
	if f := &s.n.faults; !s.in.fin && !s.reset && s.abort == abortNone {
		most := min(len(p), len(s.in.buf))
		if !peeked && s.random.chance(f.Again) {
			s.in.hold(0, s.random.upTo(f.Pause))
			return 0, reactor.ErrAgain
		}
		// A full read is no end, so one that leaves something must be short.
		if most > 1 && s.random.chance(f.ShortRead) {
			s.in.hold(1+s.random.IntN(most-1), s.random.upTo(f.Pause))
		}
	}
	return s.in.take(p), nil
}

// readEnd returns what a Read returns instead of bytes, or nil where there are some. Where it is a peek, the next Read
// returns the same.
func (s *socket) readEnd(peek bool) error {
	switch s.abort {
	case abortNone, abortRest:
	case abortEnd:
		return io.EOF
	case abortFail:
		return reactor.ErrReset
	}
	switch {
	case len(s.in.buf) > 0:
		return nil
	case s.reset:
		// Some systems tell of a reset once and then of the end, some of the reset every time.
		if s.resetOut && s.fd%2 == 0 {
			return io.EOF
		}
		s.resetOut = s.resetOut || !peek
		return reactor.ErrReset
	case s.in.fin, s.abort == abortRest:
		return io.EOF
	}
	return reactor.ErrAgain
}

// Peek implements reactor.Sockets.
func (x *sockets) Peek(fd reactor.FD) (int, error) {
	n := (*Network)(x)
	n.mu.Lock()
	defer n.unlock()
	s, err := n.socket("Peek", fd)
	if err != nil {
		return 0, err
	}
	if err := s.readEnd(true); err != nil {
		return 0, s.random.wrap(&n.faults, "peek", err)
	}
	s.peeked = true
	return 1, nil
}

// Write implements reactor.Sockets.
func (x *sockets) Write(fd reactor.FD, p []byte) (int, error) {
	n := (*Network)(x)
	n.mu.Lock()
	defer n.unlock()
	s, err := n.begin("Write", fd, writing)
	if err != nil {
		return 0, err
	}
	k, err := s.write(p)
	if s.reg != nil && k < len(p) {
		s.reg.met |= reactor.Writable
	}
	return k, s.random.wrap(&n.faults, "write", err)
}

func (s *socket) write(p []byte) (int, error) {
	if s.reset || s.out.finSent || s.abort != abortNone {
		s.resetOut = true
		return 0, reactor.ErrReset
	}
	f := &s.n.faults
	k := min(len(p), s.out.room())
	switch {
	case len(p) == 0:
		return 0, nil
	case k == 0:
		return 0, reactor.ErrAgain
	case s.random.chance(f.Again):
		s.out.choke(s.random.upTo(f.Pause))
		return 0, reactor.ErrAgain
	case k > 1 && s.random.chance(f.ShortWrite):
		k = 1 + s.random.IntN(k-1)
		s.out.send(p[:k], f.Fragment)
		s.out.choke(s.random.upTo(f.Pause))
		return k, nil
	}
	s.out.send(p[:k], f.Fragment)
	return k, nil
}

// CloseWrite implements reactor.Sockets.
func (x *sockets) CloseWrite(fd reactor.FD) error {
	n := (*Network)(x)
	n.mu.Lock()
	defer n.unlock()
	s, err := n.begin("CloseWrite", fd, writing)
	if err != nil {
		return err
	}
	if s.reset || s.abort != abortNone {
		return s.random.wrap(&n.faults, "shutdown", reactor.ErrReset)
	}
	s.out.sendFin()
	if s.gone() {
		s.hungup()
	}
	return nil
}

// Abort implements reactor.Sockets.
func (x *sockets) Abort(fd reactor.FD) error {
	n := (*Network)(x)
	n.mu.Lock()
	defer n.unlock()
	s, err := n.socket("Abort", fd)
	if err != nil || s.abort != abortNone {
		return err
	}
	s.abort = [...]abortStyle{abortEnd, abortRest, abortFail}[s.random.IntN(3)]
	s.deaf = true
	switch {
	case s.reset:
	case s.abort == abortFail:
		s.sendReset()
	default:
		s.out.sendFin()
		s.in.deliver() // what waited for room is answered with a reset
	}
	s.hungup()
	return nil
}

// Close implements reactor.Sockets.
func (x *sockets) Close(fd reactor.FD) error {
	n := (*Network)(x)
	n.mu.Lock()
	defer n.unlock()
	s, err := n.socket("Close", fd)
	if err != nil {
		return err
	}
	switch {
	case s.reading || s.writing:
		err = n.violate("Close of descriptor %d while a Read or Write is under way", fd)
	case s.reg != nil:
		err = n.violate("Close of descriptor %d before Del", fd)
		s.reg.del()
	case s.poller != nil && s.poller.waiting:
		err = n.violate("Close of descriptor %d while its loop is in Wait, so by another goroutine", fd)
	}
	n.open[fd-firstFD] = nil
	s.close()
	return err
}
