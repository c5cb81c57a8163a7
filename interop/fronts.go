// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"

	"github.com/coder/websocket"

	"github.com/waitress-go/waitress"
)

// nginxConfig has a folder for each way of passing requests on. The connection to the server is kept in all of them.
const nginxConfig = `
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events { worker_connections 512; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	upstream server { server %[2]s; keepalive 16; }
	map $http_upgrade $upgrade { default upgrade; '' ''; }
	server {
		listen %[1]s;
		proxy_http_version 1.1;
		proxy_set_header Connection $upgrade;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Host $http_host;
		location /buffered/ { proxy_pass http://server/; }
		location /unbuffered/ { proxy_pass http://server/; proxy_buffering off; }
		location /streamed/ { proxy_pass http://server/; proxy_buffering off; proxy_request_buffering off; }
		location /old/ { proxy_pass http://server/; proxy_http_version 1.0; proxy_set_header Connection close; }
	}
}
`

const haproxyConfig = `
global
	maxconn 512
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	timeout tunnel 60s
	option http-no-delay
	http-reuse always
frontend front
	bind %[1]s
	default_backend server
backend server
	option httpchk GET /hello
	server one %[2]s check inter 200ms
`

func startNginx(ctx context.Context, s *site) (*process, error) {
	return startConfigured(ctx, s, "nginx", nginxConfig, "-p", "DIR", "-e", "error.log", "-c", "CONFIG")
}

func startHAProxy(ctx context.Context, s *site) (*process, error) {
	return startConfigured(ctx, s, "haproxy", haproxyConfig, "-db", "-f", "CONFIG")
}

// startConfigured starts a proxy in a folder of its own, and makes it what s.addr is.
func startConfigured(ctx context.Context, s *site, name, config string, args ...string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, name)
	if err != nil {
		return nil, err
	}
	// nginx's worker may be another user, who keeps files here.
	if err := errors.Join(os.Chmod(s.dir, 0o755), os.Chmod(dir, 0o777)); err != nil { //nolint:gosec // see above
		return nil, err
	}
	path := filepath.Join(dir, "config")
	if err := os.WriteFile(path, fmt.Appendf(nil, config, addr, s.addr), 0o600); err != nil {
		return nil, err
	}
	for i, a := range args {
		args[i] = strings.NewReplacer("DIR", dir, "CONFIG", path).Replace(a)
	}
	s.addr = addr
	return startFront(ctx, addr, s.tools[name], args...)
}

func nginxChecks(string) []check {
	var checks []check
	for _, folder := range []string{"/buffered", "/unbuffered", "/streamed", "/old"} {
		checks = append(checks, frontChecks(folder)...)
	}
	return append(checks,
		check{"/buffered: one connection for 200 requests", oneConnection("/buffered")},
		check{"/streamed: events as they come", eventsThrough("/streamed")},
		check{"/buffered: WebSocket", webSocketThrough("/buffered")},
		check{"/buffered: wrk", func(ctx context.Context, s *site) error { return wrk(ctx, s.below("/buffered"), "-c", "64") }},
		check{"/streamed: wrk", func(ctx context.Context, s *site) error { return wrk(ctx, s.below("/streamed"), "-c", "64") }},
	)
}

func haproxyChecks(string) []check {
	return append(frontChecks(""),
		check{"103 Early Hints", hintsThrough},
		check{"one connection for 200 requests", oneConnection("")},
		check{"events as they come", eventsThrough("")},
		check{"WebSocket", webSocketThrough("")},
		check{"wrk", func(ctx context.Context, s *site) error { return wrk(ctx, s, "-c", "64") }},
	)
}

// below is s with a path before those that are asked for.
func (s *site) below(path string) *site {
	b := *s
	b.addr += path
	return &b
}

// frontChecks are for each way through a proxy.
func frontChecks(folder string) []check {
	const large = 20_000_000
	label := ""
	if folder != "" {
		label = folder + ": "
	}
	return []check{
		{label + "an answer with a length, one in chunks, and no answer", func(ctx context.Context, s *site) error {
			for path, expected := range map[string]string{
				"/hello": hello, "/trailers": hello, "/none": "404 page not found\n",
			} {
				status, body, err := fetch(ctx, s.url(folder+path), "")
				if err := errors.Join(err, want(path, body, expected)); err != nil {
					return err
				}
				if (status == http.StatusOK) != (path != "/none") {
					return fmt.Errorf("%s: status %d", path, status)
				}
			}
			return nil
		}},
		{label + "large answers", func(ctx context.Context, s *site) error {
			for _, query := range []string{"", "&chunked=1"} {
				_, body, err := fetch(ctx, s.url(fmt.Sprint(folder, "/bytes?n=", large, query)), "")
				got, derr := digest(strings.NewReader(body))
				if err := errors.Join(err, derr, want("content", got, wantDigest(large))); err != nil {
					return err
				}
			}
			return nil
		}},
		{label + "uploads with a length and in chunks", func(ctx context.Context, s *site) error {
			var b strings.Builder
			if _, err := io.Copy(&b, content(large)); err != nil {
				return err
			}
			for _, chunked := range []bool{false, true} {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(folder+"/digest"), strings.NewReader(b.String()))
				if err != nil {
					return err
				}
				if chunked {
					req.ContentLength = -1
				}
				_, body, err := do(req)
				if err := errors.Join(err, want("answer", body, wantDigest(large)+", <nil>")); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

// fetch asks for a URL, or posts body to it.
func fetch(ctx context.Context, url, body string) (int, string, error) {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	return do(req)
}

func do(req *http.Request) (int, string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// oneConnection: a proxy that keeps its connection to the server finds it still there.
func oneConnection(folder string) func(ctx context.Context, s *site) error {
	return func(ctx context.Context, s *site) error {
		_, first, err := fetch(ctx, s.url(folder+"/peer"), "")
		for range 200 {
			if err != nil {
				return err
			}
			var again string
			_, again, err = fetch(ctx, s.url(folder+"/peer"), "")
			err = errors.Join(err, want("addresses", again, first))
		}
		return err
	}
}

// eventsThrough: each event arrives before the next one is sent. Its handler waits for another request, which PolicyInline
// is not for; there the events come one after the other.
func eventsThrough(folder string) func(ctx context.Context, s *site) error {
	return func(ctx context.Context, s *site) error {
		path, forward := "/steps", true
		if s.policy == waitress.PolicyInline {
			path, forward = "/events", false
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(folder+path), nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewScanner(resp.Body)
		for i := range events {
			if forward {
				if _, _, err := fetch(ctx, s.url(folder+"/forward"), ""); err != nil {
					return err
				}
			}
			expected := []string{fmt.Sprint("data: ", i), ""}
			if !forward {
				expected = []string{fmt.Sprint("id: ", i), fmt.Sprint("data: event ", i), ""}
			}
			for _, line := range expected {
				lines.Scan()
				if err := errors.Join(lines.Err(), want("line", lines.Text(), line)); err != nil {
					return err
				}
			}
		}
		if lines.Scan() {
			return fmt.Errorf("after the last event: %q", lines.Text())
		}
		return lines.Err()
	}
}

// hintsThrough: 103 arrives, and then the answer. nginx is not asked: it takes 103 for the answer itself.
func hintsThrough(ctx context.Context, s *site) error {
	hints := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints++
		return want("hint", fmt.Sprint(code, h["Link"]), "103 [</style.css>; rel=preload]")
	}})
	_, body, err := fetch(ctx, s.url("/hints"), "")
	return errors.Join(err, want("hints", fmt.Sprint(hints), "1"), want("answer", body, hello))
}

// webSocketThrough sends 1,000 messages and gets each of them back.
func webSocketThrough(folder string) func(ctx context.Context, s *site) error {
	return func(ctx context.Context, s *site) error {
		c, _, err := websocket.Dial(ctx, s.url(folder+"/echo"), nil) //nolint:bodyclose // the connection is its body
		if err != nil {
			return err
		}
		defer func() { _ = c.CloseNow() }()
		for i := range 1000 {
			message := strings.Repeat(fmt.Sprint(i, " "), i)
			if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
				return err
			}
			_, got, err := c.Read(ctx)
			if err := errors.Join(err, want("message", string(got), message)); err != nil {
				return err
			}
		}
		return c.Close(websocket.StatusNormalClosure, "")
	}
}
