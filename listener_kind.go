// SPDX-License-Identifier: MIT

package waitress

import "errors"

// errListenerKind is wrapped by newListener's error for a net.Listener that is neither a *net.TCPListener nor a
// *net.UnixListener, or whatever it is on systems that have no poller. netListener takes those.
var errListenerKind = errors.New("no plain descriptor")
