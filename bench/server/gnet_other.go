// SPDX-License-Identifier: MIT

//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package main

// gnetEngine refuses: gnet does not compile for this system.
var gnetEngine = missing("gnet is not for this system")
