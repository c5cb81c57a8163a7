// SPDX-License-Identifier: MIT

package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestPlacement: every loop has as many connections as any other, also after some have gone.
func TestPlacement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const loops, conns = 4, 64
		m := newSim(t, 0, reactortest.Faults{}, simConfig{loops: loops}, &script{})
		check := func() {
			t.Helper()
			count := map[*reactor.Loop]int{}
			for _, c := range m.channels {
				if !c.closed.Load() {
					count[c.Loop()]++
				}
			}
			for l, n := range count {
				if n != conns/loops {
					t.Errorf("loop %p has %d of %d connections", l, n, conns)
				}
			}
			if m.reactor.Conns() != conns {
				t.Errorf("%d connections", m.reactor.Conns())
			}
		}
		var first []*reactortest.Client
		for range conns {
			c, client := m.open()
			if c.Loop() == m.channels[0].Loop() {
				first = append(first, client)
			}
		}
		check()
		for _, client := range first {
			client.Close() // all of one loop
		}
		synctest.Wait()
		for range first {
			m.open()
		}
		check()
	})
}

// A countingListener counts Accepts.
type countingListener struct {
	reactor.Listener
	accepts atomic.Int64
}

func (l *countingListener) Accept() (reactor.Accepted, error) {
	l.accepts.Add(1)
	return l.Listener.Accept()
}

// TestExhausted: without descriptors the acceptor neither spins nor gives up, and goes on at once when one comes free.
func TestExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{Descriptors: 5}, simConfig{}, &script{})
		l := &countingListener{Listener: m.network.Listen("192.0.2.2:80")}
		served := make(chan error)
		go func() {
			served <- m.reactor.Serve(l, func() (*reactor.Conn, reactor.Protocol) {
				c := &channel{sim: m, script: &script{}}
				m.mu.Lock()
				defer m.mu.Unlock()
				m.channels = append(m.channels, c)
				return &c.Conn, c
			})
		}()
		var clients []*reactortest.Client
		for range 8 {
			c, err := m.network.DialContext(t.Context(), "tcp", "192.0.2.2:80")
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c.(*reactortest.Client))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		// Once a second at most, and some more while the pause grows.
		if n := l.accepts.Load(); n < 3000 || n > 3700 || m.reactor.Conns() != 5 {
			t.Errorf("%d Accepts in an hour, %d connections", n, m.reactor.Conns())
		}
		if n := m.faultCount(); n == 0 || n > 61 { // once a minute
			t.Errorf("%d faults were reported", n)
		}
		time.Sleep(300 * time.Millisecond)
		for k := range 3 {
			begun := time.Now()
			clients[k].Close()
			synctest.Wait()
			if len(m.channels) != 6+k || time.Since(begun) != 0 {
				t.Errorf("%d connections were opened when %d were closed", len(m.channels), k+1)
			}
		}
		l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestServeEnds: with the listener's error, or with nil after its Close.
func TestServeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{}, simConfig{}, &script{})
		broken := errors.New("broken")
		if err := m.reactor.Serve(failingListener{broken}, nil); err != broken {
			t.Errorf("got %v", err)
		}
		if err := m.reactor.Serve(failingListener{fmt.Errorf("accept: %w", reactor.ErrListenerClosed)}, nil); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

type failingListener struct{ err error }

func (l failingListener) Accept() (reactor.Accepted, error) { return reactor.Accepted{}, l.err }
func (l failingListener) Close() error                      { return nil }

// TestAddFails: a connection that the poller does not take is closed, and was never there for the poller.
func TestAddFails(t *testing.T) {
	simulate(t, 20, func(t *testing.T, seed int64) {
		m := newSim(t, seed, reactortest.Faults{AddFail: 0.5, Wrap: 0.5}, simConfig{}, &script{
			opened: func(c *channel) { c.SetReadTimeout(nil, time.Hour) },
		})
		for range 10 {
			c, client := m.open()
			if c.closed.Load() {
				if _, err := client.ReadAll(); err != nil {
					t.Error(err)
				}
			}
		}
		if open, failed := m.reactor.Conns(), m.faultCount(); open+failed != 10 || m.network.Open() != open {
			t.Errorf("%d of 10 are open, %d have failed, %d descriptors", open, failed, m.network.Open())
		}
	})
}

// TestOpening: what comes while a connection is being opened does not come before it is open, and is not lost.
func TestOpening(t *testing.T) {
	for _, test := range []struct {
		name   string
		do     func(m *sim, c *channel)
		closes bool
	}{
		{"Abort", func(m *sim, _ *channel) { m.reactor.Abort() }, true},
		{"Cut", func(_ *sim, c *channel) { c.Cut() }, true},
		{"Draining", func(m *sim, _ *channel) { m.reactor.CloseIdle() }, false},
		{"Drain", func(m *sim, _ *channel) { go func() { _ = m.reactor.Drain(m.t.Context()) }() }, true},
		{"deadline", func(_ *sim, c *channel) { c.SetReadDeadline(time.Unix(1, 0)) }, true},
		{"none", func(_ *sim, _ *channel) {}, false},
	} {
		for _, when := range []string{"Opened", "Add"} {
			if test.name == "Cut" && when == "Opened" {
				continue // who cuts itself there is told there
			}
			if test.name == "Draining" {
				test.closes = when == "Add" // else it was not among all when they were told
			}
			t.Run(test.name+" in "+when, func(t *testing.T) {
				simulate(t, 4, func(t *testing.T, seed int64) {
					var m *sim
					do := func() {
						c := m.channels[len(m.channels)-1]
						test.do(m, c)
						time.Sleep(time.Second) // the loop has all the time it may want
					}
					s := &script{opened: func(c *channel) {
						if when == "Opened" {
							do()
						}
					}}
					m = newSim(t, seed, reactortest.Faults{}, simConfig{poller: func(p reactor.Poller) reactor.Poller {
						return &hookPoller{Poller: p, adding: func() {
							if when == "Add" {
								do()
							}
						}}
					}}, s)
					client := m.dial()
					if _, err := client.Write([]byte("x")); err != nil && !test.closes { // it may be closed by now
						t.Error(err)
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					if c := m.channels[0]; c.closed.Load() != test.closes {
						t.Errorf("closed: %v\n%v", c.closed.Load(), m)
					} else if !test.closes && client.Close() == nil {
						synctest.Wait()
						if !c.closed.Load() {
							t.Errorf("not closed by its client\n%v", m)
						}
					}
				})
			})
		}
	}
}

// TestAbort ends whatever a connection is at.
func TestAbort(t *testing.T) {
	simulate(t, 30, func(t *testing.T, seed int64) {
		f := reactortest.Random(seed)
		f.SendBuffer, f.RecvBuffer = 100, 100
		var stuck, over atomic.Int64
		m := newSim(t, seed, f, simConfig{loops: 2}, &script{
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				switch c.number % 4 {
				case 0:
					return true // idle
				case 1:
					return c.Write(t, make([]byte, 1000)) == nil // blocked, on the loop
				}
				return c.task(func() {
					stuck.Add(1)
					var err error
					switch c.number % 4 {
					case 2:
						err = c.Write(nil, make([]byte, 1<<20))
					case 3:
						for err == nil {
							c.TryRead(make([]byte, 10))
							err = c.WaitReadable()
						}
					}
					if err == nil {
						c.sim.t.Error("no error")
					}
					over.Add(1)
					c.letGo()
				})
			},
		})
		for range 12 {
			m.write(m.dial(), "x")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if stuck.Load() != 6 || over.Load() != 0 {
			t.Fatalf("%d tasks, %d over", stuck.Load(), over.Load())
		}
		begun := time.Now()
		m.reactor.Abort()
		if err := m.reactor.Aborted(t.Context()); err != nil {
			t.Error(err)
		}
		if n := m.reactor.Conns(); n > 6 {
			t.Errorf("%d connections are left, of 6 that tasks have", n)
		}
		if err := m.reactor.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); over.Load() != 6 || d > time.Second {
			t.Errorf("%d tasks are over after %v", over.Load(), d)
		}
	})
}

var errPoller = errors.New("the poller is broken")

// A breakingPoller works until it is broken.
type breakingPoller struct {
	reactor.Poller
	broken atomic.Bool
}

func (p *breakingPoller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	n, err := p.Poller.Wait(events, timeout)
	if p.broken.Load() {
		return 0, errPoller
	}
	return n, err
}

// A fragile is a sim whose pollers can be broken. Its connections are echoed, but those that say "task" are the test's.
type fragile struct {
	*sim
	pollers []*breakingPoller
}

func newFragile(t *testing.T, seed int64, config simConfig, opened func(*channel)) *fragile {
	f := &fragile{}
	config.loops, config.poller = 2, func(p reactor.Poller) reactor.Poller {
		b := &breakingPoller{Poller: p}
		f.pollers = append(f.pollers, b)
		return b
	}
	// An even seed: connections stay where they are.
	f.sim = newSim(t, seed&^1, reactortest.Random(seed), config, &script{
		opened: opened,
		input: func(c *channel, t *reactor.Turn, p []byte) bool {
			if p[0] == 't' {
				c.Claim()
				c.taken.Store(true)
				return false
			}
			return c.Write(t, p) == nil
		},
		idle: func(*channel) bool { return true },
	})
	return f
}

// open dials, and returns both ends when the connection has had the time to be opened.
func (f *fragile) open() (*channel, *reactortest.Client) {
	client := f.dial()
	time.Sleep(time.Minute)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.channels[len(f.channels)-1], client
}

// breakLoop has the loop fail that c is on, and takes the fault that is reported.
func (f *fragile) breakLoop(c *channel) {
	f.t.Helper()
	f.pollers[f.reactor.LoopNumber(c.Loop())].broken.Store(true)
	c.Stir()
	time.Sleep(time.Second)
	synctest.Wait()
	faults := slices.DeleteFunc(f.takeFaults(), func(err error) bool { return errors.Is(err, reactor.ErrExhausted) })
	if len(faults) != 1 || !errors.Is(faults[0], errPoller) {
		f.t.Errorf("faults: %v", faults)
	}
}

// served says whether what the client sends comes back.
func (f *fragile) served(c *reactortest.Client) bool {
	if _, err := c.Write([]byte("x")); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

// TestLoopFails: a loop whose poller no longer works ends its connections, those of tasks when they are released, and gets no new
// ones; the other loop goes on.
func TestLoopFails(t *testing.T) {
	simulate(t, 20, func(t *testing.T, seed int64) {
		const limit = 6
		m := newFragile(t, seed, simConfig{maxConns: limit}, nil)
		var conns []*channel
		var clients []*reactortest.Client
		for range limit {
			c, client := m.open()
			conns, clients = append(conns, c), append(clients, client)
		}
		broken := conns[0].Loop()
		m.write(clients[0], "task")
		time.Sleep(time.Second)
		m.breakLoop(conns[0])
		for i, c := range conns {
			if served := !c.closed.Load() && i > 0 && m.served(clients[i]); served != (c.Loop() != broken) {
				t.Errorf("connection %d is on the broken loop: %v, and served: %v", i, c.Loop() == broken, served)
			}
		}
		if n := m.reactor.Conns(); n != limit/2+1 || !conns[0].gone.Load() {
			t.Errorf("%d connections are left, the task knows: %v", n, conns[0].gone.Load())
		}
		for range limit { // beyond the limit, where each takes the place of another one
			if c, client := m.open(); c.Loop() == broken || !m.served(client) {
				t.Errorf("connection %d is on the broken loop: %v", c.number, c.Loop() == broken)
			}
		}
		conns[0].letGo()
		synctest.Wait()
		if !conns[0].closed.Load() {
			t.Error("the task's connection is not closed")
		}
		m.reactor.CloseIdle()
		time.Sleep(time.Second)
		if err := m.reactor.Empty(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestLoopFailsOpening: a connection that is placed on a loop just before that fails is closed.
func TestLoopFailsOpening(t *testing.T) {
	simulate(t, 4, func(t *testing.T, seed int64) {
		var m *fragile
		m = newFragile(t, seed, simConfig{}, func(c *channel) {
			if c.number > 0 {
				m.breakLoop(c)
			}
		})
		m.open()
		if c, client := m.open(); c.number != 1 || !c.closed.Load() || m.served(client) || m.reactor.Conns() != 1 {
			t.Errorf("closed: %v, %d connections are left", c.closed.Load(), m.reactor.Conns())
		}
	})
}

// TestLoopsFail: where no loop works, Serve says so as soon as there is a connection for it.
func TestLoopsFail(t *testing.T) {
	simulate(t, 4, func(t *testing.T, seed int64) {
		admitted := 0
		m := newFragile(t, seed, simConfig{
			admit: func(string) bool { admitted++; return true },
			left:  func(string) { admitted-- },
		}, nil)
		a, _ := m.open()
		b, _ := m.open()
		m.breakLoop(a)
		m.breakLoop(b)
		client := m.dial()
		if err := <-m.sim.served; !errors.Is(err, reactor.ErrFailed) {
			t.Errorf("Serve: %v", err)
		}
		m.sim.served <- nil
		if p, err := client.ReadAll(); len(p) > 0 || err != nil {
			t.Errorf("the client has got %q, %v", p, err)
		}
		if n := m.reactor.Conns(); n != 0 || m.network.Open() != 0 || len(m.channels) != 2 || admitted != 0 {
			t.Errorf("%d connections, %d descriptors, %d counted as admitted", n, m.network.Open(), admitted)
		}
	})
}

// TestAborted: what holds up a loop is waited for as long as the caller likes, and what has ended by then not at all.
func TestAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{}, simConfig{}, &script{
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				time.Sleep(time.Minute)
				return true
			},
		})
		_, client := m.open()
		m.write(client, "x")
		synctest.Wait()
		m.reactor.Abort()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.reactor.Aborted(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error("while the loop is held up:", err)
		}
		if err := m.reactor.Aborted(t.Context()); err != nil || m.reactor.Conns() > 0 {
			t.Errorf("%v, and %d connections are left", err, m.reactor.Conns())
		}
		m.reactor.Abort()
		if err := m.reactor.Aborted(t.Context()); err != nil {
			t.Error("the second time:", err)
		}
	})
}

// TestDrain: idle connections go when they are told, others when they are done, and Drain waits for them.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{}, simConfig{loops: 2}, &script{
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				return c.task(func() {
					time.Sleep(time.Minute)
					c.letGo()
				})
			},
		})
		for k := range 20 {
			_, client := m.open()
			if k%2 == 0 {
				m.write(client, "x")
			}
		}
		synctest.Wait()
		begun := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- m.reactor.Drain(t.Context()) }()
		synctest.Wait()
		if n := m.reactor.Conns(); n != 10 || len(drained) > 0 {
			t.Errorf("%d connections are left", n)
		}
		if err := <-drained; err != nil || time.Since(begun) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// TestIdle: connections that wait cost nothing but a look a timeout.
func TestIdle(t *testing.T) {
	simulate(t, 4, func(t *testing.T, seed int64) {
		const conns = 200
		m := newSim(t, seed, reactortest.Faults{}, simConfig{}, &script{
			opened: func(c *channel) { c.SetReadTimeout(nil, 24*time.Hour) },
		})
		for range conns {
			m.open()
		}
		before := m.waits.Load()
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if n := m.waits.Load() - before; n > 8 {
			t.Errorf("%d connections that wait for 23 hours cost %d turns", conns, n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := m.waits.Load() - before; m.reactor.Conns() > 0 || n > 20 {
			t.Errorf("%d connections are left, after %d turns", m.reactor.Conns(), n)
		}
	})
}

// TestHalfClosedIdle: peers that have shut down their side, and whose connections nobody closes, cost nothing either.
func TestHalfClosedIdle(t *testing.T) {
	simulate(t, 4, func(t *testing.T, seed int64) {
		m := newSim(t, seed, reactortest.Faults{}, simConfig{}, &script{
			inputEnd: func(c *channel, t *reactor.Turn, err error) {},
		})
		for range 50 {
			_, client := m.open()
			client.CloseWrite()
		}
		synctest.Wait()
		before := m.waits.Load()
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		if n := m.waits.Load() - before; n > 0 {
			t.Errorf("%d turns", n)
		}
	})
}

// TestFairness: who sends without end gets its share of a turn and no more, however often it is reported.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads, most, turn atomic.Int64
		var m *sim
		f := reactortest.Faults{Style: reactortest.StyleEdge, Duplicate: 0.5, SendBuffer: 1 << 20, RecvBuffer: 1 << 20}
		m = newSim(t, 1, f, simConfig{sockets: func(s reactor.Sockets) reactor.Sockets {
			return &hookSockets{Sockets: s, read: func(reactor.FD, []byte) {
				if now := m.waits.Load(); turn.Swap(now) != now {
					reads.Store(0)
				}
				most.Store(max(most.Load(), reads.Add(1)))
			}}
		}}, &script{})
		c := m.dial()
		data := make([]byte, 40<<20)
		m.write(c, string(data))
		c.CloseWrite()
		if _, err := c.ReadAll(); err != nil && err != io.EOF {
			t.Error(err)
		}
		// Once for the report, and once for having been left with more.
		if n := most.Load(); n > 2*reactor.MaxReads {
			t.Errorf("%d reads in a turn, want at most %d", n, 2*reactor.MaxReads)
		}
	})
}
