// SPDX-License-Identifier: MIT

package httpparse

import "errors"

// ErrPartial says that the bytes so far are a correct beginning, and more are needed. It is not a failure.
var ErrPartial = errors.New("httpparse: incomplete")

// A SyntaxError is a refusal. The values are package-level variables: none is made while parsing.
type SyntaxError struct {
	Status int    // of the answer: 400, 413, 414, 417, 431, 501 or 505
	Rule   string // what was broken, as a short phrase with its source: "space before colon (RFC 9112 §5.1)"
}

func (e *SyntaxError) Error() string { return e.Rule }

// Limits bound what one request may hold. The zero value of a field means its default.
type Limits struct {
	RequestLine  int // bytes of the request line without CRLF; 414 above it. Default DefaultRequestLine
	HeadBytes    int // bytes of the whole head, with every CRLF; 431 above it. Default DefaultHeadBytes
	Headers      int // field lines of a head or of a trailer section; 431 above it. Default DefaultHeaders
	ChunkLine    int // bytes of one chunk-size line with its extensions; 400 above it. Default DefaultChunkLine
	ChunkExts    int // bytes of all chunk extensions of one body; 400 above it. Default DefaultChunkExts
	TrailerBytes int // bytes of a trailer section; 431 above it. Default DefaultTrailerBytes
}

// A Span is a piece of the buffer given to Parse: buf[s.Start:s.End].
type Span struct{ Start, End uint32 }

// Of returns the bytes that s names. They are the buffer's own.
func (s Span) Of(buf []byte) []byte { return buf[s.Start:s.End] }

// A Field is one field line. The value is without the whitespace around it.
type Field struct {
	Name, Value Span
	ID          NameID // which well-known name it is, or 0
}

// A TargetForm is one of the four forms of a request-target (RFC 9112 §3.2).
type TargetForm uint8

const (
	OriginForm    TargetForm = iota // /where?q=now
	AbsoluteForm                    // http://www.example.org/pub/
	AuthorityForm                   // www.example.com:80, with CONNECT only
	AsteriskForm                    // *, with OPTIONS only
)

// A Head is a request head, parsed or being parsed. Reset before each request; it may be used for any number of them and
// keeps its Fields' storage.
type Head struct {
	Method Span
	Target Span
	Form   TargetForm
	Minor  uint8  // 0 or 1, of HTTP/1.Minor. A higher minor version counts as 1 (RFC 9112 §2.3)
	Plain  bool   // origin-form whose path has no "%": the path needs no decoding
	Query  uint32 // position of the first "?" of an origin-form target, or Target.End

	Fields []Field

	// What the fields say together.
	Host          Span // the field value, which may be empty; HasHost says whether there was one
	HasHost       bool
	ContentLength int64 // -1 where the field is absent
	Chunked       bool  // the body is chunked; ContentLength is -1 then
	Close         bool  // Connection lists "close"
	KeepAlive     bool  // Connection lists "keep-alive"
	Upgrade       bool  // Connection lists "upgrade"
	Continue      bool  // Expect: 100-continue in an HTTP/1.1 request that has a body
	Trailer       bool  // there is a Trailer field
}
