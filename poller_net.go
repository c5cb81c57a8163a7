// SPDX-License-Identifier: MIT

package waitress

import (
	"slices"
	"sync"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Poller = (*netPoller)(nil)

// A netPoller reports what the goroutines of netSockets find out. It is a list, and a channel to wait on, so a Wait in a
// testing/synctest bubble is durably blocked.
//
// A netSocket's lock is taken before the poller's, never after it.
type netPoller struct {
	sockets *netSockets
	signal  chan struct{} // of capacity 1: ready or woken may have changed
	mu      sync.Mutex
	ready   []*netSocket // guarded by mu: those with something to report, each once, in the order it came
	woken   bool         // guarded by mu

	// Only the goroutine that is the loop.
	taken []*netSocket
	timer *time.Timer
}

func (x *netSockets) newPoller() (reactor.Poller, error) {
	timer := time.NewTimer(0)
	timer.Stop()
	return &netPoller{sockets: x, signal: make(chan struct{}, 1), timer: timer}, nil
}

func (p *netPoller) Add(fd reactor.FD, token reactor.Token) error {
	s, err := p.sockets.get(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poller, s.token = p, token
	s.report(s.ended()) // and what was to be reported before
	s.armed |= reactor.Readable
	s.match()
	return nil
}

func (p *netPoller) Rearm(fd reactor.FD, dir reactor.Ready) error {
	s, err := p.sockets.get(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed |= dir
	s.match()
	return nil
}

// Del leaves s in the list, where Wait finds that there is nothing to report of it.
func (p *netPoller) Del(fd reactor.FD) error {
	s, err := p.sockets.get(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poller, s.queued = nil, false
	return nil
}

func (p *netPoller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	n, ok := p.take(events)
	if ok || timeout == 0 {
		return n, nil
	}
	var expired <-chan time.Time // nil: never
	if timeout > 0 {
		p.timer.Reset(timeout)
		defer p.timer.Stop()
		expired = p.timer.C
	}
	for {
		select {
		case <-p.signal: // perhaps of what was taken already
			if n, ok = p.take(events); ok {
				return n, nil
			}
		case <-expired:
			return 0, nil
		}
	}
}

// take fills events. It says whether there was any reason not to wait.
func (p *netPoller) take(events []reactor.Event) (n int, ok bool) {
	p.mu.Lock()
	ok = p.woken || len(p.ready) > 0
	p.woken = false
	k := min(len(p.ready), len(events))
	p.taken = append(p.taken[:0], p.ready[:k]...)
	p.ready = slices.Delete(p.ready, 0, k)
	p.mu.Unlock()
	for _, s := range p.taken {
		if e := s.event(p); e.Ready != 0 {
			events[n] = e
			n++
		}
	}
	clear(p.taken) // connections that have gone are not kept
	return n, ok
}

// push enters s. Under s.mu.
func (p *netPoller) push(s *netSocket) {
	p.mu.Lock()
	p.ready = append(p.ready, s)
	p.mu.Unlock()
	p.notify()
}

func (p *netPoller) Wake() error {
	p.mu.Lock()
	p.woken = true
	p.mu.Unlock()
	p.notify()
	return nil
}

func (p *netPoller) notify() {
	select {
	case p.signal <- struct{}{}:
	default: // the one that is there will do
	}
}

// Close has nothing to free.
func (p *netPoller) Close() error { return nil }
