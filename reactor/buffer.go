// SPDX-License-Identifier: MIT

package reactor

import (
	"github.com/panjf2000/gnet/v2/pkg/pool/byteslice"

	"github.com/waitress-go/waitress/internal/invariant"
)

const (
	// turnBuffer is what a loop reads into: large enough that one read takes what a socket usually holds.
	turnBuffer = 64 << 10
	// segmentSize is the piece in which output waits; requests for more get a segment of their own size.
	segmentSize = 16 << 10
)

// GetBuffer returns n bytes of no particular content from the pool for their size class. They have one owner, who
// passes them on or gives them back with PutBuffer.
func GetBuffer(n int) []byte { return byteslice.Get(n) }

// PutBuffer says that nobody may use p, or any slice of the same array, any more. p must begin where the buffer that
// GetBuffer returned did. In test builds the bytes are overwritten, so that a reader who kept them is found.
func PutBuffer(p []byte) {
	if invariant.Enabled {
		p = p[:cap(p)]
		for n := copy(p, "\xCC"); n > 0 && n < len(p); n *= 2 {
			copy(p[n:], p[:n]) // a byte at a time would take the race detector longer than everything else
		}
	}
	byteslice.Put(p)
}

// GrowBuffer returns a buffer with p's content and room for n bytes more behind it. p is given back if it had to move.
func GrowBuffer(p []byte, n int) []byte {
	if cap(p)-len(p) >= n {
		return p
	}
	q := GetBuffer(max(2*len(p), len(p)+n))[:len(p)]
	copy(q, p)
	if cap(p) > 0 {
		PutBuffer(p)
	}
	return q
}
