// SPDX-License-Identifier: MIT

package httpparse

import "encoding/binary"

// The classes of octets, one bit each in class. An octet is looked up once, whatever is asked about it.
const (
	isToken  uint8 = 1 << iota // tchar (RFC 9110 §5.6.2)
	isPath                     // pchar without "%", and "/": what a path holds if it needs no decoding (RFC 3986 §3.3)
	isTarget                   // whatever some form of request-target may hold (RFC 9112 §3.2)
	isHost                     // unreserved (RFC 3986 §2.3): all that is needed of a reg-name. See host
	isValue                    // field-vchar, SP and HTAB (RFC 9110 §5.5)
	isQuoted                   // qdtext (RFC 9110 §5.6.4)
	isSpace                    // SP and HTAB, the only whitespace there is (RFC 9110 §5.6.3)
	isQuery                    // whatever a query holds, and what else browsers leave as it is there: RFC 3986 does not have that, but it ends nothing
)

const (
	alpha      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit      = "0123456789"
	unreserved = alpha + digit + "-._~"
	subDelims  = "!$&'()*+,;="
	pathOctets = unreserved + subDelims + ":@/"
)

var class = func() (t [256]uint8) {
	set := func(bit uint8, octets string) {
		for i := range len(octets) {
			t[octets[i]] |= bit
		}
	}
	set(isToken, alpha+digit+"!#$%&'*+-.^_`|~")
	set(isPath, pathOctets)
	set(isTarget, pathOctets+"%?[]")
	set(isQuery, pathOctets+"%?[]{}|\\^`") // whoever reads the query decodes it, and "?q=50%" is what people type
	set(isHost, unreserved)
	set(isSpace|isValue|isQuoted, " \t")
	for c := range 256 {
		if c > ' ' && c != 0x7f { // VCHAR, and obs-text from 0x80 on
			t[c] |= isValue
			if c != '"' && c != '\\' {
				t[c] |= isQuoted
			}
		}
	}
	return t
}()

// hexDigit holds the value of a hexadecimal digit, and notHex for every other octet.
var hexDigit = func() (t [256]uint8) {
	for c := range t {
		t[c] = notHex
	}
	for i := range uint8(16) {
		t["0123456789abcdef"[i]] = i
		t["0123456789ABCDEF"[i]] = i
	}
	return t
}()

const notHex = 0xff

// ValidFieldName reports whether s is a token, as field names and methods are (RFC 9110 §5.1).
func ValidFieldName[S string | []byte](s S) bool {
	for i := range len(s) {
		if class[s[i]]&isToken == 0 {
			return false
		}
	}
	return len(s) > 0
}

// ValidFieldValue reports whether s has only octets that a field value may hold: no control character but HTAB. Octets
// from 0x80 on are opaque (RFC 9110 §5.5), and whitespace around the value is for the caller to take off.
func ValidFieldValue[S string | []byte](s S) bool {
	for i := range len(s) {
		if class[s[i]]&isValue == 0 {
			return false
		}
	}
	return true
}

// Words of eight octets, for looking at all of them at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controls marks the first octet of w that is a control character, HTAB among them, with its high bit. Bits above that
// one mean nothing: a subtraction that borrows spoils its upper neighbours, never its lower ones.
func controls(w uint64) uint64 {
	del := w ^ 0x7f*ones
	return ((w-0x20*ones)&^w | (del-ones)&^del) & highs
}

// allPrintable reports whether every octet of v and w is printable ASCII or SP. It is quicker to ask than controls: borrows
// and carries come only from octets that are marked themselves.
func allPrintable(v, w uint64) bool {
	return ((v-0x20*ones)|(v+ones)|(w-0x20*ones)|(w+ones))&highs == 0
}

func word(b []byte) uint64     { return binary.LittleEndian.Uint64(b) }
func halfWord(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }

// trim takes whitespace (RFC 9110 §5.6.3) off both ends of the piece s of buf.
func trim(buf []byte, s Span) Span {
	for s.Start < s.End && class[buf[s.Start]]&isSpace != 0 {
		s.Start++
	}
	for s.Start < s.End && class[buf[s.End-1]]&isSpace != 0 {
		s.End--
	}
	return s
}

// equalFold reports whether b is lower, in any case. lower has only letters, digits and "-", which makes the comparison
// exact as long as b holds no control characters.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}
