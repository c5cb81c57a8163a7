// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"net"
	"time"

	"github.com/waitress-go/waitress/reactor"
)

// A connView is the net.Conn that ConnState and ConnContext get: it tells the connection's addresses and serves as its
// identity. The channel is what reads and writes, so the view does not.
type connView struct{ channel *channel }

var errView = errors.New("waitress: the server reads and writes this connection")

func (v *connView) Read([]byte) (int, error)  { return 0, errView }
func (v *connView) Write([]byte) (int, error) { return 0, errView }

// Close ends the connection at once. Any goroutine.
func (v *connView) Close() error {
	v.channel.Cut()
	return nil
}

func (v *connView) LocalAddr() net.Addr {
	l := v.channel.listener
	if find := l.LocalAddr; find != nil {
		if a := find(v.channel.FD(), l.network); a != nil {
			return a
		}
	}
	return l.addr
}

func (v *connView) RemoteAddr() net.Addr {
	return peerAddr{v.channel.listener.network, v.channel.Peer()}
}

func (v *connView) SetDeadline(time.Time) error      { return errView }
func (v *connView) SetReadDeadline(time.Time) error  { return errView }
func (v *connView) SetWriteDeadline(time.Time) error { return errView }

// A peerAddr is a remote address by its text.
type peerAddr struct{ network, text string }

func (a peerAddr) Network() string { return a.network }
func (a peerAddr) String() string  { return a.text }

var (
	_ net.Conn         = (*connView)(nil)
	_ reactor.Protocol = (*channel)(nil)
)
