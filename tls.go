// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// ServeTLS is Serve for connections that are encrypted by TLS, by the certificate and key in the named files, which may be
// "" when TLSConfig has a certificate or a function that gets one. It is tls.NewListener around l: a connection has a
// goroutine that waits. HTTP/1.1 is all that is negotiated. It returns an error, and closes l, when there is no certificate.
func (s *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	config, err := s.tlsConfig(certFile, keyFile)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return s.Serve(tls.NewListener(l, config))
}

// ListenAndServeTLS is ListenAndServe with the certificate and key in the named files, as ServeTLS has them. Without Addr and
// Listen it listens on ":https".
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	if s.isClosing() {
		return ErrServerClosed
	}
	config, err := s.tlsConfig(certFile, keyFile)
	if err != nil {
		return err
	}
	listeners, err := s.listen(":https")
	if err != nil {
		return err
	}
	for i, l := range listeners {
		listeners[i] = tls.NewListener(l, config)
	}
	return s.ServeAll(listeners...)
}

// ListenAndServeTLS is ListenAndServe, the function, with TLS by the certificate and key in the named files.
func ListenAndServeTLS(addr, certFile, keyFile string, handler http.Handler) error {
	return (&Server{Addr: addr, Handler: handler}).ListenAndServeTLS(certFile, keyFile)
}

// tlsConfig returns TLSConfig with the certificate in the files. Clients that can speak HTTP/2 too are told that this is
// HTTP/1.1.
func (s *Server) tlsConfig(certFile, keyFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLSConfig != nil {
		config = s.TLSConfig.Clone()
	}
	config.NextProtos = slices.DeleteFunc(slices.Clone(config.NextProtos), func(p string) bool { return p == "h2" })
	if !slices.Contains(config.NextProtos, "http/1.1") {
		config.NextProtos = append(config.NextProtos, "http/1.1")
	}
	has := len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil
	if has && certFile == "" && keyFile == "" {
		return config, nil
	}
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{certificate}
	return config, nil
}

// A handshaker is a net.Conn with something to do before the first Read: a *tls.Conn, or one around it.
type handshaker interface {
	HandshakeContext(ctx context.Context) error
}

// handshake is what comes before the first Read where there is encryption. It says whether there is a connection to read.
func (s *netSocket) handshake() bool {
	c, ok := s.conn.(handshaker)
	if !ok {
		return true
	}
	d := s.sockets.handshakeTimeout
	s.mu.Lock()
	s.shaking = true
	bounded := s.conn.SetDeadline(time.Now().Add(d)) == nil // before Close can set another one
	s.mu.Unlock()
	err := s.shake(c, bounded, d)
	s.mu.Lock()
	ok = err == nil && s.end < netClosing
	s.shaking = !ok // else it lasts until its failure has been told
	s.mu.Unlock()
	if ok {
		return true
	}
	if err != nil {
		s.sockets.handshakeFailed(s.conn.RemoteAddr(), err)
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && looksLikeHTTP(record.RecordHeader) {
		refusePlain(record.Conn)
	}
	s.mu.Lock()
	s.shaking = false
	closed := s.closed
	s.mu.Unlock()
	if closed {
		s.sockets.left(s)
	} else {
		s.shut(false)
	}
	return false
}

// shake is a handshake that is bounded by a deadline, so that a peer that says nothing is told nothing; where a connection has
// none, by closing it after d.
func (s *netSocket) shake(c handshaker, bounded bool, d time.Duration) error {
	if bounded {
		err := c.HandshakeContext(context.Background())
		if err == nil {
			err = s.conn.SetDeadline(time.Time{})
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return c.HandshakeContext(ctx)
}

// looksLikeHTTP says whether what should have been the header of a TLS record begins a request in plain text.
func looksLikeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

const (
	refusePlainTime  = time.Second
	refusePlainBytes = 64 << 10
)

// refusePlain tells a client that asks without encryption what is wrong, and reads on for a moment, so that what it still
// sends doesn't reset the connection under the answer.
func refusePlain(c net.Conn) {
	if c.SetDeadline(time.Now().Add(refusePlainTime)) != nil {
		return
	}
	const answer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
	if _, err := io.WriteString(c, answer); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, refusePlainBytes) // its end is all that counts
	}
}
