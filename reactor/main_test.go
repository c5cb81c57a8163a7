// SPDX-License-Identifier: MIT

package reactor

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when goroutines are left after the tests: every loop and task must have ended with its Reactor.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
