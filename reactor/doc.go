// SPDX-License-Identifier: MIT

// Package reactor runs connections on event loops. It owns their descriptors, their deadlines, and their output until the
// peer has taken it, and tells the protocol above what came in. It knows no operating system, which Poller, Sockets and
// Listener stand for, and nothing of HTTP, net/http or the tasks that the protocol hands its connections to.
//
//	Listener ──Accept──▶ Reactor ──Add──▶ the Loop with the fewest connections
//
//	     ┌──────────────────────────── Loop ────────────────────────────┐
//	     │ Poller.Wait ─▶ events ─▶ Conn: read ─▶ Protocol.Input        │ Claim ─▶ a task, which reads and
//	     │      ▲                         drain ◀─ output               │          writes the Conn itself
//	     │      └── timers, posted work ◀───────────────────────────────│◀─ Release
//	     └──────────────────────────────────────────────────────────────┘
//
// A Poller may fail for good, though none does without a defect. Its loop then ends the connections that it has, those of tasks when
// they are released, and gets no others. The rest goes on; where there is none, Serve returns ErrFailed with the next connection.
//
// The reading order: poller.go, what a system must provide; conn.go, a connection and the word that says who owns it;
// output.go, what waits to leave; loop.go, the turn of a loop; share.go, when a connection changes its loop; timer.go;
// reactor.go, accepting and ending.
package reactor
