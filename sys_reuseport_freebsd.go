// SPDX-License-Identifier: MIT

package waitress

import "golang.org/x/sys/unix"

// soReusePort shares the connections out among the sockets of a port.
const soReusePort = unix.SO_REUSEPORT_LB
