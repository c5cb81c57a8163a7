// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || netbsd || openbsd || (linux && kqsim)) && !fallback

package waitress

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Poller = (*poller)(nil)

// canWatchListener says that a poller may have a listening descriptor too, which holds a thread here while it waits.
const canWatchListener = false

// kqueueMaxWait bounds the time that a Wait asks the system for: some refuse one of more than 100,000,000 seconds, and some
// have fewer bits for it than a Duration needs.
const kqueueMaxWait = 24 * time.Hour

// A poller is one kqueue. A descriptor is in it with both filters, EV_CLEAR: edge-triggered, so that a report costs
// nothing to acknowledge. The two filters report for themselves, also the end: that of the peer's stream comes with
// the read filter, that of ours with the write filter, and both together are a hangup.
//
// The descriptor is not parked in the Go runtime's poller, because the runtime adds a write filter to what it parks,
// and not every one of these systems knows that for a kqueue. Wait asks without waiting first, and gives its thread
// away only when there is nothing to do.
type poller struct {
	kq     int
	tokens tokenTable
	wake   wakePipe
	open   gate // for kq and the pipe

	list []kevent // loop only: what a Wait takes from the kqueue
}

func newPoller() (reactor.Poller, error) {
	kq, err := sysKqueue()
	if err != nil {
		return nil, os.NewSyscallError("kqueue", err)
	}
	p := &poller{kq: kq}
	if err := p.wake.open(); err != nil {
		sysClose(kq)
		return nil, err
	}
	// Without EV_CLEAR: it is reported until it was drained.
	var change [1]kevent
	change[0].set(p.wake.read, filterRead, keventAdd)
	if err := p.change(change[:]); err != nil {
		p.wake.close()
		sysClose(kq)
		return nil, err
	}
	return p, nil
}

// change makes changes up to the first that fails. There is no room for events in this call, so it takes none away.
func (p *poller) change(changes []kevent) error {
	for {
		_, errno := sysKevent(p.kq, changes, nil, 0)
		switch {
		case errno == 0:
			return nil
		case errno != unix.EINTR: // after which they can be made again
			return os.NewSyscallError("kevent", errno)
		}
	}
}

func (p *poller) Add(fd reactor.FD, token reactor.Token) error {
	if !p.open.enter() {
		return os.ErrClosed
	}
	defer p.open.leave()
	p.tokens.add(int(fd), token)
	var changes [2]kevent
	changes[0].set(int(fd), filterRead, keventAdd|keventClear)
	changes[1].set(int(fd), filterWrite, keventAdd|keventClear)
	err := p.change(changes[:])
	if err != nil {
		_ = p.del(fd)
	}
	return err
}

// Rearm has nothing to do: both filters stay.
func (p *poller) Rearm(reactor.FD, reactor.Ready) error { return nil }

func (p *poller) Del(fd reactor.FD) error {
	return p.del(fd)
}

// del deletes the filters one by one: a failure of one must not spare the other. It is none that a filter isn't there.
func (p *poller) del(fd reactor.FD) error {
	p.tokens.del(int(fd))
	var failed error
	for _, filter := range [...]int{filterRead, filterWrite} {
		var change [1]kevent
		change[0].set(int(fd), filter, keventDelete)
		if err := p.change(change[:]); err != nil && !errors.Is(err, unix.ENOENT) {
			failed = err
		}
	}
	return failed
}

func (p *poller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	if len(events) > len(p.list) {
		p.list = make([]kevent, len(events))
	}
	list := p.list[:len(events)]
	timeout = min(timeout, kqueueMaxWait)
	n, errno := sysKevent(p.kq, nil, list, 0)
	if n == 0 && errno == 0 && timeout != 0 {
		n, errno = sysKevent(p.kq, nil, list, timeout)
	}
	if errno != 0 {
		if errno == unix.EINTR {
			return 0, nil
		}
		return 0, os.NewSyscallError("kevent", errno)
	}
	reports := 0
	for i := range list[:n] {
		k := &list[i]
		if k.fd() == p.wake.read {
			p.wake.drain()
			continue
		}
		s := p.tokens.slot(k.fd())
		if s == nil || !s.used.Load() {
			continue
		}
		events[reports] = reactor.Event{Token: reactor.Token(s.token.Load()), Ready: s.translate(k)}
		reports++
	}
	return reports, nil
}

// translate says what a kevent reports of the slot's descriptor.
func (s *tokenSlot) translate(k *kevent) reactor.Ready {
	var ready reactor.Ready
	switch k.filter() {
	case filterRead:
		ready = reactor.Readable
		if k.flags()&keventEOF != 0 {
			ready |= reactor.PeerClosed
			s.ended |= reactor.Readable
		}
	case filterWrite:
		ready = reactor.Writable
		if k.flags()&keventEOF != 0 {
			s.ended |= reactor.Writable
		}
	}
	reset := k.flags()&keventEOF != 0 && k.errno() != 0
	if reset || k.flags()&keventError != 0 || s.ended == reactor.Readable|reactor.Writable {
		// A write that waits must find the error too.
		ready |= reactor.Hangup | reactor.Readable | reactor.Writable
	}
	return ready
}

func (p *poller) Wake() error {
	if !p.open.enter() {
		return nil
	}
	defer p.open.leave()
	return p.wake.wake()
}

func (p *poller) Close() error {
	if !p.open.close() {
		return os.ErrClosed
	}
	p.wake.close()
	if errno := sysClose(p.kq); errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}
