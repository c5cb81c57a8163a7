// SPDX-License-Identifier: MIT

package httpparse

import "errors"

// ErrPartial says that the bytes so far are a correct beginning, and more are needed. It is not a failure.
var ErrPartial = errors.New("httpparse: incomplete")

// A SyntaxError is a refusal. The values are package-level variables: none is made while parsing.
type SyntaxError struct {
	Status int    // of the answer: 400, 413, 414, 417, 431, 501 or 505
	Rule   string // what was broken, as a short phrase with its source: "space before colon (RFC 9112 §5.1)"
}

func (e *SyntaxError) Error() string { return e.Rule }

// What is refused in any line.
var (
	errBareCR  = &SyntaxError{400, "CR not followed by LF (RFC 9112 §2.2)"}
	errBareLF  = &SyntaxError{400, "LF not preceded by CR (RFC 9112 §2.2)"}
	errControl = &SyntaxError{400, "control character in a field value (RFC 9110 §5.5)"}
)

// What is refused in a request line.
var (
	errEmptyLines  = &SyntaxError{400, "too many empty lines before the request line (RFC 9112 §2.2)"}
	errMethod      = &SyntaxError{400, "method is not a token (RFC 9112 §3.1)"}
	errTarget      = &SyntaxError{400, "octet that no request-target may hold (RFC 9112 §3.2)"}
	errPercent     = &SyntaxError{400, "percent sign without two hexadecimal digits (RFC 3986 §2.1)"}
	errForm        = &SyntaxError{400, "request-target of no known form (RFC 9112 §3.2)"}
	errAuthority   = &SyntaxError{400, "invalid authority in the request-target (RFC 3986 §3.2)"}
	errScheme      = &SyntaxError{400, "absolute-form with a scheme other than http and https (RFC 9110 §7.4)"}
	errAsterisk    = &SyntaxError{400, "asterisk-form without OPTIONS (RFC 9112 §3.2.4)"}
	errConnect     = &SyntaxError{400, "CONNECT to something other than host:port (RFC 9112 §3.2.3)"}
	errNoVersion   = &SyntaxError{400, "request line that ends before the HTTP version (RFC 9112 §3)"}
	errVersion     = &SyntaxError{400, "not an HTTP version followed by CRLF (RFC 9112 §2.3)"}
	errMajor       = &SyntaxError{505, "HTTP version other than 1.x (RFC 9110 §15.6.6)"}
	errRequestLine = &SyntaxError{414, "request line too long (RFC 9112 §3)"}
)

// What is refused in a field line.
var (
	errNameEmpty = &SyntaxError{400, "empty field name (RFC 9112 §5)"}
	errNameOctet = &SyntaxError{400, "field name is not a token (RFC 9110 §5.1)"}
	errNameSpace = &SyntaxError{400, "whitespace in a field name or before its colon (RFC 9112 §5.1)"}
	errNameEnd   = &SyntaxError{400, "field line without a colon (RFC 9112 §5)"}
	errFold      = &SyntaxError{400, "line that starts with whitespace (RFC 9112 §2.2, §5.2)"}
	errFields    = &SyntaxError{431, "too many field lines (RFC 6585 §5)"}
	errHeadBytes = &SyntaxError{431, "request head too large (RFC 6585 §5)"}
)

// What is refused because of what the fields say, alone or together.
var (
	errHostMissing = &SyntaxError{400, "HTTP/1.1 request without Host (RFC 9112 §3.2)"}
	errHostTwice   = &SyntaxError{400, "more than one Host (RFC 9112 §3.2)"}
	errHost        = &SyntaxError{400, "invalid Host (RFC 9112 §3.2)"}
	errLength      = &SyntaxError{400, "Content-Length is not a decimal number (RFC 9112 §6.3)"}
	errLengthTwice = &SyntaxError{400, "more than one Content-Length (RFC 9112 §6.3)"}
	errLengthHuge  = &SyntaxError{413, "Content-Length beyond any integer (RFC 9110 §8.6)"}
	errLengthAndTE = &SyntaxError{400, "both Content-Length and Transfer-Encoding (RFC 9112 §6.1)"}
	errCodingIn10  = &SyntaxError{400, "Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)"}
	errCodingTwice = &SyntaxError{400, "more than one Transfer-Encoding (RFC 9112 §6.1)"}
	errCoding      = &SyntaxError{400, "Transfer-Encoding is not chunked, once (RFC 9112 §6.3)"}
	errCodingOther = &SyntaxError{501, "transfer coding other than chunked (RFC 9112 §6.1)"}
	errExpect      = &SyntaxError{417, "expectation other than 100-continue (RFC 9110 §10.1.1)"}
)

// What is refused in a chunked body.
var (
	errChunkSize    = &SyntaxError{400, "chunk size is not a hexadecimal number (RFC 9112 §7.1)"}
	errChunkHuge    = &SyntaxError{413, "chunk size beyond any integer (RFC 9112 §7.1)"}
	errChunkExt     = &SyntaxError{400, "malformed chunk extension (RFC 9112 §7.1.1)"}
	errChunkLine    = &SyntaxError{400, "chunk-size line too long (RFC 9112 §7.1.1)"}
	errChunkExts    = &SyntaxError{400, "too many octets of chunk extensions (RFC 9112 §7.1.1)"}
	errChunkEnd     = &SyntaxError{400, "chunk data not followed by CRLF (RFC 9112 §7.1)"}
	errTrailerName  = &SyntaxError{400, "field that no trailer section may hold (RFC 9110 §6.5.1)"}
	errTrailerBytes = &SyntaxError{431, "trailer section too large (RFC 6585 §5)"}
)
