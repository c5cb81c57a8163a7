// SPDX-License-Identifier: MIT

package waitress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

const (
	// netInput is what a connection is read into. An idle one holds it, since its goroutine waits in Read, so it is small;
	// while Reads fill it, it grows up to netMaxInput.
	netInput    = 4 << 10
	netMaxInput = 64 << 10

	// netOutput is how much output a connection takes before it says that it is full, and netPiece how much of it is
	// written at once: there is room again after each piece.
	netOutput = 64 << 10
	netPiece  = 16 << 10

	// netCloseTimeout is how long a closed connection may take to deliver what was written to it.
	netCloseTimeout = 30 * time.Second

	// maxEmptyReads is how many Reads in a row may return nothing and no error.
	maxEmptyReads = 100
)

var _ reactor.Sockets = (*netSockets)(nil)

// netSockets are connections that have no descriptor of their own: any net.Conn. They give each a number that stands for
// one, and two goroutines that wait in its place:
//
//	          Read           in                      Sockets.Read
//	net.Conn ──────▶ reader ─────────────────────────────────────▶
//	                   │  reads on when in is empty                reactor
//	                   └──────▶ netPoller ───────────────────────▶
//	          Write          out, bounded            Sockets.Write
//	net.Conn ◀────── writer ◀─────────────────────────────────────
//
// The reader lasts as long as the connection; the writer runs while there is something to write, so that an idle
// connection costs one goroutine and a small buffer. Since the reader does not read ahead, the end of the peer's stream, or
// a reset, is reported only when what came before it has been read; net/http learns of it no sooner.
//
// What is asked of a net.Conn is what its documentation promises: that its methods may be called by several goroutines,
// and that Close ends the Reads and Writes that wait. Where Close does not, the goroutine that waits lasts until the
// connection lets it go; nobody else waits for it, but a Shutdown for a Close that does not return.
type netSockets struct {
	table socketTable[*netSocket]

	mu    sync.Mutex
	open  map[*netSocket]struct{} // guarded by mu: those whose net.Conn is not closed yet
	empty chan struct{}           // guarded by mu: closed when open is empty; nil when nobody waits

	over context.Context // immutable: ends with cut
	end  context.CancelFunc

	handshakeTimeout time.Duration                  // immutable
	handshakeFailed  func(peer net.Addr, err error) // immutable: is told of it; any goroutine
}

func newNetSockets() *netSockets {
	x := &netSockets{
		open:             make(map[*netSocket]struct{}),
		handshakeTimeout: netGreeting,
		handshakeFailed:  func(net.Addr, error) {},
	}
	x.over, x.end = context.WithCancel(context.Background())
	return x
}

// A netEnd is how far the end of a connection has come on this side. It only increases.
type netEnd uint8

const (
	netOpen      netEnd = iota
	netFinishing        // the end of the stream is to follow the output
	netFinished         // it has
	netClosing          // the connection is to be closed when its output has left; nobody reads it any more
	netCut              // it is closed, or about to be, and nothing leaves any more
	netTaken            // Hijack has taken the net.Conn: it is no concern of ours
)

// A netSocket is one connection. Its fields are guarded by mu, unless said otherwise.
type netSocket struct {
	conn    net.Conn    // immutable
	sockets *netSockets // immutable

	mu    sync.Mutex
	end   netEnd
	state *tls.ConnectionState // after the handshake; nil where there is none

	poller  *netPoller // between Add and Del
	token   reactor.Token
	armed   reactor.Ready
	pending reactor.Ready // what to report
	queued  bool          // in poller.ready; it may still be in another's, too, that it was with

	in      []byte    // what the reader has read and nobody has yet; a piece of the reader's buffer, or taken's after it
	eof     bool      // the peer's stream ended behind in
	shaking bool      // the reader is busy with the handshake, or tells what came of it
	reading bool      // there is a reader
	changed sync.Cond // of what above and of writing: the reader waits, and take

	out     []byte // what the writer has not begun to write; a pooled buffer, or nil
	unsent  int    // bytes in out, and in the writer's hands
	writing bool   // there is a writer
	short   bool   // a Write came short, and no room was reported since

	shutting bool        // somebody has called conn.Close, or is about to
	closed   bool        // it has returned
	timer    *time.Timer // netCloseTimeout; nil before Close
}

// make returns a netSocket for conn, which it owns from then on. It has no number yet.
func (x *netSockets) make(conn net.Conn) *netSocket {
	s := &netSocket{conn: conn, sockets: x, armed: reactor.Readable, reading: true}
	s.changed.L = &s.mu
	x.mu.Lock()
	x.open[s] = struct{}{}
	x.mu.Unlock()
	return s
}

func (x *netSockets) get(fd reactor.FD) (*netSocket, error) {
	if s := x.table.get(fd); s != nil {
		return s, nil
	}
	return nil, net.ErrClosed
}

// left notes that s's net.Conn is closed.
func (x *netSockets) left(s *netSocket) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, s)
	if len(x.open) == 0 && x.empty != nil {
		close(x.empty)
		x.empty = nil
	}
}

// wait waits until every net.Conn is closed, and what was written to it delivered by that, or ctx ends. The listeners
// are to be closed before.
func (x *netSockets) wait(ctx context.Context) error {
	x.mu.Lock()
	if len(x.open) == 0 {
		x.mu.Unlock()
		return nil
	}
	if x.empty == nil {
		x.empty = make(chan struct{})
	}
	empty := x.empty
	x.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cut ends all connections at once, and makes every Close from now on end one at once. The listeners are to be closed before.
func (x *netSockets) cut() {
	x.mu.Lock()
	x.end()
	for s := range x.open {
		go s.shut(true)
	}
	x.mu.Unlock()
}

// localAddr returns the address that fd is bound to, or nil if its net.Conn knows none.
func (x *netSockets) localAddr(fd reactor.FD, _ string) net.Addr {
	s, err := x.get(fd)
	if err != nil {
		return nil
	}
	return s.conn.LocalAddr()
}

// tlsState returns what the handshake of fd's connection came to, or nil if it has none.
func (x *netSockets) tlsState(fd reactor.FD) *tls.ConnectionState {
	s, err := x.get(fd)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// netConn returns the net.Conn that the listener gave.
func (x *netSockets) netConn(fd reactor.FD) net.Conn {
	s, err := x.get(fd)
	if err != nil {
		return nil
	}
	return s.conn
}

// take gives the net.Conn away, with all output written and no deadline set, and what was read of it and not used. Nothing
// here touches it any more, whatever becomes of fd.
func (x *netSockets) take(fd reactor.FD) (net.Conn, []byte, error) {
	s, err := x.get(fd)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing && s.end == netOpen {
		s.changed.Wait()
	}
	if s.end != netOpen {
		return nil, nil, errNetReset
	}
	s.end = netTaken
	x.left(s)
	conn := s.conn
	if len(s.in) > 0 { // the reader waits for somebody to use it, and ends now
		s.in = bytes.Clone(s.in)
		s.changed.Broadcast()
	} else if s.reading && conn.SetReadDeadline(longAgo) != nil {
		return &takenConn{conn, s}, nil, nil
	}
	for s.reading {
		s.changed.Wait()
	}
	read := s.in
	s.in = nil
	// It is open, and has deadlines if it is one whose reader had to be interrupted.
	_ = conn.SetDeadline(time.Time{})
	return conn, read, nil
}

// A takenConn is a net.Conn without deadlines, whose reader nobody can interrupt: what that still gets comes first.
type takenConn struct {
	net.Conn
	socket *netSocket
}

func (c *takenConn) Read(p []byte) (int, error) {
	s := c.socket
	s.mu.Lock()
	for s.reading && len(s.in) == 0 {
		s.changed.Wait()
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	s.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	return c.Conn.Read(p)
}

func (s *netSocket) isTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end == netTaken
}

func (x *netSockets) Read(fd reactor.FD, p []byte) (int, error) {
	s, err := x.get(fd)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readable(); err != nil {
		return 0, err
	}
	n := copy(p, s.in)
	if s.in = s.in[n:]; len(s.in) == 0 {
		s.changed.Broadcast()
	}
	return n, nil
}

func (x *netSockets) Peek(fd reactor.FD) (int, error) {
	s, err := x.get(fd)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readable(); err != nil {
		return 0, err
	}
	return 1, nil
}

func (x *netSockets) Write(fd reactor.FD, p []byte) (int, error) {
	s, err := x.get(fd)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != netOpen {
		return 0, errNetReset
	}
	n := min(len(p), netOutput-s.unsent)
	if n < len(p) {
		s.short = true
	}
	if n == 0 && len(p) > 0 {
		return 0, reactor.ErrAgain
	}
	s.out = append(reactor.GrowBuffer(s.out, n), p[:n]...)
	s.unsent += n
	s.startWriter()
	return n, nil
}

// SendFile is the caller's to do: what a net.Conn makes of bytes, such as ciphertext, is in memory in any case.
func (x *netSockets) SendFile(reactor.FD, reactor.File, int64, int) (int, error) {
	return 0, errors.ErrUnsupported
}

// CloseWrite of a connection that can't be closed on one side closes it as a whole, when its output has left. What
// the peer still sends may then be answered by a reset that overtakes the output; the alternative, to wait for the peer
// to close first, would make each client wait that reads an answer up to its end.
func (x *netSockets) CloseWrite(fd reactor.FD) error {
	s, err := x.get(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.end {
	case netOpen:
		s.end = netFinishing
		s.startWriter()
	case netFinishing, netFinished, netClosing:
	case netCut, netTaken:
		return errNetReset
	}
	return nil
}

func (x *netSockets) Abort(fd reactor.FD) error {
	s, err := x.get(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != netTaken {
		s.fail()
		go s.shut(true) // it may wait
	}
	return nil
}

// Close frees the number at once. The connection goes on by itself, for netCloseTimeout at most, until its output has left.
func (x *netSockets) Close(fd reactor.FD) error {
	s := x.table.take(fd, true)
	if s == nil {
		return net.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.end {
	case netOpen, netFinishing, netFinished:
		if x.over.Err() != nil {
			s.fail()
			go s.shut(true)
			return nil
		}
		s.end = netClosing
		s.in = nil
		s.changed.Broadcast()
		if s.shaking && s.conn.SetDeadline(longAgo) == nil {
			return nil // the handshake says what came of it, and closes
		}
		s.timer = time.AfterFunc(netCloseTimeout, func() { s.shut(true) })
		s.startWriter()
	case netClosing, netCut, netTaken:
	}
	return nil
}

// errNetReset is what is left to say of a connection that has failed, or was aborted.
var errNetReset = &systemError{kind: reactor.ErrReset, cause: net.ErrClosed}

// readable is why nothing can be read, or nil. Under mu.
func (s *netSocket) readable() error {
	switch {
	case s.end >= netClosing:
		return errNetReset
	case len(s.in) > 0:
		return nil
	case s.eof:
		return io.EOF
	}
	return reactor.ErrAgain
}

// match reports what is armed and has become true. Under mu.
func (s *netSocket) match() {
	var r reactor.Ready
	if s.armed&reactor.Readable != 0 && len(s.in) > 0 {
		r |= reactor.Readable
	}
	if s.armed&reactor.Writable != 0 && s.short && s.unsent < netOutput {
		r |= reactor.Writable
		s.short = false
	}
	s.armed &^= r
	if r != 0 {
		s.report(r)
	}
}

// report adds r to what the poller is to report of s, now or when it is added. Under mu.
func (s *netSocket) report(r reactor.Ready) {
	s.pending |= r
	if s.pending != 0 && s.poller != nil && !s.queued {
		s.queued = true
		s.poller.push(s)
	}
}

// ended is what a poller is told of s that will not change. Under mu.
func (s *netSocket) ended() reactor.Ready {
	switch {
	case s.end >= netCut:
		return reactor.Readable | reactor.PeerClosed | reactor.Hangup
	case s.eof && s.end < netClosing:
		return reactor.Readable | reactor.PeerClosed
	}
	return 0
}

// event is what p reports, after it has taken s from its list: nothing if s is another's by now.
func (s *netSocket) event(p *netPoller) reactor.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poller != p {
		return reactor.Event{}
	}
	e := reactor.Event{Token: s.token, Ready: s.pending}
	s.pending, s.queued = 0, false
	return e
}

// fail ends s for all who use it. The net.Conn is still to be shut. Under mu.
func (s *netSocket) fail() {
	if s.end >= netCut {
		return
	}
	closing := s.end == netClosing
	s.end = netCut
	if !closing {
		s.report(s.ended())
	}
	s.in = nil
	s.changed.Broadcast()
	s.unsent -= len(s.out)
	if s.out != nil {
		reactor.PutBuffer(s.out)
		s.out = nil
	}
}

// longAgo is a deadline that has passed by any clock, also a synctest bubble's, which begins in 2000.
var longAgo = time.Unix(1, 0)

// shut closes the net.Conn, which may wait: so it is for goroutines of s, or for one made for it. now means that the rest of
// the output, and what the net.Conn itself might have to say at its end, is not worth waiting for: a call that is
// writing it is ended, too.
func (s *netSocket) shut(now bool) {
	s.mu.Lock()
	taken := s.end == netTaken
	s.fail()
	first := !s.shutting
	s.shutting = true
	s.mu.Unlock()
	if taken {
		return
	}
	if now {
		_ = s.conn.SetDeadline(longAgo) // where there is none, Close has to do
		if c, ok := s.conn.(interface{ NetConn() net.Conn }); ok {
			_ = c.NetConn().Close() // of a tls.Conn, whose own Close would write to a peer that may not read
		}
	}
	if !first {
		return
	}
	_ = s.conn.Close() // it is closed, whatever it says
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.closed = true
	shaking := s.shaking
	s.mu.Unlock()
	if !shaking { // else the handshake has yet to say what came of it
		s.sockets.left(s)
	}
}

// noteTLS notes the state of encryption, once it is known: after the handshake or the first Read.
func (s *netSocket) noteTLS() {
	if c, ok := s.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := c.ConnectionState()
		s.mu.Lock()
		s.state = &state
		s.mu.Unlock()
	}
}

// read is the reader: it reads the connection to its end, each time when what it read before has been consumed.
// What comes when nobody wants it any more, because the connection is being closed, is thrown away: left unread, it might
// make the system reset the connection under the output that is still to be delivered.
func (s *netSocket) read() {
	size, empty := netInput, 0
	buf := reactor.GetBuffer(size)
	defer func() {
		reactor.PutBuffer(buf)
		s.mu.Lock()
		s.reading = false
		s.changed.Broadcast()
		s.mu.Unlock()
	}()
	for first := true; ; {
		n, err := s.conn.Read(buf)
		if n > 0 {
			if first {
				s.noteTLS()
				first = false
			}
			empty = 0
			s.publish(buf[:n])
		}
		switch {
		case s.isTaken():
			return
		case err != nil:
			s.endRead(err)
			return
		case n == 0:
			if empty++; empty == maxEmptyReads {
				s.endRead(io.ErrNoProgress)
				return
			}
		case n == len(buf) && size < netMaxInput:
			size *= 4
		case n < len(buf):
			size = netInput
		}
		if size != len(buf) {
			reactor.PutBuffer(buf)
			buf = reactor.GetBuffer(size)
		}
	}
}

// publish hands p over, and waits until it has been consumed.
func (s *netSocket) publish(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.end == netTaken:
		s.in = bytes.Clone(p) // for take, or a takenConn
		return
	case s.end >= netClosing:
		return
	}
	s.in = p
	s.match()
	for len(s.in) > 0 && s.end != netTaken {
		s.changed.Wait()
	}
}

// endRead notes how the peer's stream ended. A failure is one of the whole connection.
func (s *netSocket) endRead(err error) {
	if !errors.Is(err, io.EOF) {
		s.shut(true)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.eof = true
	if s.end < netClosing {
		s.report(s.ended())
	}
}

// startWriter makes sure that there is a writer. Under mu.
func (s *netSocket) startWriter() {
	if !s.writing {
		s.writing = true
		go s.write()
	}
}

// write is the writer: it writes what there is, and does what was asked to follow it.
func (s *netSocket) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case len(s.out) > 0:
			p := s.out
			s.out = nil
			s.send(p)
			reactor.PutBuffer(p)
		case s.end == netFinishing:
			s.end = netFinished
			s.mu.Unlock()
			s.finish()
			s.mu.Lock()
		case s.end == netClosing:
			s.mu.Unlock()
			s.shut(false)
			s.mu.Lock()
		default: // netOpen, netFinished, netCut or netTaken
			s.writing = false
			s.changed.Broadcast()
			return
		}
	}
}

// send writes p piece by piece. Under mu, which it gives up while it writes.
func (s *netSocket) send(p []byte) {
	for piece := range slices.Chunk(p, netPiece) {
		s.mu.Unlock()
		_, err := s.conn.Write(piece)
		s.mu.Lock()
		s.unsent -= len(piece)
		if err != nil && s.end < netCut {
			s.mu.Unlock()
			s.shut(true)
			s.mu.Lock()
		}
		if s.end >= netCut {
			return
		}
		s.match()
	}
}

// finish sends the end of the stream, in the way that the net.Conn has for it.
func (s *netSocket) finish() {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
		return
	}
	s.shut(false)
}
