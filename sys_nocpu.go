// SPDX-License-Identifier: MIT

//go:build !linux

package waitress

import "time"

// threadCPU is nil: what a thread has used is not asked for here.
var threadCPU func() time.Duration
