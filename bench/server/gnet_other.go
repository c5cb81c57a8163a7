// SPDX-License-Identifier: MIT

//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package main

import (
	"errors"
	"net"

	"github.com/waitress-go/waitress/bench/internal/app"
)

// gnetEngine refuses: gnet does not compile for this system.
func gnetEngine(*app.Options, func(net.Addr)) error { return errors.New("gnet is not for this system") }
