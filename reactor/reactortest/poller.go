// SPDX-License-Identifier: MIT

package reactortest

import (
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// staleTokens is how many Tokens of deleted descriptors a Poller remembers for Faults.Stale.
const staleTokens = 32

// A poller is a simulated reactor.Poller. All of it but the channel is guarded by Network.mu.
type poller struct {
	random source
	n      *Network
	style  Style // immutable

	regs    map[reactor.FD]*registration
	ready   []*registration // those with something to report, in order
	stale   []reactor.Token // the last that were deleted
	woken   bool            // Wake was called since the last Wait returned
	waiting bool            // a goroutine is in Wait
	signal  chan struct{}   // of one: something has changed for Wait
	closed  bool
}

var _ reactor.Poller = (*poller)(nil)

// A registration is a descriptor that is registered with a poller.
type registration struct {
	poller *poller
	sock   *socket
	token  reactor.Token

	armed   reactor.Ready // directions whose next edge is to be reported; only with StyleStrict
	met     reactor.Ready // directions whose owner met the end since they were reported last
	told    reactor.Ready // directions that were ever reported
	pending reactor.Ready // to be reported
	queued  bool          // on poller.ready
	delayed bool          // will be queued after a pause
}

func newPoller(n *Network, number uint64) *poller {
	p := &poller{
		random: newSource(n.seed, kindPoller, number), n: n, style: n.faults.Style,
		regs: map[reactor.FD]*registration{}, signal: make(chan struct{}, 1),
	}
	if p.style == StyleAny {
		p.style = [...]Style{StyleEdge, StyleStrict}[p.random.IntN(2)]
	}
	return p
}

const directions = reactor.Readable | reactor.Writable

// edge is told that something has become true, and reports it if it should be.
func (r *registration) edge(ready reactor.Ready) {
	if r.poller.style == StyleStrict {
		due := r.armed
		if ready&(reactor.PeerClosed|reactor.Hangup) != 0 {
			due |= ready &^ reactor.Writable
		}
		ready &= due
	}
	r.report(ready)
}

// report reports what has become true: from now on its owner is to meet the end and call Rearm.
func (r *registration) report(ready reactor.Ready) {
	r.told |= ready & directions
	r.armed &^= ready
	r.met &^= ready
	r.pend(ready)
}

// pend adds to what is to be reported.
func (r *registration) pend(ready reactor.Ready) {
	r.pending |= ready
	if r.pending == 0 || r.queued || r.delayed {
		return
	}
	p := r.poller
	if !p.random.chance(p.n.faults.Delay) {
		r.enqueue()
		return
	}
	r.delayed = true
	p.n.after(p.random.upTo(p.n.faults.Pause), func() {
		r.delayed = false
		if p.regs[r.sock.fd] == r {
			r.enqueue()
		}
	})
}

func (r *registration) enqueue() {
	r.queued = true
	r.poller.ready = append(r.poller.ready, r)
	r.poller.notify()
}

// forgotten returns the directions that Network.Forgotten is about.
func (r *registration) forgotten() reactor.Ready {
	if r.poller.style != StyleStrict {
		return 0
	}
	return r.sock.ready() & r.met &^ r.armed &^ r.pending & directions
}

func (r *registration) del() {
	p := r.poller
	delete(p.regs, r.sock.fd)
	p.ready = slices.DeleteFunc(p.ready, func(other *registration) bool { return other == r })
	p.stale = append(p.stale, r.token)
	if len(p.stale) > staleTokens {
		p.stale = p.stale[1:]
	}
	r.sock.reg = nil
}

// String describes r for Network.State. Network.mu is held.
func (r *registration) String() string {
	return fmt.Sprintf("token %#x; ready for %s, armed for %s, to report %s, forgotten %s", uint64(r.token),
		readyString(r.sock.ready()), readyString(r.armed), readyString(r.pending), readyString(r.forgotten()))
}

func readyString(ready reactor.Ready) string {
	var set []string
	for i, name := range [...]string{"Readable", "Writable", "PeerClosed", "Hangup"} {
		if ready&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return "{" + strings.Join(set, " ") + "}"
}

// notify lets the Wait that is under way look again.
func (p *poller) notify() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// registration returns fd's, or a Violation.
func (p *poller) registration(op string, fd reactor.FD) (*registration, error) {
	if p.closed {
		return nil, p.n.violate("%s of descriptor %d after Close of the Poller", op, fd)
	}
	if _, err := p.n.socket(op, fd); err != nil {
		return nil, err
	}
	if r := p.regs[fd]; r != nil {
		return r, nil
	}
	return nil, p.n.violate("%s of descriptor %d, which is not registered", op, fd)
}

// Add implements reactor.Poller.
func (p *poller) Add(fd reactor.FD, token reactor.Token) error {
	n := p.n
	n.mu.Lock()
	defer n.unlock()
	s, err := n.socket("Add", fd)
	switch {
	case err != nil:
		return err
	case p.closed:
		return n.violate("Add of descriptor %d after Close of the Poller", fd)
	case s.reg != nil:
		return n.violate("Add of descriptor %d, which is registered", fd)
	case s.poller == p:
		return n.violate("Add of descriptor %d for the second time in its life", fd)
	case s.poller != nil && token != s.token:
		return n.violate("Add of descriptor %d with another Token %#x than it had", fd, uint64(token))
	case s.poller == nil && n.tokens[token]:
		return n.violate("Add of descriptor %d with Token %#x, which another one had", fd, uint64(token))
	}
	s.poller, s.token = p, token
	n.tokens[token] = true
	if p.random.chance(n.faults.AddFail) {
		return p.random.wrap(&n.faults, "add", reactor.ErrExhausted)
	}
	r := &registration{poller: p, sock: s, token: token, armed: reactor.Readable}
	s.reg = r
	p.regs[fd] = r
	if p.style == StyleEdge {
		r.report(s.ready())
	} else {
		r.report(s.ready() &^ reactor.Writable)
	}
	// The loop may act on a report before Add returns.
	n.unlock()
	runtime.Gosched()
	n.mu.Lock()
	return nil
}

// Rearm implements reactor.Poller.
func (p *poller) Rearm(fd reactor.FD, dir reactor.Ready) error {
	n := p.n
	n.mu.Lock()
	defer n.unlock()
	r, err := p.registration("Rearm", fd)
	if err != nil {
		return err
	}
	if dir == 0 || dir&^directions != 0 {
		return n.violate("Rearm of descriptor %d for %s", fd, readyString(dir))
	}
	if p.style == StyleStrict {
		// Rearm without having met the end asks for nothing. But what was never reported needs no end.
		r.armed |= dir & (r.met | ^r.told)
		r.report(r.armed & dir & r.sock.ready())
	}
	return nil
}

// Del implements reactor.Poller.
func (p *poller) Del(fd reactor.FD) error {
	n := p.n
	n.mu.Lock()
	defer n.unlock()
	r, err := p.registration("Del", fd)
	if err != nil {
		return err
	}
	if p.waiting {
		err = n.violate("Del of descriptor %d while its loop is in Wait, so by another goroutine", fd)
	}
	r.del()
	return err
}

// Wait implements reactor.Poller.
func (p *poller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	n := p.n
	n.mu.Lock()
	defer n.unlock()
	switch {
	case p.closed:
		return 0, n.violate("Wait after Close")
	case p.waiting:
		return 0, n.violate("Wait while another goroutine is in Wait")
	case len(events) == 0:
		return 0, n.violate("Wait with no room for events")
	}
	p.waiting = true
	defer func() { p.waiting = false }()
	// Another goroutine that does what it should not while this one waits has a chance to be seen, however short the
	// wait is.
	n.unlock()
	runtime.Gosched()
	n.mu.Lock()
	if p.random.chance(n.faults.Early) {
		return 0, nil
	}
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	for last := timeout == 0; ; {
		if n.closed {
			return 0, net.ErrClosed // so that a loop that was left running ends instead of turning
		}
		count := p.collect(events)
		if count > 0 || p.woken || last {
			p.woken = false
			return count, nil
		}
		n.unlock()
		select {
		case <-p.signal:
		case <-expired:
			last = true
		}
		n.mu.Lock()
	}
}

// collect fills events with what there is to report, true and otherwise.
func (p *poller) collect(events []reactor.Event) int {
	f := &p.n.faults
	var out []reactor.Event
	most := len(events)
	if most > 1 && p.random.chance(f.Early) {
		most = 1 + p.random.IntN(most-1)
	}
	add := func(token reactor.Token, ready reactor.Ready) bool {
		if len(out) == most {
			return false
		}
		out = append(out, reactor.Event{Token: token, Ready: ready})
		return true
	}
	for len(p.ready) > 0 && len(out) < most {
		r := p.ready[0]
		ready := r.pending
		if p.style == StyleEdge {
			ready |= r.sock.ready()
		}
		r.pending, r.queued = 0, false
		p.ready = p.ready[1:]
		if rest := ready &^ reactor.Writable; rest != 0 && rest != ready && p.random.chance(f.Split) {
			add(r.token, rest)
			ready = reactor.Writable
		}
		if !add(r.token, ready) {
			r.pend(ready)
		} else if p.random.chance(f.Duplicate) && !add(r.token, ready) {
			r.pend(ready)
		}
	}
	if len(p.regs) > 0 && p.random.chance(f.Spurious) {
		fds := slices.Sorted(maps.Keys(p.regs))
		r := p.regs[fds[p.random.IntN(len(fds))]]
		add(r.token, [...]reactor.Ready{reactor.Readable, reactor.Writable, directions}[p.random.IntN(3)])
	}
	if len(p.stale) > 0 && p.random.chance(f.Stale) {
		add(p.stale[p.random.IntN(len(p.stale))], 1+reactor.Ready(p.random.IntN(15)))
	}
	if len(out) > 1 && p.random.chance(f.Shuffle) {
		p.random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return copy(events, out)
}

// Wake implements reactor.Poller.
func (p *poller) Wake() error {
	n := p.n
	n.mu.Lock()
	defer n.unlock()
	wake := func() {
		p.woken = true
		p.notify()
	}
	if p.random.chance(n.faults.Delay) {
		n.after(p.random.upTo(n.faults.Pause), wake)
	} else {
		wake()
	}
	return nil
}

// Close implements reactor.Poller.
func (p *poller) Close() error {
	n := p.n
	n.mu.Lock()
	defer n.unlock()
	switch {
	case p.closed:
		return n.violate("Close of a Poller for the second time")
	case p.waiting:
		return n.violate("Close of a Poller while a goroutine is in Wait")
	}
	p.closed = true
	for _, fd := range slices.Sorted(maps.Keys(p.regs)) {
		p.regs[fd].del()
	}
	return nil
}
