// SPDX-License-Identifier: MIT

// Package http1 is one HTTP/1.x connection: it makes requests of the bytes that the reactor reads, runs net/http handlers
// for them through dispatch, and turns what they write into bytes again. The three packages below it do not know each
// other; here they meet.
//
// # The life of a channel
//
// A channel is the protocol's state of one connection.
//
//	           first bytes             head complete                answer done
//	  idle ───────────────▶ head ─────────────┬──────▶ handling ─────┬────────────▶ idle, or the next
//	   ▲                                      │            ▲         │              head at once
//	   │                                      ▼            │         ▼
//	   │                                    body ──────────┘      draining (the rest of a body
//	   │                          (a small one, for a moment)        │      nobody read)
//	   └──────────────────────────────────────────────────────◀──────┘
//	any state: an error whose framing is lost, or the last answer ─▶ lingering ─▶ closed, or closed at once
//
// From handling a channel may go to suspended, and back when its request is resumed: a task has it, but no goroutine.
//
// In idle, head, body, draining and lingering the loop owns the channel, unless it just happens that a task that finished
// finds more input and goes on itself. In handling a task thread owns it, or, under the Inline policy, and under the
// Adaptive one if requests like it have been quick, the loop's own goroutine while it runs the handler. A handler that stays too
// long under the Adaptive policy keeps the channel, and another goroutine becomes the loop.
//
// # Input
//
// What was read and not yet consumed is channel.in from channel.at on. While the loop runs it may be a piece of the
// loop's read buffer (channel.borrowed); whoever keeps the channel beyond that copies the rest into a pooled buffer of the
// channel's own. An idle channel has neither.
//
// # Output
//
// Head and first bytes of an answer are put together in one buffer and written at once. When the next request of a
// pipeline is at hand already, the answer is held instead and leaves together with the following ones; a timer
// bounds for how long, but where handlers run on the loop under the Inline policy, which are known not to take their time.
//
// The package does not listen, accept, or know an operating system.
package http1
