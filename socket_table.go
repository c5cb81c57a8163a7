// SPDX-License-Identifier: MIT

package waitress

import (
	"sync"

	"github.com/waitress-go/waitress/reactor"
)

// A socketTable gives connections numbers that stand for descriptors, where these have none or their own would not do. T's
// zero value says that there is nothing. Any goroutine.
//
// The number that was freed last is as good as the lowest one: no number is ever greater than the most connections that
// there were at a time, and the reactor's index grows with the greatest.
type socketTable[T any] struct {
	mu     sync.RWMutex
	places []T          // guarded by mu: by number
	free   []reactor.FD // guarded by mu: the last one is used next
}

// add gives v a number.
func (t *socketTable[T]) add(v T) reactor.FD {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := len(t.free) - 1; last >= 0 {
		fd := t.free[last]
		t.free = t.free[:last]
		t.places[fd] = v
		return fd
	}
	t.places = append(t.places, v)
	return reactor.FD(len(t.places) - 1)
}

// get returns what has the number fd.
func (t *socketTable[T]) get(fd reactor.FD) (v T) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if fd >= 0 && int(fd) < len(t.places) {
		v = t.places[fd]
	}
	return v
}

// take returns the same and leaves nothing there. With free another connection may get the number.
func (t *socketTable[T]) take(fd reactor.FD, free bool) (v T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < 0 || int(fd) >= len(t.places) {
		return v
	}
	var nothing T
	v, t.places[fd] = t.places[fd], nothing
	if free {
		t.free = append(t.free, fd)
	}
	return v
}
