// SPDX-License-Identifier: MIT

package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The fields that tell of a client, as Config.TrustedProxyHeaders names them.
const (
	Forwarded       = "Forwarded" // RFC 7239
	XForwardedFor   = "X-Forwarded-For"
	XForwardedHost  = "X-Forwarded-Host"
	XForwardedProto = "X-Forwarded-Proto"
	XForwardedPort  = "X-Forwarded-Port"
	XForwardedBy    = "X-Forwarded-By"
)

// Headers are all of them.
func Headers() []string {
	return []string{Forwarded, XForwardedFor, XForwardedHost, XForwardedProto, XForwardedPort, XForwardedBy}
}

// Config says whom to believe what. The fields are those of waitress.Server of the same names.
type Config struct {
	// TrustedProxies are the addresses of the proxies that are believed.
	TrustedProxies []netip.Prefix

	// TrustUnixProxies: so is whoever has no IP address, since it came by a Unix socket.
	TrustUnixProxies bool

	// TrustedProxyCount is how many proxies, one behind the other, append to the lists. Default: 1.
	TrustedProxyCount int

	// TrustedProxyHeaders names the fields that trusted proxies set. Default: none.
	TrustedProxyHeaders []string

	// ClearUntrustedProxyHeaders removes what is not believed. It is done anyway when anything is.
	ClearUntrustedProxyHeaders bool

	// URLPrefix is where the server's URLs begin, on the proxy: it is taken off the path of requests that have it.
	URLPrefix string

	// URLScheme is the scheme of the server's URLs, on the proxy: "http" or "https". Default: that of the connection.
	URLScheme string

	// Malformed, if not nil, is told of a field that a trusted proxy has sent and that is answered with 400.
	Malformed func(peer, field, value string)

	// Removed, if not nil, is told of fields that are removed because the peer is not trusted.
	Removed func(peer string, fields []string)
}

// trustsSome says whether any peer is trusted.
func (c *Config) trustsSome() bool { return len(c.TrustedProxies) > 0 || c.TrustUnixProxies }

// Validate returns an error that names the first setting that can't be, and what may be in its place. proxyProtocol says
// whether the trusted proxies have something to say even without a field.
func (c *Config) Validate(proxyProtocol bool) error {
	for _, p := range c.TrustedProxies {
		if !p.IsValid() {
			return fmt.Errorf("TrustedProxies has %v: it must be an address with the length of its prefix, such as 10.0.0.0/8", p)
		}
	}
	if c.TrustedProxyCount < 0 {
		return fmt.Errorf("TrustedProxyCount is %d: it must not be negative", c.TrustedProxyCount)
	}
	var names []string
	for _, name := range c.TrustedProxyHeaders {
		canonical := http.CanonicalHeaderKey(name)
		if !slices.Contains(Headers(), canonical) {
			return fmt.Errorf("TrustedProxyHeaders has %q: it may have %s", name, strings.Join(Headers(), ", "))
		}
		names = append(names, canonical)
	}
	if slices.Contains(names, Forwarded) && slices.ContainsFunc(names, func(n string) bool { return n != Forwarded }) {
		return fmt.Errorf("TrustedProxyHeaders is %q: Forwarded and the X-Forwarded fields exclude each other, "+
			"since a client could set the ones that the proxy does not", names)
	}
	switch {
	case !c.trustsSome() && len(names) > 0:
		return fmt.Errorf("TrustedProxyHeaders is %q: it has no meaning without TrustedProxies or TrustUnixProxies", names)
	case c.TrustedProxyCount > 0 && len(names) == 0:
		return fmt.Errorf("TrustedProxyCount is %d: it has no meaning without TrustedProxyHeaders", c.TrustedProxyCount)
	case c.trustsSome() && len(names) == 0 && !proxyProtocol:
		return fmt.Errorf("TrustedProxies is %v and TrustUnixProxies %v: they have no meaning without TrustedProxyHeaders "+
			"or ProxyProtocol", c.TrustedProxies, c.TrustUnixProxies)
	case proxyProtocol && !c.trustsSome():
		return fmt.Errorf("ProxyProtocol is true: it has no meaning without TrustedProxies or TrustUnixProxies")
	}
	if strings.ContainsFunc(c.URLPrefix, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("?#%", r) }) {
		return fmt.Errorf("URLPrefix is %q: it must be a path, such as /app, without escapes", c.URLPrefix)
	}
	if s := c.URLScheme; s != "" && s != "http" && s != "https" {
		return fmt.Errorf("URLScheme is %q: it must be http or https", s)
	}
	return nil
}

// A peers is the set of trusted ones. Immutable.
type peers struct {
	prefixes []netip.Prefix
	unix     bool
}

func (c *Config) peers() *peers {
	p := &peers{unix: c.TrustUnixProxies}
	for _, prefix := range c.TrustedProxies {
		// An IPv4 network in IPv6's form is that network; the addresses that it is compared with are in IPv4's form.
		if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		p.prefixes = append(p.prefixes, prefix.Masked())
	}
	return p
}

// trusts says whether the peer whose address is that text is trusted: "IP:port", or what is none for a Unix socket's.
func (p *peers) trusts(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return p.unix
	}
	a := addr.Addr().Unmap().WithZone("")
	for _, prefix := range p.prefixes {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}
