// SPDX-License-Identifier: MIT

package waitress

import (
	"net"
	"testing"

	"github.com/waitress-go/waitress/reactor"
)

// This is where the tests of the seam and of the poller get their connections. A port to another kernel than the process's
// own puts its own here.

// A tcpPeer is the client's end of a TCP connection.
type tcpPeer struct{ *net.TCPConn }

func (p tcpPeer) Reset() error {
	if err := p.SetLinger(0); err != nil {
		return err
	}
	return p.Close()
}

// loopbackPair connects to a listener of this package, so its descriptor is as the server's are.
func loopbackPair(t *testing.T) (reactor.FD, pollerPeer) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := newListener(l)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		c.Close()
		t.Fatal(err)
	}
	return a.FD, tcpPeer{c.(*net.TCPConn)}
}
