// SPDX-License-Identifier: MIT

package httpparse

import (
	"bytes"
	"math/bits"
	"strings"
	"testing"
)

func TestValidFieldName(t *testing.T) {
	for c := range 256 {
		s := "a" + string([]byte{byte(c)})
		want := c > ' ' && c < 0x7f && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(c))
		if got := ValidFieldName(s); got != want {
			t.Errorf("ValidFieldName(%q) = %v", s, got)
		}
	}
	if ValidFieldName("") || !ValidFieldName([]byte("Host")) {
		t.Error("an empty name is valid, or Host is not")
	}
}

func TestValidFieldValue(t *testing.T) {
	for c := range 256 {
		s := "a" + string([]byte{byte(c)})
		want := c >= ' ' && c != 0x7f || c == '\t'
		if got := ValidFieldValue(s); got != want {
			t.Errorf("ValidFieldValue(%q) = %v", s, got)
		}
	}
	if !ValidFieldValue("") || !ValidFieldValue([]byte("a b")) {
		t.Error("an empty value is not valid, or a list is not")
	}
}

// TestControls looks at every octet in every place, beside octets that could disturb it.
func TestControls(t *testing.T) {
	for _, beside := range []byte{' ', '!', '~', 0x80, 0xff, 0x1f, 0x7f, 0, '\t'} {
		for place := range 8 {
			for c := range 256 {
				b := bytes.Repeat([]byte{' '}, 8)
				b[place] = byte(c)
				for i := place + 1; i < 8; i++ {
					b[i] = beside
				}
				want := 8
				for i := 7; i >= 0; i-- {
					if b[i] < ' ' || b[i] == 0x7f {
						want = i
					}
				}
				if got := bits.TrailingZeros64(controls(word(b))) / 8; got != want {
					t.Fatalf("in %q the first control character is at %d, not %d", b, want, got)
				}
			}
		}
	}
}

// TestValueEnd puts the end at every distance from the start and from the end of the buffer.
func TestValueEnd(t *testing.T) {
	for length := range 40 {
		for end := range length + 1 {
			for tab := range end {
				b := []byte(strings.Repeat("\x80", end) + strings.Repeat("\r", length-end))
				b[tab] = '\t'
				if got := valueEnd(b, 0); got != end {
					t.Fatalf("%q ends at %d", b, got)
				}
			}
		}
	}
}

func TestEqualFold(t *testing.T) {
	for _, test := range []struct {
		b, lower string
		want     bool
	}{
		{"chunked", "chunked", true},
		{"CHUNKED", "chunked", true},
		{"Keep-Alive", "keep-alive", true},
		{"100-Continue", "100-continue", true},
		{"", "close", false},
		{"closed", "close", false},
		{"clos", "close", false},
		{"chun\xcbed", "chunked", false}, // "k" with its high bit
	} {
		if got := equalFold([]byte(test.b), test.lower); got != test.want {
			t.Errorf("equalFold(%q, %q) = %v", test.b, test.lower, got)
		}
	}
}
