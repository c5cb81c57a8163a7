// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOriginalWishes has a row for each thing that its users have asked for. What runs in processes of its own, or on some systems only,
// has its tests elsewhere: signals in TestServeSignals, systemd's sockets in TestListenSystemd, starting anew in TestRestart.
func TestOriginalWishes(t *testing.T) {
	rows := func(all ...originalRow) func(t *testing.T) { return func(t *testing.T) { testOriginal(t, all) } }
	for _, test := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"#198 graceful stop", lifeShutdown},
		{"#58 stop from code", lifeShutdownByHandler},
		{"#182 metrics", wishMetrics},
		{"#309 task queue depth", lifeQueue},
		{"#301 locks up at the connection limit", TestLimits},
		{"#310 a client that goes cancels the work", TestDisconnect},
		{"#287 TLS", TestServeTLS},
		{"client certificates", wishClientCertificates},
		// There is none: clients that try find out at once.
		{"#86 HTTP/2", rows(originalRow{"its preface", nil, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 closed", "", ""})},
		{"#470 WebSocket, upgrades", TestHijack},
		{"#179 streaming of requests", lifeBody},
		{"#49 streaming of answers", settingSendBytes},
		{"#337 access log", TestAccessLog},
		{"#324 several cores", lifeLoops},
		{"#267 request timeout", wishRequestTimeout},
		{"#478 trusted_proxy of networks", settingTrustedProxy},
		// As a list it does not say which of them is the client's.
		{"#442 X-Forwarded-Proto lists", rows(originalRow{"are answered", func(s *Server) {
			s.TrustedProxies, s.TrustedProxyHeaders = loopback, []string{"X-Forwarded-Proto"}
		}, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https, http\r\n\r\n", "400 kept", "X-Forwarded-Proto", ""})},
		{"#204 passed sockets", settingSockets},
		{"#31 more than 1,024 descriptors", settingUsePoll},
		{"#265 memory: files for what is large", settingInbufOverflow},
		{"#418 a main loop that goes on", func(t *testing.T) { originalResets(t, false) }},
		{"#359 ranges", rows(
			originalRow{"of content", nil, "GET /content HTTP/1.1\r\nHost: a\r\nRange: bytes=-3\r\n\r\n", "206 kept", "\r\n\r\n789", ""},
			originalRow{"that are none", nil, "GET /content HTTP/1.1\r\nHost: a\r\nRange: bytes=20-\r\n\r\n", "416 kept", "", ""},
		)},
		{"#427 HEAD, 204 and 304", rows(
			originalRow{"HEAD", nil, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200 kept", "", "HEAD /"},
			originalRow{"204", nil, ofPath("/204"), "204 kept", "", "content"},
			originalRow{"304", nil, ofPath("/304"), "304 kept", "", "content"},
		)},
		{"#194 underscores", rows(originalRow{"are another field", nil, "GET / HTTP/1.1\r\nHost: a\r\nFoo_: 1\r\nF_oo: 2\r\nFoo: 3\r\n\r\n", "200 kept", ` "3" `, ""})},
		{"#222 no Server, no Via", settingIdent},
		{"#103 the limit of contents", settingMaxRequestBodySize},
		{"#471 what could not be listened on", TestListenAllOrNone},
		{"load shedding", lifeQueue},
		{"PROXY protocol", TestProxyProtocol},
	} {
		t.Run(test.name, test.test)
	}
}

// wishMetrics: what connections there are, and what they do, can be counted as they change.
func wishMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards states
		states := make(map[net.Conn]http.ConnState)
		count := func() string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			n := make(map[http.ConnState]int)
			for _, s := range states {
				n[s]++
			}
			return fmt.Sprint(n)
		}
		g := &heldHandler{open: make(chan struct{})}
		connect := serveMemory(t, &Server{Handler: g, ConnState: func(c net.Conn, s http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states[c] = s
		}})
		a, b, c := connect(), connect(), connect()
		send(t, a, get)
		send(t, b, get)
		if got := count(); got != "map[new:1 active:2]" {
			t.Errorf("at first: %s", got)
		}
		close(g.open)
		answer(t, bufio.NewReader(a))
		answer(t, bufio.NewReader(b))
		if got := count(); got != "map[new:1 idle:2]" {
			t.Errorf("then: %s", got)
		}
		_ = a.Close()
		_ = c.Close()
		if got := count(); got != "map[idle:1 closed:2]" {
			t.Errorf("at last: %s", got)
		}
	})
}

// wishRequestTimeout: a handler may be given a time, by the standard library's means.
func wishRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(ended)
		})
		c := serveMemory(t, &Server{Handler: http.TimeoutHandler(slow, time.Second, "too late")})()
		began := time.Now()
		send(t, c, get)
		resp, body := answer(t, bufio.NewReader(c))
		if resp.StatusCode != http.StatusServiceUnavailable || body != "too late" || time.Since(began) != time.Second {
			t.Errorf("%s %q after %v", resp.Status, body, time.Since(began))
		}
		<-ended
	})
}

// wishClientCertificates: who has none is not served, and a handler sees whose it is.
func wishClientCertificates(t *testing.T) {
	s := &Server{
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAnyClientCert,
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, r.TLS.PeerCertificates[0].SerialNumber)
		}),
	}
	l := listenOn(t, "tcp", "127.0.0.1:0")
	served := make(chan error, 1)
	go func() { served <- s.ServeTLS(l, "", "") }()
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}()
	for _, has := range []bool{true, false} {
		config := clientTLS()
		if has {
			config.Certificates = []tls.Certificate{testCertificate()}
		}
		transport := &http.Transport{TLSClientConfig: config}
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + l.Addr().String())
		if err == nil {
			_ = resp.Body.Close()
		}
		transport.CloseIdleConnections()
		if got := err == nil; got != has {
			t.Errorf("with a certificate %v: %v", has, err)
		}
	}
}
