// SPDX-License-Identifier: MIT

package waitress

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress/http1"
	"github.com/waitress-go/waitress/proxy"
)

// taskProxies is what c says to TaskHandlers, and the prefix of their paths.
func taskProxies(c proxy.Config) (p *http1.Proxies, prefix string) {
	rules := proxy.NewRules(c)
	if rules == nil {
		return nil, ""
	}
	return &http1.Proxies{
		Names: rules.Names,
		Believe: func(peer, scheme string, fields http.Header) (client http1.Client, malformed string) {
			t, malformed := rules.Believe(peer, scheme, fields)
			return http1.Client{RemoteAddr: t.RemoteAddr, Host: t.Host, Scheme: t.Scheme, Port: t.Port}, malformed
		},
	}, rules.Prefix()
}

// proxies is what the Server's adjustments say of proxies; log may be nil where no request is served.
func (s *Server) proxies(log *zap.Logger) proxy.Config {
	c := proxy.Config{
		TrustedProxies:             s.TrustedProxies,
		TrustUnixProxies:           s.TrustUnixProxies,
		TrustedProxyCount:          s.TrustedProxyCount,
		TrustedProxyHeaders:        s.TrustedProxyHeaders,
		ClearUntrustedProxyHeaders: s.ClearUntrustedProxyHeaders,
		URLPrefix:                  s.URLPrefix,
		URLScheme:                  s.URLScheme,
		Malformed: func(peer, field, value string) {
			log.Warn("malformed header field of a trusted proxy",
				zap.String("field", field), zap.String("value", value), zap.String("peer", peer))
		},
	}
	if s.LogUntrustedProxyHeaders {
		c.Removed = func(peer string, fields []string) {
			log.Warn("removed header fields of a peer that is no trusted proxy; the proxy in front should",
				zap.Strings("fields", fields), zap.String("peer", peer))
		}
	}
	return c
}
