// SPDX-License-Identifier: MIT

//go:build !fallback

package waitress

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/waitress-go/waitress/reactor"
)

var _ reactor.Poller = (*poller)(nil)

// A poller is a completion port, and polls on it: questions to AFD, the driver under Winsock, that are answered once by
// a completion. Each registered socket has several of them out, which are independent of each other:
//
//	read    bytes, and the end of the stream   asked by Add, and by Rearm for Readable
//	write   room to write                      asked by Rearm for Writable
//	reset   a reset or another failure         asked by Add
//	end     the end of the stream              asked by Wait where no read poll is out, and by Rearm where one is
//	                                           that was asked while this was out, and so not for the end
//
// So Rearm is one system call and never has to cancel what another goroutine asked. The answers are about levels, not
// edges: what was there already when a poll was asked is reported, so a late Rearm is no race. That a level which
// stays, the end of the stream, doesn't make the loop spin is because only Rearm asks for it again once it was
// reported, and not even that once a read has met it. (Under Wine a read may find nothing for a moment after the
// report.)
//
// An owner mostly arms reading again before the loop is back in Wait. Only where it hasn't does the next Wait ask the
// poll for the end, which must be reported whether or not reading is armed. It would be simpler to have that out
// always, but Wine looks at a socket again and again while such a poll is out and there are unread bytes: with 150 busy
// connections that cost nine tenths of the throughput, and with 1,000 all of it.
//
// A poll's memory belongs to the kernel from sysAskAFD until its completion has been taken from the port, also when
// the socket was closed or deleted meanwhile. Until then the poller refers to it from live.
type poller struct {
	port windows.Handle

	// woken is true from a Wake until the Wait that takes its packet from the port. Wakes in between are that one.
	woken atomic.Bool

	open gate // for port

	mu     sync.Mutex
	live   map[*registration]struct{} // all that are registered or have polls out
	groups []*afdGroup                // by which polls are asked; the last may have room

	// The rest belongs to the goroutine that is the loop.

	list  []afdCompletion // what a Wait takes from the port
	fired []*registration // whose read polls were answered in the last Wait
}

// An afdGroup is a handle to AFD through which a few sockets' polls are asked. Not one for all: to cancel a poll the
// kernel looks through everything that is out on its handle.
type afdGroup struct {
	handle windows.Handle
	used   int // registrations, guarded by the poller's mu
}

const afdGroupSize = 64

// registrations are all pollers' by their descriptors, for Rearm, Del and Abort.
var registrations sync.Map // reactor.FD -> *registration

// A registration is a socket's place in a poller.
type registration struct {
	poller *poller
	group  *afdGroup
	fd     reactor.FD
	token  reactor.Token
	base   windows.Handle // the socket as AFD knows it

	mu      sync.Mutex
	deleted bool // no more reports, no more polls
	ended   bool // the end of the stream was reported since the last Rearm
	met     bool // a read has met it, and nobody wants to hear of it again
	both    bool // the read poll that is out, or was the last, asks for the end too
	out     int  // how many polls are out
	polls   [pollKinds]afdPoll
}

type pollKind uint8

const (
	pollRead pollKind = iota
	pollWrite
	pollReset
	pollEnd
	pollAborted // never asked of AFD: Abort posts it
	pollKinds
)

// An afdPoll is one question. It begins with what the kernel knows it by.
type afdPoll struct {
	iosb         windows.IO_STATUS_BLOCK
	info         afdPollInfo
	registration *registration // immutable
	kind         pollKind      // immutable
	out          bool          // asked and not yet answered, guarded by the registration's mu
}

func newPoller() (reactor.Poller, error) {
	port, err := windows.CreateIoCompletionPort(windows.InvalidHandle, 0, 0, 1)
	if err != nil {
		return nil, os.NewSyscallError("CreateIoCompletionPort", err)
	}
	return &poller{port: port, live: make(map[*registration]struct{})}, nil
}

func (p *poller) Add(fd reactor.FD, token reactor.Token) error {
	if !p.open.enter() {
		return os.ErrClosed
	}
	defer p.open.leave()
	r := &registration{poller: p, fd: fd, token: token, base: sysBaseSocket(handleOf(fd))}
	for kind := range r.polls {
		r.polls[kind].registration = r
		r.polls[kind].kind = pollKind(kind)
	}
	if err := p.addLive(r); err != nil {
		return err
	}
	if _, loaded := registrations.LoadOrStore(fd, r); loaded {
		p.delLive(r)
		return fmt.Errorf("waitress: descriptor %d is registered already", fd)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.ask(pollReset)
	if err == nil {
		err = r.ask(pollRead)
	}
	if err != nil {
		_ = r.del()
	}
	return err
}

// addLive gives r a handle to ask polls through, and keeps it from then on.
func (p *poller) addLive(r *registration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, g := range p.groups {
		if g.used < afdGroupSize {
			r.group = g
			// The next search begins with it.
			p.groups[0], p.groups[i] = p.groups[i], p.groups[0]
			break
		}
	}
	if r.group == nil {
		g, err := p.newGroup()
		if err != nil {
			return err
		}
		p.groups = append(p.groups, g)
		last := len(p.groups) - 1
		p.groups[0], p.groups[last] = p.groups[last], p.groups[0]
		r.group = g
	}
	r.group.used++
	p.live[r] = struct{}{}
	return nil
}

func (p *poller) newGroup() (*afdGroup, error) {
	handle, err := sysOpenAFD()
	if err != nil {
		return nil, os.NewSyscallError("NtCreateFile", err)
	}
	if _, err = windows.CreateIoCompletionPort(handle, p.port, 0, 0); err != nil {
		err = os.NewSyscallError("CreateIoCompletionPort", err)
	} else if err = windows.SetFileCompletionNotificationModes(handle, windows.FILE_SKIP_SET_EVENT_ON_HANDLE); err != nil {
		err = os.NewSyscallError("SetFileCompletionNotificationModes", err)
	}
	if err != nil {
		_ = windows.CloseHandle(handle)
		return nil, err
	}
	return &afdGroup{handle: handle}, nil
}

// delLive forgets r, whose last poll has been answered.
func (p *poller) delLive(r *registration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, r)
	r.group.used--
}

func (p *poller) Rearm(fd reactor.FD, dir reactor.Ready) error {
	v, ok := registrations.Load(fd)
	if !ok {
		return fmt.Errorf("waitress: descriptor %d is not registered", fd)
	}
	r := v.(*registration)
	r.mu.Lock()
	defer r.mu.Unlock()
	if dir&reactor.Readable != 0 {
		r.ended = false
		if err := r.ask(pollRead); err != nil {
			return err
		}
		if !r.both && !r.met {
			// The poll for the end, which made it superfluous to ask that for it, may have been answered since.
			if err := r.ask(pollEnd); err != nil {
				return err
			}
		}
	}
	if dir&reactor.Writable != 0 {
		return r.ask(pollWrite)
	}
	return nil
}

// ask asks a poll, if it isn't out already. r.mu is held.
func (r *registration) ask(kind pollKind) error {
	q := &r.polls[kind]
	if r.deleted || q.out {
		return nil
	}
	var events uint32 = afdLocalClose
	switch kind {
	case pollRead:
		events |= afdReceive
		if r.both = !r.met && !r.polls[pollEnd].out; r.both {
			events |= afdDisconnect
		}
	case pollWrite:
		events |= afdSend
	case pollReset:
		events |= afdAbort | afdConnectFail
	case pollEnd:
		events |= afdDisconnect
	case pollAborted, pollKinds:
	}
	q.info = afdPollInfo{timeout: 1<<63 - 1, handles: 1, handle: r.base, events: events}
	q.iosb.Status = windows.STATUS_PENDING
	if err := sysAskAFD(r.group.handle, q); err != nil {
		return os.NewSyscallError("NtDeviceIoControlFile", err)
	}
	q.out = true
	r.out++
	return nil
}

// del ends the reports and calls the polls back. r.mu is held.
func (r *registration) del() error {
	r.deleted = true
	registrations.CompareAndDelete(r.fd, r)
	var err error
	for i := range r.polls[:pollAborted] {
		if q := &r.polls[i]; q.out {
			if cerr := sysCancelAFD(r.group.handle, q); cerr != nil {
				err = os.NewSyscallError("NtCancelIoFileEx", cerr)
			}
		}
	}
	if r.out == 0 {
		r.poller.delLive(r)
	}
	return err
}

func (p *poller) Del(fd reactor.FD) error {
	v, ok := registrations.Load(fd)
	if !ok {
		return fmt.Errorf("waitress: descriptor %d is not registered", fd)
	}
	r := v.(*registration)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.del()
}

// metEnd notes that a read of fd has met the end of the stream, or that the connection has failed.
func metEnd(fd reactor.FD) {
	if v, ok := registrations.Load(fd); ok {
		r := v.(*registration)
		r.mu.Lock()
		r.met = true
		r.mu.Unlock()
	}
}

// hangup reports Hangup for fd if it is registered somewhere. AFD says nothing of what this side has ended itself.
func hangup(fd reactor.FD) error {
	v, ok := registrations.Load(fd)
	if !ok {
		return nil
	}
	r := v.(*registration)
	if !r.poller.open.enter() {
		return nil
	}
	defer r.poller.open.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.polls[pollAborted]
	if r.deleted || q.out {
		return nil
	}
	overlapped := (*windows.Overlapped)(unsafe.Pointer(q))
	if err := windows.PostQueuedCompletionStatus(r.poller.port, 0, 0, overlapped); err != nil {
		return os.NewSyscallError("PostQueuedCompletionStatus", err)
	}
	q.out = true
	r.out++
	return nil
}

// Wait asks the port once, and for as long as it takes. Asking without waiting before would save nothing: the call is
// the same, and the thread is given up only if it waits.
func (p *poller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	if len(events) > len(p.list) {
		p.list = make([]afdCompletion, len(events))
	}
	p.waitEnds()
	n, err := sysCompletions(p.port, p.list[:len(events)], milliseconds(timeout))
	if err != nil {
		return 0, os.NewSyscallError("GetQueuedCompletionStatusEx", err)
	}
	reports := 0
	for i := range p.list[:n] {
		q := p.list[i].poll
		p.list[i].poll = nil
		if q == nil {
			p.woken.Swap(false) // takes over what the wakers did before
			continue
		}
		if ready := q.answered(); ready != 0 {
			if q.kind == pollRead {
				p.fired = append(p.fired, q.registration)
			}
			events[reports] = reactor.Event{Token: q.registration.token, Ready: ready}
			reports++
		}
	}
	return reports, nil
}

// waitEnds asks for the end of the streams that are not being watched for more bytes.
func (p *poller) waitEnds() {
	for i, r := range p.fired {
		r.mu.Lock()
		if !r.polls[pollRead].out && !r.ended && !r.met {
			// Where this fails the reset poll has failed, too, or reading will.
			_ = r.ask(pollEnd)
		}
		r.mu.Unlock()
		p.fired[i] = nil
	}
	p.fired = p.fired[:0]
}

// milliseconds rounds a timeout up to what the system counts in. The largest number means forever.
func milliseconds(timeout time.Duration) uint32 {
	if timeout < 0 {
		return windows.INFINITE
	}
	ms := (timeout + time.Millisecond - 1) / time.Millisecond
	return uint32(min(ms, windows.INFINITE-1))
}

// answered takes a poll back from the kernel and says what it has to report, which is nothing after Del.
func (q *afdPoll) answered() reactor.Ready {
	r := q.registration
	r.mu.Lock()
	defer r.mu.Unlock()
	q.out = false
	r.out--
	if r.deleted {
		if r.out == 0 {
			r.poller.delLive(r)
		}
		return 0
	}
	const gone = reactor.Hangup | reactor.Readable | reactor.Writable
	// A poll that was cancelled, though not by us, is like an answer without events: a reason to ask again.
	var events uint32
	switch status := q.iosb.Status; {
	case status == windows.STATUS_SUCCESS && q.info.handles > 0:
		events = q.info.events
	case status != windows.STATUS_SUCCESS && status != windows.STATUS_CANCELLED:
		return gone
	}
	ended := events&afdDisconnect != 0
	r.ended = r.ended || ended
	switch q.kind {
	case pollRead:
		if ended {
			return reactor.PeerClosed | reactor.Readable
		}
		return reactor.Readable // perhaps spurious; then its owner will arm it again
	case pollWrite:
		return reactor.Writable
	case pollReset:
		// The socket was closed, or the connection failed, and nothing else can come. Or nothing was said.
		if events == 0 && r.ask(pollReset) == nil {
			return 0
		}
		return gone
	case pollEnd:
		switch {
		case ended:
			return reactor.PeerClosed | reactor.Readable
		case events == 0 && r.ask(pollEnd) == nil:
			return 0
		}
		return gone
	case pollAborted, pollKinds:
	}
	return gone
}

// Wake posts a packet that no poll belongs to.
func (p *poller) Wake() error {
	if p.woken.Swap(true) {
		return nil
	}
	if !p.open.enter() {
		return nil
	}
	defer p.open.leave()
	return os.NewSyscallError("PostQueuedCompletionStatus", windows.PostQueuedCompletionStatus(p.port, 0, 0, nil))
}

// Close calls all polls back and takes their answers, since the kernel would write to their memory later.
func (p *poller) Close() error {
	if !p.open.close() {
		return os.ErrClosed
	}
	p.mu.Lock()
	live := make([]*registration, 0, len(p.live))
	for r := range p.live {
		live = append(live, r)
	}
	p.mu.Unlock()
	for _, r := range live {
		r.mu.Lock()
		if !r.deleted {
			_ = r.del()
		}
		r.mu.Unlock()
	}
	list := make([]reactor.Event, 64)
	for {
		p.mu.Lock()
		left := len(p.live)
		p.mu.Unlock()
		if left == 0 {
			break
		}
		if _, err := p.Wait(list, time.Second); err != nil {
			return err
		}
	}
	for _, g := range p.groups {
		_ = windows.CloseHandle(g.handle)
	}
	return os.NewSyscallError("CloseHandle", windows.CloseHandle(p.port))
}
