// SPDX-License-Identifier: MIT

package reactortest

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// A rig is one registered connection, for tests of what is reported when.
type rig struct {
	t       *testing.T
	n       *Network
	poller  reactor.Poller
	sockets reactor.Sockets
	fd      reactor.FD
	client  *Client
}

const rigToken reactor.Token = 1<<32 | 3

func newRig(t *testing.T, f Faults) *rig {
	n := New(t, 0, f)
	fd, c := n.Pair()
	r := &rig{t, n, n.NewPoller(), n.Sockets(), fd, c}
	if err := r.poller.Add(fd, rigToken); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.poller.Del(fd)
		_ = r.sockets.Close(fd)
		_ = r.poller.Close()
	})
	return r
}

// expect says what must be reported now; 0 is nothing.
func (r *rig) expect(want reactor.Ready) {
	r.t.Helper()
	var got reactor.Ready
	events := make([]reactor.Event, 4)
	k, err := r.poller.Wait(events, 0)
	for _, e := range events[:k] {
		got |= e.Ready
		if e.Token != rigToken {
			r.t.Errorf("token %#x", uint64(e.Token))
		}
	}
	if got != want || err != nil {
		r.t.Errorf("reported %s, want %s; error %v\n%s", readyString(got), readyString(want), err, r.n.State())
	}
}

func (r *rig) send(text string) {
	r.t.Helper()
	if _, err := r.client.Write([]byte(text)); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) read(size int, want string, wantErr error) {
	r.t.Helper()
	p := make([]byte, size)
	if k, err := r.sockets.Read(r.fd, p); string(p[:k]) != want || !errors.Is(err, wantErr) {
		r.t.Errorf("Read = %q, %v; want %q, %v", p[:k], err, want, wantErr)
	}
}

func (r *rig) rearm(dir reactor.Ready) {
	r.t.Helper()
	if err := r.poller.Rearm(r.fd, dir); err != nil {
		r.t.Error(err)
	}
}

// TestStrict follows one connection through every rule of the least that the contract promises.
func TestStrict(t *testing.T) {
	const readable, writable = reactor.Readable, reactor.Writable
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Faults{Style: StyleStrict, SendBuffer: 4, RecvBuffer: 4})
		r.expect(0) // Writable is not armed
		r.send("ab")
		r.expect(readable)
		r.send("c")
		r.expect(0)       // reported already
		r.rearm(readable) // without having met the end: asks for nothing
		r.expect(0)
		r.read(2, "ab", nil) // full: not the end
		r.rearm(readable)
		r.expect(0)
		r.read(2, "c", nil) // short: the end
		r.send("d")
		r.expect(0) // not armed
		if f := r.n.Forgotten(); !slices.Equal(f, []reactor.FD{r.fd}) {
			t.Errorf("forgotten: %v", f)
		}
		r.rearm(readable)
		if f := r.n.Forgotten(); len(f) > 0 {
			t.Errorf("forgotten: %v", f)
		}
		r.expect(readable) // what came between the short read and Rearm
		r.read(4, "d", nil)
		r.rearm(readable)
		r.read(4, "", reactor.ErrAgain) // armed already, and stays so
		r.send("e")
		r.expect(readable)
		r.read(1, "e", nil)
		r.read(1, "", reactor.ErrAgain)
		r.rearm(readable)

		write := func(text string, want int, wantErr error) {
			t.Helper()
			if k, err := r.sockets.Write(r.fd, []byte(text)); k != want || !errors.Is(err, wantErr) {
				t.Errorf("Write(%q) = %d, %v; want %d, %v", text, k, err, want, wantErr)
			}
		}
		write("0123", 4, nil)
		write("456789", 4, nil)
		write("8", 0, reactor.ErrAgain)
		_, _ = io.ReadFull(r.client, make([]byte, 1))
		r.expect(0) // not armed
		r.rearm(writable)
		r.expect(writable)
		write("8", 1, nil)
		write("9", 0, reactor.ErrAgain)
		r.rearm(writable)
		r.expect(0) // full
		_, _ = io.ReadFull(r.client, make([]byte, 1))
		r.expect(writable)
		r.rearm(writable) // without having met the end since
		r.expect(0)

		r.send("f")
		r.expect(readable)
		_ = r.client.CloseWrite()
		r.expect(readable | reactor.PeerClosed) // although not armed
		r.expect(0)
		r.read(1, "f", nil)
		r.read(1, "", io.EOF)
		_ = r.sockets.CloseWrite(r.fd)
		r.expect(readable | reactor.Hangup)
	})
}

// TestEdge follows one connection where arming means nothing.
func TestEdge(t *testing.T) {
	const readable, writable = reactor.Readable, reactor.Writable
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Faults{Style: StyleEdge, SendBuffer: 4, RecvBuffer: 4})
		r.expect(writable)
		r.expect(0)
		r.send("a")
		r.expect(readable | writable)
		r.expect(0)
		r.send("b")
		r.expect(readable | writable)
		r.read(1, "a", nil)
		r.rearm(readable)
		r.expect(0) // no edge
		_, _ = r.sockets.Write(r.fd, []byte("01234567"))
		_, _ = r.sockets.Write(r.fd, []byte("4567"))
		r.expect(readable | writable) // when the first four had arrived; b is still there
		r.send("c")
		r.expect(readable)
		r.client.Reset()
		r.expect(readable | writable | reactor.Hangup)
	})
}

// TestReset checks what is reported and found after a reset, with what had arrived before it and without.
func TestReset(t *testing.T) {
	for _, discard := range []float64{0, 1} {
		for _, style := range []Style{StyleEdge, StyleStrict} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Faults{Style: style, Discard: discard, Wrap: 1})
				r.send("ab")
				_ = r.poller.Wake()
				_, _ = r.poller.Wait(make([]reactor.Event, 4), 0)
				r.client.Reset()
				if style == StyleEdge {
					r.expect(reactor.Readable | reactor.Writable | reactor.Hangup)
				} else {
					r.expect(reactor.Readable | reactor.Hangup)
				}
				if discard == 0 {
					r.read(4, "ab", nil)
				}
				if _, err := r.sockets.Peek(r.fd); !errors.Is(err, reactor.ErrReset) {
					t.Errorf("Peek: %v", err)
				}
				r.read(4, "", reactor.ErrReset)
				if _, err := r.sockets.Write(r.fd, []byte("x")); !errors.Is(err, reactor.ErrReset) || err == reactor.ErrReset {
					t.Errorf("Write: %v", err)
				}
			})
		}
	}
}

// TestAbort checks every way in which systems end a connection that keeps its descriptor.
func TestAbort(t *testing.T) {
	seen := map[string]bool{}
	for seed := range int64(30) {
		synctest.Test(t, func(t *testing.T) {
			n := New(t, seed, Faults{Style: StyleStrict})
			fd, c := n.Pair()
			p, s := n.NewPoller(), n.Sockets()
			_ = p.Add(fd, 1)
			_, _ = c.Write([]byte("rest"))
			events := make([]reactor.Event, 4)
			_, _ = p.Wait(events, 0)
			go func() {
				time.Sleep(time.Second)
				_ = s.Abort(fd)
			}()
			if k, _ := p.Wait(events, -1); k != 1 || events[0].Ready&reactor.Hangup == 0 {
				t.Errorf("reported: %v", events[:k])
			}
			b := make([]byte, 10)
			k, err := s.Read(fd, b)
			seen[string(b[:k])+" "+errString(err)] = true
			if k > 0 {
				k, err = s.Read(fd, b)
			}
			if k != 0 || err != io.EOF && !errors.Is(err, reactor.ErrReset) {
				t.Errorf("Read after Abort: %d, %v", k, err)
			}
			if _, err := s.Write(fd, b); !errors.Is(err, reactor.ErrReset) {
				t.Errorf("Write after Abort: %v", err)
			}
			// A client that goes on sending must find out, or it would wait for room for ever.
			if _, err := c.Write(make([]byte, 3*defaultBuffer)); !errors.Is(err, reactor.ErrReset) {
				t.Errorf("the client's Write after Abort: %v", err)
			}
			if p, err := c.ReadAll(); len(p) > 0 || err != nil && !errors.Is(err, reactor.ErrReset) {
				t.Errorf("the client read %q, %v", p, err)
			}
			_ = p.Del(fd)
			_ = s.Close(fd)
			_ = p.Close()
		})
	}
	if len(seen) != 3 {
		t.Errorf("seen after Abort: %v", seen)
	}
}

func errString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWait(t *testing.T) {
	for _, style := range []Style{StyleEdge, StyleStrict} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Faults{Style: style, Latency: time.Hour})
			events := make([]reactor.Event, 4)
			_, _ = r.poller.Wait(events, 0)
			begin := time.Now()
			if k, err := r.poller.Wait(events, time.Minute); k != 0 || err != nil || time.Since(begin) != time.Minute {
				t.Errorf("Wait: %d, %v after %v", k, err, time.Since(begin))
			}
			// Wakes before a Wait count for the next one, once.
			_ = r.poller.Wake()
			_ = r.poller.Wake()
			begin = time.Now()
			if k, err := r.poller.Wait(events, -1); k != 0 || err != nil || time.Since(begin) != 0 {
				t.Errorf("Wait after Wake: %d, %v after %v", k, err, time.Since(begin))
			}
			if k, err := r.poller.Wait(events, time.Second); k != 0 || err != nil || time.Since(begin) != time.Second {
				t.Errorf("Wait: %d, %v after %v", k, err, time.Since(begin))
			}
			go func() {
				time.Sleep(time.Minute)
				_ = r.poller.Wake()
			}()
			if k, err := r.poller.Wait(events, -1); k != 0 || err != nil {
				t.Errorf("Wait during Wake: %d, %v", k, err)
			}
			r.send("late")
			if k, err := r.poller.Wait(events, -1); k != 1 || err != nil || events[0].Ready&reactor.Readable == 0 {
				t.Errorf("Wait for what is under way: %v, %v", events[:k], err)
			}
		})
	}
}

// TestFaults checks that each fault of a Poller does happen, and is nothing that the contract excludes.
func TestFaults(t *testing.T) {
	const readable, writable = reactor.Readable, reactor.Writable
	wait := func(r *rig) []reactor.Event {
		events := make([]reactor.Event, 8)
		k, err := r.poller.Wait(events, time.Minute)
		if err != nil {
			r.t.Error(err)
		}
		return events[:k]
	}
	for _, test := range []struct {
		name   string
		faults Faults
		check  func(r *rig)
	}{
		{"spurious", Faults{Style: StyleStrict, Spurious: 1}, func(r *rig) {
			if e := wait(r); len(e) != 1 || e[0].Ready&^(readable|writable) != 0 {
				r.t.Errorf("reported %v", e)
			}
			r.read(1, "", reactor.ErrAgain)
		}},
		{"duplicate", Faults{Style: StyleStrict, Duplicate: 1}, func(r *rig) {
			r.send("a")
			if e := wait(r); len(e) != 2 || e[0] != e[1] {
				r.t.Errorf("reported %v", e)
			}
		}},
		{"split", Faults{Style: StyleEdge, Split: 1}, func(r *rig) {
			r.send("a")
			if e := wait(r); len(e) != 2 || e[0].Ready != readable || e[1].Ready != writable {
				r.t.Errorf("reported %v", e)
			}
		}},
		{"delay", Faults{Style: StyleStrict, Delay: 1, Pause: time.Second}, func(r *rig) {
			begin := time.Now()
			for range 20 {
				r.send("a")
				if e := wait(r); len(e) != 1 || e[0].Ready != readable {
					r.t.Errorf("reported %v", e)
				}
				r.read(2, "a", nil)
				r.rearm(readable)
			}
			if time.Since(begin) == 0 {
				r.t.Error("nothing was delayed")
			}
		}},
		{"early", Faults{Style: StyleStrict, Early: 1}, func(r *rig) {
			r.send("a")
			if e := wait(r); len(e) != 0 {
				r.t.Errorf("reported %v", e)
			}
		}},
		{"short read", Faults{Style: StyleStrict, ShortRead: 1}, func(r *rig) {
			r.send("abc")
			_ = wait(r)
			p := make([]byte, 3)
			k, err := r.sockets.Read(r.fd, p)
			if k < 1 || k > 2 || err != nil {
				r.t.Errorf("Read = %q, %v", p[:k], err)
			}
			r.rearm(readable)
			if e := wait(r); len(e) != 1 || e[0].Ready != readable {
				r.t.Errorf("reported %v", e)
			}
			_ = r.client.CloseWrite()
			time.Sleep(time.Second)
			r.read(3, "abc"[k:], nil) // with the end behind it, all is there
			r.read(3, "", io.EOF)
		}},
		{"again", Faults{Style: StyleStrict, Again: 1}, func(r *rig) {
			r.send("abc")
			_ = wait(r)
			r.read(3, "", reactor.ErrAgain)
			r.rearm(readable)
			if e := wait(r); len(e) != 1 || e[0].Ready != readable {
				r.t.Errorf("reported %v", e)
			}
			if k, err := r.sockets.Peek(r.fd); k != 1 || err != nil {
				r.t.Errorf("Peek = %d, %v", k, err)
			}
			r.read(3, "abc", nil) // as Peek has said
			if k, err := r.sockets.Write(r.fd, []byte("x")); k != 0 || !errors.Is(err, reactor.ErrAgain) {
				r.t.Errorf("Write = %d, %v", k, err)
			}
			r.rearm(writable)
			if e := wait(r); len(e) != 1 || e[0].Ready != writable {
				r.t.Errorf("reported %v", e)
			}
		}},
		{"short write", Faults{Style: StyleStrict, ShortWrite: 1}, func(r *rig) {
			if k, err := r.sockets.Write(r.fd, []byte("abc")); k < 1 || k > 2 || err != nil {
				r.t.Errorf("Write = %d, %v", k, err)
			}
			r.rearm(writable)
			if e := wait(r); len(e) != 1 || e[0].Ready != writable {
				r.t.Errorf("reported %v", e)
			}
		}},
		{"reset", Faults{Style: StyleStrict, Reset: 1}, func(r *rig) {
			r.read(1, "", reactor.ErrReset)
			if _, err := r.client.Read(make([]byte, 1)); !errors.Is(err, reactor.ErrReset) {
				r.t.Errorf("the client's Read: %v", err)
			}
		}},
		{"stale", Faults{Style: StyleStrict, Stale: 1}, func(r *rig) {
			fd, _ := r.n.Pair()
			_ = r.poller.Add(fd, 99)
			_ = r.poller.Del(fd)
			_ = r.sockets.Close(fd)
			if e := wait(r); len(e) != 1 || e[0].Token != 99 {
				r.t.Errorf("reported %v", e)
			}
		}},
		{"add", Faults{AddFail: 1}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if test.check != nil {
					test.check(newRig(t, test.faults))
					return
				}
				n := New(t, 0, test.faults)
				fd, _ := n.Pair()
				p := n.NewPoller()
				if err := p.Add(fd, 1); !errors.Is(err, reactor.ErrExhausted) {
					t.Errorf("Add: %v", err)
				}
				_ = n.Sockets().Close(fd)
				_ = p.Close()
			})
		})
	}
}
