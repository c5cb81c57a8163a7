// SPDX-License-Identifier: MIT

package httpparse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// laxer says why net/http accepts a head that is refused here. A difference that is not in this list, and not shown
// by a case in testdata, is a fault of this package or of the list.
var laxer = map[*SyntaxError]string{
	errBareLF:      "net/http ends lines at LF",
	errTarget:      "net/url accepts what browsers send, and more",
	errForm:        "net/url accepts a URI without authority",
	errScheme:      "net/url knows no schemes",
	errAuthority:   "net/url accepts userinfo, sub-delimiters, an empty host and an empty port",
	errAsterisk:    "net/http accepts * with every method",
	errConnect:     "net/http accepts CONNECT with a path, and without a port",
	errVersion:     "net/http ends lines at LF",
	errMajor:       "net/http looks at the version later, in its server",
	errFold:        "net/http joins continued lines",
	errNameSpace:   "net/http accepts spaces inside a name, for old servers' sake",
	errHostMissing: "net/http looks at Host later, in its server",
	errHost:        "net/http looks at Host later, and lets nearly everything through",
	errLengthTwice: "net/http accepts a length twice, if it's the same",
	errLengthAndTE: "net/http takes Transfer-Encoding, and drops Content-Length",
	errCodingIn10:  "net/http ignores Transfer-Encoding in HTTP/1.0",
	errExpect:      "net/http looks at Expect later, in its server",
	errRequestLine: "net/http has one limit, of all, and it's larger",
	errFields:      "net/http has one limit, of all, and it's larger",
	errHeadBytes:   "net/http has one limit, of all, and it's larger",
}

// stricter says why net/http refuses a head that is accepted here, by a piece of its error.
var stricter = map[string]string{
	"bad trailer key": "net/http looks at what Trailer announces; here, a forbidden field is refused when it comes",
}

// tighter says why net/http refuses a chunked body that is accepted here, by its error.
var tighter = map[string]string{
	"http chunk length too large":  "net/http counts the zeros before a size",
	"invalid byte in chunk length": "net/http does not accept whitespace before a semicolon",
	"header line too long":         "net/http counts CRLF to the length of a line",
}

// TestDifferencesHaveCases keeps the lists above to what is true.
func TestDifferencesHaveCases(t *testing.T) {
	shown := map[string]bool{}
	addCases(t, "testdata/head/*.txt", func(input []byte) {
		var h Head
		h.Reset()
		_, err := h.Parse(input, nil)
		_, theirs := http.ReadRequest(bufio.NewReader(bytes.NewReader(input)))
		if err != nil && theirs == nil {
			shown[err.Error()] = true
		}
		if err == nil && theirs != nil {
			shown[explanation(stricter, theirs)] = true
		}
	})
	addCases(t, "testdata/chunked/*.txt", func(input []byte) {
		var d Chunked
		_, _, err := readChunked(t, &d, input)
		_, theirs := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(input)))
		if err == io.EOF && theirs != nil {
			shown[explanation(tighter, theirs)] = true
		}
	})
	for rule := range laxer {
		if !shown[rule.Error()] {
			t.Errorf("net/http accepts no case that is refused here with: %s", rule)
		}
	}
	for _, list := range []map[string]string{stricter, tighter} {
		for text, why := range list {
			if !shown[why] {
				t.Errorf("net/http refuses no case that is accepted here with: %s", text)
			}
		}
	}
}

// explanation returns what list says of an error of net/http, or "".
func explanation(list map[string]string, err error) string {
	for text, why := range list {
		if strings.Contains(err.Error(), text) {
			return why
		}
	}
	return ""
}

// addCases calls add with the input of every case in the files.
func addCases(t testing.TB, pattern string, add func(input []byte)) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", pattern, err)
	}
	for _, file := range files {
		for _, c := range readCases(t, file) {
			add(c.input)
		}
	}
}

// FuzzHead asks whether a head is the same however it is cut, and with any limits; and whether net/http finds the same
// in it, or for which known reason it does not.
func FuzzHead(f *testing.F) {
	addCases(f, "testdata/head/*.txt", func(input []byte) {
		if len(input) < 1000 { // longer ones make the fuzzer slow
			f.Add(input, uint16(len(input)/2), uint8(0))
		}
	})
	for _, test := range benchHeads {
		f.Add([]byte(test.head), uint16(100), uint8(30))
	}
	f.Fuzz(func(t *testing.T, input []byte, cut uint16, small uint8) {
		lim := new(Limits)
		if small > 0 {
			*lim = Limits{RequestLine: int(small), HeadBytes: 3 * int(small), Headers: 1 + int(small)%8}
		}
		whole := parseHead(t, lim, input)
		at := int(cut) % (len(input) + 1)
		if got := parseHead(t, lim, input[:at], input[at:]); got != whole {
			t.Fatalf("%q\ncut at %d:\n%s\nwhole:\n%s", input, at, got, whole)
		}
		if len(input) < 1000 {
			if got := parseHead(t, lim, slices.Collect(slices.Chunk(input, 1))...); got != whole {
				t.Fatalf("%q\nbyte by byte:\n%s\nwhole:\n%s", input, got, whole)
			}
		}
		if small == 0 {
			compareWithReadRequest(t, input)
		}
	})
}

func compareWithReadRequest(t *testing.T, input []byte) {
	var h Head
	h.Reset()
	n, err := h.Parse(input, nil)
	start := 0 // net/http does not skip empty lines
	for start < 2*maxEmptyLines && bytes.HasPrefix(input[start:], []byte("\r\n")) {
		start += 2
	}
	r := bytes.NewReader(input[start:])
	br := bufio.NewReader(r)
	req, theirs := http.ReadRequest(br)

	var syntax *SyntaxError
	switch {
	case theirs != nil && err == nil:
		if explanation(stricter, theirs) == "" {
			t.Fatalf("%q\naccepted, but net/http says: %v", input, theirs)
		}
		return
	case theirs != nil:
		return
	case err == ErrPartial:
		t.Fatalf("%q\nincomplete, but not to net/http", input)
	case errors.As(err, &syntax):
		if laxer[syntax] == "" {
			t.Fatalf("%q\nrefused, but not by net/http: %s", input, syntax.Rule)
		}
		return
	}

	if used := len(input) - r.Len() - br.Buffered(); used != n {
		t.Fatalf("%q\nends after %d bytes, after %d for net/http", input, n, used)
	}
	if got := string(h.Method.Of(input)); got != req.Method {
		t.Fatalf("%q\nmethod %q, %q for net/http", input, got, req.Method)
	}
	if got := string(h.Target.Of(input)); got != req.RequestURI {
		t.Fatalf("%q\ntarget %q, %q for net/http", input, got, req.RequestURI)
	}
	if h.Form == OriginForm {
		if got := string(input[h.Target.Start:h.Query]); h.Plain != (got == req.URL.Path) {
			t.Fatalf("%q\nplain is %v, the path is %q for net/http", input, h.Plain, req.URL.Path)
		}
		if got := string(bytes.TrimPrefix(input[h.Query:h.Target.End], []byte("?"))); got != req.URL.RawQuery {
			t.Fatalf("%q\nquery %q, %q for net/http", input, got, req.URL.RawQuery)
		}
	}
	host := string(h.Host.Of(input))
	if h.Form == AbsoluteForm || h.Form == AuthorityForm {
		host = string(h.Authority.Of(input))
	}
	if host != req.Host {
		t.Fatalf("%q\nhost %q, %q for net/http", input, host, req.Host)
	}
	length := h.ContentLength
	if !h.Chunked {
		length = max(length, 0)
	}
	if chunked := slices.Equal(req.TransferEncoding, []string{"chunked"}); chunked != h.Chunked {
		t.Fatalf("%q\nchunked is %v, %v for net/http", input, h.Chunked, chunked)
	}
	if length != req.ContentLength {
		t.Fatalf("%q\nlength %d, %d for net/http", input, length, req.ContentLength)
	}
	// What follows a CONNECT may be meant for a tunnel (RFC 9110 §9.3.6), but net/http would serve it.
	if closes := h.Close || h.Minor == 0 && !h.KeepAlive; closes != (req.Close || h.Form == AuthorityForm) {
		t.Fatalf("%q\nclose %v, %v for net/http", input, closes, req.Close)
	}
	compareFields(t, input, &h, req)
}

// compareFields leaves out the fields that net/http takes out of the header, or puts into it.
func compareFields(t *testing.T, input []byte, h *Head, req *http.Request) {
	fields := http.Header{}
	for _, f := range h.Fields {
		switch {
		case f.ID == NameHost, f.ID == NameTransferEncoding, f.ID == NameTrailer && h.Chunked:
		default:
			name := textproto.CanonicalMIMEHeaderKey(string(f.Name.Of(input)))
			if f.ID != 0 && name != f.ID.String() {
				t.Fatalf("%q\n%q is taken for %q", input, name, f.ID)
			}
			fields.Add(name, string(f.Value.Of(input)))
		}
	}
	if fields.Get("Pragma") == "no-cache" && len(fields["Cache-Control"]) == 0 {
		req.Header.Del("Cache-Control")
	}
	for name := range req.Header {
		if !slices.Equal(fields[name], req.Header[name]) {
			t.Fatalf("%q\n%s is %q, %q for net/http", input, name, fields[name], req.Header[name])
		}
	}
	if len(fields) != len(req.Header) {
		t.Fatalf("%q\nfields %q, %q for net/http", input, fields, req.Header)
	}
}

// FuzzChunked asks whether the content is the same however it is cut, and with any limits; and whether net/http finds
// the same content, or for which known reason it refuses.
func FuzzChunked(f *testing.F) {
	addCases(f, "testdata/chunked/*.txt", func(input []byte) {
		if len(input) < 1000 {
			f.Add(input, uint16(len(input)/2), uint8(0))
		}
	})
	f.Fuzz(func(t *testing.T, input []byte, cut uint16, small uint8) {
		lim := new(Limits)
		if small > 0 {
			n := int(small)
			*lim = Limits{ChunkLine: n, ChunkExts: 2 * n, TrailerBytes: n, Headers: 1 + n%8}
		}
		whole := parseChunked(t, lim, input)
		at := int(cut) % (len(input) + 1)
		if got := parseChunked(t, lim, input[:at], input[at:]); got != whole {
			t.Fatalf("%q\ncut at %d:\n%s\nwhole:\n%s", input, at, got, whole)
		}
		if got := parseChunked(t, lim, slices.Collect(slices.Chunk(input, 1))...); got != whole {
			t.Fatalf("%q\nbyte by byte:\n%s\nwhole:\n%s", input, got, whole)
		}

		var d Chunked
		d.Reset(lim)
		content, _, err := readChunked(t, &d, input)
		if err != io.EOF {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(input)))
		if err != nil {
			if explanation(tighter, err) == "" {
				t.Fatalf("%q\naccepted, but net/http says: %v", input, err)
			}
			return
		}
		if !bytes.Equal(content, theirs) {
			t.Fatalf("%q\ncontent %q, %q for net/http", input, content, theirs)
		}
	})
}
