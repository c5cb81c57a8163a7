// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/waitress-go/waitress/bench/internal/app"
)

func fastHTTPEngine(o *app.Options, ready func(net.Addr)) error {
	l, err := o.Listen()
	if err != nil {
		return err
	}
	ready(l.Addr())
	files := &fasthttp.FS{Root: o.Files, PathRewrite: fasthttp.NewPathSlashesStripper(1)}
	s := &fasthttp.Server{Handler: fastHTTPHandler(files.NewRequestHandler())}
	return s.Serve(l)
}

// fastHTTPHandler is app.Handler in fasthttp's terms.
func fastHTTPHandler(file fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		var err error
		switch string(c.Path()) {
		case "/":
			c.SetBodyString(app.Hello)
		case "/json":
			c.SetContentType("application/json")
			c.SetBody(app.JSON())
		case "/sleep":
			var d time.Duration
			if d, err = app.Sleep(string(c.FormValue("ms"))); err == nil {
				time.Sleep(d)
				c.SetBodyString(app.Hello)
			}
		case "/busy":
			if err = app.Busy(string(c.FormValue("kib"))); err == nil {
				c.SetBodyString(app.Hello)
			}
		case "/bytes":
			var n int
			if n, err = app.Bytes(string(c.FormValue("n"))); err == nil {
				c.SetContentType("application/octet-stream")
				c.SetBodyStream(zeros(n), n)
			}
		case "/echo":
			c.SetContentType("application/octet-stream")
			c.SetBody(c.PostBody())
		case "/upload":
			c.SetBodyString(strconv.Itoa(len(c.PostBody())))
		default:
			if bytes.HasPrefix(c.Path(), []byte("/file/")) {
				file(c)
			} else {
				c.NotFound()
			}
		}
		if err != nil {
			c.Error(err.Error(), fasthttp.StatusBadRequest)
		}
	}
}

// zeros is what /bytes sends.
func zeros(n int) io.Reader { return io.LimitReader(zeroReader{}, int64(n)) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return copy(p, app.Block(len(p))), nil }
