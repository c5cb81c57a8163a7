// SPDX-License-Identifier: MIT

package httpparse

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waitress-go/waitress/internal/invariant"
)

func TestHead(t *testing.T) {
	runCases(t, "testdata/head/*.txt", func(t *testing.T, c *testCase) string {
		return splitHead(t, c.input, &c.lim)
	})
}

// splitHead parses input with every split, and returns what all of them must find.
func splitHead(t testing.TB, input []byte, lim *Limits) (result string) {
	first := true
	eachSplit(input, func(parts ...[]byte) {
		got := parseHead(t, lim, parts...)
		if first {
			result, first = got, false
		} else if got != result {
			t.Fatalf("%.300q\ncut as %s:\n%s\nwhole:\n%s", input, lengths(parts), got, result)
		}
	})
	return result
}

// lengths describes parts by their lengths, the first few of them.
func lengths(parts [][]byte) string {
	var b strings.Builder
	for i, p := range parts[:min(len(parts), 4)] {
		fmt.Fprintf(&b, "%s%d", []string{"", "+"}[min(i, 1)], len(p))
	}
	return b.String()
}

// parseHead gives the parts to a Head one after the other, until it knows. The bytes are moved each time, and what no
// call may look at again is spoilt: all lines before the one that is not complete. And the position from which the next
// call goes on must be near the end. Both together say that the work is linear in the length, however it is cut.
func parseHead(t testing.TB, lim *Limits, parts ...[]byte) string {
	var h Head
	h.Reset()
	var input, moved []byte
	for _, part := range parts {
		input = append(input, part...)
		moved = bytes.Clone(input)
		clear(moved[:h.cursor.line])
		before := h.cursor
		n, err := h.Parse(moved, lim)
		if err != ErrPartial {
			return describeHead(input, &h, n, err)
		}
		if h.cursor.next < before.next || h.cursor.line < before.line {
			t.Fatalf("%.300q: the cursor went back from %v to %v", input, before, h.cursor)
		}
		if seen := len(input) - int(h.cursor.next); seen >= len("HTTP/1.1\r\n") {
			t.Fatalf("%.300q: %d bytes would be looked at again", input, seen)
		}
	}
	return describeHead(input, &h, 0, ErrPartial)
}

var formNames = [...]string{
	OriginForm: "origin", AbsoluteForm: "absolute", AuthorityForm: "authority", AsteriskForm: "asterisk",
}

// describeHead writes down all that Parse found.
func describeHead(buf []byte, h *Head, n int, err error) string {
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%d %s\n", syntax.Status, syntax.Rule)
	}
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes: %s, ", n, h.Method.Of(buf))
	fmt.Fprintf(&b, "%s %s", formNames[h.Form], shorten(h.Target.Of(buf)))
	if h.Authority != (Span{}) {
		fmt.Fprintf(&b, " at %q", h.Authority.Of(buf))
	}
	if h.Query < h.Target.End {
		fmt.Fprintf(&b, " query %q", buf[h.Query:h.Target.End])
	}
	for _, word := range []struct {
		name string
		is   bool
	}{
		{"plain", h.Plain},
		{fmt.Sprintf("HTTP/1.%d", h.Minor), true},
		{fmt.Sprintf("host %q", h.Host.Of(buf)), h.HasHost},
		{fmt.Sprintf("length %d", h.ContentLength), h.ContentLength != -1},
		{"chunked", h.Chunked},
		{"close", h.Close},
		{"keep-alive", h.KeepAlive},
		{"upgrade", h.Upgrade},
		{"continue", h.Continue},
		{"trailer", h.Trailer},
	} {
		if word.is {
			b.WriteString(", " + word.name)
		}
	}
	b.WriteString("\n")
	for i, f := range h.Fields {
		if i == 8 {
			fmt.Fprintf(&b, "  and %d more\n", len(h.Fields)-i)
			break
		}
		name := string(f.Name.Of(buf))
		if f.ID != 0 {
			name += " = " + f.ID.String()
		}
		fmt.Fprintf(&b, "  %s: %s\n", name, shorten(f.Value.Of(buf)))
	}
	return b.String()
}

func shorten(b []byte) string {
	if len(b) > 100 {
		return fmt.Sprintf("%q and %d more", b[:40], len(b)-40)
	}
	return fmt.Sprintf("%q", b)
}

// A Head is used again and again, also after a request that it refused or did not see the end of.
func TestHeadReset(t *testing.T) {
	requests := []string{
		"POST http://a/b%20c?d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n" +
			"Connection: close, keep-alive, upgrade\r\nTrailer: b\r\n\r\n",
		"GET / HTTP/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"GET / HTTP/1.0\r\nA: b",
		"GET /?a HTTP/1.1\r\nHost: b\r\nExpect: c\r\nTransfer-Encoding: d\r\n\r\n",
		"\r\nG",
		"GET /a HTTP/1.0\r\n\r\n",
	}
	var used Head
	for _, first := range requests {
		for _, second := range requests {
			used.Reset()
			_, _ = used.Parse([]byte(first), nil)
			used.Reset()
			n, err := used.Parse([]byte(second), nil)
			got := describeHead([]byte(second), &used, n, err)
			if want := parseHead(t, nil, []byte(second)); got != want {
				t.Errorf("%q after %q:\n%s\nwant:\n%s", second, first, got, want)
			}
		}
	}
}

func TestHeadDoesNotAllocate(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	var heads [][]byte
	for _, test := range benchHeads {
		heads = append(heads, []byte(test.head))
	}
	heads = append(heads, []byte("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")) // refused
	var h Head
	h.Fields = make([]Field, 0, 16)
	if n := testing.AllocsPerRun(100, func() {
		for _, head := range heads {
			h.Reset()
			_, _ = h.Parse(head[:len(head)/2], nil)
			_, _ = h.Parse(head, nil)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMisusePanics(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("not checked in this build")
	}
	for name, misuse := range map[string]func(h *Head){
		"never reset": func(h *Head) { *h = Head{} },
		"not reset":   func(h *Head) { _, _ = h.Parse([]byte("GET / HTTP/1.0\r\n\r\n"), nil) },
		"fewer bytes": func(h *Head) { _, _ = h.Parse([]byte("GET /there"), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			var h Head
			h.Reset()
			misuse(&h)
			_, _ = h.Parse([]byte("GET /"), nil)
		})
	}
}

// Limits that make no sense are no reason to crash, or to let anything through.
func TestLimitsOutOfRange(t *testing.T) {
	input := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	const large, small = int(^uint(0) >> 1), -1
	for _, n := range []int{small, large} {
		lim := Limits{n, n, n, n, n, n}
		if got, want := parseHead(t, &lim, input), parseHead(t, nil, input); got != want {
			t.Errorf("limits of %d: %s", n, got)
		}
		body := []byte("1;a=b\r\na\r\n0\r\nA: b\r\n\r\n")
		if got, want := parseChunked(t, &lim, body), parseChunked(t, nil, body); got != want {
			t.Errorf("limits of %d: %s", n, got)
		}
	}
}

func TestFieldsKeepTheirStorage(t *testing.T) {
	var h Head
	h.Reset()
	_, _ = h.Parse([]byte("GET / HTTP/1.0\r\nA:\r\nB:\r\n\r\n"), nil)
	before := cap(h.Fields)
	h.Reset()
	first := []Field{{Name: Span{16, 17}, Value: Span{18, 18}}}
	if len(h.Fields) != 0 || cap(h.Fields) != before || !slices.Equal(h.Fields[:1], first) {
		t.Errorf("len %d, cap %d, had %d", len(h.Fields), cap(h.Fields), before)
	}
}
