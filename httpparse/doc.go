// SPDX-License-Identifier: MIT

// Package httpparse turns bytes into request heads and chunked bodies. It does no I/O, reads no clock, starts no
// goroutine and allocates nothing per request; what it returns are positions in, or views of, the caller's bytes. It
// knows nothing of net/http, URLs beyond their octets, or connections.
//
// It is strict by RFC 9112 where leniency would let two servers of one chain read the same bytes differently, and has
// no switch that reopens that. A refusal is a *SyntaxError, which says with which status to answer and which rule was
// broken; the connection cannot be used after it, since where the next request starts is not known.
//
// Heads are parsed where they lie, by functions named after the grammar, and resumed by a cursor at the first octet
// that has not been seen; chunked bodies are a small machine with one method a state. Every input is handled in time
// linear in its length, and what is found in it, accepted or refused, does not depend on how it is cut.
//
// To read: head.go for the way through a head, target.go and host.go for what is between its first two spaces,
// header.go for field lines, names.go for the names that are known, chunked.go for bodies. testdata holds what is
// accepted and what is refused, and says of each case why.
package httpparse
