// SPDX-License-Identifier: MIT

//go:build !unix

package meter

import "os"

// StatsSignal is nil: this system has no signal to spare.
var StatsSignal os.Signal
