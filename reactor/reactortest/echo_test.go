// SPDX-License-Identifier: MIT

package reactortest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// An echo is the smallest server that keeps the contract of Poller and Sockets: one loop that sends back what it reads,
// and reads nothing while something has to be sent.
type echo struct {
	t         testing.TB
	poller    reactor.Poller
	sockets   reactor.Sockets
	bug       echoBug
	shortEnds bool // a short read is taken for the end of what is there, as the contract says it is

	mu      sync.Mutex
	conns   map[reactor.Token]*echoConn // guarded by mu, since the acceptor adds to it
	gen     reactor.Token               // guarded by mu
	stopped atomic.Bool
	ended   chan struct{}
}

// An echoBug is a way to break the contract, for tests of what finds it.
type echoBug uint8

const (
	bugNone        echoBug = iota
	bugNoReadRearm         // Rearm(Readable) is missing
	bugNoWriteRearm
	bugEarlyRearm // Rearm before the end was met instead of after
	bugNoDel      // Close without Del
	bugNoGeneration
	bugShortIsLast // a short read is taken for the end of what there will be
)

type echoConn struct {
	fd         reactor.FD
	token      reactor.Token
	out        []byte // read and not sent
	drained    bool   // a short read was the last
	peerClosed bool
	eof        bool
}

func newEcho(t testing.TB, n *Network, bug echoBug, shortEnds bool) *echo {
	e := &echo{
		t: t, poller: n.NewPoller(), sockets: n.Sockets(), bug: bug, shortEnds: shortEnds,
		conns: map[reactor.Token]*echoConn{}, ended: make(chan struct{}),
	}
	go e.run()
	return e
}

func (e *echo) accept(l reactor.Listener) {
	for {
		a, err := l.Accept()
		switch {
		case errors.Is(err, reactor.ErrExhausted):
			time.Sleep(time.Millisecond)
			continue
		case errors.Is(err, reactor.ErrListenerClosed):
			return
		case err != nil:
			e.t.Errorf("Accept: %v", err)
			return
		}
		e.add(a.FD)
	}
}

func (e *echo) add(fd reactor.FD) {
	e.mu.Lock()
	e.gen++
	c := &echoConn{fd: fd, token: e.gen<<32 | reactor.Token(fd)}
	if e.bug == bugNoGeneration {
		c.token = reactor.Token(fd)
	}
	e.conns[c.token] = c
	e.mu.Unlock()
	if err := e.poller.Add(fd, c.token); err != nil {
		e.t.Errorf("Add: %v", err)
	}
}

func (e *echo) run() {
	defer close(e.ended)
	var events [8]reactor.Event
	for !e.stopped.Load() {
		k, err := e.poller.Wait(events[:], -1)
		if err != nil {
			return
		}
		for _, event := range events[:k] {
			e.mu.Lock()
			c := e.conns[event.Token]
			e.mu.Unlock()
			if c == nil {
				continue
			}
			c.peerClosed = c.peerClosed || event.Ready&(reactor.PeerClosed|reactor.Hangup) != 0
			if event.Ready&reactor.Readable != 0 {
				c.drained = false
			}
			if e.step(c) {
				e.close(c)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.conns {
		e.drop(c)
	}
	if err := e.poller.Close(); err != nil {
		e.t.Errorf("Close of the poller: %v", err)
	}
}

// step does what can be done for c, and says whether c is over.
func (e *echo) step(c *echoConn) bool {
	for {
		for len(c.out) > 0 {
			if e.bug == bugEarlyRearm {
				_ = e.poller.Rearm(c.fd, reactor.Writable)
			}
			k, err := e.sockets.Write(c.fd, c.out)
			c.out = c.out[k:]
			switch {
			case err != nil && !errors.Is(err, reactor.ErrAgain):
				return true
			case len(c.out) > 0:
				if e.bug != bugNoWriteRearm && e.bug != bugEarlyRearm {
					_ = e.poller.Rearm(c.fd, reactor.Writable)
				}
				return false
			}
		}
		if c.eof {
			return true
		}
		if c.drained && !c.peerClosed {
			if e.bug != bugNoReadRearm {
				_ = e.poller.Rearm(c.fd, reactor.Readable)
			}
			return false
		}
		p := make([]byte, 64)
		k, err := e.sockets.Read(c.fd, p)
		c.out = p[:k]
		c.drained = k == 0 || e.shortEnds && k < len(p)
		switch {
		case err == io.EOF:
			c.eof = true
		case errors.Is(err, reactor.ErrAgain):
			if c.peerClosed && !c.eof {
				return false // cannot be: the end has arrived
			}
		case err != nil:
			return true
		case e.bug == bugShortIsLast && k < len(p):
			c.eof = true
		}
	}
}

func (e *echo) close(c *echoConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drop(c)
}

func (e *echo) drop(c *echoConn) {
	delete(e.conns, c.token)
	if e.bug != bugNoDel {
		if err := e.poller.Del(c.fd); err != nil {
			e.t.Errorf("Del: %v", err)
		}
	}
	_ = e.sockets.Close(c.fd)
}

func (e *echo) stop() {
	e.stopped.Store(true)
	_ = e.poller.Wake()
	<-e.ended
}

// talk sends random bytes in random pieces at random times, reads what comes back as randomly, and says what came back
// of what.
func talk(c *Client, random *rand.Rand, most int) (sent, got []byte, err error) {
	sent = make([]byte, random.IntN(most))
	for i := range sent {
		sent[i] = byte(random.Uint32())
	}
	pauses, readPauses := random.IntN(3) == 0, random.IntN(3) == 0
	writer := rand.New(rand.NewPCG(random.Uint64(), 0))
	wrote := make(chan error, 1)
	go func() {
		rest := sent
		for len(rest) > 0 {
			k := 1 + writer.IntN(min(len(rest), 200))
			if _, err := c.Write(rest[:k]); err != nil {
				wrote <- err
				return
			}
			rest = rest[k:]
			if pauses {
				time.Sleep(time.Duration(writer.IntN(1000)) * time.Microsecond)
			}
		}
		wrote <- c.CloseWrite()
	}()
	p := make([]byte, 1+random.IntN(300))
	for err == nil {
		var k int
		k, err = c.Read(p)
		got = append(got, p[:k]...)
		if readPauses {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return sent, got, errors.Join(err, <-wrote)
}

// echoes runs an echo with several clients, and returns whether each got back what it sent.
func echoes(t testing.TB, n *Network, seed int64, bug echoBug) (ok bool) {
	random := rand.New(rand.NewPCG(uint64(seed), 42))
	e := newEcho(t, n, bug, random.IntN(2) == 0)
	l := n.Listen("192.0.2.1:0")
	var all sync.WaitGroup
	all.Go(func() { e.accept(l) })
	var clients sync.WaitGroup
	var failed atomic.Int64
	for range 1 + random.IntN(6) {
		random := rand.New(rand.NewPCG(random.Uint64(), 0))
		clients.Go(func() {
			for range 1 + random.IntN(3) {
				c, err := n.Dial(l)
				if err != nil {
					failed.Add(1)
					continue
				}
				_ = c.SetDeadline(time.Now().Add(time.Hour))
				sent, got, err := talk(c, random, 2000)
				intact := err == nil && bytes.Equal(sent, got)
				if n.faults.Reset > 0 {
					intact = bytes.HasPrefix(sent, got)
				}
				if !intact {
					failed.Add(1)
					if bug == bugNone {
						t.Errorf("seed %d: sent %d bytes, got %d back: %v\n%s", seed, len(sent), len(got), err, n.State())
					}
				}
				_ = c.Close()
			}
		})
	}
	clients.Wait()
	if f := n.Forgotten(); bug == bugNone && len(f) > 0 {
		t.Errorf("seed %d: forgotten: %v\n%s", seed, f, n.State())
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close of the listener: %v", err)
	}
	all.Wait()
	e.stop()
	return failed.Load() == 0
}

// TestEcho compares every byte under mixtures of faults, in virtual time.
func TestEcho(t *testing.T) {
	Seeds(t, 200, func(t *testing.T, seed int64) {
		synctest.Test(t, func(t *testing.T) {
			n := New(t, seed, Random(seed))
			echoes(t, n, seed, bugNone)
		})
	})
}

// TestEchoFaults does the same under each fault alone, in both styles.
func TestEchoFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults Faults
	}{
		{"none", Faults{}},
		{"short reads", Faults{ShortRead: 0.7}},
		{"short writes", Faults{ShortWrite: 0.7}},
		{"again", Faults{Again: 0.7}},
		{"resets", Faults{Reset: 0.02, Discard: 0.5, Wrap: 0.5}},
		{"wrapped", Faults{Wrap: 1, Again: 0.3}},
		{"spurious", Faults{Spurious: 0.7}},
		{"duplicate", Faults{Duplicate: 1}},
		{"delay", Faults{Delay: 0.7, Pause: time.Second}},
		{"split", Faults{Split: 1}},
		{"shuffle", Faults{Shuffle: 1}},
		{"early", Faults{Early: 0.7}},
		{"stale", Faults{Stale: 0.7}},
		{"accept", Faults{AcceptFail: 0.7}},
		{"descriptors", Faults{Descriptors: 1}},
		{"small buffers", Faults{SendBuffer: 3, RecvBuffer: 2}},
		{"small send buffer", Faults{SendBuffer: 1}},
		{"small receive buffer", Faults{RecvBuffer: 1}},
		{"fragments", Faults{Fragment: 1, Latency: time.Second}},
		{"latency", Faults{Latency: time.Second}},
	} {
		for _, style := range []Style{StyleEdge, StyleStrict} {
			t.Run(test.name+"/"+style.String(), func(t *testing.T) {
				Seeds(t, 6, func(t *testing.T, seed int64) {
					synctest.Test(t, func(t *testing.T) {
						f := test.faults
						f.Style = style
						echoes(t, New(t, seed, f), seed, bugNone)
					})
				})
			})
		}
	}
}

// TestEchoRealTime is the same outside of a bubble.
func TestEchoRealTime(t *testing.T) {
	Seeds(t, 10, func(t *testing.T, seed int64) {
		f := Random(seed)
		f.Latency, f.Pause = min(f.Latency, 100*time.Microsecond), 100*time.Microsecond
		echoes(t, New(t, seed, f), seed, bugNone)
	})
}

// TestEchoBugs checks that servers with a bug fail: with some seed, by a violation or by what their clients get.
func TestEchoBugs(t *testing.T) {
	for _, test := range []struct {
		name string
		bug  echoBug
	}{
		{"no Rearm after a short read", bugNoReadRearm},
		{"no Rearm after a short write", bugNoWriteRearm},
		{"Rearm before the end", bugEarlyRearm},
		{"no Del", bugNoDel},
		{"Token without generation", bugNoGeneration},
		{"short read taken for the last", bugShortIsLast},
	} {
		t.Run(test.name, func(t *testing.T) {
			caught := 0
			const runs = 30
			for seed := range int64(runs) {
				synctest.Test(t, func(t *testing.T) {
					r := &recorder{TB: t}
					n := New(r, seed, Random(seed))
					if !echoes(r, n, seed, test.bug) || len(n.Violations()) > 0 {
						caught++
					}
					r.cleanUp()
				})
			}
			t.Logf("caught by %d of %d seeds", caught, runs)
			if caught == 0 {
				t.Error("not caught")
			}
		})
	}
}
