// SPDX-License-Identifier: MIT

//go:build kqsim

package waitress

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A model of kqueue over epoll, so that `go test -tags kqsim` runs the kqueue poller on Linux. It is for tests: it does what
// sys_unix.go says of a kqueue, and often what a kernel does rarely, as a seed says. simDone counts it.
//
//   - A filter reports an edge with EV_CLEAR, and for as long as it is true without. State is looked at when a report is
//     delivered, not when it happened.
//   - Reports come in any order, and often fewer than there is room for. What is left stays queued.
//   - EV_EOF comes with what is unread, and with the error in fflags as long as nobody was told of it; now and then such a
//     report is an EV_ERROR.
//   - Changes that fail end the call, or become EV_ERROR entries where there is room. Deleting nothing is ENOENT.
//   - sysClose takes the filters of a descriptor along.
//   - Calls are interrupted: one that waits before it has anything to report, one that changes after it has changed.
//   - Unless simCalm is set, reports are of what isn't so any more, and any filter is reported now and then for no reason.

type kevent struct {
	ident, filt, flag int
	fflags, data      unix.Errno
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

func (k *kevent) errno() unix.Errno {
	if k.flag&keventError != 0 {
		return k.data
	}
	return k.fflags
}

// simSeedVariable is the environment's variable for the seed of kqueues whose test sets none. Default: 1.
const simSeedVariable = "WAITRESS_KQSIM_SEED"

// simMaxWait is how long a call may wait: some systems refuse to wait for longer.
const simMaxWait = 100_000_000 * time.Second

var (
	simSeed atomic.Uint64 // of kqueues to come; 0: the environment says
	simCalm atomic.Bool   // of kqueues to come
	simMade atomic.Uint64 // how many there were

	simKqueues sync.Map // int -> *simKqueue
)

// A simDeed is something that the model does now and then.
type simDeed int

const (
	simInterruptedWait simDeed = iota
	simInterruptedChange
	simShuffled     // a report out of its order
	simLeftOver     // a call that reported less than there was and would have fitted
	simFull         // a call whose list was smaller than what was ready
	simStale        // a report of what isn't so any more
	simSpurious     // a report for no reason
	simEndUnread    // EV_EOF with bytes unread
	simEndFailed    // EV_EOF with an errno
	simErrorReport  // EV_ERROR instead of that
	simFailedChange // an EV_ERROR entry for a change
	simNoEntry      // a delete of nothing
	simClosed       // a filter that went with its descriptor
	simDeeds
)

var simDeedNames = [simDeeds]string{
	"interrupted wait", "interrupted change", "shuffled", "left over", "list full", "stale report", "spurious report",
	"end with unread bytes", "end with errno", "EV_ERROR report", "EV_ERROR of a change", "ENOENT", "filter closed",
}

// simDone counts what the model has done.
var simDone [simDeeds]atomic.Int64

// A simKqueue is a kqueue; its descriptor is an epoll's.
type simKqueue struct {
	epfd int
	calm bool

	mu     sync.Mutex
	random *rand.Rand          // guarded by mu
	tired  bool                // guarded by mu; the last thing it did was no use, so that the next will be
	notes  map[simKey]*simNote // guarded by mu
	order  []*simNote          // guarded by mu; notes, in an order that does not depend on the map's
	queue  []*simNote          // guarded by mu; in the order in which they became active
}

type simKey struct{ fd, filter int }

// A simNote is a registered filter.
type simNote struct {
	simKey
	clear  bool
	queued bool
	gone   bool
}

func sysKqueue() (int, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, err
	}
	seed := simSeed.Load()
	if seed == 0 {
		seed = 1
		if n, err := strconv.ParseUint(os.Getenv(simSeedVariable), 10, 64); err == nil {
			seed = n
		}
	}
	simKqueues.Store(fd, &simKqueue{
		epfd: fd, calm: simCalm.Load(), notes: make(map[simKey]*simNote),
		random: rand.New(rand.NewPCG(seed, simMade.Add(1))),
	})
	return fd, nil
}

// sysPipe makes a pair of sockets, since sysRead and sysWrite are for these only under Linux.
func sysPipe() (read, write int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return fds[0], fds[1], err
}

func sysClose(fd int) unix.Errno {
	simKqueues.Range(func(_, v any) bool {
		v.(*simKqueue).forget(fd)
		return true
	})
	simKqueues.Delete(fd)
	return errnoOf(unix.Close(fd))
}

func sysKevent(kq int, changes, events []kevent, timeout time.Duration) (int, unix.Errno) {
	v, ok := simKqueues.Load(kq)
	switch {
	case !ok:
		return -1, unix.EBADF
	case timeout > simMaxWait:
		return -1, unix.EINVAL
	}
	q := v.(*simKqueue)
	failed := 0
	for _, c := range changes {
		errno := q.change(c)
		switch {
		case errno == 0:
		case failed < len(events):
			events[failed] = kevent{ident: c.ident, filt: c.filt, flag: keventError, data: errno}
			failed++
			simDone[simFailedChange].Add(1)
		default:
			return -1, errno
		}
	}
	if failed > 0 {
		return failed, 0
	}
	if len(changes) > 0 && q.interrupts(simInterruptedChange) {
		return -1, unix.EINTR
	}
	if len(events) == 0 {
		return 0, 0
	}
	if timeout != 0 && q.interrupts(simInterruptedWait) {
		return -1, unix.EINTR
	}
	return q.wait(events, timeout)
}

// chance is true once in n times. Under mu.
func (q *simKqueue) chance(n int) bool { return q.random.IntN(n) == 0 }

// interrupts says whether the call is interrupted. No two in a row are, so that a test may count calls.
func (q *simKqueue) interrupts(deed simDeed) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tired || !q.chance(8) {
		return false
	}
	q.tired = true
	simDone[deed].Add(1)
	return true
}

func (q *simKqueue) change(c kevent) unix.Errno {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.filt != filterRead && c.filt != filterWrite {
		return unix.EINVAL
	}
	if _, err := unix.FcntlInt(uintptr(c.ident), unix.F_GETFD, 0); err != nil {
		return errnoOf(err)
	}
	key := simKey{c.ident, c.filt}
	note := q.notes[key]
	if c.flag&keventDelete != 0 {
		if note == nil {
			simDone[simNoEntry].Add(1)
			return unix.ENOENT
		}
		q.remove(note)
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
	if err != nil {
		return errnoOf(err)
	}
	if note == nil {
		note = &simNote{simKey: key}
		q.notes[key] = note
		q.order = append(q.order, note)
	}
	note.clear = c.flag&keventClear != 0
	return 0
}

// remove takes a note out. Under mu.
func (q *simKqueue) remove(note *simNote) {
	note.gone = true
	delete(q.notes, note.simKey)
	q.order = slices.DeleteFunc(q.order, func(n *simNote) bool { return n == note })
}

// forget is what a close of fd does. Epoll would keep it if another descriptor is of the same connection.
func (q *simKqueue) forget(fd int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, filter := range []int{filterRead, filterWrite} {
		if note := q.notes[simKey{fd, filter}]; note != nil {
			q.remove(note)
			_ = unix.EpollCtl(q.epfd, unix.EPOLL_CTL_DEL, fd, nil) // the second time there is none
			simDone[simClosed].Add(1)
		}
	}
}

func (q *simKqueue) wait(events []kevent, timeout time.Duration) (int, unix.Errno) {
	start := time.Now()
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
			milliseconds = int(min((left+time.Millisecond-1)/time.Millisecond, 1<<30))
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

// activate queues note, if there is one. Under mu.
func (q *simKqueue) activate(note *simNote) {
	if note != nil && !note.queued {
		note.queued = true
		q.queue = append(q.queue, note)
	}
}

// deliver fills events with some of what is queued, at least with one report if there is any.
func (q *simKqueue) deliver(events []kevent) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := len(events)
	if room > 1 && q.chance(4) {
		room = 1 + q.random.IntN(room-1)
	}
	n, useful := 0, false
	var levels []*simNote
	for len(q.queue) > 0 && n < room {
		note := q.next()
		if note.gone {
			continue
		}
		report, active := q.look(note)
		switch {
		case active:
			useful = true
		case q.calm || q.tired || !q.chance(4):
			continue
		default:
			simDone[simStale].Add(1)
		}
		events[n] = report
		n++
		if active && !note.clear {
			levels = append(levels, note)
		}
	}
	switch {
	case len(q.queue) > 0 && room == len(events):
		simDone[simFull].Add(1)
	case len(q.queue) > 0:
		simDone[simLeftOver].Add(1)
	}
	for _, note := range levels {
		q.activate(note)
	}
	if n < room && len(q.order) > 0 && !q.calm && !q.tired && q.chance(8) {
		report, _ := q.look(q.order[q.random.IntN(len(q.order))])
		events[n] = report
		n++
		simDone[simSpurious].Add(1)
	}
	if n > 0 {
		q.tired = !useful
	}
	return n
}

// next takes a note out of the queue, most often not the first one. Under mu.
func (q *simKqueue) next() *simNote {
	i := q.random.IntN(len(q.queue))
	if i > 0 {
		simDone[simShuffled].Add(1)
	}
	note := q.queue[i]
	q.queue = slices.Delete(q.queue, i, i+1)
	note.queued = false
	return note
}

// look says what the filter would report now, and whether it would. Under mu.
func (q *simKqueue) look(note *simNote) (report kevent, active bool) {
	report = kevent{ident: note.fd, filt: note.filter}
	fds := []unix.PollFd{{Fd: int32(note.fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP}}
	if _, err := unix.Poll(fds, 0); err != nil {
		return report, false
	}
	state := fds[0].Revents
	ended := state&(unix.POLLHUP|unix.POLLERR) != 0
	if note.filter == filterRead {
		ended = ended || state&unix.POLLRDHUP != 0
		active = state&unix.POLLIN != 0
	} else {
		ended = ended || note.finished()
		active = state&unix.POLLOUT != 0
	}
	if !ended {
		return report, active
	}
	report.flag = keventEOF
	if state&unix.POLLERR != 0 {
		report.fflags = unix.ECONNRESET
		simDone[simEndFailed].Add(1)
		if q.chance(4) {
			report.flag, report.data = keventError, unix.ECONNRESET
			simDone[simErrorReport].Add(1)
		}
	}
	if unread, err := unix.IoctlGetInt(note.fd, unix.SIOCINQ); err == nil && unread > 0 && note.filter == filterRead {
		simDone[simEndUnread].Add(1)
	}
	return report, true
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
