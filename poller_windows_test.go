// SPDX-License-Identifier: MIT

//go:build !fallback

package waitress

import (
	"errors"
	"io"
	"testing"

	"github.com/waitress-go/waitress/reactor"
)

// TestPollerEndAgain: an owner who was told of the end, for whom a read found nothing yet, as it may under Wine for a
// moment, arms again and is told again. Whichever of the polls had been out for the end.
func TestPollerEndAgain(t *testing.T) {
	r := newPollerRig(t, pollerSystem{
		newPoller: newPoller, sockets: newSockets(), pair: loopbackPair, capabilities: systemCapabilities(),
	})
	p := make([]byte, 100)
	for _, late := range []bool{false, true} {
		c := r.add()
		r.send(c, "hello")
		r.seen(c, reactor.Readable)
		_, err := r.Read(c.fd, p)
		r.check(err)
		if late {
			r.wait(0) // asks for the end, so that the poll that Rearm asks needn't
		}
		r.check(r.poller.Rearm(c.fd, reactor.Readable))
		r.check(c.peer.CloseWrite())
		for range 3 {
			r.forget(c)
			r.seen(c, reactor.PeerClosed|reactor.Readable)
			r.check(r.poller.Rearm(c.fd, reactor.Readable)) // as if a read had found nothing
		}
		r.seen(c, reactor.PeerClosed|reactor.Readable)
		if _, err := r.Read(c.fd, p); !errors.Is(err, io.EOF) {
			t.Errorf("late %v: read at the end: %v", late, err)
		}
	}
}
