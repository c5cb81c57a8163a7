// SPDX-License-Identifier: MIT

package reactortest

import (
	"flag"
	"fmt"
	"testing"
)

var (
	seedFlag = flag.Int64("reactortest.seed", -1, "run this seed only in tests of seeds; negative: all they ask for")
	runsFlag = flag.Int("reactortest.runs", 0, "run this many seeds in tests of seeds; 0: as many as they ask for")
)

// Seeds runs f as subtests with the seeds from 0 to runs-1, or those that the flags say. They are the same every time,
// so that a test that passed passes again; go test -reactortest.runs=10000 looks further.
func Seeds(t *testing.T, runs int, f func(t *testing.T, seed int64)) {
	t.Helper()
	first := int64(0)
	switch {
	case *seedFlag >= 0:
		first, runs = *seedFlag, 1
	case *runsFlag > 0:
		runs = *runsFlag
	}
	for seed := first; seed < first+int64(runs); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { f(t, seed) })
	}
}
