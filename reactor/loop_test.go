// SPDX-License-Identifier: MIT

package reactor

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/waitress-go/waitress/internal/invariant"
)

// nullSockets are Sockets on which every read finds a request and every write takes all, or one in two does.
type nullSockets struct {
	Sockets
	short bool // writes are short in turns
	turn  int
}

// A nullPoller has nothing to report.
type nullPoller struct{ Poller }

func (nullPoller) Rearm(FD, Ready) error { return nil }
func (nullPoller) Wake() error           { return nil }

func (s *nullSockets) Read(_ FD, p []byte) (int, error) {
	return copy(p, "GET / HTTP/1.1\r\n\r\n"), nil
}

func (s *nullSockets) Write(_ FD, p []byte) (int, error) {
	if s.turn++; s.short && s.turn%2 != 0 {
		return len(p) / 2, nil
	}
	return len(p), nil
}

func (s *nullSockets) Abort(FD) error { return nil }

// An answerer writes what it read.
type answerer struct {
	Conn
	inputs, drains int
	claims         bool // Drained claims the connection
}

func (a *answerer) Input(t *Turn, p []byte) bool {
	a.inputs++
	a.SetReadTimeout(t, time.Minute)
	return a.Write(t, p) == nil
}

func (a *answerer) Drained(*Turn) bool {
	if a.drains++; a.claims {
		a.Claim()
	}
	return !a.claims
}
func (a *answerer) InputEnd(*Turn, error) {}
func (a *answerer) Expired(*Turn)         {}
func (a *answerer) PeerGone()             {}
func (a *answerer) Draining(*Turn)        {}
func (a *answerer) Returned(*Turn) bool   { return true }
func (a *answerer) Idle() bool            { return false }
func (a *answerer) Retire(*Turn)          {}
func (a *answerer) Opened()               {}
func (a *answerer) Closed()               {}

// newStill returns a connection on a loop that no goroutine runs.
func newStill(s *nullSockets) (*answerer, *Turn) {
	r := &Reactor{config: Config{Sockets: s, HighWatermark: 64 << 10, WriteStall: time.Minute}, start: time.Now()}
	l := &Loop{reactor: r, poller: nullPoller{}, sockets: s, ended: make(chan struct{})}
	l.wheel.next = never
	a := &answerer{}
	a.proto, a.fd = a, 5
	a.loop.Store(l)
	a.timer.level = -1
	a.wheelAt.Store(never)
	a.readAt.Store(never)
	a.writeAt.Store(never)
	r.index.put(&a.Conn)
	return a, newTurn(l)
}

// TestTurnAllocates: a request and its answer cost no allocation, neither when the socket takes it at once nor when the
// loop has to drain it.
func TestTurnAllocates(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates itself")
	}
	for _, short := range []bool{false, true} {
		a, turn := newStill(&nullSockets{short: short})
		allocs := testing.AllocsPerRun(1000, func() {
			if c := a.home().reactor.index.get(a.token()); c != nil {
				c.ready(turn, Readable)
				if short {
					c.ready(turn, Writable)
				}
			}
			if !a.home().readAgain(turn) || !a.home().runPosted(turn) {
				t.Fatal("the loop was lost")
			}
			a.home().runTimers(turn)
		})
		if allocs != 0 || a.inputs < 1000 || short && a.drains < 1000 {
			t.Errorf("short: %v: %v allocations a turn, %d inputs, %d drains", short, allocs, a.inputs, a.drains)
		}
	}
}

// TestTokenQueue drives the queue up and down at random and compares it with a slice.
func TestTokenQueue(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var q tokenQueue
		var model []Token
		most := 0
		for range 1000 {
			for range random.IntN(10) {
				token := Token(random.Uint64())
				q.push(token)
				model = append(model, token)
			}
			most = max(most, len(model))
			for range min(random.IntN(10), len(model)) {
				if got := q.pop(); got != model[0] {
					t.Fatalf("seed %d: pop = %d, want %d", seed, got, model[0])
				}
				model = model[1:]
			}
			if q.count() != len(model) || len(q.tokens) > 2*len(model)+10 {
				t.Fatalf("seed %d: %d tokens in %d places, want %d", seed, q.count(), len(q.tokens), len(model))
			}
		}
		if c := cap(q.tokens); c > 4*most+64 {
			t.Errorf("seed %d: room for %d tokens, of which there never were more than %d", seed, c, most)
		}
	}
}

// TestOneReportTwoOwners: where Drained claims the connection, the Readable of the same report is not lost.
func TestOneReportTwoOwners(t *testing.T) {
	a, turn := newStill(&nullSockets{short: true})
	a.claims = true
	if err := a.Write(turn, make([]byte, 100)); err != nil || !a.Blocked() {
		t.Fatalf("blocked: %v, %v", a.Blocked(), err)
	}
	a.ready(turn, Readable|Writable)
	if a.drains != 1 || a.inputs != 0 {
		t.Fatalf("%d drains, %d inputs", a.drains, a.inputs)
	}
	if a.Release(false) {
		t.Error("Release succeeds, though there is something to read")
	}
}

func (s *nullSockets) SendFile(_ FD, _ File, _ int64, n int) (int, error) { return n / 2, nil }

// A nullFile is a File of which nobody reads.
type nullFile struct{ File }

func (nullFile) Close() error { return nil }

// TestFileBytes: a turn has less for files by what was sent of files, and by nothing else: neither by other output nor by what
// the socket has not taken.
func TestFileBytes(t *testing.T) {
	a, turn := newStill(&nullSockets{short: true})
	for range 2 * fileTurn / filePiece {
		if err := a.Write(turn, make([]byte, 100)); err != nil || !a.Blocked() {
			t.Fatalf("blocked: %v, %v", a.Blocked(), err)
		}
		a.ready(turn, Writable)
	}
	if turn.fileBytes != fileTurn || a.Blocked() {
		t.Errorf("%d bytes are left of %d, blocked: %v", turn.fileBytes, fileTurn, a.Blocked())
	}
	if err := a.WriteFile(turn, nullFile{}, 0, fileTurn); err != nil || !a.Blocked() {
		t.Fatalf("blocked: %v, %v", a.Blocked(), err)
	}
	for left := fileTurn; left > filePiece; {
		a.ready(turn, Writable)
		left -= filePiece / 2
		if turn.fileBytes != left {
			t.Fatalf("%d bytes are left, want %d", turn.fileBytes, left)
		}
	}
	turn.fileBytes = 1000 // less than a piece
	if a.ready(turn, Writable); turn.fileBytes != 500 {
		t.Errorf("%d bytes are left of 1000", turn.fileBytes)
	}
}

// TestPlacementLong: a counter that has gone round half is no negative number, also where an int has 32 bits.
func TestPlacementLong(t *testing.T) {
	r := &Reactor{loops: []*Loop{{}, {}, {}}}
	for _, l := range r.loops {
		l.conns.Store(1)
	}
	for _, at := range []uint32{0, 1<<31 - 2, 1<<32 - 3} {
		r.placed.Store(at)
		for range 6 {
			if r.leastLoaded() == nil {
				t.Error("no loop")
			}
		}
	}
}
