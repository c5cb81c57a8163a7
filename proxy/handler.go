// SPDX-License-Identifier: MIT

package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// A Client is what is known of the way a request came, beyond what the http.Request says.
type Client struct {
	Scheme string // of the URL that the client asked for: "http" or "https"
	Port   string // of that URL, in digits
	Prefix string // what was taken off the URL's path, "/app", or ""
	Peer   string // the address of the connection's peer, which is the proxy where there is one
}

type clientKey struct{}

// ClientOf tells of r's client: what the proxies say, if any are trusted, and else what the connection does. r.TLS is the
// connection's own; the client's scheme is here.
func ClientOf(r *http.Request) Client {
	c, ok := r.Context().Value(clientKey{}).(*Client)
	if ok {
		return *c
	}
	return *newClient(r, "")
}

// newClient is what the connection tells, but for the scheme if that is known otherwise.
func newClient(r *http.Request, scheme string) *Client {
	scheme = first(scheme, schemeOf(r))
	c := &Client{Scheme: scheme, Port: portOf(r.Host), Peer: r.RemoteAddr}
	if c.Port == "" {
		c.Port = defaultPort(scheme)
	}
	return c
}

// schemeOf is the connection's.
func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// A handler is what Handler returns. Immutable.
type handler struct {
	next  http.Handler
	rules *Rules
}

// Handler returns a handler that has next serve the requests as c says, or next itself if c says nothing. It changes the
// request that it is given, which the server that made it must allow: the addresses, the Host, the path, fields of the
// header and the context are the client's from then on.
//
//	http.Request        what it is for a trusted proxy's client
//	RemoteAddr          the client's address and port; the port is 0, and the address "unknown" or "_name", if not told
//	Host                what the client asked for
//	Header              without the fields that are not believed; lists have what the trusted proxies have appended
//	ClientOf(r)         the scheme and port of the client's URL, and the proxy's address
func Handler(next http.Handler, c Config) http.Handler {
	if rules := NewRules(c); rules != nil {
		return &handler{next, rules}
	}
	return next
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, malformed := h.rules.Believe(r.RemoteAddr, schemeOf(r), r.Header)
	if malformed != "" {
		http.Error(w, fmt.Sprintf("400 Bad Request: header %q malformed", malformed), http.StatusBadRequest)
		return
	}
	if t != (Told{}) || h.rules.prefix != "" {
		h.apply(r, t)
	}
	h.next.ServeHTTP(w, r)
}

// apply makes r what its client sent.
func (h *handler) apply(r *http.Request, t Told) {
	c := newClient(r, t.Scheme)
	if t.Port != "" {
		c.Port = t.Port
	}
	if t.Host != "" {
		r.Host = t.Host
	}
	if t.RemoteAddr != "" {
		r.RemoteAddr = t.RemoteAddr
	}
	if h.rules.prefix != "" {
		c.Prefix = h.rules.prefix
		stripPrefix(r, h.rules.prefix)
	}
	// In place, so that the server finds what the handler leaves in the request, such as files of a form.
	*r = *r.WithContext(context.WithValue(r.Context(), clientKey{}, c))
}

// stripPrefix takes prefix off the path, if the path has it. A path that is the prefix becomes "/", since http.ServeMux
// would send a client with none to the root of the proxy.
func stripPrefix(r *http.Request, prefix string) {
	rest, ok := strings.CutPrefix(r.URL.Path, prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return
	}
	if rest == "" {
		rest = "/"
	}
	r.URL.Path = rest
	if raw := r.URL.RawPath; raw != "" {
		r.URL.RawPath = ""
		if raw = cutDecoded(raw, len(prefix)); raw != "" {
			r.URL.RawPath = raw
		}
	}
}

// cutDecoded cuts n bytes off s, of which each may be written as three.
func cutDecoded(s string, n int) string {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		if s[i] == '%' {
			i += 2
		}
		i++
	}
	return s[min(i, len(s)):]
}
