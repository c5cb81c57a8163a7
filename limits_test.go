// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestAddressLimit(t *testing.T) {
	for _, test := range []struct {
		name   string
		peers  []string
		admits string // y or n for each
	}{
		{"the ports of an address count together", []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1"}, "yyny"},
		{"an IPv4 address is the same within IPv6", []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", "192.0.2.1:3"}, "yyn"},
		{"64 bits of an IPv6 address count", []string{"[2001:db8::1]:1", "[2001:db8::ffff:2]:1", "[2001:db8::3]:1", "[2001:db8:0:1::1]:1"}, "yyny"},
		{"zones do not", []string{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", "[fe80::3]:1"}, "yyn"},
		{"no address is no limit", []string{"@", "@", "@", ""}, "yyyy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAddressLimit(2)
			var got strings.Builder
			for _, peer := range test.peers {
				if a.admit(peer) {
					got.WriteByte('y')
				} else {
					got.WriteByte('n')
				}
			}
			if got.String() != test.admits {
				t.Errorf("admits %s, want %s", got.String(), test.admits)
			}
			for i, peer := range test.peers {
				if test.admits[i] == 'y' {
					a.left(peer)
				}
			}
			if len(a.conns) != 0 {
				t.Errorf("at the end: %v", a.conns)
			}
		})
	}
}

// getOnce sends one request and says whether it was answered, and whether the connection stays.
func getOnce(t *testing.T, c net.Conn) (ok, stays bool) {
	t.Helper()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		return false, false
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false, false
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp.StatusCode == http.StatusOK, !resp.Close
}

// TestLimits: the limits of a Server hold for its connections.
func TestLimits(t *testing.T) {
	noContent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	t.Run("AddressLimit", func(t *testing.T) {
		ts := serve(t, &Server{Handler: noContent, AddressLimit: 2})
		a, b := ts.dial(t), ts.dial(t)
		for _, c := range []net.Conn{a, b, a} {
			if ok, stays := getOnce(t, c); !ok || !stays {
				t.Error("a client within the limit is not served")
			}
		}
		if ok, _ := getOnce(t, ts.dial(t)); ok {
			t.Error("a client beyond the limit is served")
		}
	})
	t.Run("ConnectionLimit", func(t *testing.T) {
		ts := serve(t, &Server{Handler: noContent, ConnectionLimit: 2})
		a, b := ts.dial(t), ts.dial(t)
		getOnce(t, a)
		getOnce(t, b)
		c := ts.dial(t)
		if ok, _ := getOnce(t, c); !ok {
			t.Error("the third client is not served")
		}
		// Which of the two has been idle for longer is up to the threads that served them.
		first, _ := getOnce(t, a)
		second, _ := getOnce(t, b)
		if first == second {
			t.Errorf("one of the idle clients has to make room: %v, %v", first, second)
		}
	})
	t.Run("KeepAliveRequests", func(t *testing.T) {
		c := serve(t, &Server{Handler: noContent, KeepAliveRequests: 3}).dial(t)
		for i := range 3 {
			if ok, stays := getOnce(t, c); !ok || stays != (i < 2) {
				t.Errorf("request %d: answered: %v, the connection stays: %v", i, ok, stays)
			}
		}
	})
}
