// SPDX-License-Identifier: MIT

package http1

// A difference is why the answers of the two servers are meant to differ, and what this one's must contain.
type difference struct{ reason, has string }

// differences are the scenarios in which they differ. What is refused with another text than net/http's is none: refusals are
// compared by their status.
var differences = map[string]difference{
	"length garbage":       {"net/http means to ignore an invalid Content-Length, but finds it again in the copy it made before", "Content-Length: 5\r\n"},
	"length garbage, 1.0":  {"likewise; there net/http sends it", "Content-Length: 5\r\n"},
	"length garbage, HEAD": {"likewise; there net/http sends it", "Content-Length: 5\r\n"},

	"long io.WriteString":                    {"a string is sent as the same bytes would be: net/http cuts it into chunks of 2 KB", "1388\r\n"},
	"handler and client close, with a space": {"\"x close\" is no list of tokens", "Connection: close\r\n"},
	"trailers by prefix after a small write": {"net/http looks for the prefix when the first byte is written, and drops the trailer if the answer stays below 2 KB", "0\r\nAfter: 2\r\n"},

	"1.0 keep-alive, close": {"close wins (RFC 9112 §9.3)", "ok"},
	"1.2":                   {"a higher minor version is served, and shown, as the highest that is known (RFC 9112 §2.3)", "ok"},

	"continue, not read":     {"net/http waits for the body that it did not ask for before it ends the connection", "Connection: close\r\n"},
	"continue, refused":      {"likewise", "Connection: close\r\n"},
	"continue, closed":       {"likewise", "Connection: close\r\n"},
	"continue, panic":        {"likewise", ""},
	"continue, body at hand": {"100 is not sent when the body is already there (RFC 9110 §10.1.1)", "bbbbb"},

	"cut second head": {"one byte of a request makes a connection active; net/http does not tell of those that came with the request before", "ok"},

	"chunked of 300 KB unread": {"the answer goes out before the unread body is drained, and its promise to keep the connection is kept", "ok"},
	"chunked of 300 KB closed": {"likewise", "done"},
	"flush, then read":         {"reading and writing never wait for each other: the body can be read behind the head", "x"},
	"cut body":                 {"the answer says that the connection ends", "Connection: close\r\n"},
	"MaxBytesReader":           {"the reader signals by a method that only net/http's own writer can have; what is left is drained", "ok"},

	"chunked beside a length":        {"RFC 9112 §6.1: refused, since it may be one half of request smuggling", "400"},
	"a length beside chunked":        {"likewise", "400"},
	"the same length twice":          {"RFC 9112 §6.3 lets a recipient refuse it; another in the chain may take either field", "400"},
	"chunked twice":                  {"RFC 9112 §7: a sender must not do that; 501 is for codings that are not known", "400"},
	"chunked of a 1.0 request":       {"RFC 9112 §6.1: framing that HTTP/1.0 does not have is faulty; net/http ignores the field, and reads the next request where the content begins", "400"},
	"chunked of a 1.0 request, kept": {"likewise", "400"},

	"CONNECT":              {"what follows it may be meant for a tunnel (RFC 9110 §9.3.6): its answer is the last of the connection", "Connection: close\r\n"},
	"CONNECT without Host": {"stricter parsing", "400"},
	"CONNECT of a path":    {"stricter parsing", "400"},
	"empty Host":           {"stricter parsing", "400"},

	"* with another method":      {"RFC 9112 §3.2.4: that form is OPTIONS' alone", "400"},
	"IPv6 Host without brackets": {"stricter parsing: where its port begins can't be told", "400"},
	"IPv6 Host with a zone":      {"stricter parsing: RFC 3986 §3.2.2 has no zones, which mean nothing to another host", "400"},

	"empty lines before": {"RFC 9112 §2.2 asks to ignore them; net/http does so behind a POST only", "ok"},
	"HTTP/2 preface":     {"net/http lets handlers have it", "505"},
}
