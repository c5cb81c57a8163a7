// SPDX-License-Identifier: MIT

//go:build kqsim

package waitress

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// TestKqsim runs the conformance suite on the model with several seeds, once with only such reports as a kernel makes, and
// once with reports for no reason too. -reactortest.seed and -reactortest.runs say which.
func TestKqsim(t *testing.T) {
	runs := 4
	if testing.Short() {
		runs = 1
	}
	var before [simDeeds]int64
	for i := range before {
		before[i] = simDone[i].Load()
	}
	reactortest.Seeds(t, runs, func(t *testing.T, seed int64) {
		simSeed.Store(uint64(seed) + 1)
		defer simSeed.Store(0)
		for _, calm := range []bool{true, false} {
			t.Run(fmt.Sprintf("calm=%v", calm), func(t *testing.T) {
				simCalm.Store(calm)
				defer simCalm.Store(false)
				t.Run("kqueue", func(t *testing.T) { testKqueue(t, !calm) })
				system := pollerSystem{
					newPoller: newPoller, sockets: newSockets(), pair: loopbackPair, capabilities: systemCapabilities(),
				}
				system.spurious = !calm
				system.wakes /= 4
				testPoller(t, system)
			})
		}
	})
	// A model that does nothing unusual would prove nothing.
	for i, name := range simDeedNames {
		n := simDone[i].Load() - before[i]
		t.Logf("%s: %d", name, n)
		if n == 0 && !t.Failed() {
			t.Errorf("never: %s", name)
		}
	}
}

// TestKqueueReports: what the poller makes of single reports, in their order.
func TestKqueueReports(t *testing.T) {
	const (
		read, write = reactor.Readable, reactor.Writable
		end, gone   = reactor.PeerClosed, reactor.Hangup
	)
	readable := kevent{filt: filterRead}
	writable := kevent{filt: filterWrite}
	readEnd := kevent{filt: filterRead, flag: keventEOF}
	writeEnd := kevent{filt: filterWrite, flag: keventEOF}
	for _, test := range []struct {
		name    string
		reports []kevent
		want    []reactor.Ready
	}{
		{"ready", []kevent{readable, writable}, []reactor.Ready{read, write}},
		{"the peer's end, and its news", []kevent{readEnd, writable, readEnd}, []reactor.Ready{read | end, write, read | end}},
		{"our end", []kevent{writeEnd, readable}, []reactor.Ready{write, read}},
		{"both ends", []kevent{readEnd, writeEnd}, []reactor.Ready{read | end, read | write | gone}},
		{"both ends, ours first", []kevent{writeEnd, readEnd}, []reactor.Ready{write, read | write | end | gone}},
		{
			"reset",
			[]kevent{{filt: filterRead, flag: keventEOF, fflags: unix.ECONNRESET}},
			[]reactor.Ready{read | write | end | gone},
		},
		{
			"reset, told by the write filter",
			[]kevent{{filt: filterWrite, flag: keventEOF, fflags: unix.ECONNRESET}},
			[]reactor.Ready{read | write | gone},
		},
		{"failed", []kevent{{filt: filterWrite, flag: keventError, data: unix.EBADF}}, []reactor.Ready{read | write | gone}},
		{"fflags of no end", []kevent{{filt: filterRead, fflags: 1}}, []reactor.Ready{read}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s tokenSlot
			for i := range test.reports {
				if got := s.translate(&test.reports[i]); got != test.want[i] {
					t.Errorf("report %d is %04b, want %04b", i, got, test.want[i])
				}
			}
		})
	}
}
