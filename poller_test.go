// SPDX-License-Identifier: MIT

package waitress

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// The poller conformance suite: what reactor.Poller and reactor.Sockets promise, asked of one implementation. It runs
// here on the system's own, with sockets on the loopback interface.
//
// The test's goroutine is the loop, and waits in Wait and nowhere else. What is claimed to come is waited for without a
// limit but the guard's; what is claimed not to come is looked for in Waits that something else ends.

// A pollerSystem is an implementation under test.
type pollerSystem struct {
	newPoller func() (reactor.Poller, error)
	sockets   reactor.Sockets
	// pair returns a new connection: its descriptor on the server's side, and the client's side.
	pair func(t *testing.T) (reactor.FD, pollerPeer)
	capabilities
}

// A pollerPeer is the other end of a connection under test. Its methods wait.
type pollerPeer interface {
	io.ReadWriteCloser
	CloseWrite() error
	// Reset ends the connection without a word: RST.
	Reset() error
}

// capabilities are in what the systems differ, as far as tests must know.
type capabilities struct {
	conns       int           // how many connections a test may open
	wakes       int           // how many Wakes a test may wait for
	granularity time.Duration // how much too early a timeout may come
	allocates   bool          // a turn may allocate
	resetIsEOF  bool          // a read after a reset may find the end of the stream instead
	endIsLast   bool          // the peer's close may be reported only when what it sent before has been read
	resetIsLast bool          // so may a reset
	resetEnds   bool          // of a net.Conn a reset may be reported as the peer's close, until something is written
	abstract    bool          // a Unix socket's name need not be a file's
	ownErrors   bool          // what the system says of its errors is not what Unix says
	noSignals   bool          // a test can't send the process that it has started a signal
	noLimit     bool          // a process can't limit its descriptors
	noUnix      bool          // there may be no Unix sockets
	namedFiles  bool          // temporary files have names while they are in use
	noBacklog   bool          // a listener doesn't tell its backlog
	ownBuffers  bool          // what is on its way is in this process's memory too, not only in the system's
	spurious    bool          // reports come for no reason, so that nothing follows from one of them
}

// systemCapabilities is the only place in the tests that asks for the name of the system, and for how this was built.
func systemCapabilities() capabilities {
	c := namedCapabilities(runtime.GOOS)
	kqsim := builtWith("-tags", "kqsim")       // the model of kqueue
	fallback := builtWith("-tags", "fallback") // no poller of the system's
	c.allocates = c.allocates || kqsim || fallback || builtWith("-race", "true")
	c.ownBuffers = fallback
	c.noBacklog = c.noBacklog || os.Getenv(emulatorVariable) != "" // an emulator gives less of what the kernel tells
	c.spurious = c.spurious || kqsim
	return c
}

// builtWith says whether a setting of the build has this value in its list.
func builtWith(setting, value string) bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == setting && slices.Contains(strings.Split(s.Value, ","), value)
	})
}

func namedCapabilities(system string) capabilities {
	switch system {
	case "windows":
		// Its clock ticks every 15.6 ms. Wine gets slow by thousands, reads the end of the stream after a reset, looks
		// for the end only when there are no more bytes, and has no Unix sockets (Windows has had them since 2018).
		return capabilities{
			conns: 200, wakes: 2000, granularity: 16 * time.Millisecond, allocates: true, resetIsEOF: true, endIsLast: true,
			resetEnds: true, noLimit: true, noUnix: true, ownErrors: true, namedFiles: true,
		}
	case "linux":
		return capabilities{conns: 500, wakes: 20_000, granularity: time.Millisecond, abstract: true}
	case "plan9", "js", "wasip1":
		return capabilities{noSignals: true, noLimit: true, noUnix: true, allocates: true, namedFiles: true}
	case "aix", "illumos", "solaris":
		return capabilities{allocates: true, namedFiles: true}
	default:
		return capabilities{conns: 500, wakes: 20_000, granularity: time.Millisecond, allocates: true}
	}
}

func TestPoller(t *testing.T) {
	c := systemCapabilities()
	c.resetEnds = false
	testPoller(t, pollerSystem{
		newPoller:    newPoller,
		sockets:      newSockets(),
		pair:         loopbackPair,
		capabilities: c,
	})
}

func testPoller(t *testing.T, system pollerSystem) {
	for _, test := range []struct {
		name string
		run  func(r *pollerRig)
	}{
		{"an edge is reported once", testPollerEdge},
		{"a short read counts as drained", testPollerShortRead},
		{"what comes between a short read and Rearm is reported", testPollerBeforeRearm},
		{"a full buffer read is followed by what was left", testPollerLeftOver},
		{"fewer events than ready descriptors lose nothing", testPollerFewEvents},
		{"many connections", testPollerMany},
		{"Add while Wait waits", testPollerAdd},
		{"a token comes back whole", testPollerToken},
		{"Del ends the reports", testPollerDel},
		{"a descriptor goes to another poller and back", testPollerMove},
		{"a number used again has only its new token", testPollerReuse},
		{"a number used again begins anew", testPollerReuseEnded},
		{"writable again after the buffer was full", testPollerWritable},
		{"files are sent as bytes are written", testPollerSendFile},
		{"writable waits for Rearm from another goroutine", testPollerRearmElsewhere},
		{"the peer's close comes with unread data", testPollerPeerClosed},
		{"the peer's close is reported unarmed", testPollerPeerClosedUnarmed},
		{"the end is found however it comes", testPollerEnd},
		{"the end is found where reading is armed late", testPollerEndLate},
		{"the other half of a half-closed connection works", testPollerHalfClose},
		{"a reset is a hangup", testPollerReset},
		{"a reset is reported unarmed", testPollerResetUnarmed},
		{"both sides shut down is a hangup", testPollerBothClosed},
		{"Abort is a hangup", testPollerAbort},
		{"no spinning after the end of the stream", testPollerNoSpin},
		{"Wake before Wait", testPollerWakeBefore},
		{"Wakes count as one", testPollerWakeCoalesced},
		{"no Wake is lost", testPollerWakeEach},
		{"no Wake is lost between several wakers and timeouts", testPollerWakeTimeout},
		{"a storm of Wakes starves nobody", testPollerWakeStorm},
		{"Wake after Close", testPollerWakeClosed},
		{"timeouts", testPollerTimeout},
		{"a timeout that follows another", testPollerTimeoutChanges},
		{"a timeout survives Wakes", testPollerTimeoutWoken},
		{"a timeout of centuries", testPollerTimeoutLong},
		{"an old timeout doesn't end a Wait without one", testPollerTimeoutStale},
		{"late readers get every byte", testPollerLateReaders},
		{"echo of every byte", testPollerEcho},
		{"Wait allocates nothing", testPollerAllocs},
		{"Peek", testPollerPeek},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newPollerRig(t, system)
			test.run(r)
		})
	}
}

// A pollerRig is a poller with its loop's view of what it reported.
type pollerRig struct {
	*testing.T
	system pollerSystem
	poller reactor.Poller
	reactor.Sockets

	events []reactor.Event
	ready  map[reactor.Token]reactor.Ready // all that was reported, until forget
	reads  map[reactor.Token]int           // how often Readable was among it
	waits  int                             // how often Wait has returned
	stuck  atomic.Bool                     // what the test waits for hasn't come
	next   reactor.Token
}

func newPollerRig(t *testing.T, system pollerSystem) *pollerRig {
	t.Helper()
	p, err := system.newPoller()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &pollerRig{
		T: t, system: system, poller: p, Sockets: system.sockets,
		events: make([]reactor.Event, 64),
		ready:  make(map[reactor.Token]reactor.Ready),
		reads:  make(map[reactor.Token]int),
		next:   1 << 32,
	}
	guard := time.AfterFunc(time.Minute, func() {
		r.stuck.Store(true)
		_ = p.Wake()
	})
	t.Cleanup(func() {
		guard.Stop()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// A pollerConn is a connection of a rig, registered or not.
type pollerConn struct {
	fd    reactor.FD
	token reactor.Token
	peer  pollerPeer
	added bool
	open  bool
}

// open makes a connection that the poller doesn't know yet.
func (r *pollerRig) open() *pollerConn {
	r.Helper()
	c := &pollerConn{token: r.next, open: true}
	r.next += 1<<32 + 1
	c.fd, c.peer = r.system.pair(r.T)
	r.Cleanup(func() {
		r.close(c)
		c.peer.Close()
	})
	return c
}

// add makes a connection and registers it.
func (r *pollerRig) add() *pollerConn {
	r.Helper()
	c := r.open()
	r.check(r.poller.Add(c.fd, c.token))
	c.added = true
	return c
}

func (r *pollerRig) close(c *pollerConn) {
	if c.added {
		r.check(r.poller.Del(c.fd))
		c.added = false
	}
	if c.open {
		r.check(r.Sockets.Close(c.fd))
		c.open = false
	}
}

func (r *pollerRig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// wake is a Wake by any goroutine.
func (r *pollerRig) wake() {
	if err := r.poller.Wake(); err != nil {
		r.Error(err)
	}
}

// wait is one Wait, noted.
func (r *pollerRig) wait(timeout time.Duration) []reactor.Event {
	r.Helper()
	n, err := r.poller.Wait(r.events, timeout)
	r.check(err)
	if r.stuck.Load() {
		r.Fatal("what the test waits for never came")
	}
	r.waits++
	for _, e := range r.events[:n] {
		if e.Ready == 0 {
			r.Error("an event without a reason")
		}
		if e.Ready&(reactor.PeerClosed|reactor.Hangup) != 0 && e.Ready&reactor.Readable == 0 {
			r.Errorf("%b reported without Readable", e.Ready)
		}
		r.ready[e.Token] |= e.Ready
		if e.Ready&reactor.Readable != 0 {
			r.reads[e.Token]++
		}
	}
	return r.events[:n]
}

// until waits until done says so after some Wait, or already before.
func (r *pollerRig) until(done func() bool) {
	r.Helper()
	for !done() {
		r.wait(-1)
	}
}

// seen waits until all of ready was reported for c, since forget.
func (r *pollerRig) seen(c *pollerConn, ready reactor.Ready) {
	r.Helper()
	r.until(func() bool { return r.ready[c.token]&ready == ready })
}

func (r *pollerRig) forget(c *pollerConn) {
	delete(r.ready, c.token)
	delete(r.reads, c.token)
}

// settle lets reports come that must not come: it ends when another connection's byte has made the round several times.
func (r *pollerRig) settle() {
	r.Helper()
	c := r.add()
	for range 5 {
		r.forget(c)
		r.send(c, "x")
		r.seen(c, reactor.Readable)
		r.receive(c, "x")
		r.wait(0)
	}
	r.close(c)
}

// send is the peer's Write.
func (r *pollerRig) send(c *pollerConn, text string) {
	r.Helper()
	_, err := c.peer.Write([]byte(text))
	r.check(err)
}

// receive reads what the peer has sent, with reads that are too long, each followed by Rearm.
func (r *pollerRig) receive(c *pollerConn, want string) {
	r.Helper()
	var got []byte
	p := make([]byte, len(want)+100)
	r.until(func() bool {
		n, err := r.Read(c.fd, p)
		if err != nil && !errors.Is(err, reactor.ErrAgain) {
			r.Fatal(err)
		}
		got = append(got, p[:n]...)
		r.check(r.poller.Rearm(c.fd, reactor.Readable))
		return len(got) >= len(want)
	})
	if string(got) != want {
		r.Fatalf("read %q, want %q", got, want)
	}
}

// arrived waits, without the poller, until a read would not find ErrAgain.
func (r *pollerRig) arrived(c *pollerConn) {
	r.Helper()
	for start := time.Now(); ; runtime.Gosched() {
		if _, err := r.Peek(c.fd); !errors.Is(err, reactor.ErrAgain) {
			return
		}
		if time.Since(start) > time.Minute {
			r.Fatal("nothing arrived")
		}
	}
}

// fill writes until the buffers are full, and returns how much they took.
func (r *pollerRig) fill(c *pollerConn) int {
	r.Helper()
	p := make([]byte, 1<<20)
	for total := 0; ; {
		n, err := r.Write(c.fd, p)
		total += n
		if errors.Is(err, reactor.ErrAgain) {
			return total
		}
		r.check(err)
		if n < len(p) {
			return total
		}
	}
}

func testPollerEdge(r *pollerRig) {
	c := r.add()
	r.send(c, "hello")
	r.seen(c, reactor.Readable)
	r.forget(c)
	r.settle()
	if n := r.reads[c.token]; n > 0 && !r.system.spurious {
		r.Errorf("reported %d times more without Rearm", n)
	}
	r.receive(c, "hello")
	if _, err := r.Read(c.fd, make([]byte, 1)); !errors.Is(err, reactor.ErrAgain) {
		r.Errorf("read of nothing: %v", err)
	}
}

func testPollerShortRead(r *pollerRig) {
	c := r.add()
	p := make([]byte, 100)
	for range 20 {
		r.send(c, "hello")
		r.seen(c, reactor.Readable)
		n, err := r.Read(c.fd, p)
		r.check(err)
		if string(p[:n]) != "hello" {
			r.Fatalf("read %q", p[:n])
		}
		r.forget(c)
		r.check(r.poller.Rearm(c.fd, reactor.Readable))
	}
}

func testPollerBeforeRearm(r *pollerRig) {
	c := r.add()
	r.send(c, "hello")
	r.seen(c, reactor.Readable)
	_, err := r.Read(c.fd, make([]byte, 100))
	r.check(err)
	r.send(c, "more")
	r.arrived(c)
	r.check(r.poller.Rearm(c.fd, reactor.Readable))
	r.forget(c)
	r.seen(c, reactor.Readable)
	r.receive(c, "more")
}

func testPollerLeftOver(r *pollerRig) {
	c := r.add()
	r.send(c, "hello, world")
	r.seen(c, reactor.Readable)
	p := make([]byte, 5)
	for _, want := range []string{"hello", ", wor", "ld"} {
		n, err := r.Read(c.fd, p)
		r.check(err)
		if string(p[:n]) != want {
			r.Fatalf("read %q, want %q", p[:n], want)
		}
	}
}

func testPollerFewEvents(r *pollerRig) {
	var conns []*pollerConn
	for range 50 {
		c := r.add()
		r.send(c, "hello")
		conns = append(conns, c)
	}
	for _, c := range conns {
		r.arrived(c)
	}
	r.events = r.events[:3]
	for _, c := range conns {
		r.seen(c, reactor.Readable)
	}
}

func testPollerMany(r *pollerRig) {
	var conns []*pollerConn
	for range r.system.conns {
		conns = append(conns, r.add())
	}
	go func() {
		for _, c := range conns {
			_, _ = c.peer.Write([]byte("hello"))
		}
	}()
	for _, c := range conns {
		r.seen(c, reactor.Readable)
		r.receive(c, "hello")
	}
}

func testPollerAdd(r *pollerRig) {
	for i := range 50 {
		c := r.open()
		r.send(c, "hello")
		if i%2 == 0 {
			r.arrived(c)
		}
		added := make(chan error, 1)
		go func() { added <- r.poller.Add(c.fd, c.token) }()
		r.seen(c, reactor.Readable)
		r.check(<-added)
		c.added = true
	}
}

func testPollerToken(r *pollerRig) {
	for _, token := range []reactor.Token{0, 1, 1 << 31, 1 << 32, 1<<63 | 1<<31, 1<<64 - 1} {
		c := r.open()
		c.token = token
		r.check(r.poller.Add(c.fd, c.token))
		c.added = true
		r.send(c, "hello")
		r.seen(c, reactor.Readable)
		r.close(c)
	}
}

func testPollerDel(r *pollerRig) {
	for _, what := range []string{"idle", "readable", "read", "closed", "reset"} {
		c := r.add()
		switch what {
		case "readable":
			r.send(c, "hello")
			r.arrived(c)
		case "read":
			r.send(c, "hello")
			r.seen(c, reactor.Readable)
			r.receive(c, "hello")
		case "closed":
			r.check(c.peer.Close())
			r.arrived(c)
		case "reset":
			r.check(c.peer.Reset())
			r.arrived(c)
		}
		r.check(r.poller.Del(c.fd))
		c.added = false
		r.forget(c)
		r.settle()
		if what == "idle" {
			r.send(c, "hello")
			r.settle()
		}
		if r.ready[c.token] != 0 {
			r.Errorf("%s: %b reported after Del", what, r.ready[c.token])
		}
	}
}

// testPollerMove: a descriptor that has gone to another poller reports there, and only there, whenever its bytes came.
func testPollerMove(r *pollerRig) {
	other := newPollerRig(r.T, r.system)
	other.next = 1 << 62 // other tokens
	for _, when := range []string{"before Del", "after Del", "after Add"} {
		c := r.add()
		r.send(c, "hello")
		r.seen(c, reactor.Readable)
		r.receive(c, "hello")
		for from, to, i := r, other, 0; i < 10; from, to, i = to, from, i+1 {
			from.forget(c)
			if when == "before Del" {
				r.send(c, "again")
				r.arrived(c)
			}
			r.check(from.poller.Del(c.fd))
			if when == "after Del" {
				r.send(c, "again")
				r.arrived(c)
			}
			r.check(to.poller.Add(c.fd, c.token))
			if when == "after Add" {
				r.send(c, "again")
			}
			to.seen(c, reactor.Readable)
			to.receive(c, "again")
			from.settle()
			if from.ready[c.token] != 0 {
				r.Fatalf("%s: %b reported by the poller that it was with", when, from.ready[c.token])
			}
			to.forget(c)
			r.send(c, "once more")
			to.seen(c, reactor.Readable)
			to.receive(c, "once more")
		}
		r.check(c.peer.CloseWrite())
		r.seen(c, reactor.PeerClosed)
		r.close(c)
	}
}

func testPollerReuse(r *pollerRig) {
	for range 50 {
		old := r.add()
		r.send(old, "hello")
		r.close(old)
		c := r.add() // most often it has the same number
		r.forget(old)
		r.send(c, "again")
		r.seen(c, reactor.Readable)
		r.receive(c, "again")
		if r.ready[old.token] != 0 {
			r.Fatalf("%b reported for a token that was deleted", r.ready[old.token])
		}
		r.close(c)
	}
}

func testPollerReuseEnded(r *pollerRig) {
	for range 10 {
		old := r.add()
		r.check(r.CloseWrite(old.fd))
		_, err := io.ReadAll(old.peer)
		r.check(err)
		r.settle()
		r.close(old)
		c := r.add() // most often it has the same number
		r.check(c.peer.CloseWrite())
		r.seen(c, reactor.PeerClosed)
		r.settle()
		if r.ready[c.token]&reactor.Hangup != 0 {
			r.Fatalf("%b reported after the peer's close alone", r.ready[c.token])
		}
		r.close(c)
	}
}

func testPollerWritable(r *pollerRig) {
	c := r.add()
	for range 3 {
		size := r.fill(c)
		r.check(r.poller.Rearm(c.fd, reactor.Writable))
		r.forget(c)
		r.settle()
		if r.ready[c.token]&reactor.Writable != 0 {
			// The buffers may have moved on once more between them; that was a report, but then they are full.
			size += r.fill(c)
			r.check(r.poller.Rearm(c.fd, reactor.Writable))
			r.forget(c)
		}
		read := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, c.peer, int64(size))
			read <- err
		}()
		r.seen(c, reactor.Writable)
		r.check(<-read)
		if n, err := r.Write(c.fd, []byte("x")); n != 1 || err != nil {
			r.Fatalf("write when writable: %d, %v", n, err)
		}
		_, err := io.ReadFull(c.peer, make([]byte, 1))
		r.check(err)
	}
}

func testPollerRearmElsewhere(r *pollerRig) {
	c := r.add()
	size := r.fill(c)
	rearmed := make(chan error, 1)
	go func() {
		// A task that wrote too much, and a client that begins to read only then.
		err := r.poller.Rearm(c.fd, reactor.Writable)
		if err == nil {
			_, err = io.CopyN(io.Discard, c.peer, int64(size))
		}
		rearmed <- err
	}()
	r.seen(c, reactor.Writable)
	r.check(<-rearmed)
}

func testPollerPeerClosed(r *pollerRig) {
	c := r.add()
	r.send(c, "goodbye")
	r.check(c.peer.CloseWrite())
	if r.system.endIsLast {
		r.receive(c, "goodbye")
	}
	r.seen(c, reactor.PeerClosed|reactor.Readable)
	if !r.system.endIsLast {
		r.receive(c, "goodbye")
	}
	n, err := r.Read(c.fd, make([]byte, 10))
	if n != 0 || !errors.Is(err, io.EOF) {
		r.Errorf("read at the end: %d, %v", n, err)
	}
	n, err = r.Peek(c.fd)
	if n != 0 || !errors.Is(err, io.EOF) {
		r.Errorf("peek at the end: %d, %v", n, err)
	}
}

func testPollerPeerClosedUnarmed(r *pollerRig) {
	c := r.add()
	r.send(c, "hello")
	r.seen(c, reactor.Readable)
	_, err := r.Read(c.fd, make([]byte, 100))
	r.check(err)
	r.forget(c)
	r.check(c.peer.CloseWrite())
	r.seen(c, reactor.PeerClosed|reactor.Readable)
}

func testPollerEnd(r *pollerRig) {
	p := make([]byte, 100)
	for i := range 100 {
		c := r.add()
		r.send(c, "goodbye")
		if i%2 == 0 {
			r.arrived(c)
		}
		r.check(c.peer.CloseWrite())
		for got := 0; ; {
			r.forget(c)
			r.seen(c, reactor.Readable)
			n, err := r.Read(c.fd, p)
			got += n
			if errors.Is(err, io.EOF) {
				if got != 7 {
					r.Errorf("%d bytes before the end", got)
				}
				break
			}
			if err != nil && !errors.Is(err, reactor.ErrAgain) {
				r.Fatal(err)
			}
			if n > 0 && r.ready[c.token]&reactor.PeerClosed != 0 {
				// A short read is no proof any more that the end was reached, and its report may have been this one.
				if n, err := r.Read(c.fd, p); n == 0 && errors.Is(err, io.EOF) {
					break
				}
			}
			r.check(r.poller.Rearm(c.fd, reactor.Readable))
		}
		r.close(c)
	}
}

// testPollerEndLate has a loop that waits before a task arms reading again. Then a report of the end that precedes it by a
// moment, so that the owner arms once more, must not be the last one.
func testPollerEndLate(r *pollerRig) {
	p := make([]byte, 100)
	for range 100 {
		c := r.add()
		r.send(c, "hello")
		r.seen(c, reactor.Readable)
		_, err := r.Read(c.fd, p)
		r.check(err)
		r.wait(0)
		r.check(r.poller.Rearm(c.fd, reactor.Readable))
		closed := make(chan error, 1)
		go func() { closed <- c.peer.CloseWrite() }()
		for {
			r.forget(c)
			r.seen(c, reactor.Readable)
			_, err := r.Read(c.fd, p)
			if errors.Is(err, io.EOF) {
				break
			}
			if !errors.Is(err, reactor.ErrAgain) {
				r.Fatal(err)
			}
			r.check(r.poller.Rearm(c.fd, reactor.Readable))
		}
		r.check(<-closed)
		r.close(c)
	}
}

func testPollerHalfClose(r *pollerRig) {
	c := r.add()
	r.send(c, "question")
	r.check(c.peer.CloseWrite())
	r.receive(c, "question")
	r.seen(c, reactor.PeerClosed)
	n, err := r.Write(c.fd, []byte("answer"))
	if n != 6 || err != nil {
		r.Fatalf("write: %d, %v", n, err)
	}
	r.check(r.CloseWrite(c.fd))
	got, err := io.ReadAll(c.peer)
	if string(got) != "answer" || err != nil {
		r.Errorf("peer read %q, %v", got, err)
	}
}

// afterReset checks what reading and writing say of a connection that was reset.
func (r *pollerRig) afterReset(c *pollerConn) {
	r.Helper()
	_, err := r.Read(c.fd, make([]byte, 10))
	if !errors.Is(err, reactor.ErrReset) && (!r.system.resetIsEOF || !errors.Is(err, io.EOF)) {
		r.Errorf("read after a reset: %v", err)
	}
	// The first write is told of the reset if no read was.
	_, err = r.Write(c.fd, []byte("x"))
	if !errors.Is(err, reactor.ErrReset) {
		r.Errorf("write after a reset: %v", err)
	}
}

// gone waits until c's reset was reported.
func (r *pollerRig) gone(c *pollerConn) {
	r.Helper()
	if r.system.resetEnds {
		r.until(func() bool { return r.ready[c.token]&(reactor.Hangup|reactor.PeerClosed) != 0 })
		if r.ready[c.token]&reactor.Hangup == 0 {
			if _, err := r.Write(c.fd, []byte("x")); !errors.Is(err, reactor.ErrAgain) { // then others are being written
				r.check(err)
			}
		}
	}
	r.seen(c, reactor.Hangup|reactor.Readable)
}

func testPollerReset(r *pollerRig) {
	c := r.add()
	r.check(c.peer.Reset())
	r.gone(c)
	r.afterReset(c)
}

func testPollerResetUnarmed(r *pollerRig) {
	c := r.add()
	r.send(c, "hello")
	r.seen(c, reactor.Readable)
	if r.system.resetIsLast {
		_, err := r.Read(c.fd, make([]byte, 100))
		r.check(err)
	}
	r.forget(c)
	r.check(c.peer.Reset())
	r.gone(c)

	// A writer that waits is told, too.
	c = r.add()
	r.fill(c)
	r.check(r.poller.Rearm(c.fd, reactor.Writable))
	r.forget(c)
	r.check(c.peer.Reset())
	r.gone(c)
	r.afterReset(c)
}

func testPollerBothClosed(r *pollerRig) {
	c := r.add()
	r.check(r.CloseWrite(c.fd))
	_, err := io.ReadAll(c.peer)
	r.check(err)
	r.check(c.peer.Close())
	r.seen(c, reactor.PeerClosed|reactor.Readable)
	if _, err := r.Read(c.fd, make([]byte, 1)); !errors.Is(err, io.EOF) {
		r.Errorf("read at the end: %v", err)
	}
}

func testPollerAbort(r *pollerRig) {
	c := r.add()
	aborted := make(chan error, 1)
	go func() { aborted <- r.Abort(c.fd) }()
	r.seen(c, reactor.Hangup)
	r.check(<-aborted)
	if n, err := r.Read(c.fd, make([]byte, 1)); n > 0 || err == nil || errors.Is(err, reactor.ErrAgain) {
		r.Errorf("read after Abort: %d, %v", n, err)
	}
	if n, err := r.Write(c.fd, []byte("x")); n > 0 || !errors.Is(err, reactor.ErrReset) {
		r.Errorf("write after Abort: %d, %v", n, err)
	}
	r.check(r.Abort(c.fd))

	c = r.add()
	r.check(c.peer.Reset())
	r.gone(c)
	r.check(r.Abort(c.fd))
}

func testPollerNoSpin(r *pollerRig) {
	// Four kinds of end; their owner reads on after each report, arms again, and doesn't close yet.
	ended := []*pollerConn{r.add(), r.add(), r.add(), r.add()}
	r.check(ended[0].peer.CloseWrite())
	r.send(ended[1], "unread")
	r.check(ended[1].peer.Close())
	r.check(ended[2].peer.Reset())
	r.check(r.Abort(ended[3].fd))

	const rounds = 100
	c := r.add()
	waits, reports := 0, make(map[reactor.Token]int)
	p := make([]byte, 2)
	for i := range rounds {
		r.send(c, "x")
		for {
			n, err := r.Read(c.fd, p)
			if n == 1 {
				break
			}
			if !errors.Is(err, reactor.ErrAgain) || r.stuck.Load() {
				r.Fatal(err)
			}
			r.check(r.poller.Rearm(c.fd, reactor.Readable))
			for _, e := range r.wait(-1) {
				reports[e.Token]++
				for _, c := range ended {
					if c.token == e.Token {
						_, _ = r.Read(c.fd, p)
						r.check(r.poller.Rearm(c.fd, reactor.Readable|reactor.Writable))
					}
				}
			}
			waits++
		}
		if waits > 10*rounds {
			r.Fatalf("%d Waits for %d bytes: spinning", waits, i+1)
		}
	}
	limit := 10
	if r.system.spurious {
		limit = rounds
	}
	for i, c := range ended {
		if n := reports[c.token]; n > limit {
			r.Errorf("end %d was reported %d times", i, n)
		}
	}
}

func testPollerWakeBefore(r *pollerRig) {
	for range 100 {
		r.check(r.poller.Wake())
		r.wait(-1)
	}
}

func testPollerWakeCoalesced(r *pollerRig) {
	for range 1000 {
		r.check(r.poller.Wake())
	}
	r.wait(-1)
	// A few returns may be left over, but not a thousand: the clock ends one of the next.
	r.timesOut(50 * time.Millisecond)
}

func testPollerWakeEach(r *pollerRig) {
	rounds := int64(r.system.wakes)
	var asked atomic.Int64
	answered := make(chan int64, 1)
	go func() {
		for i := int64(1); i <= rounds; i++ {
			asked.Store(i)
			r.wake()
			for answer := int64(0); answer < i; {
				answer = <-answered
			}
		}
	}()
	for last := int64(0); last < rounds; {
		r.until(func() bool { return asked.Load() > last })
		last = asked.Load()
		answered <- last
	}
	if r.waits > 3*int(rounds) {
		r.Errorf("%d Waits for %d Wakes", r.waits, rounds)
	}
}

func testPollerWakeTimeout(r *pollerRig) {
	const wakers = 4
	rounds := int64(r.system.wakes / wakers)
	var asked, answered [wakers]atomic.Int64
	var wg sync.WaitGroup
	for i := range wakers {
		wg.Go(func() {
			for n := int64(1); n <= rounds; n++ {
				asked[i].Store(n)
				r.wake()
				for answered[i].Load() < n && !r.stuck.Load() {
					runtime.Gosched()
				}
			}
		})
	}
	timeouts := []time.Duration{-1, time.Hour, time.Millisecond, time.Minute, 100 * time.Microsecond, 0}
	for left, turn := wakers, 0; left > 0; turn++ {
		left = 0
		for i := range wakers {
			n := asked[i].Load()
			answered[i].Store(n)
			if n < rounds {
				left++
			}
		}
		if left > 0 {
			r.wait(timeouts[turn%len(timeouts)])
		}
	}
	wg.Wait()
}

func testPollerWakeStorm(r *pollerRig) {
	c := r.add()
	r.send(c, "hello")
	r.arrived(c)
	for waits := 0; r.ready[c.token]&reactor.Readable == 0; waits++ {
		if waits > 10 {
			r.Fatal("Waits that follow a Wake don't report what is ready")
		}
		r.wake()
		r.wait(-1)
	}
	r.receive(c, "hello")
	r.forget(c)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r.wake()
					runtime.Gosched()
				}
			}
		})
	}
	for range 200 {
		r.send(c, "hello")
		r.seen(c, reactor.Readable)
		r.receive(c, "hello")
		r.forget(c)
	}
	close(stop)
	wg.Wait()
}

func testPollerWakeClosed(r *pollerRig) {
	p, err := r.system.newPoller()
	r.check(err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				_ = p.Wake()
			}
		})
	}
	r.check(p.Close())
	wg.Wait()
	_ = p.Wake()
}

// elapsed returns how long a Wait took.
func (r *pollerRig) elapsed(timeout time.Duration) time.Duration {
	r.Helper()
	start := time.Now()
	r.wait(timeout)
	return time.Since(start)
}

// timesOut waits until a timeout was the reason why Wait returned. It may have had another, but not again and again.
func (r *pollerRig) timesOut(timeout time.Duration) {
	r.Helper()
	for range 5 {
		if r.elapsed(timeout) >= timeout-r.system.granularity {
			return
		}
	}
	r.Errorf("Waits of %v return early", timeout)
}

func testPollerTimeout(r *pollerRig) {
	r.elapsed(0)
	for range 3 {
		r.timesOut(50 * time.Millisecond)
	}
	// A millisecond is a positive time: it must not become zero, or Waits would spin.
	start := time.Now()
	waits := 0
	for time.Since(start) < 20*time.Millisecond {
		r.wait(time.Millisecond)
		waits++
	}
	if waits > 40 {
		r.Errorf("20ms passed in %d Waits of 1ms", waits)
	}
	// No timeout: only Wake ends it.
	var woken atomic.Bool
	timer := time.AfterFunc(50*time.Millisecond, func() {
		woken.Store(true)
		r.wake()
	})
	defer timer.Stop()
	for waits = 0; !woken.Load(); waits++ {
		r.wait(-1)
	}
	if waits > 5 {
		r.Errorf("%d Waits without timeout until a Wake", waits)
	}
}

func testPollerTimeoutChanges(r *pollerRig) {
	c := r.add()
	for _, first := range []time.Duration{time.Hour, 20 * time.Millisecond, -1} {
		// Late enough for the first timeout to be set.
		r.forget(c)
		timer := time.AfterFunc(5*time.Millisecond, func() { r.send(c, "hello") })
		defer timer.Stop()
		for r.ready[c.token]&reactor.Readable == 0 {
			r.wait(first)
		}
		r.receive(c, "hello")
		for range 2 {
			r.timesOut(40 * time.Millisecond)
		}
	}
}

func testPollerTimeoutWoken(r *pollerRig) {
	const timeout = 100 * time.Millisecond
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.wake()
				runtime.Gosched()
			}
		}
	})
	// The loop's own way with timers: what is left of the time is asked for anew after each return.
	for range 3 {
		for start := time.Now(); time.Since(start) < timeout; {
			r.wait(timeout - time.Since(start))
		}
	}
	close(stop)
	wg.Wait()
	// And with nobody waking, the time still ends it.
	for range 3 {
		for start := time.Now(); time.Since(start) < timeout; {
			r.wait(timeout - time.Since(start))
		}
	}
}

func testPollerTimeoutLong(r *pollerRig) {
	for _, timeout := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, 200_000_000 * time.Second, 1 << 31 * time.Millisecond} {
		var woken atomic.Bool
		timer := time.AfterFunc(5*time.Millisecond, func() {
			woken.Store(true)
			r.wake()
		})
		defer timer.Stop()
		before := r.waits
		for !woken.Load() {
			r.wait(timeout)
		}
		if n := r.waits - before; n > 5 { // they may be interrupted
			r.Errorf("%d Waits of %v until Wake", n, timeout)
		}
	}
}

func testPollerTimeoutStale(r *pollerRig) {
	c := r.add()
	r.send(c, "hello")
	for r.ready[c.token]&reactor.Readable == 0 {
		r.wait(10 * time.Millisecond)
	}
	r.receive(c, "hello")
	start := time.Now()
	timer := time.AfterFunc(100*time.Millisecond, r.wake)
	defer timer.Stop()
	before := r.waits
	for time.Since(start) < 100*time.Millisecond-r.system.granularity {
		r.wait(-1)
	}
	if n := r.waits - before; n > 5 { // they may be interrupted
		r.Errorf("%d Waits until Wake", n)
	}
}

// pollerPattern has another byte at each of 251 places in a row, so that a connection's stream is a part of it that no
// shift turns into another's.
func pollerPattern(size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i % 251)
	}
	return p
}

func testPollerLateReaders(r *pollerRig) {
	const size = 3 << 20
	pattern := pollerPattern(size + 251)
	type writer struct {
		*pollerConn
		left []byte
		full bool // once at least
	}
	writers := make(map[reactor.Token]*writer)
	start := make(chan struct{})
	read := make(chan error, 32)
	for i := range cap(read) {
		c := r.add()
		want := pattern[i : i+size]
		writers[c.token] = &writer{pollerConn: c, left: want}
		go func() {
			<-start
			got, err := io.ReadAll(c.peer)
			if err == nil && !bytes.Equal(got, want) {
				err = errors.New("other bytes than were written")
			}
			read <- err
		}()
	}
	write := func(w *writer) {
		for len(w.left) > 0 {
			p := w.left[:min(len(w.left), 256<<10)]
			n, err := r.Write(w.fd, p)
			if err != nil && !errors.Is(err, reactor.ErrAgain) {
				r.Fatal(err)
			}
			w.left = w.left[n:]
			if n < len(p) {
				w.full = true
				r.check(r.poller.Rearm(w.fd, reactor.Writable))
				return
			}
		}
		r.check(r.CloseWrite(w.fd))
		delete(writers, w.token)
	}
	for _, w := range writers {
		write(w)
	}
	close(start)
	r.until(func() bool {
		for _, e := range r.events {
			if w := writers[e.Token]; w != nil && e.Ready&reactor.Writable != 0 {
				write(w)
			}
		}
		clear(r.events)
		return len(writers) == 0
	})
	for range cap(read) {
		r.check(<-read)
	}
}

func testPollerEcho(r *pollerRig) {
	const size = 1 << 20
	pattern := pollerPattern(size + 251)
	type echo struct {
		*pollerConn
		out []byte
		eof bool
	}
	echoes := make(map[reactor.Token]*echo)
	done := make(chan error, 16)
	for i := range cap(done) {
		c := r.add()
		echoes[c.token] = &echo{pollerConn: c}
		want := pattern[i : i+size]
		go func() {
			_, _ = c.peer.Write(want)
			_ = c.peer.CloseWrite()
		}()
		go func() {
			got, err := io.ReadAll(c.peer)
			if err == nil && !bytes.Equal(got, want) {
				err = errors.New("other bytes came back")
			}
			done <- err
		}()
	}
	buffer := make([]byte, 32<<10)
	turn := func(e *echo) {
		for {
			if len(e.out) > 0 {
				n, err := r.Write(e.fd, e.out)
				if err != nil && !errors.Is(err, reactor.ErrAgain) {
					r.Fatal(err)
				}
				if e.out = e.out[n:]; len(e.out) > 0 {
					r.check(r.poller.Rearm(e.fd, reactor.Writable))
					return // and no reading meanwhile
				}
			}
			if e.eof {
				r.check(r.CloseWrite(e.fd))
				delete(echoes, e.token)
				return
			}
			n, err := r.Read(e.fd, buffer)
			switch {
			case err == nil:
				e.out = append([]byte(nil), buffer[:n]...)
			case errors.Is(err, io.EOF):
				e.eof = true
			case errors.Is(err, reactor.ErrAgain):
				r.check(r.poller.Rearm(e.fd, reactor.Readable))
				return
			default:
				r.Fatal(err)
			}
		}
	}
	for len(echoes) > 0 {
		for _, event := range r.wait(-1) {
			if e := echoes[event.Token]; e != nil {
				turn(e)
			}
		}
	}
	for range cap(done) {
		r.check(<-done)
	}
}

func testPollerPeek(r *pollerRig) {
	c := r.add()
	if n, err := r.Peek(c.fd); n != 0 || !errors.Is(err, reactor.ErrAgain) {
		r.Errorf("nothing there: %d, %v", n, err)
	}
	r.send(c, "hello")
	r.arrived(c)
	for range 2 {
		if n, err := r.Peek(c.fd); n != 1 || err != nil {
			r.Errorf("bytes there: %d, %v", n, err)
		}
	}
	r.receive(c, "hello")
}

func testPollerAllocs(r *pollerRig) {
	if r.system.allocates {
		r.Skip("allocates by itself")
	}
	c := r.add()
	p, hello := make([]byte, 100), []byte("hello")
	step := func() {
		_, _ = c.peer.Write(hello)
		for {
			n, err := r.Read(c.fd, p)
			if n > 0 {
				break
			}
			if !errors.Is(err, reactor.ErrAgain) {
				panic(err)
			}
			_ = r.poller.Rearm(c.fd, reactor.Readable)
			_, _ = r.poller.Wait(r.events, time.Second)
		}
		_, _ = r.Write(c.fd, p[:5])
		_, _ = c.peer.Read(p)
		_, _ = r.Peek(c.fd)
		r.wake()
		_, _ = r.poller.Wait(r.events, -1)
		_, _ = r.poller.Wait(r.events, 10*time.Microsecond)
	}
	if n := testing.AllocsPerRun(100, step); n > 0 {
		r.Errorf("%v allocations a turn", n)
	}
}
