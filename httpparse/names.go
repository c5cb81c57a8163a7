// SPDX-License-Identifier: MIT

package httpparse

// A NameID names a field name that is well known, so that nothing has to compare or allocate it again. 0 is every other
// name.
type NameID uint8

// String returns the name in canonical form, as textproto.CanonicalMIMEHeaderKey spells it, and "" for 0. The string is
// always the same one.
func (id NameID) String() string {
	if id < numNames {
		return names[id]
	}
	return ""
}

// The well-known names: what browsers, proxies, probes and API clients send, and what a trailer section must not hold.
const (
	nameNone NameID = iota

	// These are looked into while the head is parsed. See Head.field.
	NameHost
	NameContentLength
	NameTransferEncoding
	NameConnection
	NameExpect
	NameTrailer

	// These are only recognized.
	NameAccept
	NameAcceptCharset
	NameAcceptEncoding
	NameAcceptLanguage
	NameAccessControlRequestHeaders
	NameAccessControlRequestMethod
	NameAuthorization
	NameBaggage
	NameCacheControl
	NameCdnLoop
	NameCfConnectingIp
	NameCfIpcountry
	NameCfRay
	NameCfVisitor
	NameContentDisposition
	NameContentEncoding
	NameContentLanguage
	NameContentLocation
	NameContentRange
	NameContentType
	NameCookie
	NameDate
	NameDepth
	NameDestination
	NameDnt
	NameEarlyData
	NameForwarded
	NameFrom
	NameHttp2Settings
	NameIdempotencyKey
	NameIfMatch
	NameIfModifiedSince
	NameIfNoneMatch
	NameIfRange
	NameIfUnmodifiedSince
	NameKeepAlive
	NameLastEventId
	NameMaxForwards
	NameOrigin
	NameOverwrite
	NamePragma
	NamePriority
	NameProxyAuthenticate
	NameProxyAuthorization
	NameProxyConnection
	NamePurpose
	NameRange
	NameReferer
	NameSaveData
	NameSecChUa
	NameSecChUaMobile
	NameSecChUaPlatform
	NameSecFetchDest
	NameSecFetchMode
	NameSecFetchSite
	NameSecFetchUser
	NameSecGpc
	NameSecPurpose
	NameSecWebsocketExtensions
	NameSecWebsocketKey
	NameSecWebsocketProtocol
	NameSecWebsocketVersion
	NameSetCookie
	NameTe
	NameTraceparent
	NameTracestate
	NameTrueClientIp
	NameUpgrade
	NameUpgradeInsecureRequests
	NameUserAgent
	NameVia
	NameWwwAuthenticate
	NameXAmznTraceId
	NameXApiKey
	NameXAuthToken
	NameXB3Sampled
	NameXB3Spanid
	NameXB3Traceid
	NameXClientIp
	NameXCloudTraceContext
	NameXCorrelationId
	NameXCsrfToken
	NameXEnvoyExternalAddress
	NameXForwardedFor
	NameXForwardedHost
	NameXForwardedPort
	NameXForwardedPrefix
	NameXForwardedProto
	NameXForwardedServer
	NameXForwardedSsl
	NameXHttpMethodOverride
	NameXOriginalUrl
	NameXRealIp
	NameXRequestId
	NameXRequestedWith
	NameXRewriteUrl
	NameXXsrfToken

	numNames
)

// lastForHead is the last of those that Head.field wants to see.
const lastForHead = NameTrailer

var names = [numNames]string{
	NameHost:                        "Host",
	NameContentLength:               "Content-Length",
	NameTransferEncoding:            "Transfer-Encoding",
	NameConnection:                  "Connection",
	NameExpect:                      "Expect",
	NameTrailer:                     "Trailer",
	NameAccept:                      "Accept",
	NameAcceptCharset:               "Accept-Charset",
	NameAcceptEncoding:              "Accept-Encoding",
	NameAcceptLanguage:              "Accept-Language",
	NameAccessControlRequestHeaders: "Access-Control-Request-Headers",
	NameAccessControlRequestMethod:  "Access-Control-Request-Method",
	NameAuthorization:               "Authorization",
	NameBaggage:                     "Baggage",
	NameCacheControl:                "Cache-Control",
	NameCdnLoop:                     "Cdn-Loop",
	NameCfConnectingIp:              "Cf-Connecting-Ip",
	NameCfIpcountry:                 "Cf-Ipcountry",
	NameCfRay:                       "Cf-Ray",
	NameCfVisitor:                   "Cf-Visitor",
	NameContentDisposition:          "Content-Disposition",
	NameContentEncoding:             "Content-Encoding",
	NameContentLanguage:             "Content-Language",
	NameContentLocation:             "Content-Location",
	NameContentRange:                "Content-Range",
	NameContentType:                 "Content-Type",
	NameCookie:                      "Cookie",
	NameDate:                        "Date",
	NameDepth:                       "Depth",
	NameDestination:                 "Destination",
	NameDnt:                         "Dnt",
	NameEarlyData:                   "Early-Data",
	NameForwarded:                   "Forwarded",
	NameFrom:                        "From",
	NameHttp2Settings:               "Http2-Settings",
	NameIdempotencyKey:              "Idempotency-Key",
	NameIfMatch:                     "If-Match",
	NameIfModifiedSince:             "If-Modified-Since",
	NameIfNoneMatch:                 "If-None-Match",
	NameIfRange:                     "If-Range",
	NameIfUnmodifiedSince:           "If-Unmodified-Since",
	NameKeepAlive:                   "Keep-Alive",
	NameLastEventId:                 "Last-Event-Id",
	NameMaxForwards:                 "Max-Forwards",
	NameOrigin:                      "Origin",
	NameOverwrite:                   "Overwrite",
	NamePragma:                      "Pragma",
	NamePriority:                    "Priority",
	NameProxyAuthenticate:           "Proxy-Authenticate",
	NameProxyAuthorization:          "Proxy-Authorization",
	NameProxyConnection:             "Proxy-Connection",
	NamePurpose:                     "Purpose",
	NameRange:                       "Range",
	NameReferer:                     "Referer",
	NameSaveData:                    "Save-Data",
	NameSecChUa:                     "Sec-Ch-Ua",
	NameSecChUaMobile:               "Sec-Ch-Ua-Mobile",
	NameSecChUaPlatform:             "Sec-Ch-Ua-Platform",
	NameSecFetchDest:                "Sec-Fetch-Dest",
	NameSecFetchMode:                "Sec-Fetch-Mode",
	NameSecFetchSite:                "Sec-Fetch-Site",
	NameSecFetchUser:                "Sec-Fetch-User",
	NameSecGpc:                      "Sec-Gpc",
	NameSecPurpose:                  "Sec-Purpose",
	NameSecWebsocketExtensions:      "Sec-Websocket-Extensions",
	NameSecWebsocketKey:             "Sec-Websocket-Key",
	NameSecWebsocketProtocol:        "Sec-Websocket-Protocol",
	NameSecWebsocketVersion:         "Sec-Websocket-Version",
	NameSetCookie:                   "Set-Cookie",
	NameTe:                          "Te",
	NameTraceparent:                 "Traceparent",
	NameTracestate:                  "Tracestate",
	NameTrueClientIp:                "True-Client-Ip",
	NameUpgrade:                     "Upgrade",
	NameUpgradeInsecureRequests:     "Upgrade-Insecure-Requests",
	NameUserAgent:                   "User-Agent",
	NameVia:                         "Via",
	NameWwwAuthenticate:             "Www-Authenticate",
	NameXAmznTraceId:                "X-Amzn-Trace-Id",
	NameXApiKey:                     "X-Api-Key",
	NameXAuthToken:                  "X-Auth-Token",
	NameXB3Sampled:                  "X-B3-Sampled",
	NameXB3Spanid:                   "X-B3-Spanid",
	NameXB3Traceid:                  "X-B3-Traceid",
	NameXClientIp:                   "X-Client-Ip",
	NameXCloudTraceContext:          "X-Cloud-Trace-Context",
	NameXCorrelationId:              "X-Correlation-Id",
	NameXCsrfToken:                  "X-Csrf-Token",
	NameXEnvoyExternalAddress:       "X-Envoy-External-Address",
	NameXForwardedFor:               "X-Forwarded-For",
	NameXForwardedHost:              "X-Forwarded-Host",
	NameXForwardedPort:              "X-Forwarded-Port",
	NameXForwardedPrefix:            "X-Forwarded-Prefix",
	NameXForwardedProto:             "X-Forwarded-Proto",
	NameXForwardedServer:            "X-Forwarded-Server",
	NameXForwardedSsl:               "X-Forwarded-Ssl",
	NameXHttpMethodOverride:         "X-Http-Method-Override",
	NameXOriginalUrl:                "X-Original-Url",
	NameXRealIp:                     "X-Real-Ip",
	NameXRequestId:                  "X-Request-Id",
	NameXRequestedWith:              "X-Requested-With",
	NameXRewriteUrl:                 "X-Rewrite-Url",
	NameXXsrfToken:                  "X-Xsrf-Token",
}

// notInTrailer tells which fields no trailer section may hold: those that say how the message is framed, where it
// goes, who sent it, on what condition, or what its content is. Whoever needs them has acted before the trailers come
// (RFC 9110 §6.5.1). What proxies tell the server behind them is authentication and routing, too.
var notInTrailer = [numNames]bool{
	NameHost: true, NameContentLength: true, NameTransferEncoding: true, NameConnection: true, NameExpect: true,
	NameTrailer: true, NameTe: true, NameUpgrade: true, NameKeepAlive: true, NameProxyConnection: true,
	NameHttp2Settings: true,

	NameAuthorization: true, NameProxyAuthorization: true, NameProxyAuthenticate: true, NameWwwAuthenticate: true,
	NameCookie: true, NameSetCookie: true, NameXApiKey: true, NameXAuthToken: true, NameXCsrfToken: true,
	NameXXsrfToken: true,

	NameCacheControl: true, NamePragma: true, NameMaxForwards: true, NameRange: true, NameEarlyData: true,
	NameIfMatch: true, NameIfModifiedSince: true, NameIfNoneMatch: true, NameIfRange: true, NameIfUnmodifiedSince: true,

	NameContentDisposition: true, NameContentEncoding: true, NameContentLanguage: true, NameContentLocation: true,
	NameContentRange: true, NameContentType: true,

	NameForwarded: true, NameVia: true, NameXForwardedFor: true, NameXForwardedHost: true, NameXForwardedPort: true,
	NameXForwardedPrefix: true, NameXForwardedProto: true, NameXForwardedServer: true, NameXForwardedSsl: true,
	NameXRealIp: true, NameXClientIp: true, NameTrueClientIp: true, NameCfConnectingIp: true,
	NameXEnvoyExternalAddress: true, NameXHttpMethodOverride: true, NameXOriginalUrl: true, NameXRewriteUrl: true,
}

// A nameKey is a name as the table knows it: its length, and its octets in lower case as words that may overlap. Names
// of at most 32 octets are the same, but for case, if and only if their keys are equal.
type nameKey struct {
	first, last   uint64
	second, third uint64 // of names longer than 16
	length        int
}

const (
	minName, maxName = 2, 32

	// caseBit makes letters lower-case and leaves "-" and digits as they are. It is exact for tokens: no other octet of
	// a token becomes a letter, a digit or "-" by it.
	caseBit = 0x20 * ones

	// nameFactor spreads the names over the table without collision, so that a lookup compares one key. It was found by
	// trying; TestNameFactor finds the next one when a new name collides.
	nameFactor = 0x2e1f6b957d18582f
	nameShift  = 64 - 9
)

// ends returns the first and the last word of a name of at least minName octets.
func ends(name []byte) (first, last uint64) {
	switch n := len(name); {
	case n >= 8:
		return word(name) | caseBit, word(name[n-8:]) | caseBit
	case n >= 4:
		return halfWord(name) | caseBit, halfWord(name[n-4:]) | caseBit
	default:
		return uint64(name[0]) | uint64(name[1])<<8 | caseBit, uint64(name[n-1]) | caseBit
	}
}

// middle returns the two words between the ends of a name longer than 16.
func middle(name []byte) (second, third uint64) {
	return word(name[8:]) | caseBit, word(name[len(name)-16:]) | caseBit
}

// slot returns the place in nameTable for a name with these ends.
func slot(first, last, factor uint64) uint64 { return (first + 3*last) * factor >> nameShift }

// nameKeys holds the key of every NameID; nameTable finds the one name that a key can belong to. Both are immutable.
var nameKeys, nameTable = indexNames()

func indexNames() (keys [numNames]nameKey, table [1 << (64 - nameShift)]NameID) {
	for id := nameNone + 1; id < numNames; id++ {
		name, k := []byte(names[id]), &keys[id]
		k.first, k.last = ends(name)
		if k.length = len(name); k.length > 16 {
			k.second, k.third = middle(name)
		}
		table[slot(k.first, k.last, nameFactor)] = id
	}
	return keys, table
}

// lookup returns the NameID of a name, which must be a token.
func lookup(name []byte) NameID {
	if len(name) < minName || len(name) > maxName {
		return nameNone
	}
	first, last := ends(name)
	id := nameTable[slot(first, last, nameFactor)]
	if k := &nameKeys[id]; k.first != first || k.last != last || k.length != len(name) {
		return nameNone
	}
	if len(name) > 16 {
		k := &nameKeys[id]
		if second, third := middle(name); k.second != second || k.third != third {
			return nameNone
		}
	}
	return id
}
