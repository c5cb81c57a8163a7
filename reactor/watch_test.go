// SPDX-License-Identifier: MIT

package reactor_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// userCode is a script whose input runs as user code that takes as long as it was sent, and that notes what became of the turn.
func userCode(fates map[string]reactor.Fate) *script {
	return &script{input: func(c *channel, t *reactor.Turn, p []byte) bool {
		d, err := time.ParseDuration(string(p))
		if err != nil {
			c.sim.t.Error(err)
		}
		text := string(p)
		t.Enter(&c.Conn, 0)
		time.Sleep(d)
		err = c.Write(t, []byte("done"))
		fate := t.Leave(&c.Conn)
		c.sim.mu.Lock()
		fates[text] = fate
		c.sim.mu.Unlock()
		switch {
		case err != nil:
			c.sim.t.Error(err)
		case fate == reactor.Kept:
			return true
		case c.release(false):
			return false
		}
		c.letGo()
		return false
	}}
}

// TestTakenAway: user code that takes longer than the quantum, after it was found there, loses the loop, and the connections
// behind it are served meanwhile; what is shorter keeps it.
func TestTakenAway(t *testing.T) {
	for _, tt := range []struct {
		text   string
		before int           // how often user code is run in the 50 ms before
		most   time.Duration // that anybody else waits
		want   reactor.Fate
	}{
		{"0s", 100, 0, reactor.Kept},
		{"19ms", 100, 19 * time.Millisecond, reactor.Kept},
		{"22ms", 100, 22 * time.Millisecond, reactor.TakenAway},
		{"1h", 100, 22 * time.Millisecond, reactor.TakenAway},
		{"0s", 1, 0, reactor.Kept},
		{"49ms", 1, 49 * time.Millisecond, reactor.Kept},
		{"52ms", 1, 52 * time.Millisecond, reactor.TakenAway},
		{"1h", 1, 52 * time.Millisecond, reactor.TakenAway},
	} {
		text := tt.text
		t.Run(fmt.Sprintf("%s after %d others", text, tt.before), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fates := map[string]reactor.Fate{}
				m := newSim(t, 0, reactortest.Faults{}, simConfig{}, userCode(fates))
				_, slow := m.open()
				_, quick := m.open()
				for range tt.before {
					m.write(quick, "0s")
					if _, err := quick.Read(make([]byte, 4)); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(51 * time.Millisecond)
				start := time.Now()
				m.write(slow, text)
				synctest.Wait()
				m.write(quick, "0ms")
				if _, err := quick.Read(make([]byte, 4)); err != nil {
					t.Error(err)
				}
				if d := time.Since(start); d > tt.most {
					t.Errorf("the other connection waited for %v", d)
				}
				if _, err := slow.Read(make([]byte, 4)); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				m.mu.Lock()
				defer m.mu.Unlock()
				if fates[text] != tt.want || fates["0ms"] != reactor.Kept {
					t.Errorf("fates: %v, want %v", fates, tt.want)
				}
			})
		})
	}
}

// TestTakenAgain: each loop can be lost any number of times, also by what runs on it after it was taken.
func TestTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fates := map[string]reactor.Fate{}
		m := newSim(t, 0, reactortest.Faults{}, simConfig{loops: 2}, userCode(fates))
		var clients []*reactortest.Client
		for _, text := range []string{"60ms", "61ms", "62ms", "63ms", "64ms", "65ms", "66ms", "67ms"} {
			_, c := m.open()
			m.write(c, text)
			clients = append(clients, c)
		}
		start := time.Now()
		for _, c := range clients {
			if _, err := c.Read(make([]byte, 4)); err != nil {
				t.Error(err)
			}
		}
		// Four on each loop, one after the other but for their waiting.
		if d := time.Since(start); d > 67*time.Millisecond+4*52*time.Millisecond {
			t.Errorf("all took %v", d)
		}
		synctest.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		for text, fate := range fates {
			if fate != reactor.TakenAway {
				t.Errorf("%s: %v", text, fate)
			}
		}
	})
}

// TestWatchRests: nothing ticks when no user code runs.
func TestWatchRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newSim(t, 0, reactortest.Faults{}, simConfig{}, userCode(map[string]reactor.Fate{}))
		_, c := m.open()
		for range 3 {
			m.write(c, "0s")
			if _, err := c.Read(make([]byte, 4)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			if m.reactor.Ticking() {
				t.Error("the watch ticks")
			}
		}
	})
}

// TestGivenAway: user code that waits for its client is not taken for slow.
func TestGivenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fate reactor.Fate
		m := newSim(t, 0, reactortest.Faults{SendBuffer: 1 << 10, RecvBuffer: 1 << 10}, simConfig{watermark: 1 << 12}, &script{
			input: func(c *channel, t *reactor.Turn, _ []byte) bool {
				t.Enter(&c.Conn, 0)
				if err := c.Write(t, make([]byte, 1<<16)); err != nil {
					c.sim.t.Error(err)
				}
				fate = t.Leave(&c.Conn)
				if err := c.Sync(nil); err != nil {
					c.sim.t.Error(err)
				}
				c.letGo()
				return false
			},
		})
		_, c := m.open()
		m.write(c, "x")
		for n := 0; n < 1<<16; {
			k, err := c.Read(make([]byte, 100))
			if n += k; err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		c.Close()
		synctest.Wait()
		if fate != reactor.GivenAway {
			t.Errorf("fate %v", fate)
		}
	})
}
