// SPDX-License-Identifier: MIT

package proxy

import (
	"strings"

	"github.com/waitress-go/waitress/httpparse"
)

// split takes a list apart at the commas, or whatever separates it, that are in no quoted string. The items keep their
// quotes, and lose the blanks around them. It fails if a quoted string does not end.
func split(s string, separator byte) (items []string, ok bool) {
	begin, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == separator && !quoted:
			items = append(items, trim(s[begin:i]))
			begin = i + 1
		}
	}
	return append(items, trim(s[begin:])), !quoted
}

func trim(s string) string { return strings.Trim(s, " \t") }

// unquote returns what a token or a quoted string says (RFC 9110 §5.6.4). It fails if quotes are anywhere else than around
// all of it.
func unquote(s string) (string, bool) {
	if !strings.ContainsRune(s, '"') {
		return s, true
	}
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if !strings.ContainsAny(s, `"\`) {
		return s, httpparse.ValidFieldValue(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			return "", false
		}
		if c == '\\' {
			if i++; i == len(s) {
				return "", false
			}
			c = s[i]
		}
		b.WriteByte(c)
	}
	return b.String(), httpparse.ValidFieldValue(b.String())
}

// last returns the end of a list: the n items that the trusted proxies have appended, or fewer if there are fewer.
func last[T any](items []T, n int) []T { return items[max(0, len(items)-n):] }
