// SPDX-License-Identifier: MIT

package httpparse

import (
	"bytes"
	"math"
	"math/bits"
)

// A Field is one field line. The value is without the whitespace around it.
type Field struct {
	Name, Value Span
	ID          NameID // which well-known name it is, or 0
}

// A cursor is where the parser stands in a section of field lines, that of a head or of a trailer section. Every byte
// before next is known to be right and is not searched again.
type cursor struct {
	line  uint32 // start of the line that is being parsed
	colon uint32 // of that line, or 0 while its name goes on
	next  uint32 // the first byte that has not been looked at
}

// fieldLine = field-name ":" OWS field-value OWS CRLF
//
// It returns the next line of a section, and a Field without a name for the empty line that ends it. more says whether
// the limits allow for one more field.
func (c *cursor) fieldLine(buf []byte, more bool) (f Field, err error) {
	i := int(c.next)
	known := nameNone
	if c.colon == 0 {
		start := int(c.line)
		if i == start && i < len(buf) {
			switch buf[i] {
			case '\r':
				return f, c.emptyLine(buf)
			case ' ', '\t':
				return f, errFold
			}
			if !more {
				return f, errFields
			}
			// A name that is known is known to be a token, and need not be looked at octet by octet.
			if end := nameEnd(buf, i); end > i {
				if known = lookup(buf[i:end:end]); known != nameNone {
					i = end
				}
			}
		}
		for i < len(buf) && class[buf[i]]&isToken != 0 {
			i++
		}
		if i == len(buf) {
			c.next = uint32(i)
			return f, ErrPartial
		}
		if buf[i] != ':' || i == start {
			return f, nameError(buf[i])
		}
		c.colon = uint32(i)
		i++
	}

	i = valueEnd(buf, i)
	if i == len(buf) || buf[i] == '\r' && i+1 == len(buf) {
		c.next = uint32(i)
		return f, ErrPartial
	}
	if buf[i] != '\r' || buf[i+1] != '\n' {
		return f, valueError(buf[i])
	}
	f.Name = Span{c.line, c.colon}
	f.Value = trim(buf, Span{c.colon + 1, uint32(i)})
	if f.ID = known; known == nameNone {
		f.ID = lookup(f.Name.Of(buf))
	}
	next := uint32(i) + 2
	*c = cursor{line: next, next: next}
	return f, nil
}

// nameEnd returns where the first colon from i on is, or 0 if there is a control character before it, or no colon in the
// words that a known name and its colon may fill.
func nameEnd(buf []byte, i int) int {
	for end := min(len(buf), i+maxName+8) - 8; i <= end; i += 8 {
		w := word(buf[i : i+8 : i+8])
		colon := w ^ ':'*ones
		// As with controls, the first octet that is marked is right.
		if m := ((colon-ones)&^colon | (w-0x20*ones)&^w) & highs; m != 0 {
			i += bits.TrailingZeros64(m) / 8
			if buf[i] != ':' {
				return 0
			}
			return i
		}
	}
	return 0
}

// valueEnd returns where the value that i is in ends: at the first control character but HTAB, or with buf.
func valueEnd(buf []byte, i int) int {
	for ; len(buf)-i >= 16; i += 16 {
		if p := buf[i : i+16 : i+16]; !allPrintable(word(p), word(p[8:])) {
			break
		}
	}
	for len(buf)-i >= 8 {
		m := controls(word(buf[i : i+8 : i+8]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) / 8
		if buf[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(buf) && class[buf[i]]&isValue != 0 {
		i++
	}
	return i
}

// emptyLine = CRLF
func (c *cursor) emptyLine(buf []byte) error {
	switch rest := buf[c.next:]; {
	case len(rest) == 1:
		return ErrPartial
	case rest[1] != '\n':
		return errBareCR
	}
	c.next += 2
	return nil
}

// nameError says what is wrong with a field line whose name is followed by c.
func nameError(c byte) error {
	switch c {
	case ':':
		return errNameEmpty
	case ' ', '\t':
		return errNameSpace
	case '\r':
		return errNameEnd
	case '\n':
		return errBareLF
	}
	return errNameOctet
}

// valueError says what is wrong with a field value that is followed by c, which is a control character.
func valueError(c byte) error {
	switch c {
	case '\r':
		return errBareCR
	case '\n':
		return errBareLF
	}
	return errControl
}

// contentLength = 1*DIGIT
func (h *Head) contentLength(value []byte) error {
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			return errLength
		}
		if d := int64(c - '0'); n <= (math.MaxInt64-d)/10 {
			n = n*10 + d
		} else {
			h.huge = true
		}
	}
	if len(value) == 0 {
		return errLength
	}
	if !h.huge {
		h.ContentLength = n
	}
	return nil
}

// A coding is what the Transfer-Encoding field lines amount to.
type coding uint8

const (
	codingNone    coding = iota // there is none
	codingChunked               // "chunked", the only one there is for us
	codingOther                 // some other, with or without chunked as the last
	codingBad                   // anything else: no list of names, or one in which chunked isn't the end
	codingTwice                 // more than one field line
)

// transferEncoding = #transfer-coding, of which only "chunked" is understood
//
// RFC 9110 §5.6.1.2 wants empty list elements ignored. They are refused here: nobody sends them but to be read
// differently by two servers.
func transferEncoding(value []byte) coding {
	if equalFold(value, "chunked") {
		return codingChunked
	}
	for {
		name, rest, more := cutElement(value)
		if !ValidFieldName(name) || more && equalFold(name, "chunked") {
			return codingBad
		}
		if !more {
			return codingOther
		}
		value = rest
	}
}

// connection = #connection-option
func (h *Head) connection(value []byte) {
	for more := true; more; {
		var option []byte
		option, value, more = cutElement(value)
		switch {
		case equalFold(option, "close"):
			h.Close = true
		case equalFold(option, "keep-alive"):
			h.KeepAlive = true
		case equalFold(option, "upgrade"):
			h.Upgrade = true
		}
	}
}

// An expect is what the Expect field lines amount to, the weightier the greater.
type expect uint8

const (
	expectNone expect = iota
	expectContinue
	expectOther // something that can't be met
)

// expectations = #expectation, of which only "100-continue" is understood
func expectations(value []byte) (e expect) {
	for more := true; more; {
		var expectation []byte
		expectation, value, more = cutElement(value)
		switch {
		case equalFold(expectation, "100-continue"):
			e = max(e, expectContinue)
		case len(expectation) > 0:
			e = expectOther
		}
	}
	return e
}

// cutElement returns the first element of a comma-separated list without the whitespace around it, and what follows the
// comma, if there is one. The element may be empty. It knows nothing of quoted strings: no list that is understood here
// has them.
func cutElement(list []byte) (element, rest []byte, more bool) {
	element, rest, more = bytes.Cut(list, comma)
	return trim(element, Span{0, uint32(len(element))}).Of(element), rest, more
}

var comma = []byte{','}
