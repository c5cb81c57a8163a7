// SPDX-License-Identifier: MIT

package reactor

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/waitress-go/waitress/internal/invariant"
)

// A notingPoller notes what is registered with it.
type notingPoller struct {
	nullPoller
	added          []Token
	addErr, delErr error
}

func (p *notingPoller) Add(_ FD, token Token) error {
	if p.addErr != nil {
		return p.addErr
	}
	p.added = append(p.added, token)
	return nil
}

func (p *notingPoller) Del(fd FD) error {
	if p.delErr != nil {
		return p.delErr
	}
	p.added = slices.DeleteFunc(p.added, func(token Token) bool { return FD(uint32(token)) == fd })
	return nil
}

// A waiter waits for requests, and counts what it is told.
type waiter struct {
	answerer
	idle  bool
	ready Ready // what is reported of it
	told  told
}

type told struct{ draining, expired, closed int }

func (w *waiter) Idle() bool     { return w.idle }
func (w *waiter) Draining(*Turn) { w.told.draining++ }
func (w *waiter) Expired(*Turn)  { w.told.expired++ }
func (w *waiter) Closed()        { w.told.closed++ }

// A sharing is loops that no goroutine runs, the first of which has connections.
type sharing struct {
	*Reactor
	pollers []*notingPoller
	turns   []*Turn
	conns   []*waiter
	faults  []error
}

func newSharing(loops, conns int) *sharing {
	s := &sharing{}
	s.Reactor = &Reactor{start: time.Now().Add(-time.Second), config: Config{
		Sockets: &nullSockets{}, HighWatermark: 64 << 10, ShareAfter: time.Millisecond,
		Fault: func(_ string, err error) { s.faults = append(s.faults, err) },
	}}
	for range loops {
		p := &notingPoller{}
		l := &Loop{reactor: s.Reactor, poller: p, sockets: s.config.Sockets, aborted: make(chan struct{}), ended: make(chan struct{})}
		l.wheel.next = never
		s.loops, s.pollers, s.turns = append(s.loops, l), append(s.pollers, p), append(s.turns, newTurn(l))
	}
	all := s.loops
	s.loops = all[:1]
	for fd := range conns {
		w := &waiter{idle: true, ready: Readable}
		if err := s.open(Accepted{FD: FD(fd)}, func() (*Conn, Protocol) { return &w.Conn, w }); err != nil {
			panic(err)
		}
		s.conns = append(s.conns, w)
	}
	s.loops = all
	return s
}

// report is a Wait of the first loop that has found all connections ready.
func (s *sharing) report() *Turn {
	t := s.turns[0]
	t.next, t.n = 0, 0
	for _, w := range s.conns {
		t.events[t.n] = Event{Token: w.token(), Ready: w.ready}
		t.n++
	}
	s.loops[0].clock.Store(s.now())
	return t
}

// TestShare: who gives connections away, to whom, and which.
func TestShare(t *testing.T) {
	const conns = 8
	for _, tt := range []struct {
		name  string
		set   func(s *sharing)
		moved int
		to    int
	}{
		{"a long queue, and another loop waits", func(*sharing) {}, conns / 2, 1},
		{"the first of several that wait", func(s *sharing) { s.loops[1].waiting.Store(0) }, conns / 2, 2},
		{"nobody waits", func(s *sharing) { s.loops[1].waiting.Store(0); s.loops[2].waiting.Store(0) }, 0, 1},
		{"who waits has just begun to", func(s *sharing) { s.loops[1].waiting.Store(s.now()); s.loops[2].waiting.Store(0) }, 0, 1},
		{"the first that waits has failed", func(s *sharing) { s.loops[1].fail(io.ErrClosedPipe) }, conns / 2, 2},
		{"events take little time", func(s *sharing) { s.loops[0].cost = int64(time.Millisecond) / conns }, 0, 1},
		{"one event", func(s *sharing) { s.conns, s.loops[0].cost = s.conns[:1], int64(time.Hour) }, 0, 1},
		{"two events", func(s *sharing) { s.conns, s.loops[0].cost = s.conns[:2], int64(time.Hour) }, 1, 1},
		{"three events", func(s *sharing) { s.conns, s.loops[0].cost = s.conns[:3], int64(time.Hour) }, 1, 1},
		{"one event, at every chance", func(s *sharing) { s.conns, s.config.ShareAfter = s.conns[:1], -1 }, 0, 1},
		{"connections stay", func(s *sharing) { s.config.ShareAfter = 0 }, 0, 1},
		{"connections go at every chance", func(s *sharing) {
			s.config.ShareAfter, s.loops[0].cost = -1, 0
			s.loops[1].waiting.Store(0)
		}, conns / 2, 1},
		{"some are in the middle of a request", func(s *sharing) { s.conns[7].idle, s.conns[5].idle = false, false }, 2, 1},
		{"all are", func(s *sharing) {
			for _, w := range s.conns {
				w.idle = false
			}
		}, 0, 1},
		{"a task has one", func(s *sharing) { s.conns[7].Claim() }, 3, 1},
		{"one could be written when a task had it", func(s *sharing) { s.conns[7].word.Or(wordWritable) }, 4, 1},
		{"output of one waits", func(s *sharing) {
			s.loops[0].sockets = &nullSockets{short: true}
			if err := s.conns[7].Write(s.turns[0], make([]byte, 100)); err != nil || !s.conns[7].Blocked() {
				panic("not blocked")
			}
		}, 3, 1},
		{"the client of one has gone", func(s *sharing) { s.conns[7].ready |= PeerClosed }, 3, 1},
		{"one is on another loop already", func(s *sharing) {
			s.loops[0].move(&s.conns[7].Conn, s.loops[2])
			s.loops[2].runPosted(s.turns[2])
		}, 3, 1},
		{"the poller keeps them", func(s *sharing) { s.pollers[0].delErr = errors.New("kept") }, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSharing(3, conns)
			s.loops[0].cost = int64(time.Millisecond)/(conns-1) + 1
			s.loops[1].waiting.Store(1)
			s.loops[2].waiting.Store(1)
			tt.set(s)
			turn := s.report()
			all := turn.n
			s.loops[0].share(turn)
			to := s.loops[tt.to]
			if turn.n != all-tt.moved || int(to.conns.Load()) != tt.moved || len(to.posted) != tt.moved || s.Conns() != conns {
				t.Fatalf("%d of %d events are left; the other loop has %d connections and %d ops; %d connections in all",
					turn.n, all, to.conns.Load(), len(to.posted), s.Conns())
			}
			for _, e := range turn.events[:turn.n] {
				if c := s.index.get(e.Token); c.home() == to {
					t.Errorf("an event is left of descriptor %d, which has gone", c.fd)
				}
			}
			if !to.runPosted(s.turns[tt.to]) || len(s.pollers[tt.to].added) != tt.moved {
				t.Errorf("%d were registered anew", len(s.pollers[tt.to].added))
			}
			for _, w := range s.conns {
				if w.told != (told{}) || w.home() == to && w.word.Load()&^wordWritable != 0 {
					t.Errorf("descriptor %d: word %s; %+v", w.fd, wordString(w.word.Load()), w)
				}
			}
		})
	}
}

// TestShareBounded: a long batch does not keep the loop from serving.
func TestShareBounded(t *testing.T) {
	s := newSharing(2, maxEvents)
	s.loops[0].cost = int64(time.Millisecond)
	s.loops[1].waiting.Store(1)
	turn := s.report()
	s.loops[0].share(turn)
	if turn.n != maxEvents-maxShared {
		t.Errorf("%d events are left", turn.n)
	}
}

// TestShareAllocates: giving connections away allocates nothing but room for ops that was not there before.
func TestShareAllocates(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates itself")
	}
	s := newSharing(2, 8)
	s.config.ShareAfter = -1
	allocs := testing.AllocsPerRun(100, func() {
		s.loops[0].share(s.report())
		s.loops[1].runPosted(s.turns[1])
		for _, w := range s.conns { // and back
			if w.home() == s.loops[1] {
				s.loops[1].move(&w.Conn, s.loops[0])
			}
		}
		s.loops[0].runPosted(s.turns[0])
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestMoveCounted: a connection that goes to and fro is one connection at any moment.
func TestMoveCounted(t *testing.T) {
	s := newSharing(2, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100_000 {
			from, to := i%2, 1-i%2
			if !s.loops[from].move(&s.conns[0].Conn, s.loops[to]) || !s.loops[to].runPosted(s.turns[to]) {
				t.Error("not moved")
				return
			}
		}
	}()
	for moving := true; moving; {
		select {
		case <-done:
			moving = false
		default:
		}
		for range 100 {
			if n := s.Conns(); n != 1 {
				t.Errorf("%d connections", n)
				<-done
				return
			}
		}
	}
}

// TestMove has something happen to a connection that is on its way from one loop to the other.
func TestMove(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(s *sharing, w *waiter)
		during func(s *sharing, w *waiter)
		want   told
	}{
		{name: "nothing"},
		{
			name:   "all are told to go, and the new loop has told its own before",
			before: func(s *sharing, _ *waiter) { s.CloseIdle(); s.loops[1].runPosted(s.turns[1]) },
			want:   told{draining: 1},
		},
		{
			name: "all are told to go, and both loops have told their own before",
			before: func(s *sharing, _ *waiter) {
				s.CloseIdle()
				s.loops[0].runPosted(s.turns[0])
				s.loops[1].runPosted(s.turns[1])
			},
			want: told{draining: 1},
		},
		{
			name:   "all are told to go meanwhile",
			during: func(s *sharing, _ *waiter) { s.CloseIdle(); s.loops[0].runPosted(s.turns[0]) },
			want:   told{draining: 1},
		},
		{
			name:   "all are ended, and the new loop has ended its own before",
			before: func(s *sharing, _ *waiter) { s.Abort(); s.loops[1].runPosted(s.turns[1]) },
			want:   told{closed: 1},
		},
		{
			name:   "all are ended, and the new loop is about to end its own",
			before: func(s *sharing, _ *waiter) { s.Abort() },
			want:   told{closed: 1},
		},
		{
			name: "it is ended meanwhile, through the old loop",
			during: func(s *sharing, w *waiter) {
				s.loops[0].post(op{conn: &w.Conn, kind: opCut})
				s.loops[0].runPosted(s.turns[0])
			},
			want: told{closed: 1},
		},
		{
			name:   "the old loop gets a late report",
			during: func(s *sharing, w *waiter) { s.late(w) },
		},
		{
			name:   "its deadline passes",
			before: func(s *sharing, w *waiter) { w.setReadAt(s.now() + 1) },
			want:   told{expired: 1},
		},
		{
			name:   "its deadline has been moved",
			before: func(s *sharing, w *waiter) { w.setReadAt(s.now() + 1); w.setReadAt(s.now() + int64(time.Hour)) },
		},
		{
			name:   "the new loop fails meanwhile",
			during: func(s *sharing, _ *waiter) { s.loops[1].fail(io.ErrClosedPipe) },
			want:   told{closed: 1},
		},
		{
			name:   "the new loop has failed",
			before: func(s *sharing, _ *waiter) { s.loops[1].fail(io.ErrClosedPipe) },
			want:   told{closed: 1},
		},
		{
			name:   "it can't be registered",
			before: func(s *sharing, _ *waiter) { s.pollers[1].addErr = errors.New("full") },
			want:   told{closed: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSharing(2, 1)
			w := s.conns[0]
			if tt.before != nil {
				tt.before(s, w)
			}
			if !s.loops[0].move(&w.Conn, s.loops[1]) {
				t.Fatal("not moved")
			}
			if n := len(s.pollers[0].added); n != 0 || w.timer.level >= 0 {
				t.Fatalf("%d are registered with the old loop, wheel level %d", n, w.timer.level)
			}
			if tt.during != nil {
				tt.during(s, w)
			}
			for _, l := range []int{1, 0, 1} {
				s.loops[l].runPosted(s.turns[l])
				s.loops[l].clock.Store(s.now() + int64(time.Second))
				s.loops[l].wheel.mu.Lock()
				due := s.loops[l].wheel.advance((s.now()+int64(time.Second))/int64(tick), nil)
				s.loops[l].wheel.mu.Unlock()
				for _, c := range due {
					if l == 0 {
						t.Error("a timer of the old loop")
					}
					c.expire(s.turns[l], s.now()+int64(time.Second))
				}
			}
			if got := w.told; got != tt.want || w.inputs > 0 {
				t.Errorf("told %+v, %d inputs; want %+v", got, w.inputs, tt.want)
			}
			registered := len(s.pollers[1].added) == 1
			if open := w.told.closed == 0; registered != open || (s.index.get(w.token()) != nil) != open || w.home() != s.loops[1] {
				t.Errorf("registered: %v, open: %v", registered, open)
			}
			if w.told.closed == 0 && w.word.Load() != 0 {
				t.Errorf("word %s", wordString(w.word.Load()))
			}
		})
	}
}

// late has the first loop serve a report of w.
func (s *sharing) late(w *waiter) {
	l, turn := s.loops[0], s.turns[0]
	turn.next, turn.n = 0, 1
	turn.events[0] = Event{Token: w.token(), Ready: Readable | PeerClosed}
	l.serve(turn)
}
