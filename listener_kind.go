// SPDX-License-Identifier: MIT

package waitress

import "errors"

// ErrListenerKind is wrapped by the error for a net.Listener that is neither a *net.TCPListener nor a *net.UnixListener.
var ErrListenerKind = errors.New("unsupported kind of listener")
