// SPDX-License-Identifier: MIT

//go:build aix || darwin || dragonfly || freebsd || js || netbsd || openbsd || plan9 || solaris || wasip1 || windows

package waitress

import "time"

// threadUsage is nil: what a thread has used is not asked for here.
var threadUsage func() (cpu time.Duration, waits int64)
