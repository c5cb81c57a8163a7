// SPDX-License-Identifier: MIT

package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// pattern returns n bytes of which no two pieces are alike.
func pattern(n int) []byte {
	p := make([]byte, n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	return p
}

// taken is a script that gives every connection to the test at its first byte.
func taken() *script {
	return &script{input: func(c *channel, _ *reactor.Turn, _ []byte) bool {
		c.Claim()
		c.taken.Store(true)
		return false
	}}
}

// take opens a connection that the caller owns as its task.
func (m *sim) take() (*channel, *reactortest.Client) {
	m.t.Helper()
	c, client := m.open()
	m.write(client, "x")
	time.Sleep(time.Second) // whatever the network makes of it, it has arrived
	synctest.Wait()
	return c, client
}

// TestWatermarks: a writer waits at the high watermark, and goes on below the low one.
func TestWatermarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watermark, buffers = 8 << 10, 2 << 10
		m := newSim(t, 0, reactortest.Faults{SendBuffer: buffers, RecvBuffer: buffers}, simConfig{watermark: watermark}, taken())
		c, client := m.take()
		sent := pattern(40 << 10)
		// What the socket and the queue have room for is taken at once; then the loop sends what the other end has room for.
		for _, p := range [][]byte{sent[:watermark+buffers], sent[watermark+buffers : watermark+2*buffers]} {
			if err := c.Write(nil, p); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		wrote := make(chan error, 1)
		go func() { wrote <- c.Write(nil, sent[watermark+2*buffers:watermark+2*buffers+1]) }()
		synctest.Wait()
		returned := func() bool { return len(wrote) > 0 }
		if returned() {
			t.Fatal("Write did not wait at the watermark")
		}
		got := make([]byte, 0, len(sent))
		read := func(n int) {
			t.Helper()
			p := make([]byte, n)
			if _, err := io.ReadFull(client, p); err != nil {
				t.Fatal(err)
			}
			got = append(got, p...)
			synctest.Wait()
		}
		read(watermark/2 - 1)
		if returned() {
			t.Error("Write went on above the low watermark")
		}
		read(1)
		if !returned() {
			t.Fatal("Write did not go on at the low watermark")
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		read(watermark/2 + 2*buffers + 1)
		if !bytes.Equal(got, sent[:len(got)]) {
			t.Error("other bytes arrived")
		}
		if c.Blocked() {
			t.Error("output is left")
		}
		c.letGo()
	})
}

// TestHeldToTheWatermark: what is held may be as much as the watermark, and no one would drain it.
func TestHeldToTheWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watermark = 4 << 10
		m := newSim(t, 0, reactortest.Faults{}, simConfig{watermark: watermark}, taken())
		c, client := m.take()
		sent := pattern(watermark + 1)
		go func() {
			if err := c.Hold(nil, sent[:watermark]); err != nil {
				t.Error(err)
			}
			if err := c.Write(nil, sent[watermark:]); err != nil {
				t.Error(err)
			}
			c.letGo()
		}()
		client.SetDeadline(time.Now().Add(time.Hour))
		if got, err := client.ReadAll(); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
}

// TestHold: what is held leaves with the next Write, Flush or Release, in one piece, and not before.
func TestHold(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *channel) error
	}{
		{"Write", func(c *channel) error { return c.Write(nil, []byte("c")) }},
		{"empty Write", func(c *channel) error { return c.Write(nil, nil) }},
		{"Flush", func(c *channel) error { return c.Flush() }},
		{"Release for input", func(c *channel) error { c.release(false); return nil }},
		{"Release for the output", func(c *channel) error {
			if c.release(true) {
				return errors.New("released, though nothing waits")
			}
			return nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				writes := 0
				m := newSim(t, 0, reactortest.Faults{}, simConfig{sockets: func(s reactor.Sockets) reactor.Sockets {
					return &hookSockets{Sockets: s, write: func(reactor.FD, []byte) { writes++ }}
				}}, taken())
				c, client := m.take()
				for _, p := range []string{"a", "", "b"} {
					if err := c.Hold(nil, []byte(p)); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if client.Unread() > 0 || c.Blocked() {
					t.Error("it was not held")
				}
				if err := test.end(c); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if client.Unread() < 2 || writes != 1 {
					t.Errorf("%d bytes have left in %d writes", client.Unread(), writes)
				}
			})
		})
	}
}

// A hookSockets calls functions before it does what it is asked to.
type hookSockets struct {
	reactor.Sockets
	read  func(reactor.FD, []byte)
	write func(reactor.FD, []byte)
}

func (s *hookSockets) Read(fd reactor.FD, p []byte) (int, error) {
	if s.read != nil {
		s.read(fd, p)
	}
	return s.Sockets.Read(fd, p)
}

func (s *hookSockets) Write(fd reactor.FD, p []byte) (int, error) {
	if s.write != nil {
		s.write(fd, p)
	}
	return s.Sockets.Write(fd, p)
}

// TestWriteStall: a peer that takes nothing is given up, after the time and not before; one that takes little is not.
func TestWriteStall(t *testing.T) {
	simulate(t, 20, func(t *testing.T, seed int64) {
		const stall = 10 * time.Second
		faults := reactortest.Faults{SendBuffer: 1 << 10, RecvBuffer: 1 << 10, Spurious: float64(seed%3) / 4, Duplicate: 0.3}
		m := newSim(t, seed, faults, simConfig{watermark: 4 << 10, writeStall: stall}, taken())
		c, client := m.take()
		wrote := make(chan error, 1)
		go func() {
			wrote <- c.Write(nil, pattern(64<<10))
		}()
		// As long as something goes, however slowly.
		for range 20 {
			time.Sleep(stall - 5*time.Millisecond)
			synctest.Wait()
			if len(wrote) > 0 {
				t.Fatalf("given up: %v", <-wrote)
			}
			// Enough that the kernel at the other end tells of it.
			if _, err := io.ReadFull(client, make([]byte, 512)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		begun := time.Now()
		err := <-wrote
		if d := time.Since(begun); d < stall || d > stall+5*time.Millisecond {
			t.Errorf("given up after %v", d)
		}
		synctest.Wait() // the loop has failed the output, and tells so next
		if err != reactor.ErrStalled || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if !c.gone.Load() {
			t.Error("PeerGone was not called")
		}
		if err := c.Write(nil, []byte("more")); err != reactor.ErrStalled {
			t.Errorf("Write after it: %v", err)
		}
		if err := c.WaitReadable(); err == nil {
			t.Error("WaitReadable of a connection that is to be closed")
		}
		c.release(false)
		synctest.Wait()
		if !c.closed.Load() {
			t.Error("not closed")
		}
	})
}

// TestMinRate: who takes something all the time, but too little on average, is given up too, and who takes enough is not.
func TestMinRate(t *testing.T) {
	for _, rate := range []int{50, 200} { // of the client, where 100 is asked for
		t.Run(strconv.Itoa(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const stall = 30 * time.Second
				m := newSim(t, 0, reactortest.Faults{SendBuffer: 1 << 10, RecvBuffer: 1 << 10}, simConfig{watermark: 1 << 20, writeStall: stall, minRate: 100}, taken())
				c, client := m.take()
				if err := c.Write(nil, pattern(64<<10)); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				for !c.gone.Load() && time.Since(begun) < 5*time.Minute {
					time.Sleep(10 * time.Second)
					if _, err := io.ReadFull(client, make([]byte, 10*rate)); err != nil {
						break
					}
				}
				if d := time.Since(begun); rate < 100 && d > 90*time.Second || rate > 100 && c.gone.Load() {
					t.Errorf("gone: %v, after %v", c.gone.Load(), d)
				}
				c.letGo()
			})
		})
	}
}

// A zeros is a file as long as may be.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (zeros) Close() error                          { return nil }

// quickSockets send the first bytes of a file to nowhere, at once.
type quickSockets struct {
	reactor.Sockets
	quick int64
}

func (s *quickSockets) SendFile(fd reactor.FD, f reactor.File, offset int64, n int) (int, error) {
	quick := int(min(max(s.quick-offset, 0), int64(n)))
	if quick == n {
		return n, nil
	}
	k, err := s.Sockets.SendFile(fd, f, offset+int64(quick), n-quick)
	return quick + k, err
}

// TestMinRateLong: who has taken so much that it suffices for longer than a Duration has taken enough.
func TestMinRateLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quick, slow = math.MaxInt64/int64(time.Second) + 1<<20, 64 << 10
		m := newSim(t, 0, reactortest.Faults{SendBuffer: 1 << 10, RecvBuffer: 1 << 10}, simConfig{
			watermark: 1 << 20, writeStall: 30 * time.Second, minRate: 1,
			sockets: func(s reactor.Sockets) reactor.Sockets { return &quickSockets{s, quick} },
		}, taken())
		c, client := m.take()
		if err := c.Write(nil, pattern(8<<10)); err != nil || !c.Blocked() { // so that what leaves now is counted
			t.Fatalf("blocked: %v, %v", c.Blocked(), err)
		}
		if err := c.WriteFile(nil, zeros{}, 0, quick+slow); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 8<<10)); err != nil {
			t.Fatal(err)
		}
		for range slow >> 10 {
			time.Sleep(10 * time.Second)
			if c.gone.Load() {
				break
			}
			if _, err := io.ReadFull(client, make([]byte, 1<<10)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if c.gone.Load() || c.Blocked() {
			t.Errorf("gone: %v, blocked: %v", c.gone.Load(), c.Blocked())
		}
		c.letGo()
	})
}

func TestAtRate(t *testing.T) {
	for _, test := range []struct {
		n    int64
		rate int
		want time.Duration
	}{
		{0, 1, 0},
		{1, 1, time.Second},
		{1500, 1000, 1500 * time.Millisecond},
		{1 << 30, 1, 1 << 30 * time.Second},
		{9_200_000_000, 1, 9_200_000_000 * time.Second},
		{9_223_372_037, 1, math.MaxInt64},
		{10 << 30, 1, math.MaxInt64},
		{10 << 30, 2, 5 << 30 * time.Second},
		{math.MaxInt64, 1, math.MaxInt64},
	} {
		if got := reactor.AtRate(test.n, test.rate); got != test.want {
			t.Errorf("%d bytes at %d a second: %v, want %v", test.n, test.rate, got, test.want)
		}
	}
}

// TestWriteStallOfTheLoop: the same where the loop owns the connection.
func TestWriteStallOfTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{SendBuffer: 100, RecvBuffer: 100}, simConfig{writeStall: time.Second}, &script{
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				if err := c.Write(t, pattern(1000)); err != nil {
					c.sim.t.Error(err)
				}
				return true
			},
		})
		c, client := m.open()
		m.write(client, "x")
		time.Sleep(time.Second - time.Millisecond)
		synctest.Wait()
		if c.closed.Load() {
			t.Error("closed too early")
		}
		time.Sleep(6 * time.Millisecond)
		synctest.Wait()
		if !c.closed.Load() {
			t.Error("not closed")
		}
	})
}

// TestWriteDeadline: it ends the output, also while the peer takes something, and may be moved.
func TestWriteDeadline(t *testing.T) {
	simulate(t, 10, func(t *testing.T, seed int64) {
		m := newSim(t, seed, reactortest.Faults{SendBuffer: 64, RecvBuffer: 64}, simConfig{writeStall: time.Minute}, taken())
		c, client := m.take()
		begun := time.Now()
		c.SetWriteDeadline(begun.Add(time.Second))
		c.SetWriteDeadline(begun.Add(5 * time.Second))
		var reader sync.WaitGroup
		defer reader.Wait()
		reader.Go(func() {
			for {
				if _, err := client.Read(make([]byte, 1)); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		err := c.Write(nil, pattern(1<<20))
		if d := time.Since(begun); err != reactor.ErrDeadline || d < 5*time.Second || d > 5*time.Second+5*time.Millisecond {
			t.Errorf("%v after %v", err, d)
		}
		c.release(false)
		client.Close()
	})
}

// TestWriteDeadlineCleared: an old one does no harm.
func TestWriteDeadlineCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{}, simConfig{}, taken())
		c, client := m.take()
		c.SetWriteDeadline(time.Now().Add(time.Second))
		c.ClearWriteDeadline()
		c.ClearWriteDeadline()
		time.Sleep(time.Hour)
		if err := c.Write(nil, []byte("late")); err != nil {
			t.Error(err)
		}
		c.SetWriteDeadline(time.Now().Add(time.Second))
		c.SetWriteDeadline(time.Time{})
		time.Sleep(time.Hour)
		if err := c.Write(nil, []byte("later")); err != nil {
			t.Error(err)
		}
		c.letGo()
		if got, err := client.ReadAll(); err != nil || string(got) != "latelater" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// TestFarDeadlines: times that are beyond the clock are never, and not in the past.
func TestFarDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{SendBuffer: 10, RecvBuffer: 10}, simConfig{writeStall: math.MaxInt64}, &script{
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				c.SetReadTimeout(t, math.MaxInt64)
				c.SetWriteDeadline(time.Now().Add(math.MaxInt64))
				if err := c.Write(t, make([]byte, 100)); err != nil {
					c.sim.t.Error(err)
				}
				return true
			},
		})
		time.Sleep(time.Second) // the clock is not at its beginning
		c, client := m.open()
		m.write(client, "x")
		time.Sleep(100 * 24 * time.Hour)
		synctest.Wait()
		if c.closed.Load() {
			t.Error("expired")
		}
	})
}

// TestWriteFails: an error wakes the writer, and stays.
func TestWriteFails(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(m *sim, c *channel, client *reactortest.Client)
		want error
	}{
		{"reset", func(_ *sim, _ *channel, client *reactortest.Client) { client.Reset() }, reactor.ErrReset},
		{"Cut", func(_ *sim, c *channel, _ *reactortest.Client) { c.Cut() }, reactor.ErrClosed},
		{"Abort", func(m *sim, _ *channel, _ *reactortest.Client) { m.reactor.Abort() }, reactor.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulate(t, 10, func(t *testing.T, seed int64) {
				m := newSim(t, seed, reactortest.Faults{SendBuffer: 100, RecvBuffer: 100, Wrap: 0.5}, simConfig{}, taken())
				c, client := m.take()
				wrote := make(chan error, 1)
				go func() { wrote <- c.Write(nil, make([]byte, 1<<20)) }()
				synctest.Wait()
				test.fail(m, c, client)
				synctest.Wait()
				if len(wrote) == 0 {
					t.Fatalf("the writer still waits\n%v", m)
				}
				if err := <-wrote; !errors.Is(err, test.want) {
					t.Errorf("got %v", err)
				}
				for _, write := range []func() error{
					func() error { return c.Write(nil, []byte("x")) },
					func() error { return c.Hold(nil, []byte("x")) },
					c.Flush,
				} {
					if err := write(); !errors.Is(err, test.want) {
						t.Errorf("and then %v", err)
					}
				}
				if c.Blocked() {
					t.Error("blocked")
				}
				if !c.gone.Load() {
					t.Error("PeerGone was not called")
				}
				if !c.release(true) {
					t.Error("there is nothing to go on with, and Release fails")
				}
				synctest.Wait()
				if !c.closed.Load() {
					t.Error("not closed")
				}
				if err := c.Write(nil, []byte("x")); err != reactor.ErrClosed {
					t.Errorf("Write after the close: %v", err)
				}
				if err := c.Flush(); err != reactor.ErrClosed {
					t.Errorf("Flush after the close: %v", err)
				}
			})
		})
	}
}

// TestFailedUnseen: a protocol that does not look at the errors of Write loses the connection, and not its descriptor.
func TestFailedUnseen(t *testing.T) {
	for _, name := range []string{"loop", "task", "task, for the output"} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 10, func(t *testing.T, seed int64) {
				m := newSim(t, seed, reactortest.Faults{Reset: 0.3}, simConfig{}, &script{
					input: func(c *channel, t *reactor.Turn, p []byte) bool {
						if name == "loop" {
							_ = c.Write(t, p)
							return true
						}
						return c.task(func() {
							for _ = c.Write(nil, []byte("x")); !c.release(name != "task"); {
								if name != "task" {
									if c.release(false) {
										return
									}
								}
								if _, err := c.TryRead(make([]byte, 10)); err != nil && err != reactor.ErrAgain {
									c.letGo()
									return
								}
							}
						})
					},
				})
				c, client := m.open()
				for range 50 {
					client.Write([]byte("x"))
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if !c.closed.Load() {
					t.Errorf("not closed\n%v", m)
				}
			})
		})
	}
}

// TestLateReaders sends 3 MB each to clients that take their time.
func TestLateReaders(t *testing.T) {
	simulate(t, 8, func(t *testing.T, seed int64) {
		f := reactortest.Random(seed)
		f.SendBuffer, f.RecvBuffer, f.Fragment = max(f.SendBuffer, 4<<10), max(f.RecvBuffer, 4<<10), 0
		f.Latency, f.Pause = min(f.Latency, time.Millisecond), min(f.Pause, time.Millisecond)
		sent := pattern(3 << 20)
		m := newSim(t, seed, f, simConfig{loops: 2, watermark: 64 << 10, writeStall: time.Hour, memory: memoryFor(seed)}, &script{
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				if c.number%2 == 0 {
					c.Detach(t)
				}
				if err := c.Write(t, sent); err != nil {
					c.sim.t.Error(err)
				}
				// 3 MB are above any watermark.
				if !t.Lost() {
					c.sim.t.Error("the loop was not given away")
				}
				if !c.release(true) {
					c.letGo()
				}
				return false
			},
			drained: func(c *channel, t *reactor.Turn) bool { c.Close(t); return false },
		})
		var wg sync.WaitGroup
		for k := range 3 {
			c := m.dial()
			wg.Go(func() {
				m.write(c, "x")
				time.Sleep(time.Duration(k) * time.Minute)
				if got, err := c.ReadAll(); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("client %d: %d bytes, %v", k, len(got), err)
				}
			})
		}
		wg.Wait()
	})
}

// TestFlushAtTheClose: a Flush may come at any time, also while the loop closes the connection.
func TestFlushAtTheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last *channel
		m := newSim(t, 0, reactortest.Faults{SendBuffer: 10, RecvBuffer: 10}, simConfig{
			poller: func(p reactor.Poller) reactor.Poller {
				return &hookPoller{Poller: p, deleted: func() {
					if err := last.Flush(); err != reactor.ErrClosed {
						t.Errorf("Flush: %v", err)
					}
				}}
			},
		}, &script{input: func(c *channel, t *reactor.Turn, p []byte) bool {
			last = c
			if err := c.Hold(t, make([]byte, 100)); err != nil {
				c.sim.t.Error(err)
			}
			c.Close(t)
			return false
		}})
		_, client := m.open()
		m.write(client, "x")
		synctest.Wait()
		if last == nil || !last.closed.Load() {
			t.Error("not closed")
		}
	})
}

// A hookPoller calls functions around what it is asked to do.
type hookPoller struct {
	reactor.Poller
	adding  func() // before Add
	deleted func() // after Del
}

func (p *hookPoller) Add(fd reactor.FD, token reactor.Token) error {
	if p.adding != nil {
		p.adding()
	}
	return p.Poller.Add(fd, token)
}

func (p *hookPoller) Del(fd reactor.FD) error {
	err := p.Poller.Del(fd)
	if p.deleted != nil {
		p.deleted()
	}
	return err
}
