// SPDX-License-Identifier: MIT

package main

import (
	"maps"
	"net/http"
	"slices"
)

// A request is what the application was given. Its strings hold octets, not text: nothing says that what a client
// sends is UTF-8.
type request struct {
	peer    string
	method  string
	target  string
	proto   string
	host    string
	headers http.Header

	body     string
	complete bool // body is all that the client sent
	listed   bool // the log holds this request; guarded by the log's lock
}

// newRequest takes over r.Header, which nobody changes any more.
func newRequest(r *http.Request) *request {
	return &request{
		peer:    r.RemoteAddr,
		method:  r.Method,
		target:  r.RequestURI,
		proto:   r.Proto,
		host:    r.Host,
		headers: r.Header,
	}
}

// size is roughly the memory that q keeps alive.
func (q *request) size() int {
	n := 256 + len(q.method) + len(q.target) + len(q.host) + len(q.body)
	for name, values := range q.headers {
		n += 64 + len(name)
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	return n
}

// appendMembers appends the members of q's JSON object, without its braces. Field lines of one name stand together,
// in the order in which they came; the names are sorted, since a map has forgotten theirs.
func (q *request) appendMembers(b []byte) []byte {
	b = appendMember(b, "method", q.method)
	b = appendMember(append(b, ','), "target", q.target)
	b = appendMember(append(b, ','), "proto", q.proto)
	b = appendMember(append(b, ','), "host", q.host)
	b = append(b, `,"headers":[`...)
	first := true
	for _, name := range slices.Sorted(maps.Keys(q.headers)) {
		for _, value := range q.headers[name] {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendString(append(b, '['), name)
			b = appendString(append(b, ','), value)
			b = append(b, ']')
		}
	}
	return appendMember(append(b, `],`...), "body", q.body)
}

func appendMember(b []byte, name, value string) []byte {
	b = appendString(b, name)
	return appendString(append(b, ':'), value)
}

// appendString appends s as a JSON string of one character per octet: octet 0xE9 is U+00E9. encoding/json would take
// s for UTF-8 instead and lose what isn't.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
