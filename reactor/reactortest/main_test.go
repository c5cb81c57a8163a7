// SPDX-License-Identifier: MIT

package reactortest

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when goroutines are left after the tests: everything must have ended with its Network.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
