// SPDX-License-Identifier: MIT

package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// An echo sends back what comes, in every way that a Protocol can: on the loop, on a task, with the loop given away, with the
// connection released at any point and claimed again, and with output held, flushed and written in any mixture.
type echo struct {
	*channel
	random *rand.Rand // of the owner
	eof    bool       // the peer's stream has ended; what is left is to send
	lossy  bool       // immutable; the network resets connections
}

func echoScript(seed int64, lossy bool) *script {
	of := func(c *channel) *echo { return c.state.(*echo) }
	return &script{
		opened: func(c *channel) {
			c.state = &echo{channel: c, random: rand.New(rand.NewPCG(uint64(seed), uint64(c.number))), lossy: lossy}
		},
		input:    func(c *channel, t *reactor.Turn, p []byte) bool { return of(c).input(t, p) },
		inputEnd: func(c *channel, t *reactor.Turn, err error) { of(c).inputEnd(t, err) },
		drained:  func(c *channel, t *reactor.Turn) bool { return of(c).drained(t) },
		expired:  func(c *channel, t *reactor.Turn) { of(c).expired(t) },
		draining: func(c *channel, t *reactor.Turn) {},
		idle:     func(c *channel) bool { return true }, // wherever it is the loop's, it may become another loop's
	}
}

// send writes p in pieces. A Write that gives the loop away makes the caller the task.
func (e *echo) send(t *reactor.Turn, p []byte) error {
	for len(p) > 0 {
		k := len(p)
		if e.random.IntN(2) == 0 {
			k = 1 + e.random.IntN(k)
		}
		var err error
		switch e.random.IntN(4) {
		case 0, 1:
			err = e.Write(t, p[:k])
		case 2:
			err = e.Hold(t, p[:k])
		case 3:
			if err = e.Hold(t, p[:k]); err == nil {
				err = e.Flush()
			}
		}
		if err != nil {
			e.failed(err)
			return err
		}
		p = p[k:]
	}
	err := e.Flush()
	if err != nil {
		e.failed(err)
	}
	return err
}

// failed checks that an error may be.
func (e *echo) failed(err error) {
	if !e.lossy {
		e.sim.t.Errorf("channel %d: %v", e.number, err)
	}
}

func (e *echo) input(t *reactor.Turn, p []byte) bool {
	switch e.random.IntN(7) {
	case 0:
		return e.sent(t, e.send(t, p))
	case 5, 6:
		t.Enter(&e.Conn, 0) // user code, which may take longer than a loop can wait for it
		yield(e.random.IntN(3))
		if e.random.IntN(2) == 0 {
			time.Sleep(time.Duration(e.random.IntN(50)) * time.Millisecond)
		}
		err := e.send(t, p)
		if kept := t.Leave(&e.Conn) == reactor.Kept; kept == t.Lost() {
			e.sim.t.Errorf("kept: %v, lost: %v", kept, t.Lost())
		}
		return e.sent(t, err)
	case 1:
		e.Claim()
		e.Reclaim()
		return e.input(t, p)
	case 2:
		q := slices.Clone(p)
		return e.task(func() { e.begin(q) })
	case 3:
		e.Detach(t)
		yield(e.random.IntN(3))
		e.begin(p) // where it lies: the buffer stays
		return false
	default:
		e.Detach(t)
		yield(e.random.IntN(3))
		e.begin(p)
		if t.Loop() != e.Loop() || !t.Lost() {
			e.sim.t.Error("the turn is not what it was")
		}
		runtime.Goexit()
		return false
	}
}

// sent goes on after what may have lost the turn. The result is Input's.
func (e *echo) sent(t *reactor.Turn, err error) bool {
	switch {
	case t.Lost() && err != nil:
		e.letGo()
	case t.Lost():
		e.work()
	case err != nil:
		e.Close(t)
	default:
		return true
	}
	return false
}

func (e *echo) begin(p []byte) {
	if e.send(nil, p) != nil {
		e.letGo()
		return
	}
	e.work()
}

// work is a task that does this and that, until the connection is given back.
func (e *echo) work() {
	buf := make([]byte, 1+e.random.IntN(300))
	for {
		yield(e.random.IntN(3))
		switch e.random.IntN(6) {
		case 0, 1:
			if !e.eof && e.release(false) {
				return
			}
		case 2:
			if e.release(true) {
				return
			}
		case 3:
			if e.eof {
				continue
			}
			if e.random.IntN(2) == 0 {
				e.SetReadTimeout(nil, time.Duration(1+e.random.IntN(int(20*time.Millisecond))))
			}
			begun := time.Now()
			err := e.WaitReadable()
			switch {
			case err == nil:
			case errors.Is(err, os.ErrDeadlineExceeded):
				e.SetReadTimeout(nil, 0)
			case time.Since(begun) < 0 || !e.lossy:
				e.failed(err)
				fallthrough
			default:
				e.letGo()
				return
			}
		case 4:
			if !e.read(buf) {
				e.letGo()
				return
			}
		case 5:
			if e.eof && !e.Blocked() {
				e.letGo()
				return
			}
		}
	}
}

// read reads once, and says whether the connection still works.
func (e *echo) read(buf []byte) bool {
	if e.eof {
		return true
	}
	n, err := e.TryRead(buf)
	switch err {
	case nil:
		return e.send(nil, buf[:n]) == nil
	case reactor.ErrAgain:
		return true
	case io.EOF:
		e.eof = true
		return true
	}
	e.failed(err)
	return false
}

func (e *echo) inputEnd(t *reactor.Turn, err error) {
	if err != io.EOF {
		e.failed(err)
		e.Close(t)
		return
	}
	e.eof = true
	if e.random.IntN(2) == 0 {
		e.Detach(t)
		e.work()
		return
	}
	if !e.Blocked() {
		e.Close(t)
	}
}

func (e *echo) drained(t *reactor.Turn) bool {
	switch {
	case e.random.IntN(3) == 0:
		e.Detach(t)
		e.work()
		return false
	case e.eof:
		e.Close(t)
		return false
	}
	return true
}

func (e *echo) expired(t *reactor.Turn) {
	if e.random.IntN(2) == 0 {
		e.Detach(t)
		e.work()
	}
}

// converse sends random bytes in random pieces, at random times, while it reads as randomly. What it has sent and not got back
// at the end is an error, unless the connection was reset.
func converse(m *sim, random *rand.Rand, lossy bool) error {
	c := m.dial()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Hour))
	sent := make([]byte, random.IntN(1<<random.IntN(15)))
	for i := range sent {
		sent[i] = byte(random.Uint32())
	}
	writer := rand.New(rand.NewPCG(random.Uint64(), 0))
	wrote := make(chan error, 1)
	go func() {
		rest := sent
		for len(rest) > 0 {
			k := 1 + writer.IntN(min(len(rest), 1<<writer.IntN(13)))
			if _, err := c.Write(rest[:k]); err != nil {
				wrote <- err
				return
			}
			rest = rest[k:]
			if writer.IntN(4) == 0 {
				time.Sleep(time.Duration(writer.IntN(int(20 * time.Millisecond))))
			}
		}
		if random := writer.IntN(3); random > 0 || !lossy {
			wrote <- c.CloseWrite()
			return
		}
		c.Reset()
		wrote <- nil
	}()
	var got []byte
	buf := make([]byte, 1+random.IntN(3000))
	var err error
	for err == nil {
		var k int
		k, err = c.Read(buf)
		got = append(got, buf[:k]...)
		if random.IntN(6) == 0 {
			time.Sleep(time.Duration(random.IntN(int(20 * time.Millisecond))))
		}
	}
	if err == io.EOF {
		err = nil
	}
	err = errors.Join(err, <-wrote)
	if lossy {
		err = nil
		sent = sent[:min(len(sent), len(got))]
	}
	if !bytes.Equal(sent, got) {
		err = errors.Join(err, fmt.Errorf("sent %d bytes, got %d back", len(sent), len(got)))
	}
	return err
}

func echoes(t *testing.T, seed int64, faults reactortest.Faults) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(seed), 7))
	lossy := faults.Reset > 0 || faults.AddFail > 0
	m := newSim(t, seed, faults, simConfig{
		loops: 1 + random.IntN(3), watermark: 1 << (12 + random.IntN(5)), memory: memoryFor(seed),
	}, echoScript(seed, lossy))
	var wg sync.WaitGroup
	for range 1 + random.IntN(6) {
		random := rand.New(rand.NewPCG(random.Uint64(), 0))
		wg.Go(func() {
			for range 1 + random.IntN(2) {
				if err := converse(m, random, lossy); err != nil {
					t.Errorf("%v\n%s", err, m)
					return
				}
			}
		})
	}
	wg.Wait()
	if !lossy {
		// Everything was answered: the connections go by themselves.
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := m.reactor.Conns(); n != 0 {
			t.Errorf("%d connections are left\n%s", n, m)
		}
	}
}

// TestEcho compares every byte under mixtures of all faults.
func TestEcho(t *testing.T) {
	simulate(t, 150, func(t *testing.T, seed int64) {
		echoes(t, seed, reactortest.Random(seed))
	})
}

// TestEchoResets resets connections anywhere: nothing may be left of them, and what arrived is what was sent.
func TestEchoResets(t *testing.T) {
	simulate(t, 100, func(t *testing.T, seed int64) {
		f := reactortest.Random(seed)
		f.Reset = float64(seed%10) / 100
		f.AddFail = float64(seed%3) / 10
		echoes(t, seed, f)
	})
}

// TestEchoPlain has a network without faults, where goroutines that run at once are all that is left to chance.
func TestEchoPlain(t *testing.T) {
	simulate(t, 60, func(t *testing.T, seed int64) {
		echoes(t, seed, reactortest.Faults{SendBuffer: 1 << (seed % 17), RecvBuffer: 1 << (seed % 13)})
	})
}

// TestNothingForgotten: where everybody rests and everything was answered, every direction is armed.
func TestNothingForgotten(t *testing.T) {
	simulate(t, 100, func(t *testing.T, seed int64) {
		f := reactortest.Random(seed)
		f.Style = reactortest.StyleStrict
		m := newSim(t, seed, f, simConfig{loops: 2}, echoScript(seed, false))
		random := rand.New(rand.NewPCG(uint64(seed), 9))
		var wg sync.WaitGroup
		var clients []*reactortest.Client
		for range 4 {
			c := m.dial()
			clients = append(clients, c)
			sent := make([]byte, random.IntN(20000))
			wg.Go(func() { c.Write(sent) })
			wg.Go(func() {
				if _, err := io.ReadFull(c, make([]byte, len(sent))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute) // what reports and faults are late by is over
		synctest.Wait()
		if f := m.network.Forgotten(); len(f) > 0 {
			t.Errorf("forgotten: %v\n%v", f, m)
		}
		for _, c := range clients {
			c.CloseWrite()
			if rest, err := c.ReadAll(); err != nil || len(rest) > 0 {
				t.Errorf("at the end: %q, %v", rest, err)
			}
		}
	})
}
