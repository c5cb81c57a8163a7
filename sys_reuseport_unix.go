// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || linux || netbsd || openbsd

package waitress

import "golang.org/x/sys/unix"

// soReusePort shares the connections out among the sockets of a port; on macOS, NetBSD and OpenBSD the last one that was
// opened may get them all.
const soReusePort = unix.SO_REUSEPORT
