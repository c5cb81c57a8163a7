// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/waitress-go/waitress/httpparse"
)

// A fieldSet is a set of those response fields that decide how the answer is framed, or that the server adds.
type fieldSet uint8

const (
	fieldConnection fieldSet = 1 << iota
	fieldContentLength
	fieldContentType
	fieldTransferEncoding
	fieldDate
	fieldServer
)

// fieldOf returns the bit of a canonical name, or 0.
func fieldOf(name string) fieldSet {
	switch name {
	case "Connection":
		return fieldConnection
	case "Content-Length":
		return fieldContentLength
	case "Content-Type":
		return fieldContentType
	case "Transfer-Encoding":
		return fieldTransferEncoding
	case "Date":
		return fieldDate
	case "Server":
		return fieldServer
	}
	return 0
}

// fieldLines are a response's header fields as they were at WriteHeader, already in the form in which they are sent:
// sorted by name, with line breaks in values made harmless. What the handler changes later does not change them, and
// no copy of the map is needed for that. Lines that the framing forbids are left out when they are sent.
type fieldLines struct {
	lines   []byte
	special [6]specialLine // in the order of lines
	n       int
	present fieldSet
	removed fieldSet

	connection       string // first values
	connectionCloses bool
	upgrades         bool   // Connection lists upgrade
	upgrade          string // to what
	contentLength    string
	contentEncoding  string
	transferEncoding string
	trailer          []string
	prefixed         bool // there is a name with http.TrailerPrefix
	names            int  // how many there are, those with it included

	sorted []namedValues // scratch
}

// A specialLine is where the lines of one of the fields of fieldSet are.
type specialLine struct {
	field      fieldSet
	start, end int
}

type namedValues struct {
	name   string
	values []string
}

func (f *fieldLines) has(s fieldSet) bool { return f.present&^f.removed&s != 0 }

func (f *fieldLines) remove(s fieldSet) { f.removed |= s }

// snapshot takes what is in h now.
func (f *fieldLines) snapshot(h http.Header) {
	f.lines, f.n, f.present, f.removed = f.lines[:0], 0, 0, 0
	f.connection, f.contentLength, f.contentEncoding, f.transferEncoding, f.upgrade = "", "", "", "", ""
	f.connectionCloses, f.upgrades, f.trailer = false, false, nil
	f.names, f.prefixed = len(h), false
	if len(h) == 0 {
		return
	}
	for name, values := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			f.prefixed = true
			continue
		}
		f.sorted = append(f.sorted, namedValues{name, values})
	}
	if len(f.sorted) > 1 {
		slices.SortFunc(f.sorted, func(a, b namedValues) int { return strings.Compare(a.name, b.name) })
	}
	for i, nv := range f.sorted {
		f.add(nv.name, nv.values)
		f.sorted[i] = namedValues{}
	}
	f.sorted = f.sorted[:0]
}

func (f *fieldLines) add(name string, values []string) {
	start := len(f.lines)
	f.lines = appendField(f.lines, name, values)
	special := fieldOf(name)
	if special != 0 {
		f.present |= special
		f.special[f.n] = specialLine{special, start, len(f.lines)}
		f.n++
	}
	if len(values) == 0 {
		return
	}
	switch special {
	case fieldConnection:
		f.connection = values[0]
		f.connectionCloses = hasToken(values[0], "close")
		f.upgrades = slices.ContainsFunc(values, func(v string) bool { return hasToken(v, "upgrade") })
	case fieldContentLength:
		f.contentLength = values[0]
	case fieldTransferEncoding:
		f.transferEncoding = values[0]
	case fieldContentType, fieldDate, fieldServer: // that they are there is all that matters
	case 0:
		switch name {
		case "Content-Encoding":
			f.contentEncoding = values[0]
		case "Trailer":
			f.trailer = values
		case "Upgrade":
			f.upgrade = values[0]
		}
	}
}

// append appends the lines but for those of drop.
func (f *fieldLines) append(p []byte, drop fieldSet) []byte {
	at := 0
	drop |= f.removed
	for _, s := range f.special[:f.n] {
		if s.field&drop != 0 {
			p = append(p, f.lines[at:s.start]...)
			at = s.end
		}
	}
	return append(p, f.lines[at:]...)
}

// appendField appends one field's lines. Names that are none are left out, and line breaks in values become spaces, so
// that a handler that passes a client's bytes on does not let it write lines of its own. net/http does the same.
func appendField(p []byte, name string, values []string) []byte {
	if fieldOf(name) == 0 && !httpparse.ValidFieldName(name) { // those that fieldOf knows are valid
		return p
	}
	for _, v := range values {
		p = append(p, name...)
		p = append(p, ": "...)
		start := len(p)
		p = append(p, textproto.TrimString(v)...)
		// Two searches by vector instructions are quicker than one by octets, and there is next to never anything to do.
		if value := p[start:]; bytes.IndexByte(value, '\n') >= 0 || bytes.IndexByte(value, '\r') >= 0 {
			for i, c := range value {
				if c == '\r' || c == '\n' {
					value[i] = ' '
				}
			}
		}
		p = append(p, "\r\n"...)
	}
	return p
}

// hasToken says whether a list of tokens contains token, which is in lower case.
func hasToken(list, token string) bool {
	for len(list) > 0 {
		var element string
		element, list, _ = strings.Cut(list, ",")
		if strings.EqualFold(textproto.TrimString(element), token) {
			return true
		}
	}
	return false
}

// declareTrailers notes which trailer fields the handler announced, in a Trailer field or by prefix.
func (r *response) declareTrailers() {
	// Of the names that are in the map now, only those that came after WriteHeader have to be looked at. One that took
	// the place of another is not found, nor does net/http find any.
	if r.trailersSaid = r.fields.prefixed; len(r.header) != r.fields.names {
		for name := range r.header {
			if strings.HasPrefix(name, http.TrailerPrefix) {
				r.trailersSaid = true
			}
		}
	}
	for _, v := range r.fields.trailer {
		r.trailersSaid = true
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)); name != "" && allowedTrailer(name) {
				r.trailers = append(r.trailers, name)
			}
		}
	}
}

// allowedTrailer says whether a field may come after the content: not those that frame, route, authenticate or describe
// it (RFC 9110 §6.5.1).
func allowedTrailer(name string) bool {
	if strings.HasPrefix(name, "If-") {
		return false
	}
	switch name {
	case "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range",
		"Content-Type", "Expect", "Host", "Keep-Alive", "Max-Forwards", "Pragma", "Proxy-Authenticate",
		"Proxy-Authorization", "Proxy-Connection", "Range", "Realm", "Te", "Trailer", "Transfer-Encoding",
		"Www-Authenticate":
		return false
	}
	return true
}

// appendTrailers appends the trailer fields with the values that they have now.
func (r *response) appendTrailers(p []byte) []byte {
	if !r.trailersSaid && len(r.header) == 0 {
		return p
	}
	var fields []namedValues
	for name, values := range r.header {
		if after, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			fields = append(fields, namedValues{after, values})
		}
	}
	for _, name := range r.trailers {
		if values := r.header[name]; len(values) > 0 {
			fields = append(fields, namedValues{name, values})
		}
	}
	slices.SortStableFunc(fields, func(a, b namedValues) int { return strings.Compare(a.name, b.name) })
	for _, f := range fields {
		p = appendField(p, f.name, f.values)
	}
	return p
}
