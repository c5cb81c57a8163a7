// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/waitress-go/waitress/proxy"
)

// tellClient answers with what is known of the client.
func tellClient(w http.ResponseWriter, r *http.Request) {
	c := proxy.ClientOf(r)
	_, _ = fmt.Fprintf(w, "%s %s %s:%s %s", r.RemoteAddr, r.Host, c.Scheme, c.Port, r.Header.Get("X-Forwarded-For"))
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// TestProxies: the fields of a trusted proxy are believed, each request of a connection by itself.
func TestProxies(t *testing.T) {
	policies(t, func(t *testing.T, p Policy) {
		core, logged := observer.New(zapcore.WarnLevel)
		ts := serve(t, &Server{
			Policy: p, Handler: http.HandlerFunc(tellClient), Logger: zap.New(core),
			TrustedProxies: loopback, TrustedProxyHeaders: []string{"X-Forwarded-For", "X-Forwarded-Proto"},
		})
		c := ts.dial(t)
		r := bufio.NewReader(c)
		for _, test := range []struct{ fields, want string }{
			{"X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n", "192.0.2.1:0 x https:443 192.0.2.1"},
			{"", c.LocalAddr().String() + " x http:80 "},
			{"X-Forwarded-For: 192.0.2.2:99\r\n", "192.0.2.2:99 x http:80 192.0.2.2:99"},
		} {
			send(t, c, "GET / HTTP/1.1\r\nHost: x\r\n"+test.fields+"\r\n")
			if _, body := answer(t, r); body != test.want {
				t.Errorf("%q: %q, want %q", test.fields, body, test.want)
			}
		}
		send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: a, b\r\n\r\n")
		if resp, body := answer(t, r); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "X-Forwarded-Proto") {
			t.Errorf("malformed: %d %q", resp.StatusCode, body)
		}
		if all := logged.All(); len(all) != 1 || all[0].ContextMap()["field"] != "X-Forwarded-Proto" {
			t.Errorf("logged %v", all)
		}
	})
}

// TestProxiesTask: a TaskHandler is told of the client what an http.Handler is, and so is the one that it leaves a request to.
func TestProxiesTask(t *testing.T) {
	const all = "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nx_forwarded_for: 7.7.7.7\r\nVia: a\r\n"
	trusting := func(s *Server) {
		s.TrustedProxies = loopback
		s.TrustedProxyHeaders = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"}
		s.TrustedProxyCount = 2
	}
	forwarded := func(s *Server) {
		s.TrustedProxies = loopback
		s.TrustedProxyHeaders = []string{"Forwarded"}
	}
	distrusting := func(s *Server) {
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		s.TrustedProxyHeaders = []string{"Forwarded"}
	}
	for _, test := range []struct {
		name           string
		set            func(s *Server)
		target, fields string
	}{
		{"nothing is said", func(*Server) {}, "/a", all},
		{"all", trusting, "/a", all},
		{"several lines", trusting, "/a", "X-Forwarded-For: 1.1.1.1\r\nVia: a\r\nX-FORWARDED-FOR: 192.0.2.1\r\nx-forwarded-for:192.0.2.2\r\nVia: b\r\n"},
		{"a port", trusting, "/a", "X-Forwarded-Port: 8443\r\nX-Forwarded-Host: h\r\n"},
		{"a host with a port", trusting, "/a", "X-Forwarded-Host: h:81\r\n"},
		{"nothing", trusting, "/a", ""},
		{"malformed", trusting, "/a", "X-Forwarded-Proto: a, b\r\n"},
		{"Forwarded", forwarded, "/a", "Forwarded: for=6.6.6.6;proto=http, for=192.0.2.1;proto=https;host=h\r\n" + all},
		{"not trusted", distrusting, "/a", all + "Forwarded: for=6.6.6.6\r\n"},
		{"cleared", func(s *Server) { s.ClearUntrustedProxyHeaders = true }, "/a", all},
		{"a scheme", func(s *Server) { s.URLScheme = "https" }, "/a", all},
		{"a prefix", func(s *Server) { s.URLPrefix = "/app/" }, "/app/a", ""},
		{"a prefix, and no more", func(s *Server) { s.URLPrefix = "app" }, "/app?q", ""},
		{"a prefix, encoded", func(s *Server) { s.URLPrefix = "/app/x" }, "/%61pp/x/%2f/b?q", ""},
		{"a prefix, and an encoded slash", func(s *Server) { s.URLPrefix = "/app" }, "/app%2fa", ""},
		{"a prefix of a name", func(s *Server) { s.URLPrefix = "/app" }, "/apple", ""},
		{"a part of a prefix", func(s *Server) { s.URLPrefix = "/app" }, "/ap", ""},
		{"another path", func(s *Server) { s.URLPrefix = "/app" }, "/", ""},
		{"a prefix, in absolute form", func(s *Server) { s.URLPrefix = "/app" }, "http://x/app/a", ""},
		{"a prefix, and no path", func(s *Server) { s.URLPrefix = "/app" }, "http://x", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			say := func(remote, host, scheme, port, prefix, peer, path, query string, fields []string) string {
				slices.Sort(fields)
				return fmt.Sprintf("%s %s %s:%s prefix %q peer %s path %s?%s %q", remote, host, scheme, port, prefix, peer, path, query, fields)
			}
			ask := func(tasks TaskHandler) string {
				s := &Server{TaskHandler: tasks, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c := proxy.ClientOf(r)
					var fields []string
					for name, values := range r.Header {
						for _, v := range values {
							fields = append(fields, name+": "+v)
						}
					}
					path := cmp.Or(r.URL.EscapedPath(), "/") // ServeMux would send it there
					_, _ = io.WriteString(w, say(r.RemoteAddr, r.Host, c.Scheme, c.Port, c.Prefix, c.Peer, path, r.URL.RawQuery, fields))
				})}
				test.set(s)
				c := serve(t, s).dial(t)
				send(t, c, "GET "+test.target+" HTTP/1.1\r\nHost: x\r\n"+test.fields+"\r\n")
				resp, body := answer(t, bufio.NewReader(c))
				return fmt.Sprint(resp.StatusCode, " ", strings.ReplaceAll(body, c.LocalAddr().String(), "OWN"))
			}
			want := ask(nil)
			task := ask(TaskFunc(func(task Task) {
				var fields []string
				for name, value := range task.Headers() {
					if string(name) != "Host" {
						fields = append(fields, http.CanonicalHeaderKey(string(name))+": "+string(value))
					}
				}
				text := say(task.RemoteAddr(), string(task.Host()), task.Scheme(), task.Port(), task.Prefix(), task.Peer(),
					string(task.Path()), string(task.Query()), fields)
				task.AnswerString(200, ContentTypeText, text)
			}))
			if task != want {
				t.Errorf("the task got\n%s\nwant\n%s", task, want)
			}
			if declined := ask(TaskFunc(Task.Decline)); declined != want {
				t.Errorf("after a task that declined\n%s\nwant\n%s", declined, want)
			}
		})
	}
}

// TestProxiesUntrusted: fields of others are removed, and that is told if it is asked for.
func TestProxiesUntrusted(t *testing.T) {
	core, logged := observer.New(zapcore.WarnLevel)
	ts := serve(t, &Server{
		Handler: http.HandlerFunc(tellClient), Logger: zap.New(core), ClearUntrustedProxyHeaders: true, LogUntrustedProxyHeaders: true,
	})
	c := ts.dial(t)
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
	if _, body := answer(t, bufio.NewReader(c)); body != c.LocalAddr().String()+" x http:80 " {
		t.Errorf("got %q", body)
	}
	if logged.Len() != 1 {
		t.Errorf("logged %v", logged.All())
	}
}

// TestProxiesUnix: a proxy that comes by a Unix socket is trusted when it is said so.
func TestProxiesUnix(t *testing.T) {
	if noUnix() {
		t.Skip("no Unix sockets")
	}
	for _, trust := range []bool{false, true} {
		s := &Server{
			Listen: []string{"unix:" + filepath.Join(socketDir(t), "socket")}, Handler: http.HandlerFunc(tellClient),
			TrustedProxies: loopback, TrustUnixProxies: trust, TrustedProxyHeaders: []string{"X-Forwarded-For"},
		}
		_, addrs := listenServe(t, s)
		c := dialTo(t, "unix", addrs[0].String())
		send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
		_, body := answer(t, bufio.NewReader(c))
		if got := strings.HasPrefix(body, "192.0.2.1:0 "); got != trust {
			t.Errorf("trusted %v: %q", trust, body)
		}
	}
}

// TestProxyProtocol: both versions, from a trusted peer and from others.
func TestProxyProtocol(t *testing.T) {
	v2 := func(command, family byte, addrs ...byte) string {
		return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family, 0, byte(len(addrs))}) + string(addrs)
	}
	unixAddrs := make([]byte, 216)
	copy(unixAddrs, "/run/x")
	const own = "own"
	for _, test := range []struct {
		name, header, want string // want is "" if the connection is to end without an answer
		untrusted          bool
	}{
		{"version 1", "PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\n", "192.0.2.1:4711", false},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n", "[2001:db8::1]:4711", false},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", own, false},
		{"version 2", v2(1, 0x11, 192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0, 80), "192.0.2.1:4711", false},
		{"version 2, local", v2(0, 0), own, false},
		{"version 2, a Unix socket", v2(1, 0x31, unixAddrs...), "", false},
		{"version 2, UDP", v2(1, 0x12, 192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0, 80), "", false},
		{"malformed", "PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n", "", false},
		{"none", "", "", false},
		{"untrusted", "PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\n", "400", true},
		{"untrusted, none", "", own, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Server{Handler: http.HandlerFunc(tellClient), ProxyProtocol: true, TrustedProxies: loopback}
			if test.untrusted {
				s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			}
			ts := serve(t, s)
			c := ts.dial(t)
			send(t, c, test.header+get)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if test.want == "" {
				if err == nil {
					t.Error("it was answered")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if want == own {
				want = c.LocalAddr().String()
			}
			if got, _, _ := strings.Cut(string(body), " "); got != want {
				t.Errorf("the client is %q, want %q", got, want)
			}
		})
	}
}

// TestProxyProtocolSilence: a peer that sends no header holds up nobody else, and is let go.
func TestProxyProtocolSilence(t *testing.T) {
	ts := serve(t, &Server{
		Handler: http.HandlerFunc(tellClient), ProxyProtocol: true, TrustedProxies: loopback, ReadHeaderTimeout: 50 * time.Millisecond,
	})
	silent, c := ts.dial(t), ts.dial(t)
	send(t, c, "PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\n"+get)
	if _, body := answer(t, bufio.NewReader(c)); !strings.HasPrefix(body, "192.0.2.1:4711 ") {
		t.Errorf("got %q", body)
	}
	mustBeClosed(t, "the silent one", silent)
}
