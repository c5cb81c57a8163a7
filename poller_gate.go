// SPDX-License-Identifier: MIT

//go:build (darwin || dragonfly || freebsd || netbsd || openbsd || windows || (linux && kqsim)) && !fallback

package waitress

import "sync"

// A gate keeps what a poller holds of the system from being closed under Add and Wake, which come from any goroutine.
type gate struct {
	mu     sync.RWMutex
	closed bool // guarded by mu
}

// enter says whether the gate is open. Then nothing is closed until leave.
func (g *gate) enter() bool {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return false
	}
	return true
}

func (g *gate) leave() { g.mu.RUnlock() }

// close waits until all who have entered have left, and lets nobody in from then on. It says whether the gate was open.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := !g.closed
	g.closed = true
	return open
}
