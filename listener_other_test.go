// SPDX-License-Identifier: MIT

//go:build aix || js || plan9 || solaris || wasip1 || fallback

package waitress

import (
	"net"
	"testing"

	"github.com/waitress-go/waitress/reactor"
)

func checkOptions(t *testing.T, _ string, _ reactor.FD) {
	t.Helper()
}

func handleAddr(uintptr, string) net.Addr { return nil }
