// SPDX-License-Identifier: MIT

// Package reactortest is a simulated network: reactor.Poller, reactor.Sockets and reactor.Listener in memory, and the
// clients at the other ends of their connections. What real networks do rarely it does often, as a seed says: reads and
// writes that move less than they could, reports that are spurious, doubled, late or out of order, buffers of a few
// bytes, latency, resets, and processes out of descriptors. It keeps to the contracts in package reactor and checks
// that its user does.
//
// A test makes a Network, gives its Pollers, Sockets and Listeners to the code under test, and talks to that code
// through Clients, which are net.Conns:
//
//	reactortest.Seeds(t, 50, func(t *testing.T, seed int64) {
//		synctest.Test(t, func(t *testing.T) {
//			n := reactortest.New(t, seed, reactortest.Random(seed))
//			l := n.Listen("192.0.2.1:80")
//			... start a server with n.NewPoller(), n.Sockets() and l ...
//			c, err := n.Dial(l)
//			...
//		})
//	})
//
// # Time
//
// All waiting is on channels and timers. In a testing/synctest bubble, latency, deadlines and timeouts take no real
// time; the Network has to be made inside the bubble. Outside of one, time is real and everything works the same.
// Network.Close ends whatever is under way. There are no goroutines but those of timers that have fired.
//
// # Randomness
//
// Every end of a connection, every Poller and every Listener draws from a source of its own, made from the seed and
// its number in order of creation. So what happens to one of them depends on the seed and on what is done with it, and
// not on how goroutines take turns elsewhere. How the scheduler interleaves goroutines is no part of the seed: a
// failure that needs a race may take a few runs to come back.
//
// # What it does not do
//
// It knows nothing of addresses but their text, has no routing, no packet loss below the stream and no urgent data,
// and does not check which goroutine is a loop: only that what belongs to the loop does not happen while another
// goroutine waits in its Poller. It is no model of performance.
package reactortest
