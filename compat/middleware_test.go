// SPDX-License-Identifier: MIT

package compat

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/sessions"
	"github.com/klauspost/compress/gzhttp"
	"github.com/rs/cors"
)

func TestCORS(t *testing.T) {
	app := cors.New(cors.Options{
		AllowedOrigins: []string{"https://guests.example"}, AllowedMethods: []string{"GET", "PUT"},
		AllowedHeaders: []string{"X-Table"}, AllowCredentials: true, MaxAge: 60,
	}).Handler(http.HandlerFunc(private))
	compare(
		t, always(app),
		step{request: "GET /", header: []string{"Origin: https://guests.example"}, want: "200 " + privateMenu},
		step{request: "GET /", header: []string{"Origin: https://others.example"}, want: "200 " + privateMenu},
		step{request: "OPTIONS /", header: []string{
			"Origin: https://guests.example", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-table",
		}, want: "204 "},
		step{request: "OPTIONS /", header: []string{
			"Origin: https://guests.example", "Access-Control-Request-Method: DELETE",
		}, want: "204 "},
	)
}

// longText is worth compressing, and more than any buffer on its way.
var longText = strings.Repeat("Of all the soups on the menu, this one was the longest. ", 5000)

// TestCompression has the usual middleware that puts a ResponseWriter of its own around the server's.
func TestCompression(t *testing.T) {
	long := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for rest := longText; rest != ""; {
			n := min(len(rest), 10_000)
			_, _ = io.WriteString(w, rest[:n])
			if rest = rest[n:]; len(rest) < 50_000 {
				w.(http.Flusher).Flush()
			}
		}
	})
	for _, middleware := range []struct {
		name string
		app  http.Handler
	}{
		{"gzhttp", gzhttp.GzipHandler(long)},
		{"chi", chimiddleware.Compress(5)(long)},
		{"gzhttp around chi's logger", gzhttp.GzipHandler(chimiddleware.RequestLogger(quietLog{})(long))},
	} {
		t.Run(middleware.name, func(t *testing.T) {
			compare(
				t, always(middleware.app),
				step{request: "GET /", want: "200 " + longText},
				step{request: "GET /", header: []string{"Accept-Encoding: gzip"}, want: "200 .*"},
				step{request: "HEAD /", header: []string{"Accept-Encoding: gzip"}, want: "200 "},
			)
			each(t, always(middleware.app), func(t *testing.T, s *started) {
				resp, body := s.play(t, step{request: "GET /", header: []string{"Accept-Encoding: gzip"}})
				if e := resp.Header.Get("Content-Encoding"); e != "gzip" || len(body) > len(longText)/10 {
					t.Errorf("%d bytes, Content-Encoding %q", len(body), e)
				}
				z, err := gzip.NewReader(strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(z); err != nil || string(text) != longText {
					t.Errorf("%d bytes of text, %v", len(text), err)
				}
			})
		})
	}
}

// TestTimeoutHandler: the handler that is late notices, and its client gets 503.
func TestTimeoutHandler(t *testing.T) {
	late := make(chan error, len(engines))
	mux := http.NewServeMux()
	mux.Handle("/quick", http.TimeoutHandler(http.HandlerFunc(private), patience, ""))
	mux.Handle("/late", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "never seen")
		<-r.Context().Done()
		// The context ends a moment before the writer does.
		var err error
		for err == nil {
			_, err = io.WriteString(w, "too late")
		}
		late <- err
	}), time.Millisecond, "The kitchen is closed."))
	compare(
		t, always(mux),
		step{request: "GET /quick", want: "200 " + privateMenu},
		step{request: "GET /late", want: `503 The kitchen is closed\.`},
		step{request: "GET /quick", want: "200 " + privateMenu},
	)
	for range engines {
		if err := receive(t, "the late handler", late); !errors.Is(err, http.ErrHandlerTimeout) {
			t.Error("Write after the timeout:", err)
		}
	}
}

func TestMaxBytesHandler(t *testing.T) {
	const tooLarge = "400 http: request body too large\n"
	app := always(http.MaxBytesHandler(http.HandlerFunc(upper), 10))
	compare(
		t, app,
		step{request: "POST /", body: "0123456789", want: "200 0123456789"},
		step{request: "POST /", body: strings.Repeat("a", 300_000), want: tooLarge},
		step{request: "POST /", body: "again", want: "200 AGAIN"},
	)
	// What is a little too large is read to its end here, and the connection kept. net/http's own writer is told of it by an
	// unexported method, and closes.
	each(t, app, func(t *testing.T, s *started) {
		s.expect(t, step{request: "POST /", body: "0123456789a", want: tooLarge})
		s.expect(t, step{request: "POST /", body: "again", want: "200 AGAIN"})
	})
}

//go:embed doc.go *_test.go
var embedded embed.FS

// TestFiles has http.FileServer over what is embedded, on disk and made up.
func TestFiles(t *testing.T) {
	modified := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	mux := http.NewServeMux()
	mux.Handle("/embedded/", http.StripPrefix("/embedded", http.FileServerFS(embedded)))
	mux.Handle("/disk/", http.StripPrefix("/disk", http.FileServer(http.Dir("."))))
	mux.Handle("/made/", http.StripPrefix("/made", http.FileServerFS(fstest.MapFS{
		"menu.txt":        {Data: []byte(longText), ModTime: modified},
		"page/index.html": {Data: []byte("<!doctype html><title>Menu</title>"), ModTime: modified},
		"empty":           {ModTime: modified},
	})))
	compare(
		t, always(mux),
		step{request: "GET /embedded/doc.go", want: "200 // SPDX.*package compat\n"},
		step{request: "GET /disk/doc.go", want: "200 // SPDX.*package compat\n"},
		step{request: "HEAD /disk/doc.go", want: "200 "},
		step{request: "GET /made/menu.txt", want: "200 " + longText},
		step{request: "GET /made/menu.txt", header: []string{"Range: bytes=100000-100009"}, want: "206 .{10}"},
		step{request: "GET /made/menu.txt", header: []string{"Range: bytes=0-1,7-9"}, want: "206 --.*Of.*the.*--\r\n"},
		step{request: "GET /made/menu.txt", header: []string{"Range: bytes=900000-"}, want: "416 .*"},
		step{request: "GET /made/menu.txt", header: []string{"If-Modified-Since: Sat, 03 Feb 2001 04:05:06 GMT"}, want: "304 "},
		step{request: "GET /made/menu.txt", header: []string{"If-Unmodified-Since: Sat, 03 Feb 2001 04:05:05 GMT"}, want: "412 "},
		step{request: "HEAD /made/menu.txt", want: "200 "},
		step{request: "GET /made/page/", want: "200 <!doctype.*"},
		step{request: "GET /made/page", want: "301 "},
		step{request: "GET /made/page/index.html", want: "301 "},
		step{request: "GET /made/empty", want: "200 "},
		step{request: "GET /made/", want: "200 .*menu.txt.*"},
		step{request: "GET /made/../made/none", want: "(301|307|404) .*"},
		step{request: "GET /none", want: "404 .*"},
	)
}

// TestSessions counts visits in a cookie that the client brings back.
func TestSessions(t *testing.T) {
	app := func(*testing.T) http.Handler {
		store := sessions.NewCookieStore(bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, err := store.Get(r, "session")
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			visits, _ := session.Values["visits"].(int)
			session.Values["visits"] = visits + 1
			if err := session.Save(r, w); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "last", Value: fmt.Sprint(visits), Path: "/", HttpOnly: true})
			fmt.Fprint(w, visits)
		})
	}
	compare(
		t, app,
		step{request: "GET /", want: "200 0"},
		step{request: "GET /", want: "200 1"},
		step{request: "GET /", want: "200 2"},
		step{request: "GET /", header: []string{"Cookie: session=forged"}, want: "400 .*"},
	)
}
