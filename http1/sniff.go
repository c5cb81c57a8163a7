// SPDX-License-Identifier: MIT

package http1

import (
	"encoding/binary"
	"net/http"
)

// sniffLen is how much http.DetectContentType looks at.
const sniffLen = 512

// detectContentType is http.DetectContentType, which tries some seventy signatures one after the other, with a short way for
// what most answers are: text that begins with an octet that no signature begins with.
func detectContentType(p []byte) string {
	if len(p) == 0 || !startsPlain[p[0]] {
		return http.DetectContentType(p)
	}
	if !isText(p[:min(len(p), sniffLen)]) {
		return http.DetectContentType(p)
	}
	return ContentTypeText
}

// isText says whether p has no octet of notText. Most words of most texts have no control character at all.
func isText(p []byte) bool {
	for len(p) > 0 {
		word := p[:min(len(p), 8)]
		p = p[len(word):]
		if len(word) == 8 {
			// A word whose octets are all from 0x20 on has none of its high bits here; one borrow is enough to look closer.
			const ones = 0x0101010101010101
			if w := binary.LittleEndian.Uint64(word); (w-0x20*ones)&^w&(0x80*ones) == 0 {
				continue
			}
		}
		for _, c := range word {
			if notText[c] {
				return false
			}
		}
	}
	return true
}

// startsPlain are the ASCII octets that neither begin a signature nor are skipped before one. (The signature of MP4 begins
// with its length, of which only a small one is looked at, so none with a letter.)
var startsPlain = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = true
	}
	for _, c := range "<%GRBFOMIPwt.7" {
		t[c] = false
	}
	return t
}()

// notText are the octets that no text contains (WHATWG MIME Sniffing, "binary data byte").
var notText = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = c != '\t' && c != '\n' && c != '\f' && c != '\r' && c != 0x1b
	}
	return t
}()
