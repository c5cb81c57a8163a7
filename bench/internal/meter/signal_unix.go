// SPDX-License-Identifier: MIT

//go:build unix

package meter

import (
	"os"
	"syscall"
)

// StatsSignal asks a server of bench for its Stats.
var StatsSignal os.Signal = syscall.SIGUSR1
