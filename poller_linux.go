// SPDX-License-Identifier: MIT

//go:build !kqsim && !fallback

package waitress

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Poller = (*poller)(nil)

// epollInterest is what every descriptor is registered for, once and for its whole life. Edge-triggered, so that a
// report costs nothing to acknowledge; with RDHUP, because a reader that stops at a short read learns of the end of the
// stream from its report alone. EPOLLERR and EPOLLHUP come unasked.
const epollInterest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// canWatchListener says that a poller may have a listening descriptor too.
const canWatchListener = true

// deadlineSlack is how far the deadline that is set may lie from the one that is wanted. A loop's timeouts are
// recomputed from a clock at every Wait and differ by microseconds; without slack each of them would set it anew.
const deadlineSlack = time.Millisecond

// A parkState says whether a loop has to be roused to notice a wake-up.
type parkState uint32

const (
	parkRunning parkState = iota // the loop is outside Wait, or has not yet decided to wait
	parkWaiting                  // the loop found nothing ready; it waits, or is just about to
	parkAsked                    // Wake came in parkRunning: the loop must not begin to wait
	parkRoused                   // Wake came in parkWaiting: its caller sets a deadline in the past
)

// A poller is one epoll descriptor. The descriptor is itself registered with the Go runtime's poller, so a goroutine
// that waits for it holds neither a thread nor a P, and the runtime runs it again like any other goroutine whose
// descriptor became readable.
//
// How Wait and Wake work together:
//
//  1. Wait polls without waiting. What is ready is returned; no deadline is touched and no state changed.
//  2. Nothing was ready: Wait makes sure that a deadline is set that suits its timeout. Usually the one that is
//     still set does.
//  3. Wait goes from parkRunning to parkWaiting. If it cannot, Wake came since the last Wait: it returns.
//  4. The runtime parks the goroutine. What became ready between 1 and this moment ends the wait at once, because
//     the runtime forgets earlier readiness before 1 and not after it.
//  5. Wake goes from parkRunning to parkAsked, and that is all: step 3 will see it. Or it goes from parkWaiting to
//     parkRoused and then sets the deadline to the past, which ends the wait without a system call. In any other
//     state a wake-up is under way already, and Wake does nothing.
//  6. However the wait ended, Wait goes back to parkRunning before it returns, so a Wake that follows counts anew,
//     and whoever returned from Wait sees what was done before the Wakes that it swallowed.
//
// Step 2 comes before step 3, so a Wake that finds parkWaiting sets its deadline after the loop's own, never under it:
// no wake-up is lost. A deadline in the past stays in force until it is replaced, so every Wait that saw one, or that
// went back from parkRoused, sets its own anew (the field expired). A Wake may be slow between its two halves and
// its deadline arrive after the loop went on, even in a later Wait; that Wait finds the deadline exceeded, but neither
// a wake-up nor its own time come, sets its deadline again and goes on waiting. Each Wake can do that once, so there is
// no spinning, and the loop's own deadline is put back each time, so no timer is lost.
type poller struct {
	file  *os.File           // owns the epoll descriptor and its place in the runtime's poller
	raw   syscall.RawConn    // file's
	park  func(uintptr) bool // waitPark; kept, because a method value is allocated each time it is made
	state atomic.Uint32      // a parkState

	// added is written by Add and read by Wait for the order that this gives: who is told of a token sees what was
	// done before the token was added. The kernel orders these too, but the race detector doesn't know.
	added atomic.Uint32

	// The rest belongs to the goroutine that is the loop.

	epfd     int               // file's descriptor: only the loop closes it, so the loop may name it
	list     []unix.EpollEvent // what epoll_wait fills; as long as the longest events so far
	room     int               // how much of list this Wait may use
	n        int               // how much of it was filled
	err      error             // or why it was not
	timeout  time.Duration     // of this Wait
	wanted   time.Time         // when timeout will have passed; zero until that matters
	deadline time.Time         // what file's deadline was last set to by the loop; zero for none
	expired  bool              // that deadline has passed or was replaced: set one before waiting again
}

func newPoller() (reactor.Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// The runtime takes a descriptor into its poller only if it is non-blocking; epoll itself doesn't care.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), epfd: fd}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		// This fails if the runtime didn't take it.
		err = p.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		p.file.Close()
		return nil, err
	}
	p.park = p.waitPark
	return p, nil
}

func (p *poller) Add(fd reactor.FD, token reactor.Token) error {
	p.added.Add(1)
	event := unix.EpollEvent{Events: epollInterest, Fd: int32(token), Pad: int32(token >> 32)}
	return p.ctl(unix.EPOLL_CTL_ADD, fd, &event)
}

// Rearm has nothing to do: the registration is for both directions and stays.
func (p *poller) Rearm(reactor.FD, reactor.Ready) error { return nil }

func (p *poller) Del(fd reactor.FD) error {
	return p.ctl(unix.EPOLL_CTL_DEL, fd, nil)
}

// ctl changes a registration. Through Control, which keeps the epoll descriptor open meanwhile: Add may come from a
// goroutine that hasn't heard yet that the loop is closing, and must not meet another file of the same number.
func (p *poller) ctl(op int, fd reactor.FD, event *unix.EpollEvent) error {
	var errno unix.Errno
	if closed := p.raw.Control(func(epfd uintptr) {
		errno = sysEpollCtl(int(epfd), op, int(fd), event)
	}); closed != nil {
		return closed
	}
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

func (p *poller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	if len(events) > len(p.list) {
		p.list = make([]unix.EpollEvent, len(events))
	}
	p.room, p.timeout, p.wanted = len(events), timeout, time.Time{}
	for {
		if p.expired {
			if err := p.waitDeadline(); err != nil {
				return 0, err
			}
		}
		p.n, p.err = 0, nil
		err := p.raw.Read(p.park)
		state := parkState(p.state.Swap(uint32(parkRunning)))
		if state == parkRoused {
			p.expired = true
		}
		switch {
		case err == nil:
			return p.waitReport(events)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		}
		p.expired = true
		if state == parkAsked || state == parkRoused || p.waitOver() {
			// Read may not have come to polling, and a loop that is woken or late each time must see its events too.
			p.waitPoll()
			return p.waitReport(events)
		}
		// An earlier Wait's deadline, or a slow Wake's.
	}
}

// waitPark is called by file's Read: first before it parks the goroutine, then whenever the runtime has seen the epoll
// descriptor become readable. It returns true to end the Read.
func (p *poller) waitPark(uintptr) bool {
	p.waitPoll()
	if p.n > 0 || p.err != nil || p.timeout == 0 {
		return true
	}
	if state := parkState(p.state.Load()); state != parkRunning {
		return state != parkWaiting // parked before, and what the runtime saw was nothing for us: wait on
	}
	if p.err = p.waitDeadline(); p.err != nil {
		return true
	}
	return !p.state.CompareAndSwap(uint32(parkRunning), uint32(parkWaiting))
}

// waitPoll asks epoll what is ready now.
func (p *poller) waitPoll() {
	for {
		n, errno := sysEpollWait(p.epfd, p.list[:p.room])
		switch {
		case errno == 0:
			p.n = n
			return
		case errno != unix.EINTR: // it would be wrong to park without having polled
			p.err = os.NewSyscallError("epoll_wait", errno)
			return
		}
	}
}

// waitDeadline makes the deadline that is set suit this Wait. One that comes too early is left: when it has passed, it
// is set again, and by then the loop has mostly had other reasons to return.
func (p *poller) waitDeadline() error {
	if p.timeout < 0 {
		if !p.expired {
			return nil
		}
		return p.setDeadline(time.Time{})
	}
	if p.wanted.IsZero() {
		p.wanted = time.Now().Add(p.timeout)
	}
	if !p.expired && !p.deadline.IsZero() && p.deadline.Sub(p.wanted) <= p.tolerance() {
		return nil
	}
	return p.setDeadline(p.wanted)
}

func (p *poller) setDeadline(t time.Time) error {
	p.deadline, p.expired = t, false
	return p.file.SetReadDeadline(t)
}

// waitOver says whether the timeout of this Wait has passed.
func (p *poller) waitOver() bool {
	return !p.wanted.IsZero() && time.Until(p.wanted) <= p.tolerance()
}

// tolerance is deadlineSlack, or less for a short timeout.
func (p *poller) tolerance() time.Duration {
	return min(deadlineSlack, p.timeout/8)
}

// waitReport translates what epoll found.
func (p *poller) waitReport(events []reactor.Event) (int, error) {
	if p.n > 0 {
		p.added.Load()
	}
	for i := range p.list[:p.n] {
		e := &p.list[i]
		var ready reactor.Ready
		if e.Events&unix.EPOLLIN != 0 {
			ready |= reactor.Readable
		}
		if e.Events&unix.EPOLLOUT != 0 {
			ready |= reactor.Writable
		}
		if e.Events&unix.EPOLLRDHUP != 0 {
			ready |= reactor.PeerClosed | reactor.Readable
		}
		if e.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			// A write that waits must find the error too.
			ready |= reactor.Hangup | reactor.Readable | reactor.Writable
		}
		events[i] = reactor.Event{Token: reactor.Token(uint32(e.Fd)) | reactor.Token(uint32(e.Pad))<<32, Ready: ready}
	}
	return p.n, p.err
}

func (p *poller) Wake() error {
	for {
		switch state := parkState(p.state.Load()); state {
		case parkRunning:
			if p.state.CompareAndSwap(uint32(state), uint32(parkAsked)) {
				return nil
			}
		case parkWaiting:
			if p.state.CompareAndSwap(uint32(state), uint32(parkRoused)) {
				_ = p.file.SetReadDeadline(longAgo) // fails after Close only
				return nil
			}
		case parkAsked, parkRoused:
			return nil
		}
	}
}

func (p *poller) Close() error {
	return p.file.Close()
}
