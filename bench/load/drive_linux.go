// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

const (
	// maxWait is how long the loop waits at most, before it looks at its context.
	maxWait = 100 * time.Millisecond
	// batch is how many events are taken at a time.
	batch = 128
	// sipBuffer is the receive buffer of a connection that sips: small, so that the server notices.
	sipBuffer = 32 << 10
)

// A loop is the whole load. Times are since its begin.
//
//	closed loop:  idle ── send ──▶ busy ── last answer of the batch ──▶ idle, and at once the next
//	open loop:    free ── a request is due ──▶ busy ── answer ──▶ free, or the first late request
//	Close:        the same, with connect before send, and the server's close after the answer
type loop struct {
	order    *meter.Order
	addr     unix.SockaddrInet4
	epfd     int
	groups   []*group
	conns    []*conn    // by the number in their events
	between  []net.Conn // which ask for nothing
	begin    time.Time
	from     time.Duration // of the measurement
	until    time.Duration
	busy     int           // connections with an answer or the server's close due, but for those that sip
	last     time.Duration // when the event that is being looked at came, or a little before
	lag      *meter.Latency
	read     []byte
	cpuBegin time.Duration
}

// A conn is one connection, or with Close one after the other.
type conn struct {
	group *group
	fd    int // -1 if there is none
	index int32
	age   int32 // changes with fd, so that no event is taken for another connection's

	kind       *kind
	out        []byte        // not yet sent
	begin      time.Duration // of the batch
	due        int           // answers
	connecting bool
	ending     bool // the answer has come, the server's close has not
	hungUp     bool // the peer has closed its side: read on to the end
	answer     answer
}

// drive makes the ordered load.
func drive(ctx context.Context, o *meter.Order) (*meter.Load, error) {
	runtime.LockOSThread() // for exactTimers
	defer runtime.UnlockOSThread()
	if err := exactTimers(); err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddrPort(o.Addr)
	if err != nil || !addr.Addr().Is4() {
		return nil, fmt.Errorf("no IPv4 address and port: %q", o.Addr)
	}
	l := &loop{
		order: o,
		addr:  unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()},
		lag:   meter.NewLatency(),
		read:  make([]byte, 256<<10),
	}
	if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	defer l.close()
	for i, g := range o.Groups {
		n, err := newGroup(g, uint64(i)+1)
		if err != nil {
			return nil, err
		}
		l.groups = append(l.groups, n)
		if err := l.open(ctx, n); err != nil {
			return nil, err
		}
	}
	if l.cpuBegin, err = ownCPU(); err != nil {
		return nil, err
	}
	l.begin, l.from = time.Now(), o.Warmup
	l.until = l.from + o.Duration
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	return l.sum()
}

// open makes a group's connections.
func (l *loop) open(ctx context.Context, g *group) error {
	for range g.Conns {
		c := &conn{group: g, fd: -1, index: int32(len(l.conns))}
		l.conns = append(l.conns, c)
		g.conns = append(g.conns, c)
		if !g.Close {
			if err := l.connect(c); err != nil {
				return err
			}
		}
		for range g.Between {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", l.order.Addr)
			if err != nil {
				return err
			}
			l.between = append(l.between, c)
		}
		if g.Rate > 0 {
			g.free.push(c)
		}
	}
	return nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		if c.fd >= 0 {
			l.drop(c)
		}
	}
	for _, c := range l.between {
		drop(c)
	}
	_ = unix.Close(l.epfd)
}

// connect begins a connection, and registers it once for everything.
func (l *loop) connect(c *conn) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.fd, c.connecting, c.hungUp = fd, true, false
	c.age++
	if c.group.Sip > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, sipBuffer); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	} else if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Connect(fd, &l.addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: c.index, Pad: c.age}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &event))
}

// drop closes a connection by a reset, so that its port is free at once.
func (l *loop) drop(c *conn) {
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(c.fd)
	c.fd = -1
}

func (l *loop) now() time.Duration { return time.Since(l.begin) }

// run is the loop, until all answers have come.
func (l *loop) run(ctx context.Context) error {
	for _, g := range l.groups {
		for _, c := range g.conns {
			if g.Rate > 0 {
				break
			}
			if err := l.send(c, g.pick(), l.now()); err != nil {
				return err
			}
		}
	}
	var events [batch]unix.EpollEvent
	for {
		now := l.now()
		next, err := l.act(now)
		if err != nil {
			return err
		}
		if now >= l.until {
			if l.busy == 0 {
				return nil
			}
			if now > l.until+l.order.MaxDelay {
				return fmt.Errorf("no answer after %v, on %d connections", l.order.MaxDelay, l.busy)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := wait(l.epfd, events[:], min(max(next-now, 0), maxWait))
		if err != nil {
			return err
		}
		l.last = l.now()
		for i := range events[:n] {
			if err := l.event(&events[i]); err != nil {
				return err
			}
			// A batch of events can take a millisecond, which must not become part of others' latencies.
			if _, err := l.act(l.now()); err != nil {
				return err
			}
		}
	}
}

// act does what time has come for, and returns when there is more of that.
func (l *loop) act(now time.Duration) (time.Duration, error) {
	l.last = now
	next := now + maxWait
	if now < l.until {
		next = min(next, l.until)
	}
	for _, g := range l.groups {
		if g.Rate > 0 {
			for g.due.at <= now && g.due.at < l.until {
				due := g.due
				g.due = g.arrivalAfter(due.at)
				if g.free.len() == 0 {
					g.late.push(due)
					continue
				}
				if due.at >= l.from {
					l.lag.Record(l.now() - due.at)
				}
				if err := l.send(g.free.pop(), due.kind, due.at); err != nil {
					return 0, err
				}
			}
			if g.due.at < l.until {
				next = min(next, g.due.at)
			}
		}
		if g.Sip > 0 && now < l.until {
			for g.nextSip <= now {
				c := g.conns[g.sips%len(g.conns)]
				g.sips++
				g.nextSip += g.between()
				if err := l.sip(c); err != nil {
					return 0, err
				}
			}
			next = min(next, g.nextSip)
		}
	}
	return next, nil
}

// send begins a batch whose latency counts from begin.
func (l *loop) send(c *conn, k *kind, begin time.Duration) error {
	c.kind, c.begin, c.out, c.due = k, begin, k.batch, c.group.Depth
	if c.group.Sip == 0 {
		l.busy++
	}
	if c.fd < 0 {
		return l.connect(c) // and the event that it is connected writes
	}
	if c.connecting {
		return nil
	}
	return l.write(c)
}

func (l *loop) write(c *conn) error {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		c.out = c.out[n:]
	}
	return nil
}

func (l *loop) event(e *unix.EpollEvent) error {
	c := l.conns[e.Fd]
	if e.Pad != c.age || c.fd < 0 {
		return nil
	}
	if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.hungUp = true
	}
	if c.connecting && e.Events&(unix.EPOLLOUT|unix.EPOLLERR) != 0 {
		errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = unix.Errno(errno)
		}
		if err != nil {
			return os.NewSyscallError("connect", err)
		}
		c.connecting = false
	}
	if e.Events&unix.EPOLLOUT != 0 {
		if err := l.write(c); err != nil {
			return err
		}
	}
	if c.group.Sip == 0 && (e.Events&unix.EPOLLIN != 0 || c.hungUp) {
		return l.drain(c)
	}
	return nil
}

// drain reads all that there is.
func (l *loop) drain(c *conn) error {
	for age := c.age; c.fd >= 0 && c.age == age; {
		n, err := unix.Read(c.fd, l.read)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		if n == 0 {
			return l.closed(c)
		}
		if err := l.take(c, l.read[:n]); err != nil {
			return err
		}
		// A short read has emptied the socket, unless the end is in it.
		if n < len(l.read) && !c.hungUp {
			return nil
		}
	}
	return nil
}

// sip reads a little.
func (l *loop) sip(c *conn) error {
	if c.connecting {
		return nil
	}
	n, err := unix.Read(c.fd, l.read[:c.group.Sip])
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	if n == 0 {
		return l.closed(c)
	}
	return l.take(c, l.read[:n])
}

// closed is the peer's end of the connection.
func (l *loop) closed(c *conn) error {
	if !c.ending {
		return fmt.Errorf("closed by the server, with %d answers due", c.due)
	}
	_ = unix.Close(c.fd)
	c.fd, c.ending = -1, false
	return l.rest(c)
}

// take goes through bytes that came.
func (l *loop) take(c *conn, p []byte) error {
	for len(p) > 0 {
		if c.due == 0 {
			return fmt.Errorf("%w: %.80q", errUnasked, p)
		}
		before := c.answer.all
		n, whole, err := c.answer.take(p, &c.kind.Kind)
		if l.last >= l.from && l.last < l.until {
			c.kind.result.Bytes += c.answer.all - before
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.kind.Name, err)
		}
		p = p[n:]
		if whole {
			c.due--
			c.kind.result.Answered++
		}
	}
	if c.due > 0 {
		return nil
	}
	if len(c.out) > 0 {
		return fmt.Errorf("%s: answered before %d bytes of the request were sent", c.kind.Name, len(c.out))
	}
	l.measure(c, l.now())
	if c.group.Close {
		c.ending = true
		return nil
	}
	return l.rest(c)
}

// measure notes a batch whose last answer has come. In the open loop what is due within the time counts, however late it
// is answered; in the closed loop, only what was answered within the time too, so that it makes a rate.
func (l *loop) measure(c *conn, now time.Duration) {
	if c.begin < l.from || c.begin >= l.until || c.group.Rate == 0 && now > l.until {
		return
	}
	c.kind.result.Measured += int64(c.group.Depth)
	c.kind.result.Latency.Record(now - c.begin)
}

// rest is what a connection does that has nothing due.
func (l *loop) rest(c *conn) error {
	if c.group.Sip == 0 {
		l.busy--
	}
	switch g := c.group; {
	case g.Rate == 0:
		if now := l.now(); now < l.until {
			return l.send(c, g.pick(), now)
		}
	case g.late.len() > 0:
		due := g.late.pop()
		return l.send(c, due.kind, due.at)
	default:
		g.free.push(c)
	}
	return nil
}

func (l *loop) sum() (*meter.Load, error) {
	cpu, err := ownCPU()
	if err != nil {
		return nil, err
	}
	sum := &meter.Load{Seconds: l.order.Duration.Seconds(), CPU: cpu - l.cpuBegin, Lag: l.lag}
	for _, g := range l.groups {
		for _, k := range g.kinds {
			sum.Kinds = append(sum.Kinds, *k.result)
		}
	}
	return sum, nil
}
