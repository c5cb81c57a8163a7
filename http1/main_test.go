// SPDX-License-Identifier: MIT

package http1

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when goroutines are left after the tests: everything must have ended with its server.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
