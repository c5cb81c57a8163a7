// SPDX-License-Identifier: MIT

package reactortest

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waitress-go/waitress/reactor"
)

// firstFD is the lowest descriptor of a Network, as if a process had its three standard ones.
const firstFD reactor.FD = 3

// A Network is what Pollers, Sockets, Listeners and Clients belong to. Its methods may be called by any goroutine.
type Network struct {
	tb     testing.TB // immutable, may be nil
	seed   int64      // immutable
	faults Faults     // immutable, with the defaults filled in

	ended chan struct{} // closed by Close

	mu sync.Mutex // guards everything below and everything that belongs to the Network
	schedule
	closed     bool
	violations []*Violation
	open       []*socket // by descriptor from firstFD on; nil is free
	pollers    []*poller
	listeners  []*Listener
	files      []*File                // ever made
	pairs      uint64                 // connections ever made
	tokens     map[reactor.Token]bool // ever registered
}

// A Violation is a breach of one of package reactor's contracts. Calls that commit one return it, too.
type Violation struct {
	Seed int64
	Text string
}

// Error says what was done wrong, and in which run.
func (v *Violation) Error() string { return fmt.Sprintf("reactortest: seed %d: %s", v.Seed, v.Text) }

// New returns a Network. Violations become errors of tb, or panics when tb is nil. At the end of the test the Network
// is closed, after everything that was made later has been cleaned up, and a test that failed logs how to replay it.
func New(tb testing.TB, seed int64, f Faults) *Network {
	f.SendBuffer = cmp.Or(f.SendBuffer, defaultBuffer)
	f.RecvBuffer = cmp.Or(f.RecvBuffer, defaultBuffer)
	f.Pause = cmp.Or(f.Pause, defaultPause)
	n := &Network{tb: tb, seed: seed, faults: f, ended: make(chan struct{}), tokens: map[reactor.Token]bool{}}
	if tb != nil {
		tb.Cleanup(func() {
			n.Close()
			if tb.Failed() {
				tb.Logf("reactortest: replay this run with -reactortest.seed=%d; its faults: %+v", seed, f)
			}
		})
	}
	return n
}

// Close ends the simulation: nothing that is under way arrives any more, and every call that waits returns. It reports
// as Violations what the server's side has left open: descriptors, Pollers, Listeners and Files. Clients may stay open. Closing
// twice is closing once.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.unlock()
	if n.closed {
		return
	}
	n.closed = true
	close(n.ended)
	n.soon, n.later = nil, nil
	if n.timer != nil {
		n.timer.Stop()
	}
	var left []string
	for _, s := range n.open {
		if s != nil {
			left = append(left, fmt.Sprintf("descriptor %d of %s", s.fd, s.peerAddr))
		}
	}
	for i, p := range n.pollers {
		p.notify()
		if !p.closed {
			left = append(left, fmt.Sprintf("poller %d", i))
		}
	}
	for _, l := range n.listeners {
		l.changed.Broadcast()
		if !l.closed {
			left = append(left, "listener "+l.addr.String())
		}
	}
	for _, f := range n.files {
		if !f.closed {
			left = append(left, fmt.Sprintf("file %d", f.number))
		}
	}
	if len(left) > 0 {
		_ = n.violate("left open at the end: %s", strings.Join(left, ", "))
	}
}

// Violations returns those of up to now.
func (n *Network) Violations() []*Violation {
	n.mu.Lock()
	defer n.unlock()
	return slices.Clone(n.violations)
}

// violate notes a Violation and returns it. n.mu is held.
func (n *Network) violate(format string, args ...any) error {
	v := &Violation{n.seed, fmt.Sprintf(format, args...)}
	n.violations = append(n.violations, v)
	if n.tb == nil {
		panic(v)
	}
	n.tb.Errorf("%v\n%s", v, debug.Stack())
	return v
}

// Open returns how many descriptors are open.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.unlock()
	return n.openCount()
}

func (n *Network) openCount() (count int) {
	for _, s := range n.open {
		if s != nil {
			count++
		}
	}
	return count
}

// assign gives s the lowest free descriptor, as Unix does, so that a number comes back soon after it was closed.
func (n *Network) assign(s *socket) {
	i := slices.Index(n.open, nil)
	if i < 0 {
		i = len(n.open)
		n.open = append(n.open, nil)
	}
	n.open[i] = s
	s.fd = firstFD + reactor.FD(i)
}

// socket returns the one that fd names, or a Violation.
func (n *Network) socket(op string, fd reactor.FD) (*socket, error) {
	if i := int(fd - firstFD); i >= 0 && i < len(n.open) && n.open[i] != nil {
		return n.open[i], nil
	}
	return nil, n.violate("%s of descriptor %d, which is not open", op, fd)
}

// NewPoller returns a Poller, for one loop.
func (n *Network) NewPoller() reactor.Poller {
	n.mu.Lock()
	defer n.unlock()
	p := newPoller(n, uint64(len(n.pollers)))
	n.pollers = append(n.pollers, p)
	return p
}

// Sockets returns the operations on descriptors of n. All results are the same.
func (n *Network) Sockets() reactor.Sockets { return (*sockets)(n) }

// Pair returns a connection that no Listener has seen: the server's descriptor and the client's end.
func (n *Network) Pair() (reactor.FD, *Client) {
	n.mu.Lock()
	defer n.unlock()
	s, c := n.connect(netip.MustParseAddrPort("192.0.2.1:80"))
	n.assign(s)
	return s.fd, c
}

// connect makes both ends of a connection to addr. The server's has no descriptor yet.
func (n *Network) connect(addr netip.AddrPort) (*socket, *Client) {
	number := n.pairs
	n.pairs++
	s := &socket{endpoint: endpoint{n: n, random: newSource(n.seed, kindServerEnd, number)}}
	c := &Client{endpoint: endpoint{n: n, random: newSource(n.seed, kindClientEnd, number)}}
	up, down := &stream{n: n, from: &c.endpoint, to: &s.endpoint}, &stream{n: n, from: &s.endpoint, to: &c.endpoint}
	s.in, s.out, s.watcher = up, down, s
	c.in, c.out, c.watcher = down, up, c
	// Clients have addresses that RFC 5737 sets aside for examples. They repeat after four million connections.
	const ports = 1 << 14
	ip := netip.AddrFrom4([4]byte{198, 51, 100, byte(number / ports)})
	c.local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(1<<16-ports+number%ports)))
	c.remote = net.TCPAddrFromAddrPort(addr)
	s.peerAddr = c.local.String()
	return s, c
}

// State describes every open descriptor, for the message of a test that does not come to its end.
func (n *Network) State() string {
	n.mu.Lock()
	defer n.unlock()
	var b strings.Builder
	for _, s := range n.open {
		if s != nil {
			fmt.Fprintf(&b, "descriptor %d: %s\n", s.fd, s)
		}
	}
	for i, p := range n.pollers {
		fmt.Fprintf(&b, "poller %d: %v, %d registered, %d to report, waiting: %v, closed: %v\n",
			i, p.style, len(p.regs), len(p.ready), p.waiting, p.closed)
	}
	return b.String()
}

// Forgotten returns the descriptors that are ready in a direction whose owner has met the end of what was ready before
// but has not called Rearm since, so that no report will come. A server may have reason for one for a while; in one
// that is at rest and reads from everybody, each is a Rearm that is missing. Only a Poller of StyleStrict has any.
func (n *Network) Forgotten() []reactor.FD {
	n.mu.Lock()
	defer n.unlock()
	var fds []reactor.FD
	for _, p := range n.pollers {
		for fd, r := range p.regs {
			if r.forgotten() != 0 {
				fds = append(fds, fd)
			}
		}
	}
	slices.Sort(fds)
	return fds
}
