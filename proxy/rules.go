// SPDX-License-Identifier: MIT

package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// Rules are a Config in force, for servers whose requests are no http.Request; Handler is made of them. Immutable; any goroutine
// may use them.
type Rules struct {
	config  Config
	peers   *peers
	trusted map[string]bool // canonical names
	count   int
	prefix  string // "/app", or ""
}

// NewRules returns the Rules that c is, or nil if it says nothing.
func NewRules(c Config) *Rules {
	if !c.ClearUntrustedProxyHeaders && !c.trustsSome() && c.URLScheme == "" && strings.Trim(c.URLPrefix, "/") == "" {
		return nil
	}
	r := &Rules{config: c, peers: c.peers(), count: max(c.TrustedProxyCount, 1), trusted: make(map[string]bool)}
	for _, name := range c.TrustedProxyHeaders {
		r.trusted[http.CanonicalHeaderKey(name)] = true
	}
	if p := strings.Trim(c.URLPrefix, "/"); p != "" {
		r.prefix = "/" + p
	}
	r.config.ClearUntrustedProxyHeaders = c.ClearUntrustedProxyHeaders || c.trustsSome()
	return r
}

// Prefix returns Config.URLPrefix as paths begin with it, "/app", or "".
func (r *Rules) Prefix() string { return r.prefix }

// Names says whether a field of that name, in any case, is one that Believe wants to see: one of Headers, or one that a gateway
// to another language would take for one of them, since there "-" and "_" are the same in a name.
func (r *Rules) Names(name []byte) bool { return known(name) != "" }

// known returns the one of Headers that name is, or would be taken for, or "".
func known[T string | []byte](name T) string {
	if len(name) < len(Forwarded) || name[0]|0x20 != 'f' && name[0]|0x20 != 'x' {
		return "" // as nearly all are
	}
	for _, h := range headers {
		if like(name, h) {
			return h
		}
	}
	return ""
}

var headers = Headers()

// like says whether the names are the same but for case, and "_" in the place of "-".
func like[T string | []byte](name T, known string) bool {
	if len(name) != len(known) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c == '_' {
			c = '-'
		}
		if c|0x20 != known[i]|0x20 {
			return false
		}
	}
	return true
}

// A Told is what trusted proxies and the Config say of a request's client. What they don't is "".
type Told struct {
	RemoteAddr string // as http.Request has it
	Host       string // likewise
	Scheme     string // "http" or "https"
	Port       string // of the URL that the client asked for
}

// Believe returns what the header of a request says of its client, if the peer of the connection is trusted, whose address is
// as in http.Request.RemoteAddr. scheme is that of the connection. The fields that are not believed are removed, and the
// lists cut to what the trusted proxies have appended. Of what a trusted proxy has sent and makes no sense malformed is the
// name: the request is to be refused.
func (r *Rules) Believe(peer, scheme string, h http.Header) (t Told, malformed string) {
	var said told
	trusted := len(r.trusted) > 0 && r.peers.trusts(peer)
	if trusted {
		var bad *malformedField
		if r.trusted[Forwarded] {
			said, bad = parseForwarded(h, r.count)
		} else {
			said, bad = parseX(h, r.trusted, r.count)
		}
		if bad != nil {
			if r.config.Malformed != nil {
				r.config.Malformed(peer, bad.field, bad.value)
			}
			return t, bad.field
		}
	}
	if r.config.ClearUntrustedProxyHeaders {
		r.clear(peer, h, trusted)
	}
	t.RemoteAddr = said.remote
	t.Scheme = first(said.proto, r.config.URLScheme)
	scheme = first(t.Scheme, scheme)
	if said.host != "" {
		t.Host = joinPort(said.host, said.port, scheme)
	}
	switch {
	case said.host != "" && portOf(said.host) != "":
		t.Port = portOf(said.host) // it is what the client asked for, whatever else the proxy says
	case said.port != "":
		t.Port = said.port
	case said.host != "" || said.proto != "":
		t.Port = defaultPort(scheme)
	}
	return t, ""
}

// clear removes the fields that are not believed, and those that are like them.
func (r *Rules) clear(peer string, h http.Header, trusted bool) {
	var removed []string
	for name := range h {
		if h := known(name); h == "" || trusted && h == name && r.trusted[name] {
			continue
		}
		delete(h, name)
		removed = append(removed, name)
	}
	if len(removed) > 0 && !trusted && r.config.Removed != nil {
		slices.Sort(removed)
		r.config.Removed(peer, removed)
	}
}
