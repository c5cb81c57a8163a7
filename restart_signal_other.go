// SPDX-License-Identifier: MIT

//go:build aix || js || plan9 || solaris || wasip1 || windows

package waitress

import "os"

// restartSignals are none: no listener can be passed on.
var restartSignals []os.Signal
