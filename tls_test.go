// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// certificateFiles writes testCertificate to files.
func certificateFiles(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	c := testCertificate()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", c.Certificate[0]), write("key.pem", "PRIVATE KEY", key)
}

// TestServeTLS: with the certificate in files or in TLSConfig, clients that prefer HTTP/2 get HTTP/1.1.
func TestServeTLS(t *testing.T) {
	certFile, keyFile := certificateFiles(t)
	withCertificate := &tls.Config{
		Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
	}
	for _, test := range []struct {
		name   string
		config *tls.Config
		serve  func(s *Server) error
	}{
		{"ServeTLS, files", nil, func(s *Server) error { return s.ServeTLS(listenOn(t, "tcp", "127.0.0.1:0"), certFile, keyFile) }},
		{"ServeTLS, TLSConfig", withCertificate, func(s *Server) error { return s.ServeTLS(listenOn(t, "tcp", "127.0.0.1:0"), "", "") }},
		{"ListenAndServeTLS", nil, func(s *Server) error { return s.ListenAndServeTLS(certFile, keyFile) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := make(chan string, 1)
			s := &Server{
				Addr:        "127.0.0.1:0",
				TLSConfig:   test.config,
				BaseContext: func(l net.Listener) context.Context { addr <- l.Addr().String(); return context.Background() },
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = fmt.Fprint(w, r.Proto, " ", r.TLS.NegotiatedProtocol)
				}),
			}
			served := make(chan error, 1)
			go func() { served <- test.serve(s) }()
			transport := &http.Transport{TLSClientConfig: clientTLS(), ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport}).Get("https://" + <-addr)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(body) != "HTTP/1.1 http/1.1" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error("Shutdown:", err)
			}
			if err := <-served; !errors.Is(err, ErrServerClosed) {
				t.Error("serve:", err)
			}
		})
	}
}

func TestServeTLSWithoutCertificate(t *testing.T) {
	l := listenOn(t, "tcp", "127.0.0.1:0")
	if err := new(Server).ServeTLS(l, "", ""); err == nil {
		t.Error("no error")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error("the listener is open:", err)
	}
	if err := new(Server).ListenAndServeTLS("none.pem", "none.pem"); !errors.Is(err, os.ErrNotExist) {
		t.Error("error:", err)
	}
}

// lines are what a log.Logger writes.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestTLSPlainRequest: who forgets the s of https is told.
func TestTLSPlainRequest(t *testing.T) {
	logged := make(lines, 1)
	k := netKinds[2]
	s := k.serve(t, &Server{Handler: http.HandlerFunc(hello), ErrorLog: log.New(logged, "", 0)})
	c := dialTo(t, "tcp", s.l.Addr().String())
	send(t, c, get)
	got, err := io.ReadAll(c)
	if want := "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"; string(got) != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got := <-logged; !strings.Contains(got, "http: TLS handshake error from "+c.LocalAddr().String()) {
		t.Errorf("logged %q", got)
	}
}

// TestTLSHandshakeTimeout: a client that says nothing, by the shortest of the timeouts that bound it.
func TestTLSHandshakeTimeout(t *testing.T) {
	for _, test := range []struct {
		s    *Server
		want time.Duration
	}{
		{&Server{}, 10 * time.Second},
		{&Server{ReadHeaderTimeout: -1, ReadTimeout: 3 * time.Second}, 3 * time.Second},
		{&Server{WriteTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second}, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			logged := new(lockedBuffer)
			test.s.ErrorLog = log.New(logged, "", 0)
			l := newMemListener()
			serveOn(t, test.s, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12}))
			c, err := dialMemory(l)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Error("read:", err)
			}
			if d := time.Since(begun); d != test.want {
				t.Errorf("after %v, want %v", d, test.want)
			}
			synctest.Wait() // it is logged when the connection has been closed
			if got := logged.String(); !strings.Contains(got, "TLS handshake error") || !strings.Contains(got, "timeout") {
				t.Errorf("logged %q", got)
			}
			_ = c.Close()
		})
	}
}
