// SPDX-License-Identifier: MIT

package proxy

import (
	"net"
	"net/http"
	"strings"

	"github.com/waitress-go/waitress/httpparse"
)

// A told is what the proxies say of the client; "" is not told.
type told struct {
	remote string // as http.Request.RemoteAddr
	host   string // with its port, if that was told with it
	proto  string
	port   string // told apart from host
}

// A malformedField is a field that says nothing sensible.
type malformedField struct{ field, value string }

// listed returns the field's value, several lines of it as one list (RFC 9110 §5.3), and "" for none.
func listed(h http.Header, field string) string {
	lines := h[field]
	if len(lines) == 1 {
		return trim(lines[0])
	}
	var some []string
	for _, l := range lines {
		if l = trim(l); l != "" {
			some = append(some, l)
		}
	}
	return strings.Join(some, ", ")
}

// parseX reads those of the X-Forwarded fields that are trusted, and cuts the lists to what the n trusted proxies have
// appended.
func parseX(h http.Header, trusted map[string]bool, n int) (t told, bad *malformedField) {
	read := func(field string) (string, bool) {
		if !trusted[field] {
			return "", false
		}
		v := listed(h, field)
		return v, v != ""
	}
	// list reads the first of the last n items, and checks all n.
	list := func(field, v string, check func(item string) (string, bool)) string {
		items, ok := split(v, ',')
		if !ok {
			bad = &malformedField{field, v}
			return ""
		}
		items = last(items, n)
		first := ""
		for i, item := range items {
			text, ok := unquote(item)
			if ok {
				text, ok = check(text)
			}
			if !ok {
				bad = &malformedField{field, v}
				return ""
			}
			if i == 0 {
				first = text
			}
		}
		h[field] = []string{strings.Join(items, ", ")}
		return first
	}
	// single reads a field that is no list: more than one value would leave open whose.
	single := func(field, v string, check func(string) (string, bool)) string {
		text, ok := unquote(v)
		if ok {
			text, ok = check(text)
		}
		if !ok {
			bad = &malformedField{field, v}
		}
		return text
	}
	if v, ok := read(XForwardedFor); ok && bad == nil {
		t.remote = list(XForwardedFor, v, func(s string) (string, bool) { return parseNode(s, true) })
	}
	if v, ok := read(XForwardedHost); ok && bad == nil {
		t.host = list(XForwardedHost, v, checkHost)
	}
	if v, ok := read(XForwardedProto); ok && bad == nil {
		t.proto = single(XForwardedProto, v, checkProto)
	}
	if v, ok := read(XForwardedPort); ok && bad == nil {
		t.port = single(XForwardedPort, v, func(s string) (string, bool) {
			return s, validPort(s) && s[0] != '0'
		})
	}
	return t, bad
}

func checkHost(s string) (string, bool) {
	_, ok := httpparse.HostPort(s)
	return s, ok
}

func checkProto(s string) (string, bool) {
	s = strings.ToLower(s)
	return s, s == "http" || s == "https"
}

// parseForwarded reads Forwarded (RFC 7239), and cuts it to what the n trusted proxies have appended. Each thing is told by
// the first of them that tells it.
func parseForwarded(h http.Header, n int) (t told, bad *malformedField) {
	v := listed(h, Forwarded)
	if v == "" {
		return t, nil
	}
	elements, ok := split(v, ',')
	if !ok {
		return t, &malformedField{Forwarded, v}
	}
	elements = last(elements, n)
	for _, e := range elements {
		one, ok := parseElement(e)
		if !ok {
			return t, &malformedField{Forwarded, v}
		}
		t.remote = first(t.remote, one.remote)
		t.host = first(t.host, one.host)
		t.proto = first(t.proto, one.proto)
	}
	h[Forwarded] = []string{strings.Join(elements, ", ")}
	return t, nil
}

// parseElement reads one proxy's part of Forwarded: pairs of a token and its value, without blanks. Tokens that it does not
// know are not for it (RFC 7239 §5.5).
func parseElement(s string) (t told, ok bool) {
	pairs, ok := split(s, ';')
	if !ok {
		return t, false
	}
	// Blanks are allowed around the commas only, which have been dealt with.
	if strings.Join(pairs, ";") != s {
		return t, false
	}
	seen := make(map[string]bool)
	for _, pair := range pairs {
		if pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok || !httpparse.ValidFieldName(name) {
			return t, false
		}
		if value == "" || value[0] != '"' && !httpparse.ValidFieldName(value) && !looseValue(value) {
			return t, false
		}
		if value, ok = unquote(value); !ok {
			return t, false
		}
		name = strings.ToLower(name)
		if seen[name] {
			return t, false // RFC 7239 §4: each at most once
		}
		seen[name] = true
		switch name {
		case "for":
			t.remote, ok = parseNode(value, false)
		case "host":
			t.host, ok = checkHost(value)
		case "proto":
			t.proto, ok = checkProto(value)
		}
		if !ok {
			return t, false
		}
	}
	return t, true
}

// looseValue says whether a value without quotes is one that should have them, but can't be misread: an address or host with
// its port, or an IPv6 address in brackets, as several proxies send them.
func looseValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && strings.IndexByte(".:_-[]", c) < 0 {
			return false
		}
	}
	return true
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// joinPort returns host with port, unless it has one or the scheme has that port by itself.
func joinPort(host, port, scheme string) string {
	if port == "" || port == defaultPort(scheme) {
		return host
	}
	if hasPort, ok := httpparse.HostPort(host); !ok || hasPort {
		return host
	}
	return host + ":" + port
}

// portOf returns the port in a host, or "".
func portOf(host string) string {
	if hasPort, ok := httpparse.HostPort(host); !ok || !hasPort {
		return ""
	}
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return ""
	}
	return port
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
