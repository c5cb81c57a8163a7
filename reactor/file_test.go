// SPDX-License-Identifier: MIT

package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// takeFaults returns the errors that were reported so far, and forgets them: the test has expected them.
func (m *sim) takeFaults() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	faults := m.faults
	m.faults = nil
	return faults
}

// A mixture writes pieces of all kinds, and knows what has to arrive.
type mixture struct {
	random  *rand.Rand
	network *reactortest.Network
	content []byte // of every file
	most    int    // bytes of a piece
	sent    []byte
}

// write writes one piece, by t or as a task.
func (x *mixture) write(c *channel, t *reactor.Turn) error {
	n := 1 + x.random.IntN(x.most)
	at := x.random.IntN(len(x.content) - n + 1)
	p := x.content[at : at+n]
	switch x.random.IntN(7) {
	case 0:
		x.sent = append(x.sent, p...)
		return c.Write(t, p)
	case 1:
		x.sent = append(x.sent, p...)
		return c.Hold(t, p)
	case 2:
		return c.Flush()
	case 3:
		return c.Sync(t)
	}
	x.sent = append(x.sent, p...)
	return c.WriteFile(t, x.network.NewFile(x.content), int64(at), int64(n))
}

// TestFileOrder: files, and bytes written and held before and behind them, arrive in order, whoever sends them.
func TestFileOrder(t *testing.T) {
	simulate(t, 100, func(t *testing.T, seed int64) {
		f := reactortest.Random(seed)
		most := 40_000
		if f.SendBuffer > 0 && f.SendBuffer < 512 || f.RecvBuffer > 0 && f.RecvBuffer < 512 {
			most = 300 // or a few bytes at a time take all day
		}
		content := pattern(2 * most)
		var mixtures sync.Map // by Peer
		config := simConfig{loops: 2}
		if seed%2 == 0 {
			config.spool = &spooler{overflow: 1000}
		}
		m := newSim(t, seed, f, config, &script{
			input: func(c *channel, turn *reactor.Turn, _ []byte) bool {
				x := &mixture{
					random:  rand.New(rand.NewPCG(uint64(seed), uint64(c.number))),
					network: c.sim.network, content: content, most: most,
				}
				mixtures.Store(c.Peer(), x)
				run := func(turn *reactor.Turn) {
					for range 1 + x.random.IntN(20) {
						if err := x.write(c, turn); err != nil {
							t.Errorf("connection %d: %v", c.number, err)
						}
					}
				}
				release := func() {
					if !c.release(true) {
						c.letGo()
					}
				}
				if c.number%2 == 0 {
					return c.task(func() {
						run(nil)
						release()
					})
				}
				if run(turn); turn.Lost() {
					release()
					return false
				}
				if err := c.Flush(); err != nil {
					t.Error(err)
				} else if !c.Blocked() {
					c.Close(turn)
					return false
				}
				return true
			},
			drained: func(c *channel, turn *reactor.Turn) bool { c.Close(turn); return false },
		})
		var clients sync.WaitGroup
		for range 4 {
			client := m.dial()
			clients.Go(func() {
				m.write(client, "x")
				got, err := client.ReadAll()
				if err != nil {
					t.Errorf("%v\n%v", err, m)
				}
				x, ok := mixtures.Load(client.LocalAddr().String())
				if !ok {
					t.Error("the connection was not served")
				} else if sent := x.(*mixture).sent; !bytes.Equal(got, sent) {
					t.Errorf("got %d bytes, not the %d that were sent", len(got), len(sent))
				}
			})
		}
		clients.Wait()
	})
}

// TestFileTakesNoGoroutine: WriteFile returns when the socket is full, up to maxFiles times, whatever the watermark; the loop
// sends the rest, and files are closed as soon as they have left.
func TestFileTakesNoGoroutine(t *testing.T) {
	simulate(t, 10, func(t *testing.T, seed int64) {
		faults := reactortest.Faults{SendBuffer: 1 << 10, RecvBuffer: 1 << 10, NoSendFile: float64(seed % 2)}
		m := newSim(t, seed, faults, simConfig{}, taken())
		c, client := m.take()
		content := pattern(100 << 10)
		var files []*reactortest.File
		write := func() error {
			f := m.network.NewFile(content)
			files = append(files, f)
			return c.WriteFile(nil, f, 0, int64(len(content)))
		}
		for range 4 {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
		wrote := make(chan error, 1)
		go func() { wrote <- write() }()
		synctest.Wait()
		if len(wrote) > 0 {
			t.Error("a fifth file did not wait")
		}
		if _, err := io.ReadFull(client, make([]byte, len(content))); err != nil {
			t.Fatal(err)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if !files[0].Closed() || files[1].Closed() {
			t.Error("a file is closed before it has left, or not then")
		}
		if !c.release(true) {
			t.Fatal("there is output, and Release fails")
		}
		for range 4 {
			p := make([]byte, len(content))
			if _, err := io.ReadFull(client, p); err != nil || !bytes.Equal(p, content) {
				t.Fatalf("other bytes arrived, %v", err)
			}
		}
		synctest.Wait()
		for i, f := range files {
			if !f.Closed() {
				t.Errorf("file %d is open", i)
			}
		}
	})
}

// TestFileFails: whatever ends the output closes the files in it, and wakes who waits.
func TestFileFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		fail  func(m *sim, c *channel, client *reactortest.Client, f *reactortest.File)
		want  error
		fault error
	}{
		{"reset", func(_ *sim, _ *channel, client *reactortest.Client, _ *reactortest.File) { client.Reset() }, reactor.ErrReset, nil},
		{"Cut", func(_ *sim, c *channel, _ *reactortest.Client, _ *reactortest.File) { c.Cut() }, reactor.ErrClosed, nil},
		{"Abort", func(m *sim, _ *channel, _ *reactortest.Client, _ *reactortest.File) { m.reactor.Abort() }, reactor.ErrClosed, nil},
		{"stall", func(*sim, *channel, *reactortest.Client, *reactortest.File) { time.Sleep(time.Minute + time.Second) }, reactor.ErrStalled, nil},
		{"deadline", func(_ *sim, c *channel, _ *reactortest.Client, _ *reactortest.File) {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			time.Sleep(2 * time.Second)
		}, reactor.ErrDeadline, nil},
		{"truncation", func(_ *sim, c *channel, client *reactortest.Client, f *reactortest.File) {
			f.SetContent(pattern(10 << 10))
			if _, err := io.ReadFull(client, make([]byte, 10<<10)); err != nil {
				c.sim.t.Errorf("what is left of the file: %v", err)
			}
		}, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulate(t, 20, func(t *testing.T, seed int64) {
				faults := reactortest.Faults{SendBuffer: 1 << 10, RecvBuffer: 1 << 10, NoSendFile: float64(seed%3) / 2, ShortWrite: 0.1}
				m := newSim(t, seed, faults, simConfig{writeStall: time.Minute}, taken())
				c, client := m.take()
				files := make([]*reactortest.File, 6)
				for i := range files {
					files[i] = m.network.NewFile(pattern(100 << 10))
				}
				wrote := make(chan error, 1)
				go func() {
					var err error
					for _, f := range files {
						err = c.WriteFile(nil, f, 0, 100<<10)
					}
					wrote <- err
				}()
				synctest.Wait()
				test.fail(m, c, client, files[0])
				synctest.Wait()
				if len(wrote) == 0 {
					t.Fatalf("the writer still waits\n%v", m)
				}
				if err := <-wrote; !errors.Is(err, test.want) {
					t.Errorf("got %v", err)
				}
				for i, f := range files {
					if !f.Closed() {
						t.Errorf("file %d is open", i)
					}
				}
				told := m.takeFaults()
				if test.fault == nil && len(told) > 0 || test.fault != nil && (len(told) != 1 || !errors.Is(told[0], test.fault)) {
					t.Errorf("faults: %v", told)
				}
				c.release(false)
			})
		})
	}
}

// TestFileUnreadable: a file that can't be read ends the connection, and is told of.
func TestFileUnreadable(t *testing.T) {
	simulate(t, 20, func(t *testing.T, seed int64) {
		m := newSim(t, seed, reactortest.Faults{FileFail: 0.2, NoSendFile: float64(seed % 2), SendBuffer: 100}, simConfig{}, taken())
		c, client := m.take()
		go io.Copy(io.Discard, client)
		f := m.network.NewFile(pattern(100 << 10))
		if err := c.WriteFile(nil, f, 0, 100<<10); err == nil {
			if err = c.Sync(nil); !errors.Is(err, reactortest.ErrFile) {
				t.Errorf("Sync: %v", err)
			}
		} else if !errors.Is(err, reactortest.ErrFile) {
			t.Errorf("WriteFile: %v", err)
		}
		if told := m.takeFaults(); len(told) != 1 || !errors.Is(told[0], reactortest.ErrFile) {
			t.Errorf("faults: %v", told)
		}
		c.release(false)
		synctest.Wait()
		if !f.Closed() || !c.closed.Load() {
			t.Error("the file or the connection is open")
		}
		client.Close()
	})
}

// TestFileGrows: of a file that has become longer only what was promised leaves.
func TestFileGrows(t *testing.T) {
	simulate(t, 10, func(t *testing.T, seed int64) {
		m := newSim(t, seed, reactortest.Faults{SendBuffer: 100, RecvBuffer: 100, NoSendFile: float64(seed % 2)}, simConfig{}, taken())
		c, client := m.take()
		content := pattern(20_000)
		f := m.network.NewFile(content[:10_000])
		if err := c.WriteFile(nil, f, 1000, 9000); err != nil {
			t.Fatal(err)
		}
		f.SetContent(content)
		go func() {
			if err := c.Write(nil, []byte("end")); err != nil {
				t.Error(err)
			}
			if !c.release(true) {
				c.letGo()
			}
		}()
		p := make([]byte, 9003)
		if _, err := io.ReadFull(client, p); err != nil || string(p) != string(content[1000:10_000])+"end" {
			t.Errorf("other bytes arrived, %v", err)
		}
	})
}

// A pieceSockets notes how much of files is sent at once, and by a loop between two Waits of its poller.
type pieceSockets struct {
	reactor.Sockets
	mu    sync.Mutex
	most  int // guarded by mu
	turn  int // likewise
	turns int // likewise: the most of a turn
}

func (s *pieceSockets) SendFile(fd reactor.FD, f reactor.File, offset int64, n int) (int, error) {
	k, err := s.Sockets.SendFile(fd, f, offset, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(s.most, n)
	s.turn += k
	s.turns = max(s.turns, s.turn)
	return k, err
}

// A turnPoller tells pieceSockets of its Waits.
type turnPoller struct {
	reactor.Poller
	sockets *pieceSockets
}

func (p *turnPoller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	n, err := p.Poller.Wait(events, timeout)
	p.sockets.mu.Lock()
	p.sockets.turn = 0
	p.sockets.mu.Unlock()
	return n, err
}

// TestFileFairness: many connections that take as much as they are given do not keep the loop from its events.
func TestFileFairness(t *testing.T) {
	simulate(t, 4, func(t *testing.T, seed int64) {
		const size = 2 << 20
		sockets := &pieceSockets{}
		content := pattern(size)
		m := newSim(t, seed, reactortest.Faults{SendBuffer: 2 * size, RecvBuffer: 2 * size}, simConfig{
			sockets: func(s reactor.Sockets) reactor.Sockets { sockets.Sockets = s; return sockets },
			poller:  func(p reactor.Poller) reactor.Poller { return &turnPoller{p, sockets} },
		}, &script{
			input: func(c *channel, turn *reactor.Turn, _ []byte) bool {
				if err := c.WriteFile(turn, c.sim.network.NewFile(content), 0, size); err != nil {
					t.Error(err)
				}
				if turn.Lost() {
					t.Error("the loop was given away")
				}
				return true
			},
			drained: func(c *channel, turn *reactor.Turn) bool { c.Close(turn); return false },
		})
		var clients sync.WaitGroup
		for range 10 {
			client := m.dial()
			clients.Go(func() {
				m.write(client, "x")
				if got, err := client.ReadAll(); err != nil || !bytes.Equal(got, content) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			})
		}
		clients.Wait()
		// A handler's first piece is no part of what the loop allows itself, and each of them may begin in one turn.
		if sockets.most > 256<<10 || sockets.turns > 1<<20+10*256<<10 {
			t.Errorf("%d bytes at once, %d in a turn", sockets.most, sockets.turns)
		}
	})
}

// TestFileDeadlineErrors: what a file's writer gets is what a Write gets.
func TestFileDeadlineErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{SendBuffer: 100, RecvBuffer: 100}, simConfig{}, taken())
		c, _ := m.take()
		c.SetWriteDeadline(time.Now().Add(time.Second))
		if err := c.WriteFile(nil, m.network.NewFile(pattern(10_000)), 0, 10_000); err != nil {
			t.Fatal(err)
		}
		if err := c.Sync(nil); err != reactor.ErrDeadline || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Sync: %v", err)
		}
		late := m.network.NewFile(nil)
		if err := c.WriteFile(nil, late, 0, 10); err != reactor.ErrDeadline || !late.Closed() {
			t.Errorf("WriteFile: %v", err)
		}
		c.release(false)
	})
}
