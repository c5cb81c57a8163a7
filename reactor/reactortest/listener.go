// SPDX-License-Identifier: MIT

package reactortest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/waitress-go/waitress/reactor"
)

// A Listener is a simulated reactor.Listener. All of it is guarded by Network.mu.
type Listener struct {
	random source
	n      *Network
	addr   netip.AddrPort // immutable

	backlog   []*socket // connected and not accepted; without a descriptor
	accepting bool      // a goroutine is in Accept
	closed    bool
	changed   sync.Cond // its lock is Network.mu
}

var _ reactor.Listener = (*Listener)(nil)

// Listen returns a Listener on addr, which is "IP:port"; port 0 stands for one that is free. An address that is no
// address or is in use is an error in the test, and panics.
func (n *Network) Listen(addr string) *Listener {
	n.mu.Lock()
	defer n.unlock()
	at := netip.MustParseAddrPort(addr)
	for port := uint16(8000); at.Port() == 0 || n.listener(at) != nil; port++ {
		if netip.MustParseAddrPort(addr).Port() != 0 {
			panic("reactortest: Listen: " + addr + " is in use")
		}
		at = netip.AddrPortFrom(at.Addr(), port)
	}
	l := &Listener{random: newSource(n.seed, kindListener, uint64(len(n.listeners))), n: n, addr: at}
	l.changed.L = &n.mu
	n.listeners = append(n.listeners, l)
	return l
}

// listener returns the open one at addr.
func (n *Network) listener(addr netip.AddrPort) *Listener {
	for _, l := range n.listeners {
		if l.addr == addr && !l.closed {
			return l
		}
	}
	return nil
}

// Addr returns the address listened on.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Accept implements reactor.Listener.
func (l *Listener) Accept() (reactor.Accepted, error) {
	n := l.n
	n.mu.Lock()
	defer n.unlock()
	if l.accepting {
		return reactor.Accepted{}, n.violate("Accept while another goroutine is in Accept")
	}
	l.accepting = true
	defer func() { l.accepting = false }()
	for {
		// A connection that ended before it was accepted is skipped.
		l.backlog = slices.DeleteFunc(l.backlog, func(s *socket) bool { return s.reset })
		switch {
		case l.closed || n.closed:
			return reactor.Accepted{}, l.random.wrap(&n.faults, "accept", reactor.ErrListenerClosed)
		case len(l.backlog) == 0:
			// Whoever holds the lock settles before it lets go, and Cond.Wait lets go without.
			n.settle()
			if len(l.backlog) == 0 && !l.closed && !n.closed {
				l.changed.Wait()
			}
			continue
		case l.random.chance(n.faults.AcceptFail), n.faults.Descriptors > 0 && n.openCount() >= n.faults.Descriptors:
			return reactor.Accepted{}, l.random.wrap(&n.faults, "accept", reactor.ErrExhausted)
		}
		s := l.backlog[0]
		l.backlog = l.backlog[1:]
		n.assign(s)
		return reactor.Accepted{FD: s.fd, Peer: s.peerAddr}, nil
	}
}

// Close implements reactor.Listener. Connections that were not accepted are reset.
func (l *Listener) Close() error {
	n := l.n
	n.mu.Lock()
	defer n.unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	for _, s := range l.backlog {
		s.closed, s.deaf = true, true
		s.sendReset()
	}
	l.backlog = nil
	l.changed.Broadcast()
	return nil
}

// Dial connects to l. It does not wait for Accept, just as a real backlog makes no client wait.
func (n *Network) Dial(l *Listener) (*Client, error) {
	n.mu.Lock()
	defer n.unlock()
	if l.closed {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(l.addr), Err: errRefused}
	}
	s, c := n.connect(l.addr)
	l.backlog = append(l.backlog, s)
	l.changed.Broadcast()
	return c, nil
}

// DialContext connects to the Listener at addr. It is what http.Transport.DialContext asks for.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("reactortest: dial %s: %w", network, err)
	}
	n.mu.Lock()
	l := n.listener(at)
	n.unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at), Err: errRefused}
	}
	c, err := n.Dial(l)
	if err != nil {
		return nil, err // not c: a nil *Client is no nil net.Conn
	}
	return c, nil
}
