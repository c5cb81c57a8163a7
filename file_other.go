// SPDX-License-Identifier: MIT

//go:build aix || js || plan9 || solaris || wasip1

package waitress

import (
	"errors"
	"syscall"

	"github.com/waitress-go/waitress/reactor"
)

// dupFile has no system call here that is known to do. What is in files is read and written.
func dupFile(syscall.Conn) (reactor.File, error) { return nil, errors.ErrUnsupported }
