// SPDX-License-Identifier: MIT

package http1

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/waitress-go/waitress/httpparse"
)

// slabValues is how many header values fit the slab: those of simple clients besides Host, and what the size class has room
// for. Requests with more get a slice of their own.
const slabValues = 4

// A slab is everything about one request that a handler may keep after it has returned, in one allocation. It is
// never recycled; what it refers to that is recycled, it lets go of when the request is done.
type slab struct {
	request http.Request
	url     url.URL
	ctx     requestContext
	body    *body // nil without content
	writer  writer
	values  [slabValues]string
}

// newSlab makes the request for head, whose bytes are in buf[:n]. The error is a *httpparse.SyntaxError.
func (ch *channel) newSlab(head *httpparse.Head, buf []byte) (*slab, error) {
	s := new(slab)
	text := string(buf) // the one string that everything below is a piece of
	piece := func(p httpparse.Span) string { return text[p.Start:p.End] }

	s.ctx.base, s.ctx.channel = ch.baseContext(), ch
	// WithContext is the only way to set a request's context from outside net/http. It is inlined, and the copy it makes
	// does not escape.
	s.request = *new(http.Request).WithContext(&s.ctx)
	r := &s.request

	r.Method = methodOf(piece(head.Method))
	r.RequestURI = piece(head.Target)
	r.ProtoMajor, r.ProtoMinor = 1, int(head.Minor)
	if r.Proto = "HTTP/1.1"; head.Minor == 0 {
		r.Proto = "HTTP/1.0"
	}
	r.RemoteAddr = ch.Peer()
	if state := ch.listener.TLS; state != nil {
		r.TLS = state(ch.FD())
	}
	r.Close = head.Minor == 0 && !head.KeepAlive || head.Close
	s.setHeader(head, text)

	r.URL = &s.url
	if !s.url0(head, text) {
		u, err := parseTarget(r.Method, r.RequestURI)
		if err != nil {
			return nil, errTarget
		}
		s.url = *u
	}
	switch {
	case s.url.Host != "":
		r.Host = s.url.Host
	case head.HasHost:
		r.Host = piece(head.Host)
	}

	switch {
	case head.Chunked:
		r.ContentLength = -1
		r.TransferEncoding = []string{"chunked"}
		s.body = new(body)
		r.Body = s.body
		if head.Trailer && !s.setTrailer() {
			return nil, errTrailer
		}
	case head.ContentLength > 0:
		r.ContentLength = head.ContentLength
		s.body = new(body)
		r.Body = s.body
	default:
		r.Body = http.NoBody
	}
	return s, nil
}

// errTarget refuses what httpparse lets pass and net/url does not. Their tests show that there is no such target; a defect
// there must not become a nil URL here.
var errTarget = &httpparse.SyntaxError{Status: http.StatusBadRequest, Rule: "malformed request target (RFC 9112 §3.2)"}

// errTrailer refuses the announcement of a trailer field that would have framed the message, as net/http does.
var errTrailer = &httpparse.SyntaxError{Status: http.StatusBadRequest, Rule: "Trailer names a field that no trailer section may hold (RFC 9110 §6.5.1)"}

// url0 fills the URL of the usual target: an absolute path, perhaps a query, and no octet that net/url would decode, or
// encode again differently. It says whether this is one.
func (s *slab) url0(head *httpparse.Head, text string) bool {
	if head.Form != httpparse.OriginForm || !head.Plain {
		return false
	}
	path := text[head.Target.Start:head.Query]
	for i := range len(path) {
		if !plainPath[path[i]] {
			return false
		}
	}
	s.url.Path = path
	if head.Query < head.Target.End {
		s.url.RawQuery = text[head.Query+1 : head.Target.End]
		s.url.ForceQuery = s.url.RawQuery == ""
	}
	return true
}

// plainPath are the octets that a URL's path contains as they are: net/url neither decodes nor encodes them there.
var plainPath = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("-_.~$&+,/:;=@", byte(c)) >= 0
	}
	return t
}()

// parseTarget is how net/http reads a request-target.
func parseTarget(method, target string) (*url.URL, error) {
	if method == http.MethodConnect && !strings.HasPrefix(target, "/") {
		u, err := url.ParseRequestURI("http://" + target)
		if err == nil {
			u.Scheme = ""
		}
		return u, err
	}
	return url.ParseRequestURI(target)
}

// setHeader fills the header map as net/http does: without Host; without Transfer-Encoding, and without Trailer and
// Content-Length where the body is chunked.
func (s *slab) setHeader(head *httpparse.Head, text string) {
	values := s.values[:]
	if n := len(head.Fields); n > len(values)+1 || n > len(values) && !head.HasHost {
		values = make([]string, n)
	}
	h := make(http.Header, len(head.Fields))
	i := 0
	for _, f := range head.Fields {
		var name string
		switch f.ID {
		case httpparse.NameHost, httpparse.NameTransferEncoding:
			continue
		case 0:
			name = textproto.CanonicalMIMEHeaderKey(text[f.Name.Start:f.Name.End])
		default:
			name = f.ID.String()
		}
		value := text[f.Value.Start:f.Value.End]
		if before, ok := h[name]; ok {
			h[name] = append(before, value)
			continue
		}
		values[i] = value
		h[name] = values[i : i+1 : i+1]
		i++
	}
	// RFC 9111 §5.4, as net/http reads it.
	if p := h["Pragma"]; len(p) > 0 && p[0] == "no-cache" {
		if _, ok := h["Cache-Control"]; !ok {
			h["Cache-Control"] = []string{"no-cache"}
		}
	}
	s.request.Header = h
}

// setTrailer moves the announced trailer fields from the header to Request.Trailer, where their values appear when the
// body has been read. It says whether they are such as may come there.
func (s *slab) setTrailer() bool {
	for _, v := range s.request.Header["Trailer"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.TrimString(name); name == "" {
				continue
			}
			name = textproto.CanonicalMIMEHeaderKey(name)
			switch name {
			case "Transfer-Encoding", "Trailer", "Content-Length":
				return false
			}
			if s.request.Trailer == nil {
				s.request.Trailer = make(http.Header)
			}
			s.request.Trailer[name] = nil
		}
	}
	delete(s.request.Header, "Trailer")
	return true
}

// methodOf returns the constant for a well-known method, so that the comparison in a handler is one of pointers.
func methodOf(m string) string {
	switch m {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodHead:
		return http.MethodHead
	case http.MethodPut:
		return http.MethodPut
	}
	return m
}
