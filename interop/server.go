// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/waitress-go/waitress"
)

// serveApp is the server that is checked.
func serveApp(policy waitress.Policy) error {
	return waitress.Serve(newApp(), waitress.Listen("127.0.0.1:0"), waitress.WithPolicy(policy), func(s *waitress.Server) {
		s.ShutdownTimeout = stopTime / 2
	})
}

// An app is what the checks ask.
type app struct {
	*http.ServeMux

	requests atomic.Int64 // to /hello
	gone     atomic.Int64 // answers that a client did not take to the end

	mu      sync.Mutex
	peers   map[string]bool // guarded by mu; the addresses that have asked for /peer
	forward chan struct{}   // what /steps waits for before each event
}

const hello = "Hello, World!"

// events is how many events /events has.
const events = 5

//go:embed page.html
var page []byte

// maxBytes is the largest answer that /bytes gives.
const maxBytes = 64 << 20

// content is n bytes that don't repeat, the same ones for the same n.
func content(n int) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}), int64(n))
}

// digest says which bytes there are in r.
func digest(r io.Reader) (string, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return fmt.Sprintf("%d bytes, %x", n, sum.Sum(nil)), err
}

func newApp() *app {
	a := &app{ServeMux: http.NewServeMux(), peers: make(map[string]bool), forward: make(chan struct{})}
	a.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		a.requests.Add(1)
		_, _ = io.WriteString(w, hello)
	})
	a.HandleFunc("/requests", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, a.requests.Load()) })
	a.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, a.gone.Load()) })
	a.HandleFunc("/peer", a.peer)
	a.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) {
		text, err := digest(r.Body)
		fmt.Fprintf(w, "%s, %v", text, err)
	})
	a.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		file, _, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer func() { _ = file.Close() }()
		text, err := digest(file)
		fmt.Fprintf(w, "%s, %v, %s", text, err, r.FormValue("table"))
	})
	a.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "No.", http.StatusForbidden) })
	a.HandleFunc("/bytes", a.bytes)
	a.HandleFunc("/range", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "range.txt", time.Unix(981173106, 0), bytes.NewReader([]byte("0123456789abcdefghij")))
	})
	a.HandleFunc("/trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Sum")
		_, _ = io.WriteString(w, hello)
		w.(http.Flusher).Flush()
		w.Header().Set("Sum", "13")
	})
	a.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, hello)
	})
	a.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", i, i)
			w.(http.Flusher).Flush()
		}
	})
	a.HandleFunc("/steps", a.steps)
	a.HandleFunc("/forward", func(http.ResponseWriter, *http.Request) { a.forward <- struct{}{} })
	a.HandleFunc("/echo", echo)
	a.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	a.HandleFunc("/asset/{name}", asset)
	return a
}

// peer tells how many addresses have asked it so far.
func (a *app) peer(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peers[r.RemoteAddr] = true
	fmt.Fprint(w, len(a.peers))
}

// bytes answers with as many bytes as are asked for.
func (a *app) bytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil || n < 0 || n > maxBytes {
		http.Error(w, "how many?", http.StatusBadRequest)
		return
	}
	if r.FormValue("chunked") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := io.Copy(w, content(n)); err != nil {
		a.gone.Add(1)
	}
}

// steps sends an event each time that somebody asks for /forward.
func (a *app) steps(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	for i := range events {
		select {
		case <-r.Context().Done():
			return
		case <-a.forward:
		}
		fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
	}
}

// echo is a WebSocket.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, p, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, p) != nil {
			return
		}
	}
}

// asset is one of the things that the page consists of: a style, a script or a picture.
func asset(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	name := r.PathValue("name")
	number, err := strconv.Atoi(name[:max(len(name)-len(".css"), 0)])
	if err != nil {
		http.NotFound(w, r)
		return
	}
	switch name[len(name)-len(".css"):] {
	case ".css":
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprintf(w, "#style%d { border-bottom: %dpx solid green }\n", number, number+1)
	case ".mjs":
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, "loaded('script', %d)\n", number)
	case ".svg":
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="18" fill="hsl(%d,70%%,50%%)"/>`+
			`<text x="20" y="25" text-anchor="middle" fill="white">%d</text></svg>`, number*14, number)
	default:
		http.NotFound(w, r)
	}
}
