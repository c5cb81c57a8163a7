// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"net"
	"sync/atomic"
)

// errListenerKind is wrapped by newListener's error for a net.Listener that is neither a *net.TCPListener nor a
// *net.UnixListener, or whatever it is on systems that have no poller. netListener takes those.
var errListenerKind = errors.New("no plain descriptor")

// A source is the net.Listener that a listener is made from, and owns.
type source struct {
	from   net.Listener
	closed atomic.Bool
}

// Close closes it once, since not each allows for more. Its maker may have closed it already.
func (s *source) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if err := s.from.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// ended says whether err, which its Accept returned, is that it was closed, by Close or by its maker.
func (s *source) ended(err error) bool { return s.closed.Load() || errors.Is(err, net.ErrClosed) }
