// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || netbsd || openbsd || (linux && kqsim)) && !fallback

package waitress

import (
	"sync"
	"sync/atomic"

	"github.com/waitress-go/waitress/reactor"
)

// tokenPageSize is how many descriptors a page of a tokenTable is for: 24 KiB.
const tokenPageSize = 1024

// A tokenTable has the token of each registered descriptor. kqueue reports by descriptor, and what it would carry along
// for us is a pointer on most systems and lost to the garbage collector. Readers take no lock. It grows by pages as
// descriptors are seen, and its size doesn't follow the process's limit, which may be a billion.
type tokenTable struct {
	pages atomic.Pointer[[]*tokenPage] // the slice is immutable; growing replaces it
	mu    sync.Mutex                   // of who grows it
}

type tokenPage [tokenPageSize]tokenSlot

// A tokenSlot belongs to whoever has the descriptor: Add writes it before the kqueue knows the descriptor, and Del,
// which is the loop's, ends its use.
type tokenSlot struct {
	token atomic.Uint64
	used  atomic.Bool
	ended reactor.Ready // loop only: the directions that were reported to have ended; since Add
}

// slot returns the descriptor's slot, nil if there never was one.
func (t *tokenTable) slot(fd int) *tokenSlot {
	pages := t.pages.Load()
	if i := fd / tokenPageSize; pages != nil && i < len(*pages) {
		return &(*pages)[i][fd%tokenPageSize]
	}
	return nil
}

func (t *tokenTable) add(fd int, token reactor.Token) {
	s := t.slot(fd)
	if s == nil {
		t.grow(fd)
		s = t.slot(fd)
	}
	s.ended = 0
	s.token.Store(uint64(token))
	s.used.Store(true)
}

func (t *tokenTable) grow(fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slot(fd) != nil {
		return
	}
	var pages []*tokenPage
	if old := t.pages.Load(); old != nil {
		pages = append(pages, *old...)
	}
	for len(pages) <= fd/tokenPageSize {
		pages = append(pages, new(tokenPage))
	}
	t.pages.Store(&pages)
}

func (t *tokenTable) del(fd int) {
	if s := t.slot(fd); s != nil {
		s.used.Store(false)
	}
}
