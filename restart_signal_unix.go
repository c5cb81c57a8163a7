// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package waitress

import (
	"os"
	"syscall"
)

// restartSignals make Run start the program anew.
var restartSignals = []os.Signal{syscall.SIGUSR2}
