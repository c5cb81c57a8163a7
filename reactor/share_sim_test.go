// SPDX-License-Identifier: MIT

package reactor_test

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestShareServed: requests are answered whichever loop their connection is on by then, a deadline passes there, and there a
// shutdown finds it.
func TestShareServed(t *testing.T) {
	runs, moved := 0, 0
	simulate(t, 40, func(t *testing.T, seed int64) {
		const conns, requests = 8, 50
		f := reactortest.Random(seed)
		m := newSim(t, seed|1, f, simConfig{loops: 3}, &script{ // an odd seed: connections go at every chance
			opened: func(c *channel) { c.state = map[*reactor.Loop]bool{}; c.SetReadTimeout(nil, time.Hour) },
			input: func(c *channel, t *reactor.Turn, p []byte) bool {
				c.state.(map[*reactor.Loop]bool)[t.Loop()] = true
				c.SetReadTimeout(t, time.Hour)
				return c.Write(t, p) == nil
			},
			idle: func(*channel) bool { return true },
		})
		var wg sync.WaitGroup
		clients := make([]*reactortest.Client, conns)
		for k := range clients {
			clients[k] = m.dial()
			wg.Go(func() {
				p := make([]byte, 1)
				for i := range requests {
					if _, err := clients[k].Write([]byte{byte(i)}); err != nil {
						t.Error(err)
					}
					if _, err := io.ReadFull(clients[k], p); err != nil || p[0] != byte(i) {
						t.Errorf("request %d: answer %d, %v", i, p[0], err)
						return
					}
				}
			})
		}
		wg.Wait()
		runs++
		for _, c := range m.channels {
			if len(c.state.(map[*reactor.Loop]bool)) > 1 {
				moved++
			}
		}
		if n := m.reactor.Conns(); n != conns {
			t.Errorf("%d connections are counted", n)
		}
		if seed%2 == 0 {
			m.reactor.CloseIdle()
		} else {
			time.Sleep(59 * time.Minute)
			if n := m.reactor.Conns(); n != conns {
				t.Errorf("%d connections before their deadline", n)
			}
		}
		time.Sleep(10 * time.Minute)
		if n := m.reactor.Conns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	if moved == 0 && runs > 1 { // one of them may have had no two events at once
		t.Error("no connection has changed its loop")
	}
}
