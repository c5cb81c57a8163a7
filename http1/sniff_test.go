// SPDX-License-Identifier: MIT

package http1

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

func TestDetectContentType(t *testing.T) {
	// Beginnings of signatures, cut, and with other octets in every place.
	seeds := []string{
		"", " ", "a", "Hello, World!", `{"a":1}`, "<html>", " <html>", "<?xml", "%PDF-", "%!PS-Adobe-", "\xfe\xff", "\xff\xfe", "\xef\xbb\xbf",
		"GIF87a", "GIF89a", "RIFF\x00\x00\x00\x00WEBPVP", "BM", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "FORM\x00\x00\x00\x00AIFF", ".snd", "ID3",
		"OggS\x00", "MThd\x00\x00\x00\x06", "RIFF0000AVI ", "RIFF0000WAVE", "\x1aE\xdf\xa3", "\x00\x01\x00\x00", "OTTO", "ttcf", "wOFF", "wOF2",
		"\x1f\x8b\x08", "PK\x03\x04", "Rar!\x1a\x07\x00", "Rar!\x1a\x07\x01\x00", "\x00asm", "7z\xbc\xaf\x27\x1c", "true", "!<arch>",
		"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42mp41", "    ftypmp42", "!  \x08ftypmp42", strings.Repeat("\x00", 34) + "LP",
		strings.Repeat("a", 511) + "\x00", strings.Repeat("a", 512) + "\x00",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	check := func(p string) {
		if got, want := detectContentType([]byte(p)), http.DetectContentType([]byte(p)); got != want {
			t.Errorf("%q: got %s, want %s", p, got, want)
		}
	}
	for _, s := range seeds {
		for cut := range len(s) + 1 {
			check(s[:cut])
		}
		check(s + strings.Repeat(" ", 600))
		for range 2000 {
			p := []byte(s)
			for range 1 + rnd.IntN(3) {
				if len(p) > 0 {
					p[rnd.IntN(len(p))] = byte(rnd.IntN(256))
				}
			}
			check(string(p))
		}
	}
	for c := range 256 {
		for d := range 256 {
			check(string([]byte{byte(c), byte(d)}) + "34567890")
		}
	}
}

func FuzzDetectContentType(f *testing.F) {
	f.Add([]byte("Hello, World!"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if got, want := detectContentType(p), http.DetectContentType(p); got != want {
			t.Errorf("%q: got %s, want %s", p, got, want)
		}
	})
}
