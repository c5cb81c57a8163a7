// SPDX-License-Identifier: MIT

package proxy

import (
	"fmt"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// NewListener returns a listener whose connections are those that l accepts, but tell the addresses that the PROXY protocol
// tells, version 1 or 2: RemoteAddr is the client's. A peer that c trusts must begin with the protocol's header, within
// timeout, or its connection fails; from any other the header is no more than a malformed request. A header that
// says "local" or "unknown" leaves the connection its own addresses, as the protocol has it for health checks.
//
// Its connections have no descriptor that a server could wait for: each costs Waitress a goroutine and a buffer.
func NewListener(l net.Listener, c Config, timeout time.Duration) net.Listener {
	p := c.peers()
	return &listener{proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: timeout,
		ValidateHeader:    validHeader,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			remote := ""
			if o.Upstream != nil {
				remote = o.Upstream.String()
			}
			if p.trusts(remote) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}}
}

type listener struct{ proxyproto.Listener }

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if pc, ok := c.(*proxyproto.Conn); ok && err == nil {
		return &conn{pc}, nil
	}
	return c, err
}

// A conn can end its output alone, where what it is made of can.
type conn struct{ *proxyproto.Conn }

func (c *conn) CloseWrite() error {
	if w, ok := c.Raw().(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}

// validHeader refuses what a TCP connection of this server's can't have come by. A Unix socket's address in particular
// would be taken for that of a peer of this server.
func validHeader(h *proxyproto.Header) error {
	if h.Command.IsLocal() {
		return nil
	}
	if t := h.TransportProtocol; !t.IsStream() || !t.IsIPv4() && !t.IsIPv6() {
		return fmt.Errorf("proxy: the client's transport is %#x: it must be TCP", byte(t))
	}
	return nil
}
