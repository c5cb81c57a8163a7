// SPDX-License-Identifier: MIT

//go:build aix || js || plan9 || solaris || wasip1 || fallback

package waitress

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/waitress-go/waitress/reactor"
)

// The build tag fallback gives this to systems that have a poller, so that what runs without one can be tried there.

// errSystem says that there is no poller for this system: every listener is one for netListener, whose connections
// goroutines wait for.
var errSystem = fmt.Errorf("%w: no poller for %s: %w", errListenerKind, runtime.GOOS, errors.ErrUnsupported)

func newPoller() (reactor.Poller, error) { return nil, errSystem }

func newListener(net.Listener) (reactor.Listener, error) { return nil, errSystem }

func localAddr(reactor.FD, string) net.Addr { return nil }

func socketHandle(fd reactor.FD) uintptr { return uintptr(fd) }

func netConn(reactor.FD) (net.Conn, error) { return nil, errSystem }

func newSockets() reactor.Sockets { return sockets{} }

type sockets struct{}

func (sockets) Read(reactor.FD, []byte) (int, error)  { return 0, errSystem }
func (sockets) Peek(reactor.FD) (int, error)          { return 0, errSystem }
func (sockets) Write(reactor.FD, []byte) (int, error) { return 0, errSystem }
func (sockets) SendFile(reactor.FD, reactor.File, int64, int) (int, error) {
	return 0, errSystem
}
func (sockets) CloseWrite(reactor.FD) error { return errSystem }
func (sockets) Abort(reactor.FD) error      { return errSystem }
func (sockets) Close(reactor.FD) error      { return errSystem }
