// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || netbsd || openbsd || (linux && kqsim)

package waitress

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKqueue asks of a kqueue what sys_unix.go says of it, and the poller relies on.
func TestKqueue(t *testing.T) {
	testKqueue(t, systemCapabilities().spurious)
}

func testKqueue(t *testing.T, spurious bool) {
	for _, test := range []struct {
		name string
		run  func(r *kqueueRig)
	}{
		{"a list smaller than what is ready loses nothing", testKqueueShortList},
		{"without EV_CLEAR it reports as long as it is so", testKqueueLevel},
		{"EV_EOF comes with unread bytes", testKqueueUnread},
		{"EV_EOF says why", testKqueueWhy},
		{"EV_EOF of the write filter after shutdown", testKqueueShutdown},
		{"a change that fails ends a call without a list", testKqueueBadChange},
		{"a change that fails is an EV_ERROR among good ones", testKqueueBadChangeListed},
		{"deleting nothing", testKqueueDeleteNothing},
		{"a deleted filter reports no more", testKqueueDelete},
		{"close takes the filters along", testKqueueClose},
	} {
		t.Run(test.name, func(t *testing.T) {
			kq, err := sysKqueue()
			if err != nil {
				t.Fatal(err)
			}
			defer sysClose(kq)
			test.run(&kqueueRig{T: t, kq: kq, spurious: spurious})
		})
	}
}

type kqueueRig struct {
	*testing.T
	kq       int
	spurious bool // a filter that is there may be reported for no reason
}

// pair returns a new connection.
func (r *kqueueRig) pair() (fd int, peer pollerPeer) {
	r.Helper()
	s, peer := loopbackPair(r.T)
	r.Cleanup(func() { peer.Close() })
	return int(s), peer
}

// closes closes fd with the test.
func (r *kqueueRig) closes(fd int) {
	r.Cleanup(func() { sysClose(fd) })
}

func keventOf(fd, filter, flags int) (k kevent) {
	k.set(fd, filter, flags)
	return k
}

// change makes changes that succeed, also where the call is interrupted.
func (r *kqueueRig) change(changes ...kevent) {
	r.Helper()
	if _, errno := sysKevent(r.kq, changes, nil, 0); errno != 0 && errno != unix.EINTR {
		r.Fatal(errno)
	}
}

// add adds both filters of fd, with EV_CLEAR.
func (r *kqueueRig) add(fd int) {
	r.Helper()
	r.change(keventOf(fd, filterRead, keventAdd|keventClear), keventOf(fd, filterWrite, keventAdd|keventClear))
}

// wait returns the next reports, at most room of them; none if timeout has passed.
func (r *kqueueRig) wait(room int, timeout time.Duration) []kevent {
	r.Helper()
	list := make([]kevent, room)
	for {
		n, errno := sysKevent(r.kq, nil, list, timeout)
		if errno == 0 {
			return list[:n]
		}
		if errno != unix.EINTR {
			r.Fatal(errno)
		}
	}
}

// until waits for a report that is as wanted.
func (r *kqueueRig) until(what string, wanted func(k *kevent) bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		list := r.wait(8, time.Minute)
		for i := range list {
			if wanted(&list[i]) {
				return
			}
		}
	}
	r.Fatal("never came: ", what)
}

// none fails the test if a filter of fd is reported before another connection's bytes have made the round a few times.
func (r *kqueueRig) none(fd, filter int) {
	r.Helper()
	other, peer := r.pair()
	defer sysClose(other)
	r.add(other)
	for range 5 {
		if _, err := peer.Write([]byte("x")); err != nil {
			r.Fatal(err)
		}
		r.until("another's byte", func(k *kevent) bool {
			if k.fd() == fd && k.filter() == filter {
				r.Errorf("filter %d with flags %#x of %d was reported", k.filter(), k.flags(), fd)
			}
			return k.fd() == other && k.filter() == filterRead
		})
		for errno := unix.EAGAIN; errno != 0; {
			_, errno = sysRead(other, make([]byte, 1))
		}
	}
}

func testKqueueShortList(r *kqueueRig) {
	const conns = 40
	missing := make(map[int]bool)
	for range conns {
		fd, peer := r.pair()
		r.closes(fd)
		r.add(fd)
		if _, err := peer.Write([]byte("hello")); err != nil {
			r.Fatal(err)
		}
		missing[fd] = true
	}
	for len(missing) > 0 {
		list := r.wait(3, time.Minute)
		if len(list) == 0 {
			r.Fatalf("%d connections of %d were not reported", len(missing), conns)
		}
		for i := range list {
			if list[i].filter() == filterRead {
				delete(missing, list[i].fd())
			}
		}
	}
}

func testKqueueLevel(r *kqueueRig) {
	fd, peer := r.pair()
	r.closes(fd)
	r.change(keventOf(fd, filterRead, keventAdd))
	if _, err := peer.Write([]byte("x")); err != nil {
		r.Fatal(err)
	}
	isIt := func(k *kevent) bool { return k.fd() == fd && k.filter() == filterRead }
	for range 5 {
		r.until("the filter again", isIt)
	}
	if _, errno := sysRead(fd, make([]byte, 1)); errno != 0 {
		r.Fatal(errno)
	}
	if !r.spurious {
		r.none(fd, filterRead)
	}
}

func testKqueueUnread(r *kqueueRig) {
	fd, peer := r.pair()
	r.closes(fd)
	r.add(fd)
	if _, err := peer.Write([]byte("goodbye")); err != nil {
		r.Fatal(err)
	}
	if err := peer.CloseWrite(); err != nil {
		r.Fatal(err)
	}
	r.until("the end", func(k *kevent) bool {
		end := k.filter() == filterRead && k.flags()&keventEOF != 0
		if end && k.errno() != 0 {
			r.Errorf("the end with errno %v", k.errno())
		}
		return end
	})
	p := make([]byte, 10)
	if n, errno := sysRead(fd, p); string(p[:n]) != "goodbye" || errno != 0 {
		r.Errorf("read %q, %v", p[:n], errno)
	}
	if n, errno := sysRead(fd, p); n != 0 || errno != 0 {
		r.Errorf("read at the end: %d, %v", n, errno)
	}
}

// testKqueueWhy: at least one of the filters has to tell.
func testKqueueWhy(r *kqueueRig) {
	for range 10 {
		fd, peer := r.pair()
		r.closes(fd)
		r.add(fd)
		if err := peer.Reset(); err != nil {
			r.Fatal(err)
		}
		r.until("the reset", func(k *kevent) bool {
			return k.fd() == fd && k.flags()&(keventEOF|keventError) != 0 && k.errno() == unix.ECONNRESET
		})
	}
}

func testKqueueShutdown(r *kqueueRig) {
	fd, peer := r.pair()
	r.closes(fd)
	r.add(fd)
	if errno := sysShutdown(fd, unix.SHUT_WR); errno != 0 {
		r.Fatal(errno)
	}
	r.until("our end", func(k *kevent) bool { return k.filter() == filterWrite && k.flags()&keventEOF != 0 })
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		r.Errorf("the peer read %v", err)
	}
}

func testKqueueBadChange(r *kqueueRig) {
	fd, _ := r.pair()
	r.closes(fd)
	changes := []kevent{keventOf(fd, filterRead, keventDelete), keventOf(fd, filterWrite, keventAdd)}
	n, errno := unbroken(func() (int, unix.Errno) { return sysKevent(r.kq, changes, nil, 0) })
	if n >= 0 || errno != unix.ENOENT {
		r.Errorf("%d, %v", n, errno)
	}
	r.none(fd, filterWrite)
}

func testKqueueBadChangeListed(r *kqueueRig) {
	good, _ := r.pair()
	r.closes(good)
	changes := []kevent{
		keventOf(good, filterRead, keventDelete), keventOf(good, filterWrite, keventAdd), keventOf(good, filterRead, keventDelete),
	}
	list := make([]kevent, 3)
	n, errno := unbroken(func() (int, unix.Errno) { return sysKevent(r.kq, changes, list, 0) })
	if n != 2 || errno != 0 {
		r.Fatalf("%d entries, %v", n, errno)
	}
	for i := range list[:n] {
		if k := &list[i]; k.flags()&keventError == 0 || k.fd() != good || k.filter() != filterRead || k.errno() != unix.ENOENT {
			r.Errorf("fd %d, filter %d, flags %#x, errno %v", k.fd(), k.filter(), k.flags(), k.errno())
		}
	}
	r.until("what was added", func(k *kevent) bool { return k.fd() == good && k.filter() == filterWrite })
}

// unbroken makes a call until it is not interrupted.
func unbroken(call func() (int, unix.Errno)) (int, unix.Errno) {
	for {
		if n, errno := call(); errno != unix.EINTR {
			return n, errno
		}
	}
}

func testKqueueDeleteNothing(r *kqueueRig) {
	fd, _ := r.pair()
	remove := func() unix.Errno {
		changes := []kevent{keventOf(fd, filterRead, keventDelete)}
		_, errno := unbroken(func() (int, unix.Errno) { return sysKevent(r.kq, changes, nil, 0) })
		return errno
	}
	if errno := remove(); errno != unix.ENOENT {
		r.Errorf("of none: %v", errno)
	}
	if errno := sysClose(fd); errno != 0 {
		r.Error(errno)
	}
	if errno := remove(); errno != unix.EBADF {
		r.Errorf("of a closed descriptor: %v", errno)
	}
}

func testKqueueDelete(r *kqueueRig) {
	fd, peer := r.pair()
	r.closes(fd)
	r.add(fd)
	if _, err := peer.Write([]byte("x")); err != nil {
		r.Fatal(err)
	}
	r.until("the byte", func(k *kevent) bool { return k.filter() == filterRead })
	r.change(keventOf(fd, filterRead, keventDelete))
	r.change(keventOf(fd, filterWrite, keventDelete))
	if _, err := peer.Write([]byte("x")); err != nil {
		r.Fatal(err)
	}
	r.none(fd, filterRead)
	r.none(fd, filterWrite)
}

// testKqueueClose: the next connection with the same number is not reported before it is added.
func testKqueueClose(r *kqueueRig) {
	var closed []int
	for range 10 {
		fd, peer := r.pair()
		r.add(fd)
		if _, err := peer.Write([]byte("x")); err != nil {
			r.Fatal(err)
		}
		closed = append(closed, fd)
	}
	for _, fd := range closed {
		sysClose(fd)
	}
	again := 0
	for range 20 {
		fd, peer := r.pair()
		r.closes(fd)
		if _, err := peer.Write([]byte("x")); err != nil {
			r.Fatal(err)
		}
		if slices.Contains(closed, fd) {
			again++
			r.none(fd, filterRead)
			r.none(fd, filterWrite)
		}
		r.change(keventOf(fd, filterRead, keventAdd|keventClear))
		r.until("the byte", func(k *kevent) bool { return k.fd() == fd && k.filter() == filterRead })
	}
	if again == 0 {
		r.Skip("no number came again")
	}
}
