// SPDX-License-Identifier: MIT

package httpparse

import "github.com/waitress-go/waitress/internal/invariant"

// A Span is a piece of the buffer given to Parse: buf[s.Start:s.End].
type Span struct{ Start, End uint32 }

// Of returns the bytes that s names. They are the buffer's own.
func (s Span) Of(buf []byte) []byte { return buf[s.Start:s.End] }

// A TargetForm is one of the four forms of a request-target (RFC 9112 §3.2).
type TargetForm uint8

// The forms.
const (
	OriginForm    TargetForm = iota // /where?q=now
	AbsoluteForm                    // http://www.example.org/pub/
	AuthorityForm                   // www.example.com:80, with CONNECT only
	AsteriskForm                    // *, with OPTIONS only
)

// A Head is a request head, parsed or being parsed. Reset before each request; it may be used for any number of them
// and keeps its Fields' storage.
type Head struct {
	Method    Span
	Target    Span
	Authority Span // within an absolute-form or authority-form target: host and port, which replace the Host field
	Form      TargetForm
	Minor     uint8  // 0 or 1, of HTTP/1.Minor. A higher minor version counts as 1 (RFC 9112 §2.3)
	Plain     bool   // origin-form whose path has no "%": the path needs no decoding
	Query     uint32 // position of the first "?" of an origin-form target, or Target.End

	Fields []Field

	// What the fields say together.
	Host          Span // the field value; HasHost says whether there was one
	HasHost       bool
	ContentLength int64 // -1 where the field is absent
	Chunked       bool  // the body is chunked; ContentLength is -1 then
	Close         bool  // Connection lists "close", or the method is CONNECT: what follows may be meant for a tunnel
	KeepAlive     bool  // Connection lists "keep-alive"
	Upgrade       bool  // Connection lists "upgrade"
	Continue      bool  // Expect: 100-continue in an HTTP/1.1 request that has a body
	Trailer       bool  // there is a Trailer field

	stage  stage
	coding coding // what Transfer-Encoding says
	expect expect // what Expect says
	huge   bool   // Content-Length is a number, but no int64
	cursor cursor
}

// A stage is the part of the head that the next byte belongs to. Within one, the cursor says how far the bytes are
// known to be right, and Parse goes on from there.
type stage uint8

const (
	stageEmptyLines stage = iota // before the request line
	stageMethod
	stageTarget
	stageVersion
	stageFields
	stageDone // terminal, until Reset
)

// Reset makes h ready for the next request.
func (h *Head) Reset() {
	*h = Head{Fields: h.Fields[:0], ContentLength: -1}
}

// Complete says whether Parse has found a whole head.
func (h *Head) Complete() bool { return h.stage == stageDone }

// Parse looks for a request head at the start of buf. It returns
//
//   - the length of the head with its empty line, when it is complete;
//   - ErrPartial, when it is not. Call again when more bytes have been appended to the same ones, which may have moved:
//     all positions count from the start of buf. What an earlier call has seen is not searched again;
//   - a *SyntaxError, as soon as the bytes can't become a head any more. Reset is all that can follow.
//
// What it finds depends on the bytes alone, not on how many there are in each call. That is why limits apply by
// position: no byte beyond a limit is looked at, so a fault that lies behind it is never the answer.
func (h *Head) Parse(buf []byte, lim *Limits) (n int, err error) {
	if invariant.Enabled {
		if h.stage == stageDone || h.stage == stageEmptyLines && h.ContentLength != -1 {
			panic("httpparse: Parse without Reset")
		}
		if int(h.cursor.next) > len(buf) {
			panic("httpparse: Parse of fewer bytes than before")
		}
	}
	if lim == nil {
		lim = &defaults
	}
	head := buf[:min(len(buf), limit(lim.HeadBytes, DefaultHeadBytes))]
	if h.stage < stageFields {
		err = h.requestLine(head, limit(lim.RequestLine, DefaultRequestLine))
	}
	if err == nil {
		n, err = h.headerSection(head, limit(lim.Headers, DefaultHeaders))
	}
	if err == ErrPartial && len(head) < len(buf) {
		err = errHeadBytes
	}
	return n, err
}

// maxEmptyLines is how many empty lines may come before a request. One is what old clients send after a body (RFC 9112
// §2.2), a few are an accident.
const maxEmptyLines = 4

// requestLine = *( CRLF ) method SP request-target SP HTTP-version CRLF
func (h *Head) requestLine(buf []byte, longest int) (err error) {
	if h.stage == stageEmptyLines {
		if err = h.emptyLines(buf); err != nil {
			return err
		}
	}
	line := buf[:min(len(buf), int(h.Method.Start)+longest+len("\r\n"))]
	switch h.stage {
	case stageMethod:
		if err = h.method(line); err != nil {
			break
		}
		fallthrough
	case stageTarget:
		if err = h.target(line); err != nil {
			break
		}
		fallthrough
	case stageVersion:
		if err = h.version(line); err != nil {
			break
		}
		// Only now, so that a request of another version is told so, whatever its target looks like.
		err = h.targetForm(line)
	case stageEmptyLines, stageFields, stageDone: // not here
	}
	if err == ErrPartial && len(line) < len(buf) {
		return errRequestLine
	}
	return err
}

func (h *Head) emptyLines(buf []byte) error {
	i := int(h.cursor.next)
	for i < len(buf) && buf[i] == '\r' {
		if i+1 == len(buf) {
			return ErrPartial
		}
		if buf[i+1] != '\n' {
			return errBareCR
		}
		if i += len("\r\n"); i > maxEmptyLines*len("\r\n") {
			return errEmptyLines
		}
		h.cursor.next = uint32(i)
	}
	if i == len(buf) {
		return ErrPartial
	}
	h.Method.Start = uint32(i)
	h.stage = stageMethod
	return nil
}

// method = token
func (h *Head) method(buf []byte) error {
	i := int(h.cursor.next)
	for i < len(buf) && class[buf[i]]&isToken != 0 {
		i++
	}
	h.cursor.next = uint32(i)
	if i == len(buf) {
		return ErrPartial
	}
	if buf[i] != ' ' || i == int(h.Method.Start) {
		return errMethod
	}
	h.Method.End = uint32(i)
	h.Target.Start = uint32(i + 1)
	h.Plain = true // until a "%" is seen
	h.cursor.next++
	h.stage = stageTarget
	return nil
}

// version = %s"HTTP/" DIGIT "." DIGIT CRLF
func (h *Head) version(buf []byte) error {
	const http11 = "HTTP/1.1\r\n"
	v := buf[h.cursor.next:]
	if len(v) < len(http11) || string(v[:len(http11)]) != http11 {
		// These few octets are looked at again in each call. The cursor stays before them.
		for i, c := range v[:min(len(v), len(http11))] {
			if isDigit := c-'0' <= 9; c != http11[i] && !(isDigit && (i == len("HTTP/") || i == len("HTTP/1."))) {
				return errVersion
			}
		}
		if len(v) < len(http11) {
			return ErrPartial
		}
		if v[len("HTTP/")] != '1' {
			return errMajor
		}
	}
	h.Minor = min(v[len("HTTP/1.")]-'0', 1)
	fields := h.cursor.next + uint32(len(http11))
	h.cursor = cursor{line: fields, next: fields}
	h.stage = stageFields
	return nil
}

// headerSection = *( field-line CRLF ) CRLF
func (h *Head) headerSection(buf []byte, most int) (n int, err error) {
	for {
		f, err := h.cursor.fieldLine(buf, len(h.Fields) < most)
		if err != nil {
			return 0, err
		}
		if f.Name.End == 0 {
			h.stage = stageDone
			return int(h.cursor.next), h.message()
		}
		h.Fields = append(h.Fields, f)
		if f.ID != nameNone && f.ID <= lastForHead {
			if err = h.field(f, buf); err != nil {
				return 0, err
			}
		}
	}
}

// field takes note of a field that says how to read the message, or how the connection goes on. What only all fields
// together can tell is left to message.
func (h *Head) field(f Field, buf []byte) error {
	value := f.Value.Of(buf)
	switch f.ID {
	case NameHost:
		if h.HasHost {
			return errHostTwice
		}
		if _, ok := hostPort(value); !ok {
			return errHost
		}
		h.Host, h.HasHost = f.Value, true
	case NameContentLength:
		if h.ContentLength >= 0 || h.huge {
			return errLengthTwice
		}
		return h.contentLength(value)
	case NameTransferEncoding:
		if h.coding != codingNone {
			h.coding = codingTwice
		} else {
			h.coding = transferEncoding(value)
		}
	case NameConnection:
		h.connection(value)
	case NameExpect:
		h.expect = max(h.expect, expectations(value))
	case NameTrailer:
		h.Trailer = true
	default: // the others are for the application
	}
	return nil
}

// message decides what the whole head means for what follows it. The order is that of the harm: first whatever makes
// the framing doubtful, then what is understood, but can't be done.
func (h *Head) message() error {
	switch {
	case !h.HasHost && h.Minor > 0:
		return errHostMissing
	case h.coding == codingNone:
	case h.ContentLength >= 0 || h.huge:
		return errLengthAndTE
	case h.Minor == 0:
		return errCodingIn10
	case h.coding == codingTwice:
		return errCodingTwice
	case h.coding == codingBad:
		return errCoding
	case h.coding == codingOther:
		return errCodingOther
	default:
		h.Chunked = true
	}
	if h.huge {
		return errLengthHuge
	}
	if h.expect == expectOther {
		return errExpect
	}
	// An HTTP/1.0 client does not know what 100 (Continue) means (RFC 9110 §10.1.1).
	h.Continue = h.expect == expectContinue && h.Minor > 0 && (h.Chunked || h.ContentLength > 0)
	return nil
}
