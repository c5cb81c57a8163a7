// SPDX-License-Identifier: MIT

package reactor

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waitress-go/waitress/internal/invariant"
)

// Config is what a Reactor is made of. All fields are required but Overflow, NewSpool, Memory, MinRate, MaxConns,
// ShareAfter, Admit, Left and Overstayed.
type Config struct {
	Loops     int
	NewPoller func() (Poller, error)
	Sockets   Sockets

	// HighWatermark is how many bytes of output may wait on one connection before its writer waits too.
	HighWatermark int
	// Overflow is how many of those bytes may be in memory, if NewSpool is not nil: it makes a temporary file for the others.
	Overflow int
	NewSpool func() (Spool, error)
	// Memory bounds the buffers of all connections, and of other reactors that have the same one. Where it is used up, writers wait
	// for their clients, or go on in files from NewSpool. nil: no bound.
	Memory *Memory
	// WriteStall is how long a peer may take nothing of the output that waits for it before it is given up. 0: for ever.
	WriteStall time.Duration
	// MinRate is how many bytes a second a peer must take of the output that waits for it, on average since it began to wait and
	// with WriteStall for a start. 0: any.
	MinRate int

	// MaxConns bounds the connections that are open. One more is accepted, and waits; for it the connection that has been idle
	// for longest is closed. 0: no bound.
	MaxConns int

	// ShareAfter is how long an event that has come may be expected to wait for the loop's other events, before some of the
	// connections they are of go to a loop that has nothing to do. The Pollers must let a descriptor go from one to another by Del and
	// Add. 0: connections stay where they were placed. Below 0: they change at every chance, for tests.
	ShareAfter time.Duration

	// Admit says whether a connection of this peer is taken, or closed at once, and Left is told when one that was taken has
	// gone. Admit is called by the acceptors, Left by the loops. nil: all are.
	Admit func(peer string) bool
	Left  func(peer string)

	// Overstayed gets the kind, as Turn.Enter got it, of user code that has stayed on its loop for too long and loses it, before
	// the loop goes on. It runs on a timer's goroutine and must not wait. nil: nobody is told.
	Overstayed func(kind uint32)

	// Fault is told of errors that no connection is to blame for. Any goroutine.
	Fault func(what string, err error)
}

// A Reactor is a set of loops and the connections that live on them.
type Reactor struct {
	config Config
	start  time.Time
	loops  []*Loop
	index  index
	conns  atomic.Int64  // open connections: one number, so that those that change their loop are counted once
	freed  signal        // a connection has gone, and its descriptor with it
	placed atomic.Uint32 // counts placements, so that equally loaded loops take turns
	failed atomic.Bool   // Abort was called: what is accepted now is closed at once

	draining atomic.Bool   // Drain or Abort was called: nobody waits for a place any more
	drains   atomic.Uint32 // how often CloseIdle was called

	placing sync.Mutex // held from the finding of a place to its being taken, where places are limited
	watch   watch
}

// ErrFailed says that the Pollers of all loops no longer work.
var ErrFailed = errors.New("reactor: no loop works any more")

// New makes the loops and starts them.
func New(config Config) (*Reactor, error) {
	r := &Reactor{config: config, start: time.Now()}
	for range config.Loops {
		p, err := config.NewPoller()
		if err != nil {
			for _, l := range r.loops {
				err = errors.Join(err, l.poller.Close())
			}
			return nil, err
		}
		l := &Loop{reactor: r, poller: p, sockets: config.Sockets, aborted: make(chan struct{}), ended: make(chan struct{})}
		l.wheel.next = never
		r.loops = append(r.loops, l)
	}
	for _, l := range r.loops {
		go l.run(newTurn(l))
	}
	return r, nil
}

// now is the reactor's clock: nanoseconds since it was made.
func (r *Reactor) now() int64 { return int64(time.Since(r.start)) }

// at is t by the reactor's clock; the zero Time is never.
func (r *Reactor) at(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return int64(t.Sub(r.start))
}

// Conns returns how many connections are open.
func (r *Reactor) Conns() int { return int(r.conns.Load()) }

// Serve accepts connections from l until it is closed, and places each on the loop that has the fewest. For each it
// asks open for the connection record and its protocol. It returns nil after l.Close, ErrFailed when there is a connection and no
// loop for it, and else the Listener's error.
//
// When the process is out of descriptors, Serve waits until a connection has gone, or for a time that grows from
// acceptPause to maxAcceptPause: descriptors that this Reactor does not know of may come free too. Clients wait in
// the listener's backlog meanwhile, nothing spins, and the open connections go on.
func (r *Reactor) Serve(l Listener, open func() (*Conn, Protocol)) error {
	pause := acceptPause
	var told time.Time // when Fault was last told of exhaustion
	for {
		// Asked for before Accept, so that a connection that goes while Accept fails is not missed.
		freed := r.freed.wait()
		a, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			switch err := r.admit(a, open); {
			case errors.Is(err, ErrFailed):
				return err
			case err != nil:
				r.config.Fault("reactor: add", err)
			}
		case errors.Is(err, ErrListenerClosed):
			return nil
		case errors.Is(err, ErrExhausted):
			if now := time.Now(); told.IsZero() || now.Sub(told) > acceptTell {
				told = now
				r.config.Fault("reactor: accept", err)
			}
			timer := time.NewTimer(pause)
			select {
			case <-freed:
			case <-timer.C:
			}
			timer.Stop()
			pause = min(2*pause, maxAcceptPause)
		default:
			return err
		}
	}
}

const (
	acceptPause    = 10 * time.Millisecond
	maxAcceptPause = time.Second
	acceptTell     = time.Minute // at the limit, the next exhaustion is never far
)

// open makes a connection of a. Until it is registered it belongs to the acceptor, as to a task, so that a deadline or an
// Abort that comes meanwhile does not close the descriptor under it.
func (r *Reactor) open(a Accepted, open func() (*Conn, Protocol)) error {
	l := r.leastLoaded()
	if l == nil {
		r.left(a.Peer)
		return errors.Join(ErrFailed, r.config.Sockets.Close(a.FD))
	}
	c, p := open()
	c.proto, c.fd, c.peer = p, a.FD, a.Peer
	c.loop.Store(l)
	c.word.Store(taskOwned)
	c.timer.level = -1
	c.wheelAt.Store(never)
	c.readAt.Store(never)
	c.writeAt.Store(never)
	r.conns.Add(1)
	l.conns.Add(1)
	p.Opened()
	r.index.put(c)
	err := l.register(c)
	if w := c.word.And(^taskOwned); w&^taskOwned != 0 {
		l.post(op{conn: c, kind: opSettle}) // something has happened already
	}
	if r.draining.Load() {
		l.post(op{conn: c, kind: opDraining}) // it was not there when all were told
	}
	return err
}

// leastLoaded picks the loop with the fewest connections; among equals, each in turn. Where all have failed it returns nil.
func (r *Reactor) leastLoaded() *Loop {
	first := int(r.placed.Add(1) % uint32(len(r.loops)))
	var best *Loop
	fewest := int64(math.MaxInt64)
	for i := 0; i < len(r.loops) && fewest > 0; i++ {
		l := r.loops[(first+i)%len(r.loops)]
		if n := l.conns.Load(); n < fewest && !l.failed.Load() {
			best, fewest = l, n
		}
	}
	return best
}

// Drain tells every connection that the Server shuts down, and waits until all are gone or ctx ends. The Listeners are
// to be closed before.
func (r *Reactor) Drain(ctx context.Context) error {
	r.draining.Store(true)
	r.freed.broadcast()
	r.CloseIdle()
	return r.Empty(ctx)
}

// CloseIdle tells every connection, as Drain does, and does not wait. Any goroutine.
func (r *Reactor) CloseIdle() {
	r.drains.Add(1)
	r.postAll(opDrain)
}

// Empty waits until there is no connection, or ctx ends.
func (r *Reactor) Empty(ctx context.Context) error {
	for {
		freed := r.freed.wait()
		if r.Conns() == 0 {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Abort ends every connection at once. A task that has one finds its reads and writes failing; the connection closes when
// the task lets go of it.
func (r *Reactor) Abort() {
	r.failed.Store(true)
	r.draining.Store(true)
	r.freed.broadcast()
	r.postAll(opAbort)
	for _, l := range r.loops {
		if busy := l.busy.Load(); busy%2 == 1 {
			l.takeOver(busy, nil) // user code is not waited for
		}
	}
}

// Aborted waits until each loop has carried out Abort, or ctx ends: connections that no task has are closed then.
func (r *Reactor) Aborted(ctx context.Context) error {
	for _, l := range r.loops {
		select {
		case <-l.aborted:
		case <-l.ended: // there is nothing left
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Stop ends the loops and waits for that. No connection may be open, or its descriptor stays open with it.
func (r *Reactor) Stop() {
	r.watch.stop()
	r.postAll(opStop)
	for _, l := range r.loops {
		<-l.ended
	}
}

func (r *Reactor) postAll(kind opKind) {
	for _, l := range r.loops {
		l.post(op{kind: kind})
	}
}

// A signal is a condition that many goroutines wait for: each asks for a channel and looks at the state; the channel is
// closed by the first broadcast after that.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // nil when nobody asked since the last broadcast
}

func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// invariantf panics in test builds when holds is false. w is shown as the word of a connection.
func invariantf(holds bool, text string, w uint32) {
	if invariant.Enabled && !holds {
		panic("reactor: " + text + " " + wordString(w))
	}
}
