// SPDX-License-Identifier: MIT

package httpparse

// HostPort says whether s is a host that a request may name, and whether a port follows it.
func HostPort(s string) (hasPort, ok bool) { return hostPort([]byte(s)) }

// hostPort = uri-host [ ":" port ]  (RFC 9110 §7.2, RFC 3986 §3.2.2)
//
// Of that grammar only what names a host somebody can have is accepted: a name of unreserved characters, an IPv4
// address (which is one such name) or an IPv6 address in brackets, and a port from 1 to 65535. Percent-encoding and
// sub-delimiters in a name, IPvFuture, zone identifiers, an empty name and an empty port are never needed, and each
// of them is read differently by some server or proxy, so that a request could reach one host's rules and another's
// content.
func hostPort(b []byte) (hasPort, ok bool) {
	i := 0
	if len(b) > 0 && b[0] == '[' {
		i = 1
		for i < len(b) && b[i] != ']' {
			i++
		}
		if i == len(b) || !ipv6(b[1:i]) {
			return false, false
		}
		i++ // the bracket
	} else {
		for i < len(b) && class[b[i]]&isHost != 0 {
			i++
		}
		if i == 0 {
			return false, false
		}
	}
	if i == len(b) {
		return false, true
	}
	return true, b[i] == ':' && port(b[i+1:])
}

// port = *DIGIT, and here a number that a port can have
func port(b []byte) bool {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return n > 0
}

// ipv6 = IPv6address (RFC 3986 §3.2.2): eight groups, or fewer with one "::" in place of at least one. The last two may
// be written as an IPv4 address.
func ipv6(b []byte) bool {
	groups, short := 0, false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		short = true
		b = b[2:]
	}
	for len(b) > 0 {
		n := 0
		for n < len(b) && n < 4 && hexDigit[b[n]] != notHex {
			n++
		}
		if n < len(b) && b[n] == '.' {
			if !ipv4(b) {
				return false
			}
			groups += 2
			break
		}
		if n == 0 {
			return false
		}
		groups++
		if b = b[n:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		if b = b[1:]; b[0] == ':' {
			if short {
				return false
			}
			short = true
			b = b[1:]
		}
	}
	if short {
		return groups < 8
	}
	return groups == 8
}

// ipv4 = dec-octet "." dec-octet "." dec-octet "." dec-octet, without leading zeros.
func ipv4(b []byte) bool {
	for octet := range 4 {
		if octet > 0 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
		n, v := 0, 0
		for n < len(b) && n < 3 && b[n] >= '0' && b[n] <= '9' {
			v = v*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || v > 255 || n > 1 && b[0] == '0' {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}
