// SPDX-License-Identifier: MIT

package http1

import "net/http"

const (
	plainText = "text/plain; charset=utf-8"
	sniffLen  = 512 // how much http.DetectContentType looks at
)

// detectContentType is http.DetectContentType, which tries some seventy signatures one after the other, with a short way for
// what most answers are: text that begins with an octet that no signature begins with.
func detectContentType(p []byte) string {
	if len(p) == 0 || !startsPlain[p[0]] {
		return http.DetectContentType(p)
	}
	for _, c := range p[:min(len(p), sniffLen)] {
		if binary[c] {
			return http.DetectContentType(p)
		}
	}
	return plainText
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

// binary are the octets that no text contains (WHATWG MIME Sniffing, "binary data byte").
var binary = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = c != '\t' && c != '\n' && c != '\f' && c != '\r' && c != 0x1b
	}
	return t
}()
