// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"net"
)

// errListenerKind is wrapped by newListener's error for a net.Listener that is neither a *net.TCPListener nor a
// *net.UnixListener, or whatever it is on systems that have no poller. netListener takes those.
var errListenerKind = errors.New("no plain descriptor")

// closeFrom closes what a listener was made from. Its maker may have closed it already.
func closeFrom(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
