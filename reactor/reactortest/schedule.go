// SPDX-License-Identifier: MIT

package reactortest

import (
	"slices"
	"time"
)

// A schedule is what will happen by itself, in order of time and, at the same time, of asking. It is guarded by
// Network.mu.
type schedule struct {
	soon  []func() // before the lock is released
	later []appointment
	timer *time.Timer // fires at the time of later[0]; made when first needed
}

type appointment struct {
	at  time.Time
	run func()
}

// after lets run happen once d has passed, with n.mu held. Without a delay it happens before n.mu is released, but not
// inside of what happens now.
func (n *Network) after(d time.Duration, run func()) {
	if d <= 0 {
		n.soon = append(n.soon, run)
		return
	}
	at := time.Now().Add(d)
	i := len(n.later)
	for i > 0 && n.later[i-1].at.After(at) {
		i--
	}
	n.later = slices.Insert(n.later, i, appointment{at, run})
	if i == 0 {
		n.setTimer(d)
	}
}

func (n *Network) setTimer(d time.Duration) {
	if n.timer == nil {
		n.timer = time.AfterFunc(d, n.tick)
		return
	}
	n.timer.Reset(d)
}

// tick does what is due.
func (n *Network) tick() {
	n.mu.Lock()
	defer n.unlock()
	if n.closed {
		return
	}
	now := time.Now()
	for len(n.later) > 0 && !n.later[0].at.After(now) {
		run := n.later[0].run
		n.later = slices.Delete(n.later, 0, 1)
		run()
		n.settle()
	}
	if len(n.later) > 0 {
		n.setTimer(n.later[0].at.Sub(now))
	}
}

// settle does what is to happen without delay.
func (n *Network) settle() {
	for len(n.soon) > 0 {
		run := n.soon[0]
		n.soon = n.soon[1:]
		run()
	}
}

// unlock releases n.mu after everything that happens without delay has happened.
func (n *Network) unlock() {
	n.settle()
	n.mu.Unlock()
}
