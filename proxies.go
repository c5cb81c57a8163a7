// SPDX-License-Identifier: MIT

package waitress

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress/proxy"
)

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
		Malformed: func(r *http.Request, field, value string) {
			log.Warn("malformed header field of a trusted proxy",
				zap.String("field", field), zap.String("value", value), zap.String("peer", r.RemoteAddr))
		},
	}
	if s.LogUntrustedProxyHeaders {
		c.Removed = func(r *http.Request, fields []string) {
			log.Warn("removed header fields of a peer that is no trusted proxy; the proxy in front should",
				zap.Strings("fields", fields), zap.String("peer", r.RemoteAddr))
		}
	}
	return c
}
