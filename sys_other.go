// SPDX-License-Identifier: MIT

//go:build aix || js || plan9 || solaris || wasip1

package waitress

import "errors"

// lacksUnixSockets says whether Unix sockets can't be had here, after err.
func lacksUnixSockets(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
