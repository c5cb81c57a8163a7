// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// netGreeting is how long a connection may take for what comes before HTTP: the header of a proxy, a TLS handshake. It is as
// long as a request head may take by default.
const netGreeting = 10 * time.Second

var _ reactor.Listener = (*netListener)(nil)

// A netListener accepts from any net.Listener. One goroutine waits in its Accept. Each connection then gets the goroutine
// that will be its reader, and that hands the connection over as soon as it knows the peer's address: some, such as those
// that a proxy's header tells of, know it only when the client has sent something, and others must not wait for that.
type netListener struct {
	from     net.Listener
	sockets  *netSockets
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	closed   atomic.Bool
	accepted chan reactor.Accepted
	failed   chan error     // failures after which Accept may be tried again
	ended    chan struct{}  // closed when it may not, and what was accepted has been handed over
	err      error          // why; set before that
	greeting sync.WaitGroup // connections that have not been handed over, counted by run
}

// newNetListener returns a Listener for l, whose connections are x's. It owns l from then on.
func newNetListener(l net.Listener, x *netSockets) *netListener {
	ln := &netListener{
		from: l, sockets: x,
		accepted: make(chan reactor.Accepted), failed: make(chan error), ended: make(chan struct{}),
	}
	ln.ctx, ln.cancel = context.WithCancel(context.Background())
	go ln.run()
	return ln
}

func (l *netListener) Accept() (reactor.Accepted, error) {
	if l.ctx.Err() != nil {
		return reactor.Accepted{}, reactor.ErrListenerClosed
	}
	select {
	case a := <-l.accepted:
		return a, nil
	case err := <-l.failed:
		return reactor.Accepted{}, err
	case <-l.ctx.Done():
		return reactor.Accepted{}, reactor.ErrListenerClosed
	case <-l.ended:
		return reactor.Accepted{}, l.err
	}
}

// run accepts until the net.Listener ends. A failure that passes is handed to Accept before it goes on, so that it goes at
// the pace of the caller, who waits for a while then.
func (l *netListener) run() {
	for {
		conn, err := l.from.Accept()
		if err == nil {
			s := l.sockets.make(conn)
			l.greeting.Add(1)
			go l.serve(s)
			continue
		}
		if !passes(err) {
			l.err = err
			if errors.Is(err, net.ErrClosed) {
				l.err = reactor.ErrListenerClosed
			}
			l.greeting.Wait() // who closes a listener does not close what came by it
			close(l.ended)
			return
		}
		select {
		case l.failed <- &systemError{kind: reactor.ErrExhausted, cause: err}:
		case <-l.ctx.Done():
			return
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
	defer l.greeting.Done()
	peer, ok := l.peer(s)
	if !ok {
		return false
	}
	fd := l.sockets.number(s)
	select {
	case l.accepted <- reactor.Accepted{FD: fd, Peer: peer}:
	case <-l.ctx.Done():
		s.shut(true)
		_ = l.sockets.Close(fd) // it is there
		return false
	}
	return true
}

// peer returns the text of the peer's address, unless it does not come in time, or before the listener is closed.
func (l *netListener) peer(s *netSocket) (string, bool) {
	ctx, cancel := context.WithTimeout(l.ctx, netGreeting)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.shut(true) })
	peer := addrText(s.conn.RemoteAddr())
	return peer, stop()
}

// Close closes the net.Listener once, since not each allows for more, and ends the greetings.
func (l *netListener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	l.cancel()
	select {
	case <-l.ended:
		if errors.Is(l.err, reactor.ErrListenerClosed) { // its owner has closed it
			return nil
		}
	default:
	}
	return closeFrom(l.from)
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
