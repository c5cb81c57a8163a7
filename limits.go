// SPDX-License-Identifier: MIT

package waitress

import (
	"net/netip"
	"sync"
)

// An addressLimit counts the connections of each client address: of an IPv4 address, or of an IPv6 network of 64 bits, which is
// what one subscriber has. Peers without an IP address, such as those of Unix sockets, are not counted.
type addressLimit struct {
	limit int // immutable

	mu    sync.Mutex
	conns map[netip.Prefix]int // guarded by mu; no entry is 0
}

func newAddressLimit(limit int) *addressLimit {
	return &addressLimit{limit: limit, conns: make(map[netip.Prefix]int)}
}

// subscriber is what a peer's connections are counted by.
func subscriber(peer string) (p netip.Prefix, ok bool) {
	addr, err := netip.ParseAddrPort(peer)
	if err != nil {
		return p, false
	}
	ip, bits := addr.Addr().Unmap(), 32
	if ip.Is6() {
		bits = 64
	}
	p, err = ip.WithZone("").Prefix(bits)
	return p, err == nil
}

// admit counts a new connection of peer, unless it has enough.
func (a *addressLimit) admit(peer string) bool {
	p, ok := subscriber(peer)
	if !ok {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns[p] >= a.limit {
		return false
	}
	a.conns[p]++
	return true
}

// left counts off a connection that was admitted.
func (a *addressLimit) left(peer string) {
	p, ok := subscriber(peer)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns[p]--; a.conns[p] == 0 {
		delete(a.conns, p)
	}
}
