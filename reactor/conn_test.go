// SPDX-License-Identifier: MIT

package reactor_test

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestDoomedMeanwhile: a task ends its connection and gives it back while the loop is busy with a report of it. The layer above
// hears no more of it than that it is closed.
func TestDoomedMeanwhile(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(c *channel, t *reactor.Turn)
	}{
		{"output has left", func(c *channel, t *reactor.Turn) { c.Drain(t) }},
		{"input is there", func(c *channel, t *reactor.Turn) { c.Receive(t) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := taken()
				m := newSim(t, 0, reactortest.Faults{}, simConfig{}, s)
				c, client := m.take()
				m.write(client, "y")
				synctest.Wait() // noted for the task
				acted := false
				s.input = func(_ *channel, t *reactor.Turn, _ []byte) bool {
					acted = true
					c.letGo()
					test.act(c, t)
					return true
				}
				_, other := m.open()
				m.write(other, "x")
				synctest.Wait()
				if !acted || !c.closed.Load() {
					t.Errorf("acted: %v, closed: %v", acted, c.closed.Load())
				}
			})
		})
	}
}

// TestWaitReadable: everything that ends the wait for input does.
func TestWaitReadable(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(m *sim, c *channel, client *reactortest.Client)
		wait error // of WaitReadable
		read error // of the TryRead after it, if wait is nil
		gone bool
	}{
		{"data", func(m *sim, _ *channel, client *reactortest.Client) { m.write(client, "y") }, nil, nil, false},
		{"end", func(_ *sim, _ *channel, client *reactortest.Client) { client.CloseWrite() }, nil, io.EOF, true},
		{"data and the end", func(m *sim, _ *channel, client *reactortest.Client) {
			m.write(client, "y")
			client.CloseWrite()
		}, nil, nil, false},
		{"reset", func(_ *sim, _ *channel, client *reactortest.Client) { client.Reset() }, nil, reactor.ErrReset, true},
		{"Cut", func(_ *sim, c *channel, _ *reactortest.Client) { c.Cut() }, reactor.ErrClosed, nil, true},
		{"Abort", func(m *sim, _ *channel, _ *reactortest.Client) { m.reactor.Abort() }, reactor.ErrClosed, nil, true},
		{"deadline", func(_ *sim, _ *channel, _ *reactortest.Client) { time.Sleep(time.Minute) }, os.ErrDeadlineExceeded, nil, false},
		{"a deadline that is moved to now", func(_ *sim, c *channel, _ *reactortest.Client) {
			c.SetReadDeadline(time.Unix(1, 0))
			time.Sleep(5 * time.Millisecond)
		}, os.ErrDeadlineExceeded, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulate(t, 8, func(t *testing.T, seed int64) {
				f := reactortest.Faults{Wrap: 0.5, Duplicate: float64(seed%3) / 3, Split: 0.5, Shuffle: 0.5, Stale: 0.5}
				m := newSim(t, seed, f, simConfig{}, taken())
				c, client := m.take()
				if n, err := c.TryRead(make([]byte, 1)); n != 0 || err != reactor.ErrAgain {
					t.Fatalf("TryRead with nothing there: %d, %v", n, err)
				}
				c.SetReadTimeout(nil, 30*time.Second)
				begun := time.Now()
				waited := make(chan error, 1)
				go func() { waited <- c.WaitReadable() }()
				synctest.Wait()
				if len(waited) > 0 {
					t.Fatalf("did not wait: %v", <-waited)
				}
				test.do(m, c, client)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if len(waited) == 0 {
					t.Fatalf("still waits\n%v", m)
				}
				if err := <-waited; err != test.wait {
					t.Fatalf("got %v, want %v", err, test.wait)
				}
				if test.name == "deadline" && time.Since(begun) < 30*time.Second {
					t.Error("early")
				}
				if test.wait == nil {
					if _, err := c.TryRead(make([]byte, 1)); !errors.Is(err, test.read) {
						t.Errorf("TryRead: %v, want %v", err, test.read)
					}
				}
				if c.gone.Load() != test.gone {
					t.Errorf("PeerGone: %v", c.gone.Load())
				}
				if test.gone && !c.Gone() {
					t.Error("not Gone")
				}
				c.letGo()
				synctest.Wait()
				if !c.closed.Load() {
					t.Errorf("not closed\n%v", m)
				}
			})
		})
	}
}

// TestReadDeadlines: of a connection that the loop owns and of one that a task owns; moved, taken back and renewed.
func TestReadDeadlines(t *testing.T) {
	simulate(t, 10, func(t *testing.T, seed int64) {
		var mu sync.Mutex
		var expired []time.Duration // guarded by mu
		begun := time.Now()         // guarded by mu
		m := newSim(t, seed, reactortest.Faults{Early: float64(seed%3) / 8, Stale: 0.2}, simConfig{}, &script{
			opened: func(c *channel) { c.SetReadTimeout(nil, 10*time.Second) },
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				c.Claim()
				c.taken.Store(true)
				return false
			},
			expired: func(c *channel, t *reactor.Turn) {
				mu.Lock()
				defer mu.Unlock()
				expired = append(expired, time.Since(begun))
				if len(expired) == 1 {
					c.SetReadTimeout(t, 5*time.Second)
				}
			},
		})
		check := func(want ...time.Duration) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(expired) != len(want) {
				t.Fatalf("expired at %v, want %v", expired, want)
			}
			for i, d := range want {
				if late := expired[i] - d; late < 0 || late > 5*time.Millisecond {
					t.Errorf("expired at %v, want %v", expired, want)
				}
			}
		}
		c, client := m.open()
		time.Sleep(9 * time.Second)
		check()
		time.Sleep(4 * time.Second)
		check(10 * time.Second)
		time.Sleep(4 * time.Second)
		check(10*time.Second, 15*time.Second)
		time.Sleep(time.Hour)
		check(10*time.Second, 15*time.Second)
		m.write(client, "x")
		time.Sleep(time.Second)
		synctest.Wait()
		// The task has it now.
		mu.Lock()
		expired = nil
		mu.Unlock()
		if _, err := c.TryRead(make([]byte, 9)); err != reactor.ErrAgain {
			t.Fatal(err)
		}
		for range 3 {
			c.SetReadTimeout(nil, time.Second)
			begun := time.Now()
			if err := c.WaitReadable(); err != os.ErrDeadlineExceeded {
				t.Fatal(err)
			}
			if d := time.Since(begun); d < time.Second || d > time.Second+5*time.Millisecond {
				t.Errorf("waited for %v", d)
			}
			if err := c.WaitReadable(); err != os.ErrDeadlineExceeded {
				t.Errorf("a deadline that has passed stays: %v", err)
			}
		}
		check()
		// What passed while the task had it is told when the loop has it again.
		mu.Lock()
		begun = time.Now()
		mu.Unlock()
		if !c.release(false) {
			t.Fatal("not released")
		}
		check(0)
	})
}

// TestDeadlineMovedInTime: a task that moves the deadline and releases just as the old one passes is not expired.
func TestDeadlineMovedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns = 300
		m := newSim(t, 0, reactortest.Faults{}, simConfig{loops: 1}, &script{
			input: func(c *channel, _ *reactor.Turn, _ []byte) bool {
				c.SetReadTimeout(nil, time.Second)
				return c.task(func() {
					time.Sleep(time.Second - time.Millisecond + time.Duration(c.number%8)*time.Millisecond)
					yield(c.number % 5)
					c.state = time.Now() // seen by Expired, for what the task does before it releases
					c.SetReadTimeout(nil, time.Hour)
					if c.number%2 == 0 {
						c.WaitReadable()
					}
					for !c.release(false) {
						c.TryRead(make([]byte, 1))
					}
				})
			},
			expired: func(c *channel, t *reactor.Turn) {
				if d := time.Since(c.state.(time.Time)); d < time.Hour {
					c.sim.t.Errorf("channel %d expired after %v", c.number, d)
				}
			},
		})
		for range conns {
			c := m.dial()
			m.write(c, "x")
		}
		time.Sleep(30 * time.Minute)
	})
}

// TestStaleExpiry: the note that a deadline has passed may come just after it was moved.
func TestStaleExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{}, simConfig{}, taken())
		c, _ := m.take()
		c.SetReadTimeout(nil, time.Minute)
		c.NoteExpired()
		begun := time.Now()
		if err := c.WaitReadable(); err != os.ErrDeadlineExceeded || time.Since(begun) < time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		c.letGo()
	})
}

// TestEndedWhileExpiring: a task that is told that its output has stalled ends its connection, before the loop looks at the read
// deadline, which has passed at the same time. Expired is not called any more.
func TestEndedWhileExpiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := taken()
		s.peerGone = func(c *channel) { c.letGo() }
		m := newSim(t, 0, reactortest.Faults{SendBuffer: 1 << 10, RecvBuffer: 1 << 10}, simConfig{writeStall: time.Minute}, s)
		c, _ := m.take()
		c.SetReadTimeout(nil, time.Minute)
		if err := c.Write(nil, pattern(3<<10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if !c.closed.Load() {
			t.Error("not closed")
		}
	})
}

// TestParked: what happens to a connection that a task has left to no goroutine is told without a Turn, since the loop does not
// own it; and a deadline that passed just before is told, too.
func TestParked(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(m *sim, c *channel)
	}{
		{"Expired", func(_ *sim, c *channel) {
			c.SetReadTimeout(nil, time.Second)
			c.Park()
		}},
		{"Expired before", func(_ *sim, c *channel) {
			c.SetReadTimeout(nil, time.Second)
			time.Sleep(2 * time.Second)
			c.Park()
		}},
		{"Draining", func(m *sim, c *channel) {
			c.Park()
			m.reactor.CloseIdle()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newSim(t, 0, reactortest.Faults{}, simConfig{}, taken())
				c, _ := m.take()
				told := ""
				c.parked = func(what string) {
					told = what
					c.SetReadTimeout(nil, 0)
				}
				test.do(m, c)
				time.Sleep(time.Minute)
				synctest.Wait()
				if want, _, _ := strings.Cut(test.name, " "); told != want {
					t.Errorf("told %q", told)
				}
				c.Unpark()
				c.letGo()
			})
		})
	}
}

// TestDrainingOwned: a shutdown that the loop can't tell, because a task has the connection, is told when that has released it.
func TestDrainingOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{}, simConfig{}, taken())
		c, _ := m.take()
		m.reactor.CloseIdle()
		synctest.Wait()
		if c.closed.Load() || !c.release(false) {
			t.Error("could not be released")
		}
		synctest.Wait()
		if !c.closed.Load() {
			t.Error("not told")
		}
	})
}

// TestInputEndOnce: reports after the end of the input are nothing new.
func TestInputEndOnce(t *testing.T) {
	simulate(t, 10, func(t *testing.T, seed int64) {
		ends := 0
		m := newSim(t, seed, reactortest.Faults{Spurious: 0.7, Duplicate: 0.7}, simConfig{loops: 1}, &script{
			opened:   func(c *channel) { c.SetReadTimeout(nil, time.Hour) },
			inputEnd: func(c *channel, t *reactor.Turn, err error) { ends++ }, // it waits for something else
		})
		_, client := m.open()
		client.CloseWrite()
		for range 20 {
			_, other := m.open() // wakes the loop
			other.Close()
		}
		client.Reset()
		time.Sleep(time.Minute)
		synctest.Wait()
		// The others come to their end, too.
		if ends != 21 {
			t.Errorf("%d ends", ends)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestHalfClose: a peer that has sent its last byte gets all answers, and then the end.
func TestHalfClose(t *testing.T) {
	simulate(t, 40, func(t *testing.T, seed int64) {
		f := reactortest.Random(seed)
		m := newSim(t, seed, f, simConfig{}, echoScript(seed, false))
		c := m.dial()
		sent := pattern(20000)
		go func() {
			c.Write(sent)
			c.CloseWrite()
		}()
		time.Sleep(time.Duration(seed) * time.Second)
		if got, err := c.ReadAll(); err != nil || string(got) != string(sent) {
			t.Errorf("%d bytes, %v\n%v", len(got), err, m)
		}
	})
}

// TestConnSize: what holds a connection that waits is small.
func TestConnSize(t *testing.T) {
	if size := reactor.ConnSize; size > 192 {
		t.Errorf("a Conn has %d bytes", size)
	}
}

// TestGoexit: a goroutine that ends after it gave the loop away takes nothing of the loop's work with it.
func TestGoexit(t *testing.T) {
	for _, name := range []string{"Expired", "Draining", "Input"} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 5, func(t *testing.T, seed int64) {
				var called atomic.Int64
				leave := func(c *channel, t *reactor.Turn) {
					called.Add(1)
					c.Detach(t)
					yield(int(seed))
					if !c.release(false) {
						c.sim.t.Error("not released")
					}
					runtime.Goexit()
				}
				const conns = 50
				s := &script{
					input:    func(c *channel, t *reactor.Turn, p []byte) bool { leave(c, t); return false },
					expired:  leave,
					draining: leave,
				}
				if name == "Expired" {
					s.opened = func(c *channel) { c.SetReadTimeout(nil, time.Second) }
				}
				m := newSim(t, seed, reactortest.Faults{}, simConfig{}, s)
				for range conns {
					c := m.dial()
					if name == "Input" {
						m.write(c, "x")
					}
				}
				synctest.Wait()
				if name == "Draining" {
					m.reactor.CloseIdle()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := called.Load(); n != conns {
					t.Errorf("called for %d of %d connections", n, conns)
				}
			})
		})
	}
}
