// SPDX-License-Identifier: MIT

package waitress

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStopContext: how long Run lets requests finish, from a signal on.
func TestStopContext(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		name          string
		timeout, duck time.Duration
		handed        bool // to a new process
		want          time.Duration
	}{
		{"default", 0, 0, false, defaultShutdownTimeout},
		{"ShutdownTimeout", time.Minute, 0, false, time.Minute},
		{"none", -1, 0, false, none},
		{"LameDuck", time.Minute, time.Second, false, time.Minute + time.Second},
		{"no LameDuck", time.Minute, -1, false, time.Minute},
		{"none, LameDuck", -1, time.Second, false, none},
		{"restart", time.Minute, time.Second, true, time.Minute},
		{"none, restart", -1, time.Second, true, none},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{ShutdownTimeout: test.timeout, LameDuck: test.duck}
				ctx, cancel := s.stopContext(test.handed)
				defer cancel()
				got := time.Duration(none)
				if end, ok := ctx.Deadline(); ok {
					got = time.Until(end)
				}
				if got != test.want || ctx.Err() != nil {
					t.Errorf("got %v, %v, want %v", got, ctx.Err(), test.want)
				}
			})
		})
	}
}
