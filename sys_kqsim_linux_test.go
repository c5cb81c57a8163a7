// SPDX-License-Identifier: MIT

//go:build kqsim

package waitress

import (
	"fmt"
	"testing"

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
