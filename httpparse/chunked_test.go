// SPDX-License-Identifier: MIT

package httpparse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/waitress-go/waitress/internal/invariant"
)

func TestChunked(t *testing.T) {
	runCases(t, "testdata/chunked/*.txt", func(t *testing.T, c *testCase) string {
		return splitChunked(t, c.input, &c.lim)
	})
}

// splitChunked takes the content out of input with every split, and returns what all of them must find.
func splitChunked(t testing.TB, input []byte, lim *Limits) (result string) {
	first := true
	eachSplit(input, func(parts ...[]byte) {
		got := parseChunked(t, lim, parts...)
		if first {
			result, first = got, false
		} else if got != result {
			t.Fatalf("%.300q\ncut as %s:\n%s\nwhole:\n%s", input, lengths(parts), got, result)
		}
	})
	return result
}

func parseChunked(t testing.TB, lim *Limits, parts ...[]byte) string {
	var d Chunked
	d.Reset(lim)
	content, n, err := readChunked(t, &d, parts...)
	var b strings.Builder
	var syntax *SyntaxError
	switch {
	case errors.As(err, &syntax):
		fmt.Fprintf(&b, "%d %s\n", syntax.Status, syntax.Rule)
	case err == io.EOF:
		fmt.Fprintf(&b, "%d bytes: complete\n", n)
	default:
		b.WriteString(err.Error() + "\n")
	}
	if len(content) > 0 {
		fmt.Fprintf(&b, "content %s\n", shorten(content))
	}
	if err == io.EOF {
		buf, fields := d.Trailers()
		for _, f := range fields {
			fmt.Fprintf(&b, "  %s: %q\n", f.Name.Of(buf), f.Value.Of(buf))
		}
	}
	return b.String()
}

// readChunked gives the parts to d one after the other, each at a place of its own that is spoilt afterwards, and
// holds d to what Next promises. It returns the content, how many bytes were used up, and the error that ended it.
func readChunked(t testing.TB, d *Chunked, parts ...[]byte) (content []byte, used int, err error) {
	err = ErrPartial
	if _, _, err := d.Next(nil); err != ErrPartial {
		t.Fatalf("nothing: %v", err)
	}
	for _, part := range parts {
		src := bytes.Clone(part)
		for err = nil; err == nil; {
			var data []byte
			var n int
			data, n, err = d.Next(src)
			switch {
			case err == nil && (len(data) == 0 || n < len(data) || &data[0] != &src[n-len(data)]):
				t.Fatalf("%d bytes, of them %d of content", n, len(data))
			case err != nil && data != nil:
				t.Fatalf("content with %v", err)
			case err == ErrPartial && n != len(src):
				t.Fatalf("%d of %d bytes used up, then %v", n, len(src), err)
			}
			content = append(content, data...)
			used += n
			clear(src[:n])
			src = src[n:]
		}
		if err != ErrPartial {
			break
		}
	}
	if err == io.EOF {
		if _, n, err := d.Next([]byte("0\r\n")); n != 0 || err != io.EOF {
			t.Fatalf("after the end: %d bytes, %v", n, err)
		}
	}
	return content, used, err
}

func TestChunkedReset(t *testing.T) {
	var d Chunked
	for _, first := range []string{"5\r\nhel", "x", "5;a=\"", "0\r\nA: b\r\n\r\n", "0\r\nA: b"} {
		_, _, _ = readChunked(t, &d, []byte(first))
		d.Reset(nil)
		if buf, fields := d.Trailers(); buf != nil || fields != nil {
			t.Errorf("after %q: trailers %q", first, buf)
		}
		content, _, err := readChunked(t, &d, []byte("1\r\na\r\n0\r\n\r\n"))
		if string(content) != "a" || err != io.EOF {
			t.Errorf("after %q: %q, %v", first, content, err)
		}
		d.Reset(nil)
	}
}

func TestChunkedDoesNotAllocate(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	body := []byte(strings.Repeat("5;a=\"b\"\r\nhello\r\n", 10) + "0\r\n\r\n")
	var d Chunked
	if n := testing.AllocsPerRun(100, func() {
		d.Reset(nil)
		for rest := body; ; {
			_, n, err := d.Next(rest[:min(len(rest), 7)])
			if rest = rest[n:]; err == io.EOF {
				break
			}
			if err != nil && err != ErrPartial {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// There is one Chunked for every body that is being received.
func TestChunkedIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Chunked{}); n > 48 {
		t.Errorf("%d bytes", n)
	}
}
