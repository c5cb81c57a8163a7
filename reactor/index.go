// SPDX-License-Identifier: MIT

package reactor

import (
	"sync"
	"sync/atomic"
)

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

// An index finds the connection of a slot. Slots are descriptor numbers, which systems keep small and reuse, so pages of
// 256 entries, made when first needed and kept, take two words a connection and nothing for the descriptors a process
// could have but does not. Reading takes no lock and may happen on any goroutine.
type index struct {
	pages atomic.Pointer[[]*page] // replaced, never changed, when it grows
	mu    sync.Mutex              // guards growing
}

type page struct {
	conns [pageSize]atomic.Pointer[Conn]
	// gens counts how often a slot was used, so that a Token names one connection and not its successors.
	gens [pageSize]atomic.Uint32
}

func (x *index) page(slot uint32) *page {
	pages := x.pages.Load()
	if i := int(slot >> pageBits); pages != nil && i < len(*pages) {
		return (*pages)[i]
	}
	return nil
}

// get returns the connection that token names, or nil when it is gone.
func (x *index) get(token Token) *Conn {
	slot := uint32(token)
	p := x.page(slot)
	if p == nil {
		return nil
	}
	c := p.conns[slot%pageSize].Load()
	if c == nil || c.gen != uint32(token>>32) {
		return nil
	}
	return c
}

// put enters c under its descriptor and sets its generation.
func (x *index) put(c *Conn) Token {
	slot := uint32(c.fd)
	p := x.page(slot)
	if p == nil {
		p = x.grow(slot)
	}
	c.gen = p.gens[slot%pageSize].Add(1)
	p.conns[slot%pageSize].Store(c)
	return Token(c.gen)<<32 | Token(slot)
}

// del removes c. Its token finds nothing from now on.
func (x *index) del(c *Conn) {
	slot := uint32(c.fd)
	x.page(slot).conns[slot%pageSize].CompareAndSwap(c, nil)
}

func (x *index) grow(slot uint32) *page {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.page(slot); p != nil {
		return p
	}
	var pages []*page
	if old := x.pages.Load(); old != nil {
		pages = append(pages, *old...)
	}
	for len(pages) <= int(slot>>pageBits) {
		pages = append(pages, new(page))
	}
	x.pages.Store(&pages)
	return pages[slot>>pageBits]
}

// each calls f for every connection that is in the index now.
func (x *index) each(f func(*Conn)) {
	pages := x.pages.Load()
	if pages == nil {
		return
	}
	for _, p := range *pages {
		for i := range p.conns {
			if c := p.conns[i].Load(); c != nil {
				f(c)
			}
		}
	}
}
