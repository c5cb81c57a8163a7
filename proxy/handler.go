// SPDX-License-Identifier: MIT

package proxy

import (
	"context"
	"fmt"
	"net/http"
	"slices"
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
	if scheme == "" {
		scheme = "http"
		if r.TLS != nil {
			scheme = "https"
		}
	}
	c := &Client{Scheme: scheme, Port: portOf(r.Host), Peer: r.RemoteAddr}
	if c.Port == "" {
		c.Port = defaultPort(scheme)
	}
	return c
}

// A handler is what Handler returns. Immutable.
type handler struct {
	next    http.Handler
	config  Config
	peers   *peers
	trusted map[string]bool // canonical names
	count   int
	prefix  string // "/app", or ""
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
	h := &handler{next: next, config: c, peers: c.peers(), count: max(c.TrustedProxyCount, 1)}
	if !c.ClearUntrustedProxyHeaders && !c.trustsSome() && c.URLScheme == "" && strings.Trim(c.URLPrefix, "/") == "" {
		return next
	}
	h.trusted = make(map[string]bool)
	for _, name := range c.TrustedProxyHeaders {
		h.trusted[http.CanonicalHeaderKey(name)] = true
	}
	if p := strings.Trim(c.URLPrefix, "/"); p != "" {
		h.prefix = "/" + p
	}
	h.config.ClearUntrustedProxyHeaders = c.ClearUntrustedProxyHeaders || c.trustsSome()
	return h
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var t told
	trusted := len(h.trusted) > 0 && h.peers.trusts(r.RemoteAddr)
	if trusted {
		var err *malformed
		if h.trusted[Forwarded] {
			t, err = parseForwarded(r.Header, h.count)
		} else {
			t, err = parseX(r.Header, h.trusted, h.count)
		}
		if err != nil {
			if h.config.Malformed != nil {
				h.config.Malformed(r, err.field, err.value)
			}
			http.Error(w, fmt.Sprintf("400 Bad Request: header %q malformed", err.field), http.StatusBadRequest)
			return
		}
	}
	if h.config.ClearUntrustedProxyHeaders {
		h.clear(r, trusted)
	}
	if t != (told{}) || h.prefix != "" || h.config.URLScheme != "" {
		h.apply(r, t)
	}
	h.next.ServeHTTP(w, r)
}

// clear removes the fields that are not believed, and those that a gateway to another language would take for them, since
// there "-" and "_" are the same in a name.
func (h *handler) clear(r *http.Request, trusted bool) {
	var removed []string
	for name := range r.Header {
		if c := name[0]; c != 'X' && c != 'F' {
			continue // names are canonical
		}
		canonical := name
		if strings.IndexByte(name, '_') >= 0 {
			canonical = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		}
		switch canonical {
		case Forwarded, XForwardedFor, XForwardedHost, XForwardedProto, XForwardedPort, XForwardedBy:
			if trusted && canonical == name && h.trusted[name] {
				continue
			}
			delete(r.Header, name)
			removed = append(removed, name)
		}
	}
	if len(removed) > 0 && !trusted && h.config.Removed != nil {
		slices.Sort(removed)
		h.config.Removed(r, removed)
	}
}

// apply makes r what its client sent.
func (h *handler) apply(r *http.Request, t told) {
	c := newClient(r, first(t.proto, h.config.URLScheme))
	if t.host != "" {
		r.Host = joinPort(t.host, t.port, c.Scheme)
	}
	switch {
	case t.host != "" && portOf(t.host) != "":
		c.Port = portOf(t.host) // it is what the client asked for, whatever else the proxy says
	case t.port != "":
		c.Port = t.port
	case t.host != "" || t.proto != "":
		c.Port = defaultPort(c.Scheme)
	}
	if t.remote != "" {
		r.RemoteAddr = t.remote
	}
	if h.prefix != "" {
		c.Prefix = h.prefix
		stripPrefix(r, h.prefix)
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
