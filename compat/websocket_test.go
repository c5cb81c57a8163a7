// SPDX-License-Identifier: MIT

package compat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
)

// maxMessage is above all sizes that a frame's head has a form for.
const maxMessage = 70_000

// An echoer is a WebSocket library's echo handler.
type echoer struct {
	name       string
	compressed bool
	app        func(t *testing.T) http.Handler
}

var echoers = []echoer{
	{"gorilla", false, always(gorillaEcho(false))},
	{"gorilla, compressed", true, always(gorillaEcho(true))},
	{"coder", false, always(coderEcho(coder.CompressionDisabled))},
	{"coder, compressed", true, always(coderEcho(coder.CompressionNoContextTakeover))},
	{"gorilla on gin", false, func(*testing.T) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		e := gin.New()
		e.GET("/", gin.WrapH(gorillaEcho(false)))
		return e
	}},
	{"coder on echo", false, func(*testing.T) http.Handler {
		e := echo.New()
		e.GET("/", echo.WrapHandler(coderEcho(coder.CompressionDisabled)))
		return e
	}},
}

func gorillaEcho(compressed bool) http.Handler {
	up := gorilla.Upgrader{EnableCompression: compressed}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered
		}
		defer func() { _ = c.Close() }()
		for {
			kind, p, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, p) != nil {
				return
			}
		}
	})
}

func coderEcho(mode coder.CompressionMode) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: mode})
		if err != nil {
			return // Accept has answered
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(maxMessage)
		for {
			kind, p, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, p) != nil {
				return
			}
		}
	})
}

// A recorder is a client's connection that remembers what the server has sent.
type recorder struct {
	net.Conn
	got bytes.Buffer // the reader's
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.got.Write(p[:n])
	return n, err
}

// TestWebSocketEcho sends 10,000 messages over each library's echo server, by several clients at once, each of which sends
// without waiting for the answers. What comes back is the same, byte for byte on the wire, as on net/http.
func TestWebSocketEcho(t *testing.T) {
	const clients = 10
	messages := 10_000 / clients
	if testing.Short() {
		messages /= 10
	}
	for _, e := range echoers {
		t.Run(e.name, func(t *testing.T) {
			var expected []string
			each(t, e.app, func(t *testing.T, s *started) {
				got := make([]string, clients)
				var wg sync.WaitGroup
				for i := range clients {
					wg.Go(func() {
						var err error
						if got[i], err = echoMessages(t.Context(), s, e.compressed, uint64(i), messages); err != nil {
							t.Errorf("client %d: %v", i, err)
						}
					})
				}
				wg.Wait()
				if expected == nil {
					expected = got
				}
				for i := range got {
					if got[i] != expected[i] {
						t.Errorf("client %d, got:\n%s%s:\n%s", i, got[i], reference, expected[i])
					}
				}
			})
		})
	}
}

// random are the fields of the handshake that differ each time.
var random = regexp.MustCompile(`(?i)(Sec-WebSocket-Accept|Date): [^\r]*`)

// echoMessages sends messages and checks the echoes. It returns what the server sent: the head of its answer, and length
// and hash of all that followed.
func echoMessages(ctx context.Context, s *started, compressed bool, seed uint64, messages int) (string, error) {
	var wire *recorder
	dialer := gorilla.Dialer{
		EnableCompression: compressed,
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			wire = &recorder{Conn: c}
			return wire, err
		},
	}
	c, resp, err := dialer.DialContext(ctx, "ws://"+s.addr+"/", nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return "", errors.New(resp.Status)
	}
	if err := wire.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}

	sent := make(chan error, 1)
	go func() { sent <- sendMessages(c, seed, messages) }()
	source := newMessages(seed)
	for i := range messages {
		wantKind, want := source.next()
		kind, got, err := c.ReadMessage()
		if err != nil {
			return "", fmt.Errorf("message %d: %w", i, err)
		}
		if kind != wantKind || !bytes.Equal(got, want) {
			return "", fmt.Errorf("message %d: %d bytes of kind %d, want %d of %d", i, len(got), kind, len(want), wantKind)
		}
	}
	if err := <-sent; err != nil {
		return "", err
	}
	// The close is a message too, and answered.
	if err := c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, "")); err != nil {
		return "", err
	}
	if _, _, err := c.ReadMessage(); !gorilla.IsCloseError(err, gorilla.CloseNormalClosure) {
		return "", fmt.Errorf("the end: %w", err)
	}
	head, rest, _ := bytes.Cut(wire.got.Bytes(), []byte("\r\n\r\n"))
	return fmt.Sprintf("%s\n\n%d bytes, %x\n", random.ReplaceAll(head, []byte("$1")), len(rest), sha256.Sum256(rest)), nil
}

func sendMessages(c *gorilla.Conn, seed uint64, messages int) error {
	source := newMessages(seed)
	for i := range messages {
		kind, p := source.next()
		if i%7 != 0 {
			if err := c.WriteMessage(kind, p); err != nil {
				return err
			}
			continue
		}
		// In several frames, as far as it is larger than the client's buffer.
		w, err := c.NextWriter(kind)
		if err != nil {
			return err
		}
		for len(p) > 0 {
			n := min(len(p), 1000)
			if _, err := w.Write(p[:n]); err != nil {
				return err
			}
			p = p[n:]
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

// A messageSource makes messages of all sizes, the same ones for the same seed.
type messageSource struct {
	*rand.Rand
	text []byte
}

func newMessages(seed uint64) *messageSource {
	return &messageSource{rand.New(rand.NewPCG(seed, 0)), []byte(longText[:maxMessage])}
}

func (m *messageSource) next() (kind int, p []byte) {
	size := m.IntN(500)
	switch m.IntN(50) {
	case 0:
		size = []int{0, 1, 125, 126, 127, 4095, 4096, 4097, 65535, 65536}[m.IntN(10)]
	case 1:
		size = m.IntN(maxMessage)
	}
	from := m.IntN(maxMessage - size)
	if m.IntN(2) == 0 {
		return gorilla.TextMessage, m.text[from : from+size]
	}
	return gorilla.BinaryMessage, m.text[from : from+size]
}

// TestWebSocketControl has what is not an echo: a handshake that is refused, pings both ways, a server that speaks first and
// that closes, and a client of the other library.
func TestWebSocketControl(t *testing.T) {
	up := gorilla.Upgrader{Subprotocols: []string{"orders"}}
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, http.Header{"X-Table": {"7"}})
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		c.SetPongHandler(func(data string) error { return c.WriteMessage(gorilla.TextMessage, []byte(data)) })
		_ = c.WriteMessage(gorilla.TextMessage, []byte("welcome"))
		_ = c.WriteMessage(gorilla.PingMessage, []byte("are you there?"))
		if _, p, err := c.ReadMessage(); err != nil || string(p) != "soup" {
			_ = c.WriteMessage(gorilla.TextMessage, fmt.Appendf(nil, "%q, %v", p, err))
			return
		}
		_ = c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(4000, "closing time"))
	})
	compare(
		t, always(app),
		step{request: "GET /", want: "400 Bad Request\n"},
		step{request: "GET /", header: []string{"Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 12"}, want: "(400|426) .*"},
		step{request: "POST /", header: []string{"Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}, want: "405 .*"},
		step{request: "GET /", header: []string{
			"Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: http://elsewhere.example",
		}, want: "403 .*"},
	)
	each(t, always(app), func(t *testing.T, s *started) {
		c, resp, err := coder.Dial(t.Context(), s.url, &coder.DialOptions{HTTPClient: s.client, Subprotocols: []string{"orders"}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		if c.Subprotocol() != "orders" || resp.Header.Get("X-Table") != "7" {
			t.Errorf("subprotocol %q, header %v", c.Subprotocol(), resp.Header)
		}
		var got []string
		for i := range 3 {
			if i == 2 {
				if err := c.Write(t.Context(), coder.MessageText, []byte("soup")); err != nil {
					t.Fatal(err)
				}
			}
			_, p, err := c.Read(t.Context())
			if err != nil {
				got = append(got, fmt.Sprint(int(coder.CloseStatus(err))))
				break
			}
			got = append(got, string(p))
		}
		if text := strings.Join(got, ", "); text != "welcome, are you there?, 4000" {
			t.Errorf("got %s", text)
		}
	})
}

// TestUpgradeByHand is a protocol of the application's own: 101, and then lines.
func TestUpgradeByHand(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "lines")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = rw.WriteString(strings.ToUpper(line))
			if rw.Flush() != nil {
				return
			}
		}
	})
	each(t, always(app), func(t *testing.T, s *started) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "lines")
		// A Client with a Timeout would wrap what it returns.
		resp, err := s.client.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		rw, ok := resp.Body.(io.ReadWriteCloser)
		if !ok {
			t.Fatal(resp.Status)
		}
		for _, line := range []string{"soup\n", "and more soup\n"} {
			_, _ = io.WriteString(rw, line)
			got := make([]byte, len(line))
			if _, err := io.ReadFull(rw, got); err != nil || string(got) != strings.ToUpper(line) {
				t.Errorf("%q, %v", got, err)
			}
		}
		_ = rw.Close()
	})
}
