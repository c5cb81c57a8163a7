// SPDX-License-Identifier: MIT

package httpparse

// The defaults of Limits.
const (
	// DefaultRequestLine is six times what every server should support (RFC 9112 §3: 8000 octets): net/http has no limit
	// of its own for it, and forms of 40 KB have been seen in queries. The rest of DefaultHeadBytes is for the fields.
	DefaultRequestLine = 48 << 10
	// DefaultHeadBytes holds the largest heads that clients are known to send, those with a Kerberos ticket of 48,000
	// bytes in base64. It is also what one connection can make a server keep in memory before it has said anything.
	DefaultHeadBytes = 64 << 10
	// DefaultHeaders is ten times what browsers send through a chain of proxies.
	DefaultHeaders = 256
	// DefaultChunkLine and DefaultChunkExts are generous, since hardly anybody uses extensions, but they do bound how
	// much can be sent that no limit on the content would see. Whoever signs each chunk of an endless upload needs
	// more.
	DefaultChunkLine = 4 << 10
	DefaultChunkExts = 16 << 10
	// DefaultTrailerBytes is for checksums and signatures, which is what trailers are for.
	DefaultTrailerBytes = 8 << 10
)

// maxLimit keeps every position within a Span, and sums of two limits within an int.
const maxLimit = 1<<30 - 1

// Limits bound what one request may hold. The zero value of a field means its default, as a nil *Limits means all of
// them.
type Limits struct {
	RequestLine  int // bytes of the request line without CRLF; 414 above it. Default DefaultRequestLine
	HeadBytes    int // bytes of the whole head, with every CRLF; 431 above it. Default DefaultHeadBytes
	Headers      int // field lines of a head or of a trailer section; 431 above it. Default DefaultHeaders
	ChunkLine    int // bytes of one chunk-size line without CRLF; 400 above it. Default DefaultChunkLine
	ChunkExts    int // bytes of all chunk extensions of one body; 400 above it. Default DefaultChunkExts
	TrailerBytes int // bytes of a trailer section, with every CRLF; 431 above it. Default DefaultTrailerBytes
}

// defaults is what a nil *Limits stands for.
var defaults Limits

// limit returns what one field of Limits means. It is so small that it is inlined: the hot path pays two comparisons
// a limit.
func limit(n, byDefault int) int {
	if n <= 0 {
		return byDefault
	}
	return min(n, maxLimit)
}
