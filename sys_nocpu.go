// SPDX-License-Identifier: MIT

//go:build aix || darwin || dragonfly || freebsd || illumos || js || netbsd || openbsd || plan9 || solaris || wasip1 || windows

package waitress

import "time"

// threadCPU is nil: what a thread has used is not asked for here.
var threadCPU func() time.Duration
