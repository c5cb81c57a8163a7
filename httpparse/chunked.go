// SPDX-License-Identifier: MIT

package httpparse

import (
	"io"
	"math"

	"github.com/waitress-go/waitress/internal/invariant"
)

// Chunked takes the content out of a chunked body (RFC 9112 §7.1), wherever the bytes are cut. It keeps a state and a
// few numbers, and bytes only of trailer fields, which hardly anybody sends. The zero value is ready, with default
// limits.
//
//	5 ; a = "b" CR LF  h e l l o  CR LF  0 CR LF  X : y CR LF  CR LF
//	|-- chunkLine --|  |- data -| | end|  |-line-| |-trailer section-|
type Chunked struct {
	lim     *Limits // nil means the defaults
	left    int64   // octets of the chunk's data still to come
	line    int32   // octets of the chunk-size line so far
	exts    int32   // octets of all earlier chunk-size lines that were more than a size
	state   chunkState
	trailer *trailerSection // nil until there is a trailer field
}

// A trailerSection is parsed like the field lines of a head, but out of a buffer of its own, since the caller's is only
// lent for one call.
type trailerSection struct {
	buf    []byte
	fields []Field
	cursor cursor
}

// A chunkState says what the next octet is part of. Up to lastLineState it is the chunk-size line.
type chunkState uint8

const (
	chunkSizeFirst   chunkState = iota // the first digit of the size
	chunkSize                          // further digits, or the end of them
	chunkExtFollows                    // whitespace that has to lead to a ";"
	chunkExtNameWait                   // after ";": whitespace, then a name
	chunkExtName
	chunkExtEquals    // whitespace after a name: "=" or ";" must follow
	chunkExtValueWait // after "=": whitespace, then a value
	chunkExtValue     // a value that is a token
	chunkExtQuoted    // a value that is a quoted-string, after its opening quote
	chunkExtEscape    // in it, after a backslash
	chunkExtQuotedEnd // after its closing quote
	chunkLineLF       // after the CR of the line

	chunkData
	chunkDataCR
	chunkDataLF

	chunkTrailer   // start of the trailer section
	chunkTrailerLF // it is empty: after its CR
	chunkFields    // it is not
	chunkDone      // terminal, until Reset

	lastLineState = chunkLineLF
)

// Reset makes d ready for the next body. lim must stay as it is while d is used; nil means the defaults.
func (d *Chunked) Reset(lim *Limits) { *d = Chunked{lim: lim} }

// Trailers returns the trailer fields, whose positions are in buf. They are complete when Next has returned io.EOF, and
// the caller's to keep.
func (d *Chunked) Trailers() (buf []byte, fields []Field) {
	if d.trailer == nil {
		return nil, nil
	}
	return d.trailer.buf, d.trailer.fields
}

// Next takes the next piece of content out of src. In each call n bytes of src are used up, and
//
//   - err is nil: data is content, a view of src. Call again with what follows it in src, and with more;
//   - err is ErrPartial: all of src is used up, and there was no content in it;
//   - err is io.EOF: the body ended with the n-th byte. What follows is the next request;
//   - err is a *SyntaxError: the body is not properly chunked. Reset is all that can follow.
//
// The content, and which error there is, do not depend on how the bytes are cut.
func (d *Chunked) Next(src []byte) (data []byte, n int, err error) {
	for n < len(src) && d.state != chunkDone {
		rest, used := src[n:], 0
		switch d.state {
		case chunkSizeFirst, chunkSize, chunkExtFollows, chunkExtNameWait, chunkExtName, chunkExtEquals,
			chunkExtValueWait, chunkExtValue, chunkExtQuoted, chunkExtEscape, chunkExtQuotedEnd, chunkLineLF:
			used, err = d.chunkLine(rest)
		case chunkData:
			data = d.data(rest)
			return data, n + len(data), nil
		case chunkDataCR:
			used, err = d.octet(rest, '\r', chunkDataLF, errChunkEnd)
		case chunkDataLF:
			used, err = d.octet(rest, '\n', chunkSizeFirst, errChunkEnd)
		case chunkTrailer:
			used = d.trailerStart(rest)
		case chunkTrailerLF:
			used, err = d.octet(rest, '\n', chunkDone, errBareCR)
		case chunkFields:
			used, err = d.trailerFields(rest)
		case chunkDone: // not here
		}
		if err != nil {
			return nil, n, err
		}
		n += used
	}
	if d.state == chunkDone {
		return nil, n, io.EOF
	}
	return nil, n, ErrPartial
}

func (d *Chunked) limits() *Limits {
	if d.lim == nil {
		return &defaults
	}
	return d.lim
}

// octet takes the one octet that can come here.
func (d *Chunked) octet(b []byte, want byte, next chunkState, otherwise error) (int, error) {
	if b[0] != want {
		return 0, otherwise
	}
	d.state = next
	return 1, nil
}

// data = 1*OCTET, as many as the size has said
func (d *Chunked) data(b []byte) []byte {
	if int64(len(b)) >= d.left {
		b = b[:d.left]
		d.state = chunkDataCR
	}
	d.left -= int64(len(b))
	return b
}

// maxSizeDigits is how long a chunk size is at most, without zeros before it. What a chunk-size line has more than that
// counts as extensions, zeros among them: both are octets that the sender can multiply and that are no content.
const maxSizeDigits = 16

// chunkLine = chunk-size [ chunk-ext ] CRLF
//
// Within the line the limits apply by position, as in Head.Parse.
func (d *Chunked) chunkLine(b []byte) (n int, err error) {
	lim := d.limits()
	longest := limit(lim.ChunkLine, DefaultChunkLine)
	extsLeft := limit(lim.ChunkExts, DefaultChunkExts) - int(d.exts)
	line := b[:min(len(b), min(longest, maxSizeDigits+extsLeft)+len("\r\n")-int(d.line))]
	for n < len(line) && d.state <= lastLineState {
		used, err := d.lineState(line[n:])
		if err != nil {
			return n, err
		}
		n += used
	}
	d.line += int32(n)
	switch {
	case d.state > lastLineState:
		d.exts += max(0, d.line-maxSizeDigits-int32(len("\r\n")))
		d.line = 0
	case len(line) == len(b): // all that there is, and not too much yet
	case longest <= maxSizeDigits+extsLeft:
		return n, errChunkLine
	default:
		return n, errChunkExts
	}
	return n, nil
}

func (d *Chunked) lineState(b []byte) (int, error) {
	switch d.state {
	case chunkSizeFirst:
		return d.sizeFirst(b)
	case chunkSize:
		return d.size(b)
	case chunkExtFollows:
		return d.extFollows(b)
	case chunkExtNameWait:
		return d.extNameWait(b)
	case chunkExtName, chunkExtValue:
		return d.extToken(b)
	case chunkExtEquals:
		return d.extEquals(b)
	case chunkExtValueWait:
		return d.extValueWait(b)
	case chunkExtQuoted:
		return d.extQuoted(b)
	case chunkExtEscape:
		return d.extEscape(b)
	case chunkExtQuotedEnd:
		return 1, d.extDelimiter(b[0])
	case chunkLineLF:
		return d.lineLF(b)
	case chunkData, chunkDataCR, chunkDataLF, chunkTrailer, chunkTrailerLF, chunkFields, chunkDone: // not here
	}
	if invariant.Enabled {
		panic("httpparse: not a state of the chunk-size line")
	}
	return 0, errChunkExt
}

// chunk-size = 1*HEXDIG
func (d *Chunked) sizeFirst(b []byte) (int, error) {
	if hexDigit[b[0]] == notHex {
		return 0, errChunkSize
	}
	d.left = 0
	d.state = chunkSize
	return 0, nil
}

func (d *Chunked) size(b []byte) (int, error) {
	for i, c := range b {
		v := hexDigit[c]
		if v == notHex {
			return i + 1, d.extDelimiter(c)
		}
		if d.left > math.MaxInt64>>4 {
			return i, errChunkHuge
		}
		d.left = d.left<<4 | int64(v)
	}
	return len(b), nil
}

// chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
//
// extDelimiter takes the octet that ends a size, a name or a value.
func (d *Chunked) extDelimiter(c byte) error {
	switch {
	case c == '\r':
		d.state = chunkLineLF
	case c == ';':
		d.state = chunkExtNameWait
	case c == '=' && d.state == chunkExtName:
		d.state = chunkExtValueWait
	case class[c]&isSpace != 0 && d.state == chunkExtName:
		d.state = chunkExtEquals
	case class[c]&isSpace != 0:
		d.state = chunkExtFollows
	case c == '\n':
		return errBareLF
	case d.state == chunkSize:
		return errChunkSize
	default:
		return errChunkExt
	}
	return nil
}

// octetsOf returns how many octets at the start of b are of a class.
func octetsOf(b []byte, of uint8) int {
	for i, c := range b {
		if class[c]&of == 0 {
			return i
		}
	}
	return len(b)
}

func (d *Chunked) extFollows(b []byte) (int, error) {
	n := octetsOf(b, isSpace)
	if n == len(b) {
		return n, nil
	}
	if b[n] != ';' {
		return n, errChunkExt
	}
	d.state = chunkExtNameWait
	return n + 1, nil
}

func (d *Chunked) extNameWait(b []byte) (int, error) {
	n := octetsOf(b, isSpace)
	if n == len(b) {
		return n, nil
	}
	if class[b[n]]&isToken == 0 {
		return n, errChunkExt
	}
	d.state = chunkExtName
	return n, nil
}

// chunk-ext-name = token
// chunk-ext-val = token / quoted-string
func (d *Chunked) extToken(b []byte) (int, error) {
	n := octetsOf(b, isToken)
	if n == len(b) {
		return n, nil
	}
	return n + 1, d.extDelimiter(b[n])
}

func (d *Chunked) extEquals(b []byte) (int, error) {
	n := octetsOf(b, isSpace)
	if n == len(b) {
		return n, nil
	}
	switch b[n] {
	case ';':
		d.state = chunkExtNameWait
	case '=':
		d.state = chunkExtValueWait
	default:
		return n, errChunkExt
	}
	return n + 1, nil
}

func (d *Chunked) extValueWait(b []byte) (int, error) {
	n := octetsOf(b, isSpace)
	switch {
	case n == len(b):
		return n, nil
	case b[n] == '"':
		d.state = chunkExtQuoted
		return n + 1, nil
	case class[b[n]]&isToken != 0:
		d.state = chunkExtValue
		return n, nil
	}
	return n, errChunkExt
}

// quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
func (d *Chunked) extQuoted(b []byte) (int, error) {
	n := octetsOf(b, isQuoted)
	if n == len(b) {
		return n, nil
	}
	switch b[n] {
	case '"':
		d.state = chunkExtQuotedEnd
	case '\\':
		d.state = chunkExtEscape
	default:
		return n, errChunkExt
	}
	return n + 1, nil
}

// quoted-pair = "\" ( HTAB / SP / VCHAR / obs-text )
func (d *Chunked) extEscape(b []byte) (int, error) {
	if class[b[0]]&isValue == 0 {
		return 0, errChunkExt
	}
	d.state = chunkExtQuoted
	return 1, nil
}

func (d *Chunked) lineLF(b []byte) (int, error) {
	next := chunkData
	if d.left == 0 {
		next = chunkTrailer
	}
	return d.octet(b, '\n', next, errBareCR)
}

// trailer-section = *( field-line CRLF ), and the CRLF that ends the body
func (d *Chunked) trailerStart(b []byte) int {
	if b[0] == '\r' {
		d.state = chunkTrailerLF
		return 1
	}
	d.trailer = new(trailerSection)
	d.state = chunkFields
	return 0
}

func (d *Chunked) trailerFields(b []byte) (int, error) {
	lim, t := d.limits(), d.trailer
	had := len(t.buf)
	took := min(len(b), limit(lim.TrailerBytes, DefaultTrailerBytes)-had)
	t.buf = append(t.buf, b[:took]...)
	switch err := t.parse(limit(lim.Headers, DefaultHeaders)); {
	case err == nil:
		t.buf = t.buf[:t.cursor.next]
		d.state = chunkDone
		return len(t.buf) - had, nil
	case err != ErrPartial:
		return 0, err
	case took < len(b):
		return 0, errTrailerBytes
	}
	return took, nil
}

func (t *trailerSection) parse(most int) error {
	for {
		f, err := t.cursor.fieldLine(t.buf, len(t.fields) < most)
		if err != nil || f.Name.End == 0 {
			return err
		}
		if notInTrailer[f.ID] {
			return errTrailerName
		}
		t.fields = append(t.fields, f)
	}
}
