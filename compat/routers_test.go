// SPDX-License-Identifier: MIT

package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

// A dinner is what the routers' applications read and write.
type dinner struct {
	Dish  string `json:"dish"`
	Count int    `json:"count"`
}

// TestRouters has one application, written as each router wants it: parameters, JSON both ways, middleware, a stream, a
// panic that the router's own middleware answers, and what no route is for.
func TestRouters(t *testing.T) {
	steps := []step{
		{request: "GET /tables/7/guests/Ada%20L", want: "200 table 7, Ada L"},
		{request: "HEAD /tables/7/guests/Ada", want: "(200|404|405) "},
		{
			request: "POST /orders", header: []string{"Content-Type: application/json"}, body: `{"dish":"soup","count":2}`,
			want: `201 \{"dish":"soup","count":3\}\n?`,
		},
		{request: "POST /orders", header: []string{"Content-Type: application/json"}, body: `{"dish":`, want: "400 .*"},
		{request: "GET /private/menu", want: "401 .*"},
		{request: "GET /private/menu", header: []string{"Authorization: Basic Z3Vlc3Q6aHVuZ3J5"}, want: "200 soup, and soup"},
		{request: "GET /stream", want: "200 0\n1\n2\n"},
		{request: "GET /moved", want: "302 .*"},
		{request: "GET /panic", want: "500 .*"},
		{request: "GET /none", want: "404 .*"},
		{request: "DELETE /orders", want: "(404|405) .*"},
		{request: "POST /upper?x=1", body: "Quickly, please.", want: "200 QUICKLY, PLEASE."},
		{request: "GET /files/doc.go", want: "200 // SPDX.*package compat\n"},
		{request: "GET /files/doc.go", header: []string{"Range: bytes=3-6"}, want: "206 SPDX"},
	}
	for _, router := range []struct {
		name string
		app  func(t *testing.T) http.Handler
	}{
		{"ServeMux", newServeMuxApp}, {"chi", newChiApp}, {"gin", newGinApp}, {"echo", newEchoApp}, {"mux", newMuxApp},
	} {
		t.Run(router.name, func(t *testing.T) { compare(t, router.app, steps...) })
	}
}

// guests are who may enter.
var guests = map[string]string{"guest": "hungry"}

const privateMenu = "soup, and soup"

// The handlers that net/http's, chi's and gorilla's routers share; param gives a path's parameter.
func tables(param func(r *http.Request, name string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "table %s, %s", param(r, "table"), param(r, "guest"))
	}
}

func orders(w http.ResponseWriter, r *http.Request) {
	var o dinner
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.Count++
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(o)
}

func private(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, privateMenu) }

func stream(w http.ResponseWriter, _ *http.Request) {
	for i := range 3 {
		fmt.Fprintln(w, i)
		w.(http.Flusher).Flush()
	}
}

func moved(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/tables/1/guests/Bo", http.StatusFound)
}

func panics(http.ResponseWriter, *http.Request) { panic("the kitchen is on fire") }

func upper(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for i, c := range body {
		if 'a' <= c && c <= 'z' {
			body[i] = c - 'a' + 'A'
		}
	}
	_, _ = w.Write(body)
}

var files = http.StripPrefix("/files/", http.FileServer(http.Dir(".")))

// basicAuth and recovery are for the routers that come without middleware.
func basicAuth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, ok := r.BasicAuth(); !ok || guests[name] != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="restaurant"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func recovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				http.Error(w, fmt.Sprint(v), http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func newServeMuxApp(*testing.T) http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /tables/{table}/guests/{guest}", tables((*http.Request).PathValue))
	m.HandleFunc("POST /orders", orders)
	m.Handle("GET /private/menu", basicAuth(http.HandlerFunc(private)))
	m.HandleFunc("GET /stream", stream)
	m.HandleFunc("GET /moved", moved)
	m.HandleFunc("GET /panic", panics)
	m.HandleFunc("POST /upper", upper)
	m.Handle("GET /files/", files)
	return recovery(m)
}

func newChiApp(*testing.T) http.Handler {
	r := chi.NewRouter()
	r.Use(chimiddleware.RequestLogger(quietLog{}), chimiddleware.Recoverer, chimiddleware.GetHead)
	r.Get("/tables/{table}/guests/{guest}", tables(chi.URLParam))
	r.Post("/orders", orders)
	r.Route("/private", func(r chi.Router) {
		r.Use(chimiddleware.BasicAuth("restaurant", guests))
		r.Get("/menu", private)
	})
	r.Get("/stream", stream)
	r.Get("/moved", moved)
	r.Get("/panic", panics)
	r.With(chimiddleware.AllowContentEncoding("identity")).Post("/upper", upper)
	r.Handle("/files/*", files)
	return r
}

// A quietLog keeps chi's middleware, which reports panics to its log, from printing.
type quietLog struct{}

func (quietLog) NewLogEntry(*http.Request) chimiddleware.LogEntry { return quietLog{} }
func (quietLog) Write(int, int, http.Header, time.Duration, any)  {}
func (quietLog) Panic(any, []byte)                                {}

func newMuxApp(*testing.T) http.Handler {
	r := mux.NewRouter()
	r.Use(recovery)
	r.Handle("/tables/{table:[0-9]+}/guests/{guest}", tables(func(r *http.Request, name string) string { return mux.Vars(r)[name] })).
		Methods(http.MethodGet)
	r.HandleFunc("/orders", orders).Methods(http.MethodPost)
	p := r.PathPrefix("/private").Subrouter()
	p.Use(basicAuth)
	p.HandleFunc("/menu", private)
	r.HandleFunc("/stream", stream)
	r.HandleFunc("/moved", moved)
	r.HandleFunc("/panic", panics)
	r.HandleFunc("/upper", upper).Methods(http.MethodPost).Queries("x", "{x}")
	r.PathPrefix("/files/").Handler(files)
	return r
}

func newGinApp(*testing.T) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, v any) {
		c.String(http.StatusInternalServerError, "%v", v)
		c.Abort()
	}))
	e.GET("/tables/:table/guests/:guest", func(c *gin.Context) {
		c.String(http.StatusOK, "table %s, %s", c.Param("table"), c.Param("guest"))
	})
	e.POST("/orders", func(c *gin.Context) {
		var o dinner
		if err := c.ShouldBindJSON(&o); err != nil {
			c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
			return
		}
		o.Count++
		c.JSON(http.StatusCreated, o)
	})
	e.Group("/private", gin.BasicAuth(guests)).GET("/menu", func(c *gin.Context) { c.String(http.StatusOK, privateMenu) })
	e.GET("/stream", func(c *gin.Context) {
		i := 0
		c.Stream(func(w io.Writer) bool {
			fmt.Fprintln(w, i)
			i++
			return i < 3
		})
	})
	e.GET("/moved", func(c *gin.Context) { c.Redirect(http.StatusFound, "/tables/1/guests/Bo") })
	e.GET("/panic", func(*gin.Context) { panic("the kitchen is on fire") })
	e.POST("/upper", gin.WrapF(upper))
	e.StaticFS("/files", gin.Dir(".", false))
	return e
}

func newEchoApp(*testing.T) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(echomiddleware.Recover(), echomiddleware.BodyLimit("1M"))
	e.GET("/tables/:table/guests/:guest", func(c echo.Context) error {
		return c.String(http.StatusOK, fmt.Sprintf("table %s, %s", c.Param("table"), c.Param("guest")))
	})
	e.POST("/orders", func(c echo.Context) error {
		var o dinner
		if err := c.Bind(&o); err != nil {
			return err
		}
		o.Count++
		return c.JSON(http.StatusCreated, o)
	})
	p := e.Group("/private", echomiddleware.BasicAuth(func(name, password string, _ echo.Context) (bool, error) {
		if name == "" {
			return false, errors.New("who is it?")
		}
		return guests[name] == password, nil
	}))
	p.GET("/menu", func(c echo.Context) error { return c.String(http.StatusOK, privateMenu) })
	e.GET("/stream", func(c echo.Context) error {
		for i := range 3 {
			fmt.Fprintln(c.Response(), i)
			c.Response().Flush()
		}
		return nil
	})
	e.GET("/moved", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/tables/1/guests/Bo") })
	e.GET("/panic", func(echo.Context) error { panic("the kitchen is on fire") })
	e.POST("/upper", echo.WrapHandler(http.HandlerFunc(upper)))
	e.Static("/files", ".")
	return e
}
