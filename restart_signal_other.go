// SPDX-License-Identifier: MIT

//go:build js || plan9 || wasip1 || windows

package waitress

import "os"

// restartSignals are none: no listener can be passed on.
var restartSignals []os.Signal
