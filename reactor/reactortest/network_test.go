// SPDX-License-Identifier: MIT

package reactortest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// A recorder is a testing.TB that keeps the errors of a Network for the test to look at.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	errors   []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Cleanup(f func())    { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool        { return len(r.errors) > 0 }
func (r *recorder) Logf(string, ...any) {}

func (r *recorder) cleanUp() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// TestViolations commits each violation once. The call that commits it must say so, and the test must learn of it.
func TestViolations(t *testing.T) {
	events := make([]reactor.Event, 4)
	p := make([]byte, 4)
	for _, test := range []struct {
		name string
		do   func(n *Network, poller reactor.Poller, sockets reactor.Sockets, fd reactor.FD) error
		want string
	}{
		{"Read of nothing open", func(_ *Network, _ reactor.Poller, s reactor.Sockets, _ reactor.FD) error {
			_, err := s.Read(99, p)
			return err
		}, "Read of descriptor 99, which is not open"},
		{"Write after Close", func(_ *Network, _ reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			_ = s.Close(fd)
			_, err := s.Write(fd, p)
			return err
		}, "Write of descriptor 3, which is not open"},
		{"double Close", func(_ *Network, _ reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			_ = s.Close(fd)
			return s.Close(fd)
		}, "Close of descriptor 3, which is not open"},
		{"SendFile of nothing", func(n *Network, _ reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			f := n.NewFile(p)
			defer f.Close()
			_, err := s.SendFile(fd, f, 0, 0)
			return err
		}, "SendFile of 0 bytes on descriptor 3"},
		{"SendFile of a closed file", func(n *Network, _ reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			f := n.NewFile(p)
			_ = f.Close()
			_, err := s.SendFile(fd, f, 0, 1)
			return err
		}, "read of file 0, which is closed"},
		{"double Close of a file", func(n *Network, _ reactor.Poller, _ reactor.Sockets, _ reactor.FD) error {
			f := n.NewFile(p)
			_ = f.Close()
			return f.Close()
		}, "Close of file 0 for the second time"},
		{"Read into nothing", func(_ *Network, _ reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			_, err := s.Read(fd, nil)
			return err
		}, "Read of descriptor 3 into no bytes"},
		{"Del before Add", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			return x.Del(fd)
		}, "Del of descriptor 3, which is not registered"},
		{"double Del", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			_ = x.Del(fd)
			return x.Del(fd)
		}, "Del of descriptor 3, which is not registered"},
		{"double Add", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			return x.Add(fd, 1)
		}, "Add of descriptor 3, which is registered"},
		{"Add again", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			_ = x.Del(fd)
			return x.Add(fd, 2)
		}, "Add of descriptor 3 for the second time in its life"},
		{"Token used again", func(n *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			other, _ := n.Pair()
			return x.Add(other, 1)
		}, "Token 0x1, which another one had"},
		{"Rearm before Add", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			return x.Rearm(fd, reactor.Readable)
		}, "Rearm of descriptor 3, which is not registered"},
		{"Rearm for no direction", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			return x.Rearm(fd, reactor.Hangup)
		}, "Rearm of descriptor 3 for {Hangup}"},
		{"Close before Del", func(_ *Network, x reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			return s.Close(fd)
		}, "Close of descriptor 3 before Del"},
		{"Wait for nothing", func(_ *Network, x reactor.Poller, _ reactor.Sockets, _ reactor.FD) error {
			_, err := x.Wait(nil, 0)
			return err
		}, "no room for events"},
		{"Wait after Close", func(_ *Network, x reactor.Poller, _ reactor.Sockets, _ reactor.FD) error {
			_ = x.Close()
			_, err := x.Wait(events, 0)
			return err
		}, "Wait after Close"},
		{"Add after Close", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			_ = x.Close()
			return x.Add(fd, 1)
		}, "after Close of the Poller"},
		{"double Close of a Poller", func(_ *Network, x reactor.Poller, _ reactor.Sockets, _ reactor.FD) error {
			_ = x.Close()
			return x.Close()
		}, "second time"},
		{"two Waits", func(_ *Network, x reactor.Poller, _ reactor.Sockets, _ reactor.FD) error {
			go func() { _, _ = x.Wait(events, -1) }()
			synctest.Wait()
			_, err := x.Wait(events, 0)
			return errors.Join(err, x.Wake())
		}, "while another goroutine is in Wait"},
		{"Del during Wait", func(_ *Network, x reactor.Poller, _ reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			go func() {
				for k := 1; k > 0; { // the first may report that fd is Writable
					k, _ = x.Wait(events, -1)
				}
			}()
			synctest.Wait()
			err := x.Del(fd)
			return errors.Join(err, x.Wake())
		}, "while its loop is in Wait"},
		{"Close of a descriptor during Wait", func(_ *Network, x reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			_ = x.Add(fd, 1)
			_ = x.Del(fd)
			go func() { _, _ = x.Wait(events, -1) }()
			synctest.Wait()
			err := s.Close(fd)
			return errors.Join(err, x.Wake())
		}, "while its loop is in Wait"},
		{"Close of a Poller during Wait", func(_ *Network, x reactor.Poller, _ reactor.Sockets, _ reactor.FD) error {
			go func() { _, _ = x.Wait(events, -1) }()
			synctest.Wait()
			err := x.Close()
			return errors.Join(err, x.Wake())
		}, "while a goroutine is in Wait"},
		{"two Reads", func(_ *Network, _ reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			return twoAtOnce(func() error {
				_, err := s.Read(fd, make([]byte, 1))
				return err
			})
		}, "Read of descriptor 3 while another is under way"},
		{"two Writes", func(_ *Network, _ reactor.Poller, s reactor.Sockets, fd reactor.FD) error {
			return twoAtOnce(func() error {
				_, err := s.Write(fd, p[:1])
				return err
			})
		}, "Write of descriptor 3 while another is under way"},
		{"two Accepts", func(n *Network, _ reactor.Poller, _ reactor.Sockets, _ reactor.FD) error {
			l := n.Listen("192.0.2.1:80")
			go func() { _, _ = l.Accept() }()
			synctest.Wait()
			_, err := l.Accept()
			return errors.Join(err, l.Close())
		}, "Accept while another goroutine is in Accept"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{TB: t}
				n := New(r, 1234, Faults{})
				fd, _ := n.Pair()
				err := test.do(n, n.NewPoller(), n.Sockets(), fd)
				synctest.Wait()
				if v := (*Violation)(nil); !errors.As(err, &v) || !strings.Contains(v.Text, test.want) || v.Seed != 1234 {
					t.Errorf("returned %v, want %q", err, test.want)
				}
				if len(r.errors) != 1 || !strings.Contains(r.errors[0], test.want) || !strings.Contains(r.errors[0], "1234") {
					t.Errorf("told the test: %q", r.errors)
				}
				r.cleanUp()
			})
		})
	}
}

// twoAtOnce runs f on two goroutines until one of them is told that it should not.
func twoAtOnce(f func() error) error {
	found := make(chan error, 2)
	var stop sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		stop.Go(func() {
			for range 100000 {
				select {
				case <-done:
					return
				default:
				}
				if v := (*Violation)(nil); errors.As(f(), &v) {
					found <- v
					return
				}
				runtime.Gosched()
			}
			found <- nil
		})
	}
	err := <-found
	close(done)
	stop.Wait()
	return err
}

func TestViolationPanics(t *testing.T) {
	n := New(nil, 77, Faults{})
	defer func() {
		if v, ok := recover().(*Violation); !ok || v.Seed != 77 {
			t.Errorf("panicked with %v", v)
		}
		n.Open() // the lock is free
		n.Close()
	}()
	_ = n.Sockets().Close(5)
}

func TestLeaks(t *testing.T) {
	r := &recorder{TB: t}
	n := New(r, 5, Faults{})
	n.Pair()
	n.NewPoller()
	n.Listen("192.0.2.1:80")
	r.cleanUp()
	if len(r.errors) != 1 {
		t.Fatalf("told the test: %q", r.errors)
	}
	for _, want := range []string{"seed 5", "descriptor 3", "poller 0", "listener 192.0.2.1:80"} {
		if !strings.Contains(r.errors[0], want) {
			t.Errorf("%q does not name %q", r.errors[0], want)
		}
	}
}

// TestCloseEndsWaiting closes a Network that goroutines wait in.
func TestCloseEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		n := New(r, 0, Faults{Style: StyleStrict})
		_, c := n.Pair()
		l, p := n.Listen("192.0.2.1:80"), n.NewPoller()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read: %v", err)
			}
		})
		waiting.Go(func() {
			if _, err := l.Accept(); !errors.Is(err, reactor.ErrListenerClosed) {
				t.Errorf("Accept: %v", err)
			}
		})
		waiting.Go(func() {
			if _, err := p.Wait(make([]reactor.Event, 1), -1); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Wait: %v", err)
			}
		})
		synctest.Wait()
		n.Close()
		waiting.Wait()
	})
}

// TestState checks that a description of everything names what a reader of it looks for.
func TestState(t *testing.T) {
	n := New(nil, 0, Faults{Style: StyleStrict})
	fd, c := n.Pair()
	_, _ = n.Pair()
	p := n.NewPoller()
	_ = p.Add(fd, 0x100000003)
	_, _ = c.Write([]byte("abc"))
	for _, want := range []string{
		"descriptor 3: peer " + c.LocalAddr().String(), "in: 3 arrived", "token 0x100000003", "to report {Readable}",
		"descriptor 4", "not registered", "poller 0: strict, 1 registered, 1 to report",
	} {
		if s := n.State(); !strings.Contains(s, want) {
			t.Errorf("%q is not in\n%s", want, s)
		}
	}
	if c.RemoteAddr().String() != "192.0.2.1:80" {
		t.Errorf("the client's peer is %v", c.RemoteAddr())
	}
}

func TestLowestDescriptor(t *testing.T) {
	n := New(nil, 0, Faults{})
	s := n.Sockets()
	var fds []reactor.FD
	for range 4 {
		fd, _ := n.Pair()
		fds = append(fds, fd)
	}
	if !slices.Equal(fds, []reactor.FD{3, 4, 5, 6}) {
		t.Errorf("descriptors %v", fds)
	}
	_ = s.Close(5)
	_ = s.Close(4)
	if fd, _ := n.Pair(); fd != 4 {
		t.Errorf("after closing 5 and 4: %d", fd)
	}
	if n.Open() != 4-1 {
		t.Errorf("%d open", n.Open())
	}
}

// TestRepeat does the same things twice with one seed, and once with another.
func TestRepeat(t *testing.T) {
	run := func(seed int64) (trace []string) {
		synctest.Test(t, func(t *testing.T) {
			f := Random(3)
			f.ShortRead, f.Again, f.Latency, f.Delay, f.Spurious = 0.5, 0.3, time.Second, 0.5, 0.5
			n := New(t, seed, f)
			begin := time.Now()
			note := func(format string, args ...any) {
				trace = append(trace, fmt.Sprintf("%v ", time.Since(begin))+fmt.Sprintf(format, args...))
			}
			fd, c := n.Pair()
			p, s := n.NewPoller(), n.Sockets()
			_ = p.Add(fd, 7)
			events, b := make([]reactor.Event, 4), make([]byte, 10)
			for range 50 {
				_, _ = c.Write([]byte("0123456789")[:5])
				k, _ := p.Wait(events, time.Second)
				note("%v", events[:k])
				k, err := s.Read(fd, b)
				note("%q %v", b[:k], err)
				_ = p.Rearm(fd, reactor.Readable)
			}
			_ = p.Del(fd)
			_ = s.Close(fd)
			_ = p.Close()
		})
		return trace
	}
	a, b, other := run(1), run(1), run(2)
	if !slices.Equal(a, b) {
		t.Errorf("one seed, two runs:\n%s\n\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	if slices.Equal(a, other) {
		t.Error("two seeds, one run")
	}
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, 0, Faults{Descriptors: 1, Wrap: 1})
		l := n.Listen("192.0.2.1:0")
		s := n.Sockets()
		if other := n.Listen("192.0.2.1:0"); other.Addr().String() == l.Addr().String() {
			t.Errorf("two listeners on %v", l.Addr())
		} else {
			_ = other.Close()
		}
		gone, _ := n.Dial(l)
		gone.Reset()
		time.Sleep(time.Second)
		first, _ := n.Dial(l)
		if _, err := first.Write([]byte("early")); err != nil {
			t.Error(err)
		}
		a, err := l.Accept()
		if err != nil || a.Peer != first.LocalAddr().String() || a.Peer == gone.LocalAddr().String() {
			t.Errorf("Accept: %+v, %v", a, err)
		}
		p := make([]byte, 10)
		if k, err := s.Read(a.FD, p); string(p[:k]) != "early" || err != nil {
			t.Errorf("Read: %q, %v", p[:k], err)
		}
		second, _ := n.DialContext(t.Context(), "tcp", l.Addr().String())
		if _, err := l.Accept(); !errors.Is(err, reactor.ErrExhausted) || err == reactor.ErrExhausted {
			t.Errorf("Accept out of descriptors: %v", err)
		}
		_ = s.Close(a.FD)
		go func() {
			time.Sleep(time.Second)
			_ = l.Close()
			_ = l.Close()
		}()
		a, err = l.Accept()
		if err != nil || a.Peer != second.LocalAddr().String() {
			t.Errorf("Accept: %+v, %v", a, err)
		}
		_ = s.Close(a.FD)
		if _, err := l.Accept(); !errors.Is(err, reactor.ErrListenerClosed) {
			t.Errorf("Accept during Close: %v", err)
		}
		if _, err := n.Dial(l); err == nil {
			t.Error("Dial after Close: no error")
		}
		if c, err := n.DialContext(t.Context(), "tcp", l.Addr().String()); err == nil || c != nil {
			t.Errorf("DialContext after Close: %v, %v", c, err)
		}
	})
}

func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(t, 0, Faults{SendBuffer: 4, RecvBuffer: 4, Latency: time.Second})
		fd, c := n.Pair()
		s := n.Sockets()
		begin := time.Now()
		_ = c.SetReadDeadline(begin.Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("Read: %v after %v", err, time.Since(begin))
		}
		_ = c.SetDeadline(time.Time{})
		go func() {
			time.Sleep(time.Minute)
			_ = c.SetWriteDeadline(time.Now())
		}()
		if k, err := c.Write([]byte("0123456789")); k != 8 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write into full buffers: %d, %v", k, err)
		}
		p := make([]byte, 10)
		if k, err := s.Read(fd, p); string(p[:k]) != "0123" || err != nil {
			t.Errorf("Read: %q, %v", p[:k], err)
		}
		if err := s.CloseWrite(fd); err != nil {
			t.Error(err)
		}
		if p, err := c.ReadAll(); len(p) != 0 || err != nil {
			t.Errorf("ReadAll: %q, %v", p, err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if k, err := s.Read(fd, p); string(p[:k]) != "4567" || err != nil {
			t.Errorf("Read: %q, %v", p[:k], err)
		}
		time.Sleep(time.Minute)
		if k, err := s.Read(fd, p); k != 0 || err != io.EOF {
			t.Errorf("Read at the end: %d, %v", k, err)
		}
		_ = c.Close()
		if _, err := c.Read(p); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
		_ = s.Close(fd)
	})
}

// TestCloseUnread closes a descriptor with something left to read, which costs the peer what was sent to it.
func TestCloseUnread(t *testing.T) {
	lost, kept := 0, 0
	for seed := range int64(50) {
		synctest.Test(t, func(t *testing.T) {
			n := New(t, seed, Faults{Discard: 0.5, Latency: time.Millisecond})
			fd, c := n.Pair()
			_, _ = c.Write([]byte("a request with a body"))
			time.Sleep(time.Second)
			_, _ = n.Sockets().Write(fd, []byte("an answer"))
			_ = n.Sockets().Close(fd)
			p, err := c.ReadAll()
			if !errors.Is(err, reactor.ErrReset) {
				t.Errorf("the client read %q, %v; want a reset", p, err)
			}
			if len(p) == 0 {
				lost++
			} else {
				kept++
			}
		})
	}
	t.Logf("answers lost: %d, kept: %d", lost, kept)
	if lost == 0 || kept == 0 {
		t.Errorf("answers lost: %d, kept: %d; want some of each", lost, kept)
	}
}
