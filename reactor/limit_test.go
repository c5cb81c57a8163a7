// SPDX-License-Identifier: MIT

package reactor_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// limited is a script whose connections are idle from their first input on, but for those that say "busy", and move their read
// deadline as they do.
func limited() *script {
	return &script{
		opened: func(c *channel) { c.state = new(bool) },
		input: func(c *channel, t *reactor.Turn, p []byte) bool {
			*c.state.(*bool) = !strings.HasPrefix(string(p), "busy")
			c.SetReadTimeout(t, time.Hour)
			return true
		},
		idle:     func(c *channel) bool { return *c.state.(*bool) },
		draining: func(c *channel, t *reactor.Turn) { c.Close(t) },
	}
}

// TestMaxConns: at the limit a new connection takes the place of the one that has been idle for longest, and where none is idle
// it waits until one is, or has gone. Nobody is closed while nobody waits.
func TestMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 6
		m := newSim(t, 0, reactortest.Faults{}, simConfig{loops: 2, maxConns: limit}, limited())
		count := func() (open, all int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, c := range m.channels {
				if !c.closed.Load() {
					open++
				}
			}
			return open, len(m.channels)
		}
		check := func(what string, all, closed int) {
			t.Helper()
			open, n := count()
			m.mu.Lock()
			defer m.mu.Unlock()
			if open != limit || n != all || closed >= 0 && !m.channels[closed].closed.Load() {
				t.Fatalf("%s: %d are open, of %d", what, open, n)
			}
		}
		var clients []*reactortest.Client
		for i := range limit {
			_, c := m.open()
			clients = append(clients, c)
			text := "busy"
			if i < 3 {
				text = "idle"
			}
			m.write(c, text)
			time.Sleep(time.Second)
		}
		m.write(clients[0], "idle") // 1 is the oldest now, 2 and 0 follow
		time.Sleep(time.Minute)
		check("nobody waits", limit, -1)
		for i, oldest := range []int{1, 2, 0} {
			m.dial()
			synctest.Wait()
			check("one waits", limit+1+i, oldest)
		}

		// The rest is busy, or has not said anything.
		m.dial()
		time.Sleep(time.Minute)
		check("none is idle", limit+3, -1)
		m.write(clients[4], "idle")
		time.Sleep(time.Second)
		check("one became idle", limit+4, 4)
		m.dial()
		synctest.Wait()
		clients[5].Close()
		synctest.Wait()
		check("one has gone", limit+5, 5)
		m.dial() // waits still when the Server ends
	})
}

// TestAdmit: who is not admitted is closed at once, and those who were are counted off, each once.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken := 0
		m := newSim(t, 0, reactortest.Faults{}, simConfig{
			admit: func(peer string) bool {
				if peer == "" {
					t.Error("no peer")
				}
				if taken == 2 {
					return false
				}
				taken++
				return true
			},
			left: func(string) { taken-- },
		}, limited())
		_, a := m.open()
		m.open()
		c := m.dial()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the third is served")
		}
		a.Close()
		synctest.Wait()
		m.open()
		if taken != 2 {
			t.Errorf("%d are counted", taken)
		}
	})
}
