// SPDX-License-Identifier: MIT

//go:build kqsim

package waitress

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A model of kqueue over epoll, so that `go test -tags kqsim` runs the kqueue poller on Linux. It is for tests, and has
// what matters to a poller and may go wrong in one:
//
//   - Each filter reports for itself. With EV_CLEAR it reports an edge; without, for as long as it is true.
//   - State is looked at when an event is delivered, not when it happened; what finds no room stays queued.
//   - EV_EOF comes with what is unread, and with the error in fflags if there was one.
//   - Changes that fail end the call, or are reported as EV_ERROR where there is room. Deleting nothing is ENOENT.
//   - Calls that wait are interrupted now and then, and some reports are of what isn't so.

type kevent struct {
	ident, filt, flag, fflags int
}

const (
	filterRead  = -1
	filterWrite = -2

	keventAdd    = 0x0001
	keventDelete = 0x0002
	keventClear  = 0x0020
	keventError  = 0x4000
	keventEOF    = 0x8000
)

func (k *kevent) set(fd, filter, flags int) { *k = kevent{ident: fd, filt: filter, flag: flags} }
func (k *kevent) fd() int                   { return k.ident }
func (k *kevent) filter() int               { return k.filt }
func (k *kevent) flags() int                { return k.flag }
func (k *kevent) errno() int                { return k.fflags }

// How often the model interrupts a call that waits, and reports what isn't so.
const (
	simInterrupts = 7
	simSpurious   = 11
)

// A simKqueue is a kqueue; its descriptor is an epoll's.
type simKqueue struct {
	epfd  int
	turns atomic.Uint32 // counts what is done at every so many

	mu    sync.Mutex
	notes map[simKey]*simNote
	queue []*simNote // in the order in which they became active
}

type simKey struct{ fd, filter int }

// A simNote is a registered filter.
type simNote struct {
	simKey
	clear   bool
	queued  bool
	deleted bool
}

var simKqueues sync.Map // int -> *simKqueue

func sysKqueue() (int, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		simKqueues.Store(fd, &simKqueue{epfd: fd, notes: make(map[simKey]*simNote)})
	}
	return fd, err
}

func sysKevent(kq int, changes, events []kevent, timeout time.Duration) (int, unix.Errno) {
	v, ok := simKqueues.Load(kq)
	if !ok {
		return -1, unix.EBADF
	}
	q := v.(*simKqueue)
	failed := 0
	for _, c := range changes {
		errno := q.change(c)
		switch {
		case errno == 0:
		case failed < len(events):
			events[failed] = kevent{ident: c.ident, filt: c.filt, flag: keventError, fflags: int(errno)}
			failed++
		default:
			return -1, errno
		}
	}
	if len(events) == 0 || failed > 0 {
		return failed, 0
	}
	return q.wait(events, timeout)
}

func (q *simKqueue) change(c kevent) unix.Errno {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := simKey{c.ident, c.filt}
	if c.flag&keventDelete != 0 {
		note := q.notes[key]
		if note == nil {
			return unix.ENOENT
		}
		note.deleted = true
		delete(q.notes, key)
		if q.notes[simKey{c.ident, filterRead + filterWrite - c.filt}] != nil {
			return 0
		}
		return errnoOf(unix.EpollCtl(q.epfd, unix.EPOLL_CTL_DEL, c.ident, nil))
	}
	// The other filter may have registered it; MOD makes epoll look at it again.
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.ident),
	}
	err := unix.EpollCtl(q.epfd, unix.EPOLL_CTL_ADD, c.ident, &event)
	if errors.Is(err, unix.EEXIST) {
		err = unix.EpollCtl(q.epfd, unix.EPOLL_CTL_MOD, c.ident, &event)
	}
	if err == nil {
		q.notes[key] = &simNote{simKey: key, clear: c.flag&keventClear != 0}
	}
	return errnoOf(err)
}

func (q *simKqueue) wait(events []kevent, timeout time.Duration) (int, unix.Errno) {
	start := time.Now()
	if timeout != 0 && q.turns.Add(1)%simInterrupts == 0 {
		return -1, unix.EINTR
	}
	list := make([]unix.EpollEvent, 8)
	for milliseconds := 0; ; {
		n, err := unix.EpollWait(q.epfd, list, milliseconds)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return -1, errnoOf(err)
		}
		q.take(list[:max(n, 0)])
		if n := q.deliver(events); n > 0 || timeout == 0 {
			return n, 0
		}
		milliseconds = -1
		if timeout > 0 {
			left := timeout - time.Since(start)
			if left <= 0 {
				return 0, 0
			}
			milliseconds = int((left + time.Millisecond - 1) / time.Millisecond)
		}
	}
}

// take queues the filters that what epoll reports is for.
func (q *simKqueue) take(list []unix.EpollEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range list {
		if e.Events&^unix.EPOLLOUT != 0 {
			q.activate(q.notes[simKey{int(e.Fd), filterRead}])
		}
		if e.Events&^(unix.EPOLLIN|unix.EPOLLRDHUP) != 0 {
			q.activate(q.notes[simKey{int(e.Fd), filterWrite}])
		}
	}
}

func (q *simKqueue) activate(note *simNote) {
	if note != nil && !note.queued {
		note.queued = true
		q.queue = append(q.queue, note)
	}
}

func (q *simKqueue) deliver(events []kevent) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	var levels []*simNote
	for len(q.queue) > 0 && n < len(events) {
		note := q.queue[0]
		q.queue = q.queue[1:]
		note.queued = false
		if note.deleted {
			continue
		}
		flags, errno, active := note.look()
		if !active && q.turns.Load()%simSpurious != 0 {
			continue
		}
		events[n] = kevent{ident: note.fd, filt: note.filter, flag: flags, fflags: int(errno)}
		n++
		if active && !note.clear {
			levels = append(levels, note)
		}
	}
	for _, note := range levels {
		q.activate(note)
	}
	return n
}

// look says what the filter would report now, and whether it would.
func (note *simNote) look() (flags int, errno unix.Errno, active bool) {
	fds := []unix.PollFd{{Fd: int32(note.fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP}}
	if _, err := unix.Poll(fds, 0); err != nil {
		return 0, 0, false
	}
	state := fds[0].Revents
	if state&unix.POLLERR != 0 {
		errno = unix.ECONNRESET
	}
	if note.filter == filterRead {
		if state&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0 {
			return keventEOF, errno, true
		}
		return 0, 0, state&unix.POLLIN != 0
	}
	if state&(unix.POLLHUP|unix.POLLERR) != 0 || note.finished() {
		return keventEOF, errno, true
	}
	return 0, 0, state&unix.POLLOUT != 0
}

// finished says whether this side of a TCP connection has sent its end.
func (note *simNote) finished() bool {
	info, err := unix.GetsockoptTCPInfo(note.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return false
	}
	switch info.State {
	case unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_TIME_WAIT, unix.BPF_TCP_CLOSE,
		unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		return true
	}
	return false
}
