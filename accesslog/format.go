// SPDX-License-Identifier: MIT

package accesslog

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// A clock holds the text of this second.
type clock struct{ p atomic.Pointer[second] }

// A second is the text of one, in both formats. Immutable.
type second struct {
	unix     int64
	combined string // "22/Nov/2026:16:19:10 +0000"
	rfc3339  string // "2026-11-22T16:19:10"
}

func (c *clock) at(t time.Time) *second {
	s := c.p.Load()
	if unix := t.Unix(); s == nil || s.unix != unix {
		s = &second{unix, t.Format("02/Jan/2006:15:04:05 -0700"), t.UTC().Format("2006-01-02T15:04:05")}
		c.p.Store(s)
	}
	return s
}

// appendCombined appends a line of the combined format, with the duration in seconds behind it:
//
//	192.0.2.1 - - [22/Nov/2026:16:19:10 +0000] "GET / HTTP/1.1" 200 13 "-" "curl/8.5.0" 0.000123
//
// The status is "-" where there was none, and so is the request where nothing of it is known. Whatever a client can choose
// comes in quotes, or can't hold blanks.
func appendCombined(b []byte, c *clock, x *Entry) []byte {
	b = appendPlain(b, hostOf(x.Client))
	b = append(b, " - - ["...)
	b = append(b, c.at(x.Start).combined...)
	b = append(b, `] "`...)
	b = appendOptional(b, x.Method)
	if x.URI != "" || x.Proto != "" {
		b = append(b, ' ')
		b = appendEscaped(b, x.URI, '"')
	}
	if x.Proto != "" {
		b = append(b, ' ')
		b = appendEscaped(b, x.Proto, '"')
	}
	b = append(b, `" `...)
	if x.Status == 0 {
		b = append(b, '-')
	} else {
		b = strconv.AppendInt(b, int64(x.Status), 10)
	}
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.Bytes, 10)
	b = append(b, ` "`...)
	b = appendOptional(b, x.Referer)
	b = append(b, `" "`...)
	b = appendOptional(b, x.Agent)
	b = append(b, `" `...)
	b = appendSeconds(b, x.Duration)
	return append(b, '\n')
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// hostOf is the address without its port.
func hostOf(remote string) string {
	if i := strings.LastIndexByte(remote, ':'); i > 0 {
		remote = remote[:i]
	}
	if len(remote) > 1 && remote[0] == '[' && remote[len(remote)-1] == ']' {
		remote = remote[1 : len(remote)-1]
	}
	return remote
}

// appendPlain appends what stands without quotes, "-" for nothing.
func appendPlain(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	return appendEscaped(b, s, ' ')
}

func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	return appendEscaped(b, s, '"')
}

// plain says which bytes stand for themselves in every quoted text.
var plain = func() (t [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

const hex = "0123456789abcdef"

// appendEscaped appends s with the end of its field, backslashes, and what is not printable ASCII, escaped: no client writes
// lines or fields of its own into the log.
func appendEscaped(b []byte, s string, end byte) []byte {
	from := 0
	for i := range len(s) {
		c := s[i]
		if plain[c] && c != end {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return append(b, s[from:]...)
}

// appendSeconds appends the duration in seconds, to the microsecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	us := d.Microseconds()
	b = strconv.AppendInt(b, us/1e6, 10)
	return appendDigits(append(b, '.'), int(us%1e6), 1e5)
}

// appendDigits appends n with leading zeros, from the digit that is worth top.
func appendDigits(b []byte, n, top int) []byte {
	for ; top > 0; top /= 10 {
		b = append(b, byte('0'+n/top%10))
	}
	return b
}

// appendJSON appends a line that is a JSON object.
func appendJSON(b []byte, c *clock, x *Entry) []byte {
	b = append(b, `{"time":"`...)
	b = append(b, c.at(x.Start).rfc3339...)
	b = append(b, '.')
	b = appendDigits(b, x.Start.Nanosecond()/1e6, 100)
	b = append(b, `Z","client":`...)
	b = appendString(b, x.Client)
	b = append(b, `,"method":`...)
	b = appendString(b, x.Method)
	b = append(b, `,"host":`...)
	b = appendString(b, x.Host)
	b = append(b, `,"uri":`...)
	b = appendString(b, x.URI)
	b = append(b, `,"proto":`...)
	b = appendString(b, x.Proto)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(x.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, x.Bytes, 10)
	b = append(b, `,"seconds":`...)
	b = appendSeconds(b, x.Duration)
	if x.Referer != "" {
		b = appendString(append(b, `,"referer":`...), x.Referer)
	}
	if x.Agent != "" {
		b = appendString(append(b, `,"agent":`...), x.Agent)
	}
	if x.Hijacked {
		b = append(b, `,"hijacked":true`...)
	}
	if x.Panicked {
		b = append(b, `,"panicked":true`...)
	}
	return append(b, "}\n"...)
}

// appendString appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD, as in package json.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), `\ufffd`...)
				from = i + 1
			}
			i += n
			continue
		}
		b = append(append(b, s[from:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
