// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"cmp"
	"iter"
	"math"

	"github.com/waitress-go/waitress/httpparse"
)

// Method returns the request's method. A HEAD request is answered as a GET request is; the content is left out.
func (t Task) Method() Method { return t.use().method }

// MethodName returns the method as it was sent, well known or not.
func (t Task) MethodName() []byte {
	n := t.use()
	return piece(n.text, n.view().Method)
}

// Target returns the request target as it was sent.
func (t Task) Target() []byte {
	n := t.use()
	return piece(n.text, n.view().Target)
}

// Path returns the target's path as it was sent, but without Server.URLPrefix: percent-encoded, "/" for an absolute-form target
// that has none, "*" for "OPTIONS *", and empty for CONNECT.
func (t Task) Path() []byte {
	path, _ := t.use().split()
	return path
}

// DecodedPath appends the path without its percent-encoding to p. An encoded "/" can't be told from a plain one then;
// Segments keeps them apart.
func (t Task) DecodedPath(p []byte) []byte {
	n := t.use()
	path, _ := n.split()
	if n.head.Plain {
		return append(p, path...)
	}
	return appendDecoded(p, path, false)
}

// Query returns what follows the first "?" of the target, as it was sent. It is nil where there is no "?".
func (t Task) Query() []byte {
	_, query := t.use().split()
	return query
}

// Segments returns the parts of the path between its slashes, each as it was sent: "a" and "b" for "/a/b", nothing for "/", "a"
// and "" for "/a/".
func (t Task) Segments() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { t.use().segments(yield) }
}

// segments is apart, so that Segments is inlined, also for 32-bit processors, and its iterator needs no allocation. That asks
// whether the Task is over when it is used: it can be kept as the Task can.
func (n *native) segments(yield func([]byte) bool) {
	rest, _ := n.split()
	if len(rest) < 2 {
		return
	}
	rest = rest[1:]
	for more := true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, slash)
		if !yield(segment) {
			return
		}
	}
}

var slash = []byte{'/'}

// Segment returns one part of the path, counted from 0, and nil where there are not so many.
func (t Task) Segment(i int) []byte {
	for s := range t.Segments() {
		if i == 0 {
			return s
		}
		i--
	}
	return nil
}

// QueryValue returns the first value of a query parameter, and whether there is one. It is a view where nothing had to be decoded,
// and else appended to p: what comes back is the value alone in either case. name is compared with what the query's
// names decode to; what can't be decoded stands for itself.
func (t Task) QueryValue(name string, p []byte) ([]byte, bool) {
	_, query := t.use().split()
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, ampersand)
		key, value, _ := bytes.Cut(pair, equals)
		if !decodesTo(key, name) {
			continue
		}
		if bytes.IndexByte(value, '%') < 0 && bytes.IndexByte(value, '+') < 0 {
			return value, true
		}
		start := len(p)
		return appendDecoded(p, value, true)[start:], true
	}
	return nil, false
}

var (
	ampersand = []byte{'&'}
	equals    = []byte{'='}
)

// Host returns the host, and port if there is one, that the request is for: that of an absolute-form or CONNECT target,
// else the Host field; or what a trusted proxy tells of it. It is empty where an HTTP/1.0 client sent none.
func (t Task) Host() []byte {
	n := t.use()
	if host := n.told().Host; host != "" {
		return bytesOf(host)
	}
	return hostOf(n.view(), n.text)
}

// hostOf returns the host that the request is for, as it was sent.
func hostOf(head *httpparse.Head, text []byte) []byte {
	switch {
	case head.Form == httpparse.AbsoluteForm || head.Form == httpparse.AuthorityForm:
		return piece(text, head.Authority)
	case head.HasHost:
		return piece(text, head.Host)
	}
	return nil
}

// RemoteAddr returns the client's address, "IP:port": as a trusted proxy tells it, and else that of Peer.
func (t Task) RemoteAddr() string {
	n := t.use()
	return cmp.Or(n.told().RemoteAddr, n.channel().Peer())
}

// Peer returns the address of the connection's peer, which is the proxy where there is one.
func (t Task) Peer() string { return t.use().channel().Peer() }

// Minor returns 1 for HTTP/1.1 and 0 for HTTP/1.0.
func (t Task) Minor() int { return int(t.use().minor) }

// KeepAlive says whether the client keeps the connection for another request.
func (t Task) KeepAlive() bool {
	n := t.use()
	return !n.wantsClose && (n.minor > 0 || n.keepAlive)
}

// ContentLength returns the length of the request's content in bytes: 0 where there is none, and -1 where it is not known
// before the end.
func (t Task) ContentLength() int64 {
	n := t.use()
	n.view()
	return n.length
}

// Known returns the value of the first field of a well-known name, and nil where there is none; an empty value is not nil.
// Framing is no concern of the handler: the fields that it is taken from are there as they came.
func (t Task) Known(id NameID) []byte {
	n := t.use()
	for _, f := range n.view().Fields {
		if f.ID == id {
			return piece(n.text, f.Value)
		}
	}
	return nil
}

// Header is Known for any name, in any case.
func (t Task) Header(name string) []byte {
	n := t.use()
	for _, f := range n.view().Fields {
		if int(f.Name.End-f.Name.Start) == len(name) && equalFold(f.Name.Of(n.text), name) {
			return piece(n.text, f.Value)
		}
	}
	return nil
}

// Headers returns all field lines, names as they were sent and values, in the order in which they came.
func (t Task) Headers() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) { t.use().eachField(yield) }
}

// eachField is apart, as segments is.
func (n *native) eachField(yield func(name, value []byte) bool) {
	head, text := n.view(), n.text
	for _, f := range head.Fields {
		if !yield(piece(text, f.Name), piece(text, f.Value)) {
			return
		}
	}
}

// HeaderValues returns the values of all field lines of a name, in any case, in the order in which they came.
func (t Task) HeaderValues(name string) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) { t.use().eachValue(name, yield) }
}

// eachValue is apart, as segments is.
func (n *native) eachValue(name string, yield func(value []byte) bool) {
	head, text := n.view(), n.text
	for _, f := range head.Fields {
		if equalFold(f.Name.Of(text), name) && !yield(piece(text, f.Value)) {
			return
		}
	}
}

// HeaderInt returns the value of a field as a decimal number that is not negative, and whether it is one.
func (t Task) HeaderInt(name string) (int64, bool) { return parseInt(t.Header(name)) }

// Cookie returns the value of the first cookie of that name, without the quotation marks it may be in, and whether there is one.
func (t Task) Cookie(name string) ([]byte, bool) {
	n := t.use()
	for _, f := range n.view().Fields {
		if f.ID != httpparse.NameCookie {
			continue
		}
		pairs := piece(n.text, f.Value)
		for len(pairs) > 0 {
			var pair []byte
			pair, pairs, _ = bytes.Cut(pairs, semicolon)
			key, value, found := bytes.Cut(trimSpace(pair), equals)
			if found && string(trimSpace(key)) == name {
				if value = trimSpace(value); len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
					value = value[1 : len(value)-1]
				}
				return value, true
			}
		}
	}
	return nil, false
}

var semicolon = []byte{';'}

// IfNoneMatch says whether the request asks for nothing unless the resource has changed, and it has not: whether an
// If-None-Match field names etag, which is with its quotation marks, or is "*". The comparison is the weak one, as
// RFC 9110 §13.1.2 wants it: W/ makes no difference. What is to be answered then is 304, or 412 to other methods than GET and HEAD.
func (t Task) IfNoneMatch(etag string) bool {
	n := t.use()
	for _, f := range n.view().Fields {
		if f.ID == httpparse.NameIfNoneMatch && matchesTag(f.Value.Of(n.text), etag) {
			return true
		}
	}
	return false
}

// matchesTag looks for etag in a list of entity tags. Their opaque text may hold commas, so the list can't be cut at those.
func matchesTag(list []byte, etag string) bool {
	if len(etag) > 2 && etag[:2] == "W/" {
		etag = etag[2:]
	}
	if string(list) == "*" {
		return true
	}
	for {
		for len(list) > 0 && (list[0] == ' ' || list[0] == '\t' || list[0] == ',') {
			list = list[1:]
		}
		if len(list) > 2 && list[0] == 'W' && list[1] == '/' {
			list = list[2:]
		}
		if len(list) == 0 || list[0] != '"' {
			return false // the end, or nothing that can be read
		}
		end := bytes.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if string(list[:end+2]) == etag {
			return true
		}
		list = list[end+2:]
	}
}

// piece is the view of s in text, which appending to does not write beyond.
func piece(text []byte, s httpparse.Span) []byte { return text[s.Start:s.End:s.End] }

// view returns the head, and panics if Suspension.Forget has let it go.
func (n *native) view() *httpparse.Head {
	if n.forgotten {
		panic("waitress: Task.Suspend was told to forget the request")
	}
	return n.head
}

// split returns the target's path and query, the latter nil where there is no "?".
func (n *native) split() (path, query []byte) {
	head := n.view()
	switch head.Form {
	case httpparse.OriginForm:
		path = piece(n.text, httpparse.Span{Start: head.Target.Start, End: head.Query})
		if head.Query < head.Target.End {
			query = piece(n.text, httpparse.Span{Start: head.Query + 1, End: head.Target.End})
		}
		return n.within(path), query
	case httpparse.AbsoluteForm:
		rest := piece(n.text, httpparse.Span{Start: head.Authority.End, End: head.Target.End})
		path, query, _ = bytes.Cut(rest, questionMark)
		if len(path) == 0 {
			path = rootPath
		}
		return n.within(path), query
	case httpparse.AuthorityForm:
		return nil, nil
	case httpparse.AsteriskForm:
	}
	return piece(n.text, head.Target), nil
}

var (
	questionMark = []byte{'?'}
	rootPath     = []byte{'/'}
)

// appendDecoded appends s without its percent-encoding to p, and with spaces for "+" where plus says so. What is no
// percent-encoding stays as it is.
func appendDecoded(p, s []byte, plus bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			c = fromHex(s[i+1])<<4 | fromHex(s[i+2])
			i += 2
		case c == '+' && plus:
			c = ' '
		}
		p = append(p, c)
	}
	return p
}

// decodesTo says whether appendDecoded would make name of key.
func decodesTo(key []byte, name string) bool {
	if len(key) < len(name) {
		return false
	}
	j := 0
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case c == '%' && i+2 < len(key) && isHex(key[i+1]) && isHex(key[i+2]):
			c = fromHex(key[i+1])<<4 | fromHex(key[i+2])
			i += 2
		case c == '+':
			c = ' '
		}
		if j == len(name) || name[j] != c {
			return false
		}
		j++
	}
	return j == len(name)
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20-'a' <= 5 }

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// parseInt reads 1*DIGIT that is an int64.
func parseInt[S string | []byte](s S) (n int64, ok bool) {
	for i := range len(s) {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(s) > 0
}

// equalFold compares field names: ASCII letters in any case, everything else as it is.
func equalFold[A, B string | []byte](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		c += 'a' - 'A'
	}
	return c
}

func trimSpace(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
