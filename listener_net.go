// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// netGreeting is how long a connection may take for what comes before HTTP: the header of a proxy, a TLS handshake. It is as
// long as a request head may take by default.
const netGreeting = 10 * time.Second

// netLastGreeting is how long the same may take when the listener has closed: as long as new connections then have for their
// first request.
const netLastGreeting = 5 * time.Second

var _ reactor.Listener = (*netListener)(nil)

// A netListener accepts from any net.Listener. One goroutine waits in its Accept. Each connection then gets the goroutine
// that will be its reader, and that hands the connection over as soon as it knows the peer's address: some, such as those
// that a proxy's header tells of, know it only when the client has sent something, and others must not wait for that.
//
// Whoever closes a listener does not mean to lose what came by it. So after Close, which ends the goroutine in Accept, the
// connections that it had accepted are handed over as before, and only when there are no more does Accept say that this is
// the end.
type netListener struct {
	source
	sockets  *netSockets
	ctx      context.Context // of the greetings and hand-overs; ends some time after Close, and at once when sockets are cut
	cancel   context.CancelFunc
	accepted chan reactor.Accepted
	failed   chan error    // failures after which Accept may be tried again
	done     chan struct{} // closed when it may not, and what was accepted has been handed over
	err      error         // why; set by run before that
	closing  sync.Once
	greeting sync.WaitGroup // connections that have not been handed over, nor given up; acceptAll counts them
}

// newNetListener returns a Listener for l, whose connections are x's. It owns l from then on.
func newNetListener(l net.Listener, x *netSockets) *netListener {
	ln := &netListener{
		source: source{from: l}, sockets: x,
		accepted: make(chan reactor.Accepted), failed: make(chan error), done: make(chan struct{}),
	}
	ln.ctx, ln.cancel = context.WithCancel(x.over)
	go ln.run()
	return ln
}

func (l *netListener) Accept() (reactor.Accepted, error) {
	select {
	case a := <-l.accepted:
		return a, nil
	case err := <-l.failed:
		return reactor.Accepted{}, err
	case <-l.done:
	}
	if l.closed.Load() {
		return reactor.Accepted{}, reactor.ErrListenerClosed
	}
	return reactor.Accepted{}, l.err
}

// run accepts until the net.Listener ends, and notes why when what it accepted has been handed over.
func (l *netListener) run() {
	l.err = l.acceptAll()
	if errors.Is(l.err, net.ErrClosed) {
		l.closed.Store(true) // perhaps by its maker
	}
	l.greeting.Wait()
	close(l.done)
	l.cancel()
}

// acceptAll accepts until that fails for good. A failure that passes is handed to Accept before it goes on, so that it goes at
// the pace of the caller, who waits for a while then.
func (l *netListener) acceptAll() error {
	for {
		conn, err := l.from.Accept()
		if err == nil {
			s := l.sockets.make(conn)
			l.greeting.Add(1)
			go l.serve(s)
			continue
		}
		if !passes(err) {
			return err
		}
		select {
		case l.failed <- &systemError{kind: reactor.ErrExhausted, cause: err}:
		case <-l.ctx.Done():
			return net.ErrClosed
		}
	}
}

// passes says whether Accept may succeed after err.
func passes(err error) bool {
	temporary, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && temporary.Temporary()
}

// serve is the goroutine of one connection, until that has been read to its end.
func (l *netListener) serve(s *netSocket) {
	if l.greet(s) {
		s.read()
	}
}

// greet does what has to come before s is read. It says whether that succeeded.
func (l *netListener) greet(s *netSocket) bool {
	if !l.handOver(s) {
		return false
	}
	// It is no longer the listener's: what it is to receive may come after that has closed.
	return s.handshake()
}

// handOver gives s to Accept, as soon as its peer's address is known. It says whether that succeeded.
func (l *netListener) handOver(s *netSocket) bool {
	peer, ok := l.peer(s)
	if !ok {
		return false
	}
	defer l.greeting.Done()
	fd := l.sockets.table.add(s)
	select {
	case l.accepted <- reactor.Accepted{FD: fd, Peer: peer}:
	case <-l.ctx.Done():
		s.shut(true)
		_ = l.sockets.Close(fd) // it is there
		return false
	}
	return true
}

// peer returns the text of the peer's address. Where that does not come in time s is given up, and nobody waits for it
// any more, whatever becomes of the net.Conn.
func (l *netListener) peer(s *netSocket) (string, bool) {
	ctx, cancel := context.WithTimeout(l.ctx, netGreeting)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		l.greeting.Done()
		s.shut(true)
	})
	peer := addrText(s.conn.RemoteAddr())
	return peer, stop()
}

// Close leaves what has been accepted a little time.
func (l *netListener) Close() error {
	l.closing.Do(func() { time.AfterFunc(netLastGreeting, l.cancel) })
	return l.source.Close()
}

// addrText is a's text, or none: connections that were made in memory may have no address.
func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// A noAddr is the address of a listener that has none.
type noAddr struct{}

func (noAddr) Network() string { return "" }
func (noAddr) String() string  { return "" }
