// SPDX-License-Identifier: MIT

package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/internal/invariant"
	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// A sim is a Reactor on a simulated network, that speaks what a test's script says. It ends with its test, and checks then
// that nothing is left.
type sim struct {
	t        *testing.T
	memory   *reactor.Memory
	network  *reactortest.Network
	listener *reactortest.Listener
	reactor  *reactor.Reactor
	served   chan error
	waits    atomic.Int64 // how often a Wait of any Poller returned

	mu       sync.Mutex
	channels []*channel // all that were ever opened; guarded by mu
	faults   []error    // guarded by mu
}

// A simConfig is what tests of the sim vary. The zero value has one loop, no timeouts and a watermark of 4 KB.
type simConfig struct {
	loops      int
	watermark  int
	writeStall time.Duration
	maxConns   int
	admit      func(peer string) bool
	left       func(peer string)
	spool      *spooler                              // makes temporary files
	memory     *reactor.Memory                       // bounds the buffers; nil: they are only counted
	minRate    int                                   // bytes a second that a client takes at least
	poller     func(reactor.Poller) reactor.Poller   // wraps every poller
	sockets    func(reactor.Sockets) reactor.Sockets // wraps the sockets
}

// memoryFor returns a Memory without room for any output for every third seed, with room for some for every other third, and else
// nil.
func memoryFor(seed int64) *reactor.Memory {
	if seed%3 == 2 {
		return nil
	}
	return reactor.NewMemory(seed % 3 * 100_000)
}

// simulate runs f for a number of seeds, each in a bubble of its own.
func simulate(t *testing.T, runs int, f func(t *testing.T, seed int64)) {
	t.Helper()
	if invariant.Enabled {
		runs = (runs + 3) / 4 // the race detector takes its time
	}
	reactortest.Seeds(t, runs, func(t *testing.T, seed int64) {
		synctest.Test(t, func(t *testing.T) { f(t, seed) })
	})
}

// A countingPoller counts how often Wait returns.
type countingPoller struct {
	reactor.Poller
	waits *atomic.Int64
}

func (p *countingPoller) Wait(events []reactor.Event, timeout time.Duration) (int, error) {
	n, err := p.Poller.Wait(events, timeout)
	p.waits.Add(1)
	return n, err
}

// sharing has connections change their loop whenever they can, with every other seed.
func sharing(seed int64) time.Duration { return time.Duration(-(seed & 1)) }

func newSim(t *testing.T, seed int64, faults reactortest.Faults, config simConfig, s *script) *sim {
	t.Helper()
	m := &sim{t: t, network: reactortest.New(t, seed, faults), served: make(chan error, 1)}
	m.listener = m.network.Listen("192.0.2.1:80")
	sockets := m.network.Sockets()
	if config.sockets != nil {
		sockets = config.sockets(sockets)
	}
	var newSpool func() (reactor.Spool, error)
	overflow := 0
	if config.spool != nil {
		overflow, newSpool = config.spool.overflow, config.spool.newSpool
	}
	m.memory = config.memory
	if m.memory == nil {
		m.memory = reactor.NewMemory(math.MaxInt64)
	}
	var err error
	m.reactor, err = reactor.New(reactor.Config{
		Memory:   m.memory,
		Overflow: overflow,
		NewSpool: newSpool,
		Loops:    max(config.loops, 1),
		NewPoller: func() (reactor.Poller, error) {
			p := m.network.NewPoller()
			if config.poller != nil {
				p = config.poller(p)
			}
			return &countingPoller{p, &m.waits}, nil
		},
		Sockets:       sockets,
		HighWatermark: max(config.watermark, 1<<12),
		WriteStall:    config.writeStall,
		MinRate:       config.minRate,
		MaxConns:      config.maxConns,
		ShareAfter:    sharing(seed),
		Admit:         config.admit,
		Left:          config.left,
		Fault: func(what string, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.faults = append(m.faults, fmt.Errorf("%s: %w", what, err))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { m.served <- m.serve(s) }()
	t.Cleanup(m.end)
	return m
}

func (m *sim) serve(s *script) error {
	return m.reactor.Serve(m.listener, func() (*reactor.Conn, reactor.Protocol) {
		c := &channel{sim: m, script: s}
		m.mu.Lock()
		c.number = len(m.channels)
		m.channels = append(m.channels, c)
		m.mu.Unlock()
		return &c.Conn, c
	})
}

// end stops everything, in the order that a Server has.
func (m *sim) end() {
	if err := m.listener.Close(); err != nil {
		m.t.Error(err)
	}
	if err := <-m.served; err != nil {
		m.t.Error(err)
	}
	m.reactor.Abort()
	synctest.Wait()
	for _, c := range m.channels {
		if c.taken.Load() {
			c.letGo() // the test has not
		}
	}
	if err := m.reactor.Drain(context.Background()); err != nil {
		m.t.Error(err)
	}
	if n := m.network.Open(); n > 0 {
		m.t.Errorf("%d descriptors are open at the end\n%v", n, m)
	}
	m.reactor.Stop()
	if n := m.memory.Used(); n != 0 {
		m.t.Errorf("%d bytes of buffers are counted at the end", n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, err := range m.faults {
		if !errors.Is(err, reactor.ErrExhausted) {
			m.t.Errorf("fault: %v", err)
		}
	}
	for _, c := range m.channels {
		if !c.closed.Load() {
			m.t.Errorf("channel %d was not told that it is closed", c.number)
		}
	}
}

// String describes what is open.
func (m *sim) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, c := range m.channels {
		if !c.closed.Load() {
			fmt.Fprintf(&b, "channel %d: %v\n", c.number, c.Conn.String())
		}
	}
	return b.String() + m.network.State()
}

// faultCount returns how many faults were reported.
func (m *sim) faultCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.faults)
}

func (m *sim) dial() *reactortest.Client {
	m.t.Helper()
	c, err := m.network.Dial(m.listener)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// open dials, and returns both ends when the connection is open.
func (m *sim) open() (*channel, *reactortest.Client) {
	m.t.Helper()
	m.mu.Lock()
	before := len(m.channels)
	m.mu.Unlock()
	client := m.dial()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.channels) != before+1 {
		m.t.Fatalf("%d connections were opened", len(m.channels)-before)
	}
	return m.channels[before], client
}

// write sends p from the client, whole.
func (m *sim) write(c *reactortest.Client, p string) {
	m.t.Helper()
	if _, err := c.Write([]byte(p)); err != nil {
		m.t.Fatal(err)
	}
}

// A script is a Protocol, as functions. What is nil does what a Protocol does that has no interest: it reads on, and closes at
// the end of the input.
type script struct {
	opened   func(c *channel)
	input    func(c *channel, t *reactor.Turn, p []byte) bool
	inputEnd func(c *channel, t *reactor.Turn, err error)
	drained  func(c *channel, t *reactor.Turn) bool
	expired  func(c *channel, t *reactor.Turn)
	draining func(c *channel, t *reactor.Turn)
	idle     func(c *channel) bool
	peerGone func(c *channel)
	onClosed func(c *channel)
}

// A channel is a connection that follows a script, and checks that the reactor keeps to the contract of Protocol.
type channel struct {
	reactor.Conn
	sim    *sim
	script *script
	number int

	serving atomic.Bool // a goroutine has the connection
	opened  atomic.Bool
	closed  atomic.Bool
	ended   bool              // InputEnd was called; of the owner, and so unguarded
	turns   int               // counts calls; of the owner, so that the race detector sees two of them
	gone    atomic.Bool       // PeerGone was called
	taken   atomic.Bool       // the test owns it
	doomed  atomic.Bool       // its task has ended it
	parked  func(what string) // is told what a connection without a goroutine is told
	state   any               // the script's
}

var _ reactor.Protocol = (*channel)(nil)

// enter begins a call that only the owner gets. The caller has the connection then, until leave or release.
func (c *channel) enter(what string) {
	if c.serving.Swap(true) {
		c.sim.t.Errorf("%s while another goroutine has the connection", what)
	}
	if !c.opened.Load() {
		c.sim.t.Errorf("%s before Opened has returned", what)
	}
	if c.closed.Load() {
		c.sim.t.Errorf("%s after Closed", what)
	}
	if c.doomed.Load() {
		c.sim.t.Errorf("%s after the task has ended it", what)
	}
	c.turns++
}

// leave ends the call, if the connection is still the loop's.
func (c *channel) leave(t *reactor.Turn) {
	if !t.Lost() {
		c.serving.Store(false)
	}
}

// release is Release with the checks.
func (c *channel) release(draining bool) bool {
	c.turns++
	c.serving.Store(false)
	if c.Release(draining) {
		c.taken.Store(false)
		return true
	}
	if c.serving.Swap(true) {
		c.sim.t.Error("Release failed, and another goroutine has the connection")
	}
	return false
}

// letGo ends the connection and gives it back.
func (c *channel) letGo() {
	c.doomed.Store(true)
	c.Doom()
	if !c.release(false) {
		c.sim.t.Error("Release of a doomed connection failed")
	}
}

// task makes the connection the task's that f is, on a goroutine of its own. Its end has to release.
func (c *channel) task(f func()) bool {
	c.Claim()
	go f()
	return false
}

func (c *channel) Opened() {
	if c.script.opened != nil {
		c.script.opened(c)
	}
	c.opened.Store(true)
}

func (c *channel) Input(t *reactor.Turn, p []byte) bool {
	c.enter("Input")
	if len(p) == 0 {
		c.sim.t.Error("Input of nothing")
	}
	if c.ended {
		c.sim.t.Error("Input after InputEnd")
	}
	if t.Lost() {
		c.sim.t.Error("Input on a lost turn")
	}
	if c.script.input != nil && !c.script.input(c, t, p) {
		return false
	}
	c.leave(t)
	return true
}

func (c *channel) InputEnd(t *reactor.Turn, err error) {
	c.enter("InputEnd")
	defer c.leave(t)
	if err == nil {
		c.sim.t.Error("InputEnd without an error")
	}
	if c.ended {
		c.sim.t.Error("InputEnd for the second time")
	}
	c.ended = true
	if c.script.inputEnd != nil {
		c.script.inputEnd(c, t, err)
		return
	}
	c.Close(t)
}

func (c *channel) Drained(t *reactor.Turn) bool {
	c.enter("Drained")
	if c.Blocked() {
		c.sim.t.Error("Drained with output left")
	}
	if c.script.drained != nil && !c.script.drained(c, t) {
		return false
	}
	c.leave(t)
	return true
}

func (c *channel) Expired(t *reactor.Turn) {
	if t == nil {
		c.parked("Expired")
		return
	}
	c.enter("Expired")
	defer c.leave(t)
	if c.script.expired != nil {
		c.script.expired(c, t)
		return
	}
	c.Close(t)
}

func (c *channel) Draining(t *reactor.Turn) {
	if t == nil {
		c.parked("Draining")
		return
	}
	c.enter("Draining")
	defer c.leave(t)
	if c.script.draining != nil {
		c.script.draining(c, t)
		return
	}
	c.Close(t)
}

func (c *channel) Returned(*reactor.Turn) bool { return true }

func (c *channel) Idle() bool { return c.script.idle != nil && c.script.idle(c) }

func (c *channel) Retire(t *reactor.Turn) {
	c.enter("Retire")
	defer c.leave(t)
	c.Close(t)
}

func (c *channel) PeerGone() {
	if !c.opened.Load() || c.closed.Load() {
		c.sim.t.Error("PeerGone of a connection that is not open")
	}
	c.gone.Store(true)
	if c.script.peerGone != nil {
		c.script.peerGone(c)
	}
}

func (c *channel) Closed() {
	if !c.opened.Load() {
		c.sim.t.Error("Closed before Opened has returned")
	}
	if c.closed.Swap(true) {
		c.sim.t.Error("Closed for the second time")
	}
	c.turns++
	if c.script.onClosed != nil {
		c.script.onClosed(c)
	}
}

// yield lets other goroutines run, for a while that is different each time.
func yield(n int) {
	for range n {
		runtime.Gosched()
	}
}
