// SPDX-License-Identifier: MIT

// Package httpparse turns bytes into request heads and chunked bodies. It does no I/O, reads no clock, starts no
// goroutine and allocates nothing per request; what it returns are positions in, or views of, the caller's bytes. It
// knows nothing of net/http, URLs beyond their octets, or connections.
//
// It is strict by RFC 9112 where leniency would let two servers of one chain read the same bytes differently, and has
// no switch that reopens that. A refusal is a *SyntaxError, which says with which status to answer and which rule was
// broken; the connection cannot be used after it, since where the next request starts is not known.
//
// Heads are parsed line by line and resumed where the last complete line ended; bodies are resumed anywhere. Every
// input is handled in time linear in its length, however it is cut.
package httpparse
