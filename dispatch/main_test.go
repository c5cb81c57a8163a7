// SPDX-License-Identifier: MIT

package dispatch

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when goroutines are left after the tests: every thread must have ended with its Dispatcher.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
