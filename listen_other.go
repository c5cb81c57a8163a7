// SPDX-License-Identifier: MIT

//go:build aix || js || plan9 || solaris || wasip1 || windows

package waitress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

const (
	canReusePort  = false
	canSetBacklog = false
)

func reusePort(uintptr) error { return errors.ErrUnsupported }

func sysListen(uintptr, int) error { return errors.ErrUnsupported }

// listenUnix listens on path by the net package, which removes the socket when it is closed. What the permissions of a
// socket's file mean is not the same on these systems, so that none but the default can be asked for.
func listenUnix(path string, b *binding) (net.Listener, error) {
	if b.perms != defaultUnixSocketPerms {
		return nil, fmt.Errorf("UnixSocketPerms: %w on this system", errors.ErrUnsupported)
	}
	l, err := b.config.Listen(context.Background(), "unix", path)
	if err != nil && lacksUnixSockets(err) {
		return nil, fmt.Errorf("this system has no Unix sockets: %w: %w", errors.ErrUnsupported, err)
	}
	return l, err
}

func adoptUnix(l net.Listener, _ string) (net.Listener, error) { return l, nil }

func keepPath(net.Listener) {}

func listenerFile(net.Listener) (*os.File, error) {
	return nil, fmt.Errorf("%w on this system", errors.ErrUnsupported)
}
