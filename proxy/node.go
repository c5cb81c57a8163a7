// SPDX-License-Identifier: MIT

package proxy

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// parseNode reads what a proxy says of one end of a connection, and returns it as http.Request.RemoteAddr has it: an address
// and a port, which is 0 where it is not told. It knows the forms of RFC 7239 §6, whose names for those that are not to be
// known ("unknown", "_hidden") stay as they are in place of an address. bare allows an IPv6 address without brackets, as
// X-Forwarded-For has it, where no port can follow.
func parseNode(s string, bare bool) (remote string, ok bool) {
	host, port, hasPort := s, "", false
	switch i := strings.LastIndexByte(s, ':'); {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ':' {
			return "", false
		}
		host = s[1:end]
		if end+1 < len(s) {
			port, hasPort = s[end+2:], true
		}
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", false
		}
	case i >= 0 && strings.IndexByte(s, ':') == i:
		host, port, hasPort = s[:i], s[i+1:], true
	case i >= 0 && !bare:
		return "", false
	}
	number := "0"
	switch {
	case !hasPort || obfuscated(port):
	case validPort(port):
		n, _ := strconv.Atoi(port) // it is one
		number = strconv.Itoa(n)
	default:
		return "", false
	}
	if host == "unknown" || obfuscated(host) {
		return net.JoinHostPort(host, number), true
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return "", false
	}
	return net.JoinHostPort(a.Unmap().String(), number), true
}

// obfuscated says whether s is a name in place of an address or port (RFC 7239 §6.3).
func obfuscated(s string) bool {
	if len(s) < 2 || s[0] != '_' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// validPort says whether s is a port in digits, 0 included.
func validPort(s string) bool {
	n := 0
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return s != ""
}
