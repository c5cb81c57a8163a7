// SPDX-License-Identifier: MIT

package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
)

// newProxy starts back on e, and a ReverseProxy for it, on e too.
func newProxy(t *testing.T, e *engine, back http.Handler) *started {
	t.Helper()
	behind := e.start(t, back)
	target, err := url.Parse(behind.url)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return e.start(t, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0), // a backend that aborts is part of the test
	})
}

// TestReverseProxy has httputil.ReverseProxy and what is behind it on the same kind of server.
func TestReverseProxy(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/upper", upper)
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/moved", moved)
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.HandleFunc("/aborted", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/forwarded", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Host, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"], r.Header["X-Forwarded-Proto"])
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "Sum")
		fmt.Fprintln(w, n, err, r.Trailer)
		w.Header().Set("Sum", fmt.Sprint(n))
		w.Header().Set(http.TrailerPrefix+"Late", "unannounced")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "hinted")
	})
	steps := []step{
		{request: "GET /forwarded", want: `200 127.0.0.1:\d+ \[127.0.0.1\] \[127.0.0.1:\d+\] \[http\]` + "\n"},
		{request: "POST /upper", body: "soup", want: "200 SOUP"},
		{request: "POST /upper", body: longText, want: "200 " + strings.ToUpper(longText)},
		{request: "HEAD /upper", want: "200 "},
		{request: "GET /stream", want: "200 0\n1\n2\n"},
		{request: "GET /moved", want: "302 .*"},
		{request: "GET /refused", want: "418 "},
		{request: "GET /none", want: "404 .*"},
		{request: "GET /aborted", want: "502 "},
		{request: "POST /trailers", body: "soup", want: "200 4 <nil> map\\[\\]\n"},
	}
	var expected []string
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			s := newProxy(t, &e, mux)
			var got []string
			for _, step := range steps {
				got = append(got, s.transcript(s.expect(t, step)))
			}
			resp, body := s.sendTrailers(t)
			got = append(got, s.transcript(resp, body))
			if resp.Trailer.Get("Sum") != "280000" || resp.Trailer.Get("Late") != "unannounced" || !strings.Contains(body, "Checked") {
				t.Errorf("trailers %v, %q", resp.Trailer, body)
			}
			hints, resp, body := s.hints(t)
			got = append(got, s.transcript(resp, body))
			if body != "hinted" || len(hints) != 1 || hints[0] != "103 [</style.css>; rel=preload]" {
				t.Errorf("hints %q, %q", hints, body)
			}
			if expected == nil {
				expected = got
			}
			for i := range got {
				if got[i] != expected[i] {
					t.Errorf("got:\n%.2000s\n%s:\n%.2000s", got[i], reference, expected[i])
				}
			}
		})
	}
}

// sendTrailers sends a chunked body with a trailer field.
func (s *started) sendTrailers(t *testing.T) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/trailers", io.MultiReader(strings.NewReader(longText)))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"Checked": {"x"}}
	return s.do(t, req)
}

// hints asks for an answer that other answers come before.
func (s *started) hints(t *testing.T) (hints []string, resp *http.Response, body string) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h["Link"]))
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/hints", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, body = s.do(t, req)
	return hints, resp, body
}

// TestReverseProxyWebSocket sends WebSocket messages through a ReverseProxy: an upgrade on both its sides.
func TestReverseProxyWebSocket(t *testing.T) {
	const messages = 500
	var expected string
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			got, err := echoMessages(t.Context(), newProxy(t, &e, gorillaEcho(false)), false, 1, messages)
			if err != nil {
				t.Fatal(err)
			}
			if expected == "" {
				expected = got
			}
			if got != expected {
				t.Errorf("got:\n%s%s:\n%s", got, reference, expected)
			}
		})
	}
}

// TestReverseProxyAbort: a client that goes away in the middle of an answer is noticed by the proxy, and by what is behind it.
func TestReverseProxyAbort(t *testing.T) {
	for _, e := range engines {
		if !e.waits {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			gone := make(chan error, 1)
			s := newProxy(t, &e, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "wait for it")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				gone <- r.Context().Err()
			}))
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, len("wait for it"))); err != nil {
				t.Error(err)
			}
			cancel()
			if err := receive(t, "the backend's handler", gone); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			_ = resp.Body.Close()
		})
	}
}
