// SPDX-License-Identifier: MIT

package proxy

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const (
	trustedPeer   = "10.0.0.1:4711"
	untrustedPeer = "203.0.113.9:4711"
)

func prefixes(all ...string) (p []netip.Prefix) {
	for _, s := range all {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// seen is what a handler is given.
type seen struct {
	remote, host, scheme, port string
	path, rawPath, prefix      string
	header                     string // the fields of Headers and their kin that are there, as "Name: value; Name: value"
}

// serve has c's handler serve a request of peer's, with fields as pairs, and returns what the handler was given, and the
// answer's status and text.
func serve(c Config, peer, target string, fields ...[2]string) (got *seen, status int, text string) {
	h := Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := ClientOf(r)
		var header []string
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			header = append(header, name+": "+strings.Join(r.Header[name], " | "))
		}
		got = &seen{
			r.RemoteAddr, r.Host, client.Scheme, client.Port,
			r.URL.Path, r.URL.RawPath, client.Prefix, strings.Join(header, "; "),
		}
	}), c)
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr, r.Host = peer, "backend:8080"
	for _, f := range fields {
		r.Header.Add(f[0], f[1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return got, w.Code, w.Body.String()
}

// xConfig trusts 10/8 for all the X-Forwarded fields.
func xConfig(count int) Config {
	return Config{
		TrustedProxies: prefixes("10.0.0.0/8"), TrustedProxyCount: count,
		TrustedProxyHeaders: []string{"x-forwarded-for", "X-Forwarded-Host", "X-FORWARDED-PROTO", XForwardedPort, XForwardedBy},
	}
}

func forwardedConfig(count int) Config {
	return Config{TrustedProxies: prefixes("10.0.0.0/8"), TrustedProxyCount: count, TrustedProxyHeaders: []string{"forwarded"}}
}

// backend is what a handler is given when nothing is believed.
var backend = seen{remote: trustedPeer, host: "backend:8080", scheme: "http", port: "8080", path: "/"}

// TestXForwarded has a row for each rule, a field or several and what becomes of the request.
func TestXForwarded(t *testing.T) {
	remote := func(s string) seen { x := backend; x.remote = s; return x }
	for _, test := range []struct {
		name   string
		count  int
		fields [][2]string
		want   seen // header is not looked at unless it is set
	}{
		{"X-Forwarded-For: an address", 1, [][2]string{{XForwardedFor, "192.0.2.1"}}, remote("192.0.2.1:0")},
		{"X-Forwarded-For: the client's port, not the proxy's", 1, [][2]string{{XForwardedFor, "192.0.2.1:99"}}, remote("192.0.2.1:99")},
		{"X-Forwarded-For: IPv6 without brackets", 1, [][2]string{{XForwardedFor, "2001:db8::1"}}, remote("[2001:db8::1]:0")},
		{"X-Forwarded-For: IPv6 in brackets", 1, [][2]string{{XForwardedFor, "[2001:db8::1]"}}, remote("[2001:db8::1]:0")},
		{"X-Forwarded-For: IPv6 and port", 1, [][2]string{{XForwardedFor, "[2001:db8::1]:99"}}, remote("[2001:db8::1]:99")},
		{"X-Forwarded-For: IPv6 and port, quoted", 1, [][2]string{{XForwardedFor, `"[2001:db8::1]:99"`}}, remote("[2001:db8::1]:99")},
		{"X-Forwarded-For: IPv4 in IPv6's form", 1, [][2]string{{XForwardedFor, "::ffff:1.2.3.4"}}, remote("1.2.3.4:0")},
		{"X-Forwarded-For: pairs in quotes", 1, [][2]string{{XForwardedFor, `"192.0.2\.1"`}}, remote("192.0.2.1:0")},
		{"X-Forwarded-For: unknown", 1, [][2]string{{XForwardedFor, "unknown"}}, remote("unknown:0")},
		{"X-Forwarded-For: a name that hides", 1, [][2]string{{XForwardedFor, "_hid:_den"}}, remote("_hid:0")},
		{"X-Forwarded-For: empty is unchanged", 1, [][2]string{{XForwardedFor, " "}}, backend},
		{"X-Forwarded-For: the last", 1, [][2]string{{XForwardedFor, "6.6.6.6, 192.0.2.1"}}, remote("192.0.2.1:0")},
		{"X-Forwarded-For: the first of the last two", 2, [][2]string{{XForwardedFor, "6.6.6.6, 192.0.2.1,192.0.2.2"}}, remote("192.0.2.1:0")},
		{"X-Forwarded-For: fewer than the count", 5, [][2]string{{XForwardedFor, "192.0.2.1,192.0.2.2"}}, remote("192.0.2.1:0")},
		{"X-Forwarded-For: several lines are one list", 2, [][2]string{{XForwardedFor, "6.6.6.6"}, {XForwardedFor, "192.0.2.1"}, {XForwardedFor, "192.0.2.2"}}, remote("192.0.2.1:0")},
		{"X-Forwarded-For: what the client put before is not looked at", 1, [][2]string{{XForwardedFor, "<script>, 192.0.2.1"}}, remote("192.0.2.1:0")},

		{"X-Forwarded-Host: a name", 1, [][2]string{{XForwardedHost, "example.com"}}, seen{host: "example.com", port: "80"}},
		{"X-Forwarded-Host: name and port", 1, [][2]string{{XForwardedHost, "example.com:8443"}}, seen{host: "example.com:8443", port: "8443"}},
		{"X-Forwarded-Host: IPv6", 1, [][2]string{{XForwardedHost, `"[2001:db8::1]:81"`}}, seen{host: "[2001:db8::1]:81", port: "81"}},
		{"X-Forwarded-Host: the first of the last two", 2, [][2]string{{XForwardedHost, "evil, example.com, inner"}}, seen{host: "example.com", port: "80"}},
		{
			"X-Forwarded-Host: its port wins", 1,
			[][2]string{{XForwardedHost, "example.com:81"}, {XForwardedPort, "82"}, {XForwardedProto, "https"}},
			seen{host: "example.com:81", port: "81", scheme: "https"},
		},

		{"X-Forwarded-Proto: https", 1, [][2]string{{XForwardedProto, "https"}}, seen{scheme: "https", port: "443"}},
		{"X-Forwarded-Proto: capitals", 1, [][2]string{{XForwardedProto, "HTTPS"}}, seen{scheme: "https", port: "443"}},
		{"X-Forwarded-Proto: quoted", 1, [][2]string{{XForwardedProto, `"http"`}}, seen{scheme: "http", port: "80"}},

		{"X-Forwarded-Port: alone", 1, [][2]string{{XForwardedPort, "8443"}}, seen{host: "backend:8080", port: "8443"}},
		{
			"X-Forwarded-Port: goes to the host", 1,
			[][2]string{{XForwardedHost, "example.com"}, {XForwardedPort, "8443"}, {XForwardedProto, "https"}},
			seen{host: "example.com:8443", port: "8443", scheme: "https"},
		},
		{
			"X-Forwarded-Port: not if it is the scheme's", 1,
			[][2]string{{XForwardedHost, "example.com"}, {XForwardedPort, "443"}, {XForwardedProto, "https"}},
			seen{host: "example.com", port: "443", scheme: "https"},
		},
		{
			"X-Forwarded-Port: it is the other scheme's", 1,
			[][2]string{{XForwardedHost, "example.com"}, {XForwardedPort, "443"}},
			seen{host: "example.com:443", port: "443", scheme: "http"},
		},

		{"X-Forwarded-By: kept and not used", 1, [][2]string{{XForwardedBy, "10.0.0.1"}}, seen{remote: trustedPeer, header: "X-Forwarded-By: 10.0.0.1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, status, text := serve(xConfig(test.count), trustedPeer, "/", test.fields...)
			if got == nil {
				t.Fatalf("answered with %d %q", status, text)
			}
			compare(t, *got, test.want)
		})
	}
}

// compare compares what want says.
func compare(t *testing.T, got, want seen) {
	t.Helper()
	for _, f := range []struct{ name, got, want string }{
		{"RemoteAddr", got.remote, want.remote},
		{"Host", got.host, want.host},
		{"scheme", got.scheme, want.scheme},
		{"port", got.port, want.port},
		{"header", got.header, want.header},
	} {
		if f.want != "" && f.got != f.want {
			t.Errorf("%s is %q, want %q", f.name, f.got, f.want)
		}
	}
}

// TestForwarded has a row for each rule of RFC 7239 that matters here.
func TestForwarded(t *testing.T) {
	for _, test := range []struct {
		name, value string
		count       int
		want        seen
	}{
		{"for", "for=192.0.2.60", 1, seen{remote: "192.0.2.60:0"}},
		{"for and port", `for="192.0.2.43:47011"`, 1, seen{remote: "192.0.2.43:47011"}},
		{"for IPv6", `for="[2001:db8:cafe::17]"`, 1, seen{remote: "[2001:db8:cafe::17]:0"}},
		{"for IPv6 and port", `For="[2001:db8:cafe::17]:4711"`, 1, seen{remote: "[2001:db8:cafe::17]:4711"}},
		{"for somebody hidden", "for=_gazonk", 1, seen{remote: "_gazonk:0"}},
		{"for somebody unknown", `for="unknown:_obf"`, 1, seen{remote: "unknown:0"}},
		{"port without quotes", "for=192.0.2.43:47011;host=example.com:81", 1, seen{remote: "192.0.2.43:47011", host: "example.com:81"}},
		{"proto", "for=192.0.2.60;proto=HTTPS;by=203.0.113.43", 1, seen{scheme: "https", port: "443", host: "backend:8080"}},
		{"host", `host="example.com:8080"`, 1, seen{host: "example.com:8080", port: "8080", remote: trustedPeer}},
		{"host keeps its case", "host=Example.com", 1, seen{host: "Example.com", port: "80"}},
		{"a host's quoted pair", `host="exam\ple.com"`, 1, seen{host: "example.com"}},
		{"a comma in quotes", `by="_a";for=192.0.2.1;x="a, for=6.6.6.6"`, 1, seen{remote: "192.0.2.1:0"}},
		{"empty pairs", ";for=192.0.2.1;;proto=https;", 1, seen{remote: "192.0.2.1:0", scheme: "https"}},
		{"an unknown parameter", "for=192.0.2.1;secret=a", 1, seen{remote: "192.0.2.1:0"}},
		{"the last element", "for=6.6.6.6;proto=https, for=192.0.2.1", 1, seen{remote: "192.0.2.1:0", scheme: "http", header: "Forwarded: for=192.0.2.1"}},
		{"the last two: the first that tells", "for=6.6.6.6, for=192.0.2.1, for=10.0.0.2;proto=https;host=example.com", 2, seen{remote: "192.0.2.1:0", scheme: "https", host: "example.com"}},
		{"fewer than the count", "for=192.0.2.1", 3, seen{remote: "192.0.2.1:0"}},
		{"what the client put before", "=;=, for=192.0.2.1", 1, seen{remote: "192.0.2.1:0"}},
		{"the X-Forwarded fields are not believed beside it", "for=192.0.2.1", 1, seen{remote: "192.0.2.1:0", header: "Forwarded: for=192.0.2.1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, status, text := serve(forwardedConfig(test.count), trustedPeer, "/", [2]string{Forwarded, test.value}, [2]string{XForwardedFor, "6.6.6.6"})
			if got == nil {
				t.Fatalf("answered with %d %q", status, text)
			}
			compare(t, *got, test.want)
		})
	}
}

// TestMalformed: what a trusted proxy sends and does not make sense is answered with 400 that names the field.
func TestMalformed(t *testing.T) {
	for _, test := range []struct{ name, field, value string }{
		{"one-sided quote", XForwardedFor, `"192.0.2.1`},
		{"quote inside", XForwardedFor, `192.0"".2.1`},
		{"quote within quotes", XForwardedFor, `"192.0"2.1"`},
		{"pair that does not end", XForwardedFor, `"192.0.2.1\"`},
		{"control character in quotes", XForwardedFor, "\"192.0.2.1\\\x01\""},
		{"a name", XForwardedFor, "localhost"},
		{"too few parts", XForwardedFor, "192.0.2"},
		{"too large a part", XForwardedFor, "192.0.2.256"},
		{"port too large", XForwardedFor, "192.0.2.1:65536"},
		{"no port", XForwardedFor, "192.0.2.1:"},
		{"port that is none", XForwardedFor, "192.0.2.1:http"},
		{"bracket that does not end", XForwardedFor, "[2001:db8::1"},
		{"something after the bracket", XForwardedFor, "[2001:db8::1]9"},
		{"IPv4 in brackets", XForwardedFor, "[192.0.2.1]"},
		{"a zone", XForwardedFor, "fe80::1%eth0"},
		{"an empty item in the tail", XForwardedFor, "192.0.2.1,"},
		{"empty quotes", XForwardedFor, `""`},
		{"host with a path", XForwardedHost, "example.com/"},
		{"host with a user", XForwardedHost, "user@example.com"},
		{"host's port too large", XForwardedHost, "example.com:99999"},
		{"host one-sided quote", XForwardedHost, `example.com"`},
		{"two schemes", XForwardedProto, "https, http"},
		{"another scheme", XForwardedProto, "gopher"},
		{"scheme one-sided quote", XForwardedProto, `"https`},
		{"two ports", XForwardedPort, "80, 81"},
		{"a port that is too large", XForwardedPort, "99999"},
		{"digits and more", XForwardedPort, "99999x"},
		{"port 0", XForwardedPort, "0"},
		{"a negative port", XForwardedPort, "-1"},
		{"no equals sign", Forwarded, "for"},
		{"blank after the semicolon", Forwarded, "for=1.2.3.4; host=b"},
		{"blank before the equals sign", Forwarded, "for =1.2.3.4"},
		{"blank after the equals sign", Forwarded, "for= 1.2.3.4"},
		{"no value", Forwarded, "for="},
		{"no name", Forwarded, "=1.2.3.4"},
		{"twice", Forwarded, "for=1.2.3.4;for=6.6.6.6"},
		{"IPv6 without brackets", Forwarded, `for="2001:db8::1"`},
		{"a quote that does not end", Forwarded, `for="1.2.3.4`},
		{"quotes that a client opened", Forwarded, `for="evil, for="[2001:db8::1]"`},
		{"something after the quotes", Forwarded, `for="1.2.3.4"x`},
		{"host", Forwarded, "host=a/b"},
		{"proto", Forwarded, "proto=ftp"},
		{"address", Forwarded, "for=1.2.3"},
	} {
		t.Run(test.field+" "+test.name, func(t *testing.T) {
			c := xConfig(1)
			if test.field == Forwarded {
				c = forwardedConfig(1)
			}
			var told string
			c.Malformed = func(_, field, value string) { told = field + ": " + value }
			got, status, text := serve(c, trustedPeer, "/", [2]string{test.field, test.value})
			if got != nil || status != http.StatusBadRequest || !strings.Contains(text, test.field) {
				t.Errorf("%v, %d %q", got, status, text)
			}
			if told != test.field+": "+test.value {
				t.Errorf("was told %q", told)
			}
			// From a peer that is not trusted it is removed, and that is all.
			got, status, _ = serve(c, untrustedPeer, "/", [2]string{test.field, test.value})
			if got == nil || got.header != "" || got.remote != untrustedPeer {
				t.Errorf("not trusted: %+v, %d", got, status)
			}
		})
	}
}

// TestUntrusted: nobody else's fields are believed or left, and neither are those that are not named.
func TestUntrusted(t *testing.T) {
	var all [][2]string
	for _, name := range Headers() {
		all = append(all, [2]string{name, "https"})
	}
	all = append(all, [2]string{"X-Real-Ip", "kept"})
	only := Config{TrustedProxies: prefixes("10.0.0.0/8", "::ffff:172.16.0.0/108"), TrustedProxyHeaders: []string{XForwardedProto}}
	unix := only
	unix.TrustUnixProxies = true
	everybody := only
	everybody.TrustedProxies = prefixes("0.0.0.0/0", "::/0")
	const believed = "X-Forwarded-Proto: https; X-Real-Ip: kept"
	for _, test := range []struct {
		name   string
		config Config
		peer   string
		header string
		scheme string
	}{
		{"not trusted", only, untrustedPeer, "X-Real-Ip: kept", "http"},
		{"not trusted, IPv6", only, "[2001:db8::1]:1", "X-Real-Ip: kept", "http"},
		{"trusted for one field", only, trustedPeer, believed, "https"},
		{"trusted, in IPv6's form", only, "[::ffff:10.1.1.1]:1", believed, "https"},
		{"trusted by a prefix in IPv6's form", only, "172.17.0.1:1", believed, "https"},
		{"everybody", everybody, "[fe80::1%lo]:1", believed, "https"},
		{"Unix peer, not trusted", only, "@", "X-Real-Ip: kept", "http"},
		{"Unix peer, trusted", unix, "@", believed, "https"},
		{"Unix peer with a path, trusted", unix, "/run/client.sock", believed, "https"},
		{"a Unix peer's trust is not everybody's", unix, untrustedPeer, "X-Real-Ip: kept", "http"},
		{"nobody trusted, cleared", Config{ClearUntrustedProxyHeaders: true}, trustedPeer, "X-Real-Ip: kept", "http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, status, text := serve(test.config, test.peer, "/", all...)
			if got == nil {
				t.Fatal(status, text)
			}
			if got.header != test.header || got.scheme != test.scheme || got.remote != test.peer {
				t.Errorf("%+v", *got)
			}
		})
	}
}

// TestNothingToDo: without settings the handler is served as it is, as net/http would.
func TestNothingToDo(t *testing.T) {
	got, _, _ := serve(Config{}, untrustedPeer, "/", [2]string{XForwardedFor, "1.2.3.4"})
	if got.header != "X-Forwarded-For: 1.2.3.4" || got.remote != untrustedPeer {
		t.Errorf("%+v", *got)
	}
	mux := http.NewServeMux()
	if h := Handler(mux, Config{}); h != http.Handler(mux) {
		t.Error("the handler is wrapped")
	}
}

// TestRemoved: who is to be told of removed fields is told of a peer's that is not trusted.
func TestRemoved(t *testing.T) {
	var told []string
	c := xConfig(1)
	c.Removed = func(_ string, fields []string) { told = fields }
	serve(c, untrustedPeer, "/", [2]string{XForwardedPort, "1"}, [2]string{Forwarded, "for=a"})
	if !slices.Equal(told, []string{Forwarded, XForwardedPort}) {
		t.Error("told", told)
	}
	told = nil
	serve(c, trustedPeer, "/", [2]string{Forwarded, "for=a"})
	if told != nil {
		t.Error("of a trusted peer's: told", told)
	}
}

// TestSecurityTrustedTail: the handler must not see what a client put before the part of a list that the proxies vouch for
// (the original's 3.0.2, its PR 452).
func TestSecurityTrustedTail(t *testing.T) {
	got, _, _ := serve(xConfig(1), trustedPeer, "/", [2]string{XForwardedFor, "evil, 192.0.2.1"}, [2]string{XForwardedHost, "evil.example, good.example"})
	if strings.Contains(got.header, "evil") {
		t.Error("the handler sees", got.header)
	}
	got, _, _ = serve(forwardedConfig(1), trustedPeer, "/", [2]string{Forwarded, "for=evil;host=evil.example, for=192.0.2.1"})
	if strings.Contains(got.header, "evil") {
		t.Error("the handler sees", got.header)
	}
}

// TestSecurityUnderscore: X_Forwarded_For is not X-Forwarded-For, and does not stay where a gateway would take it for that
// (the original's 1.0.0, its PR 129).
func TestSecurityUnderscore(t *testing.T) {
	for _, name := range []string{"X_Forwarded_For", "x-forwarded_for", "X_FORWARDED-FOR", "X_Forwarded_Proto"} {
		for _, peer := range []string{trustedPeer, untrustedPeer} {
			got, status, text := serve(xConfig(1), peer, "/", [2]string{name, "https"}, [2]string{"X_Other", "kept"})
			if got == nil {
				t.Fatal(status, text)
			}
			if got.remote != peer || got.scheme != "http" || got.header != "X_other: kept" {
				t.Errorf("%s of %s: %+v", name, peer, *got)
			}
		}
	}
}

func TestURLPrefix(t *testing.T) {
	for _, test := range []struct{ name, prefix, target, path, rawPath string }{
		{"below", "/pre", "/pre/x", "/x", ""},
		{"itself", "/pre", "/pre", "/", ""},
		{"itself with a slash", "/pre", "/pre/", "/", ""},
		{"longer name", "/pre", "/prefix", "/prefix", ""},
		{"elsewhere", "/pre", "/other", "/other", ""},
		{"slashes around", "//pre/fix/", "/pre/fix/x", "/x", ""},
		{"escapes stay", "/pre", "/pre/a%2Fb", "/a/b", "/a%2Fb"},
		{"an escaped prefix", "/pre", "/%70re/a%2Fb", "/a/b", "/a%2Fb"},
		{"only slashes is none", "/", "/pre", "/pre", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _, _ := serve(Config{URLPrefix: test.prefix, URLScheme: "https"}, untrustedPeer, test.target)
			if got.path != test.path || got.rawPath != test.rawPath {
				t.Errorf("path %q, raw %q, want %q, %q", got.path, got.rawPath, test.path, test.rawPath)
			}
			want := strings.Trim(test.prefix, "/")
			if want != "" {
				want = "/" + want
			}
			if got.prefix != want { // for every request, as SCRIPT_NAME is
				t.Errorf("prefix %q, want %q", got.prefix, want)
			}
		})
	}
}

func TestURLScheme(t *testing.T) {
	c := xConfig(1)
	c.URLScheme = "https"
	for _, test := range []struct {
		peer   string
		fields [][2]string
		scheme string
	}{
		{untrustedPeer, nil, "https"},
		{trustedPeer, [][2]string{{XForwardedProto, "http"}}, "http"},
	} {
		if got, _, _ := serve(c, test.peer, "/", test.fields...); got.scheme != test.scheme {
			t.Errorf("%v: %+v", test, *got)
		}
	}
}

func TestClientOf(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://example.com:81/", nil)
	if c := ClientOf(r); c != (Client{Scheme: "http", Port: "81", Peer: r.RemoteAddr}) {
		t.Errorf("%+v", c)
	}
	r = httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	r.TLS = new(tls.ConnectionState)
	if c := ClientOf(r); c != (Client{Scheme: "https", Port: "443", Peer: r.RemoteAddr}) {
		t.Errorf("%+v", c)
	}
	// r.TLS stays what the connection is.
	c := xConfig(1)
	r.RemoteAddr = trustedPeer
	r.Header.Set(XForwardedProto, "http")
	Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := ClientOf(r); got.Scheme != "http" || got.Peer != trustedPeer || r.TLS == nil {
			t.Errorf("%+v, TLS %v", got, r.TLS)
		}
	}), c).ServeHTTP(httptest.NewRecorder(), r)
}

func TestValidate(t *testing.T) {
	ten := prefixes("10.0.0.0/8")
	for _, test := range []struct {
		name   string
		config Config
		proxy  bool
		want   string // in the error; "" for none
	}{
		{"nothing", Config{}, false, ""},
		{"X-Forwarded", xConfig(2), false, ""},
		{"Forwarded", forwardedConfig(0), false, ""},
		{"PROXY protocol alone", Config{TrustedProxies: ten}, true, ""},
		{"no prefix", Config{TrustedProxies: make([]netip.Prefix, 1)}, true, "TrustedProxies"},
		{"negative count", Config{TrustedProxyCount: -1}, false, "TrustedProxyCount is -1"},
		{"unknown field", Config{TrustedProxies: ten, TrustedProxyHeaders: []string{"X-Real-Ip"}}, false, `TrustedProxyHeaders has "X-Real-Ip"`},
		{"a name with underscores", Config{TrustedProxies: ten, TrustedProxyHeaders: []string{"x_forwarded_for"}}, false, "TrustedProxyHeaders has"},
		{"both kinds", Config{TrustedProxies: ten, TrustedProxyHeaders: []string{Forwarded, XForwardedFor}}, false, "exclude each other"},
		{"fields without proxies", Config{TrustedProxyHeaders: []string{Forwarded}}, false, "no meaning without TrustedProxies"},
		{"a count without fields", Config{TrustedProxies: ten, TrustedProxyCount: 1}, true, "no meaning without TrustedProxyHeaders"},
		{"proxies without fields", Config{TrustedProxies: ten}, false, "no meaning without TrustedProxyHeaders"},
		{"PROXY protocol from nobody", Config{}, true, "ProxyProtocol"},
		{"prefix with a query", Config{URLPrefix: "/a?b"}, false, `URLPrefix is "/a?b"`},
		{"prefix with a line end", Config{URLPrefix: "/a\n"}, false, "URLPrefix"},
		{"another scheme", Config{URLScheme: "ftp"}, false, `URLScheme is "ftp"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.config.Validate(test.proxy)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// FuzzNode: whatever is taken for a client's address can be taken apart again, and is an address or a name that RFC 7239
// has.
func FuzzNode(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "[::1]:80", "::1", "unknown", "_a:_b", "1.2.3.4:5", "::ffff:1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, bare := range []bool{false, true} {
			remote, ok := parseNode(s, bare)
			if !ok {
				continue
			}
			if _, err := netip.ParseAddrPort(remote); err == nil {
				continue
			}
			if name, ok := strings.CutSuffix(remote, remote[strings.LastIndexByte(remote, ':'):]); !ok || name != "unknown" && !obfuscated(name) {
				t.Errorf("%q is %q", s, remote)
			}
		}
	})
}

// FuzzForwarded: a client that puts anything before a proxy's element is never believed it.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"for=1.2.3.4", `for="`, `for="a\`, ",", `x="`, `;`, `host="a, for=`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, own := range []string{"for=192.0.2.1", `for="[2001:db8::1]:99";proto=https`} {
			h := http.Header{Forwarded: {fmt.Sprintf("%s, %s", s, own)}}
			told, err := parseForwarded(h, 1)
			if err == nil && told.remote != "192.0.2.1:0" && told.remote != "[2001:db8::1]:99" || told.host != "" {
				t.Errorf("%q: %+v", s, told)
			}
		}
	})
}

func BenchmarkHandler(b *testing.B) {
	for _, bench := range []struct {
		name, peer string
		value      string
	}{{"trusted", trustedPeer, "192.0.2.1"}, {"untrusted", untrustedPeer, "192.0.2.1"}, {"no fields", untrustedPeer, ""}} {
		b.Run(bench.name, func(b *testing.B) {
			h := Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), xConfig(1))
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for _, name := range []string{"User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Cookie", "X-Request-Id"} {
				r.Header.Set(name, "something")
			}
			ctx, value := r.Context(), []string{bench.value}
			b.ReportAllocs()
			for b.Loop() {
				*r = *r.WithContext(ctx)
				r.RemoteAddr = bench.peer
				if bench.value != "" {
					r.Header[XForwardedFor] = value
				}
				h.ServeHTTP(w, r)
			}
		})
	}
}
