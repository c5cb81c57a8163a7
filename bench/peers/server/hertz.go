// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	hertz "github.com/cloudwego/hertz/pkg/app"
	"github.com/cloudwego/hertz/pkg/app/server"
	"github.com/cloudwego/hertz/pkg/common/hlog"

	"github.com/waitress-go/waitress/bench/internal/app"
)

func hertzEngine(o *app.Options, ready func(net.Addr)) error {
	if err := o.Plain(); err != nil {
		return err
	}
	l, err := o.Listen()
	if err != nil {
		return err
	}
	hlog.SetOutput(io.Discard)
	h := server.New(server.WithListener(l), server.WithDisablePrintRoute(true))
	hertzRoutes(h)
	if o.Files != "" {
		h.StaticFS("/file", &hertz.FS{Root: o.Files, PathRewrite: hertz.NewPathSlashesStripper(1)})
	}
	ready(l.Addr())
	return h.Run()
}

// hertzRoutes is app.Handler in hertz's terms.
func hertzRoutes(h *server.Hertz) {
	hello := func(_ context.Context, c *hertz.RequestContext) { c.String(http.StatusOK, app.Hello) }
	refused := func(c *hertz.RequestContext, err error) bool {
		if err != nil {
			c.String(http.StatusBadRequest, err.Error())
		}
		return err != nil
	}
	h.GET("/", hello)
	h.GET("/json", func(_ context.Context, c *hertz.RequestContext) {
		c.Data(http.StatusOK, "application/json", app.JSON())
	})
	h.GET("/sleep", func(ctx context.Context, c *hertz.RequestContext) {
		d, err := app.Sleep(c.Query("ms"))
		if refused(c, err) {
			return
		}
		time.Sleep(d)
		hello(ctx, c)
	})
	h.GET("/busy", func(ctx context.Context, c *hertz.RequestContext) {
		if refused(c, app.Busy(c.Query("kib"))) {
			return
		}
		hello(ctx, c)
	})
	h.GET("/bytes", func(_ context.Context, c *hertz.RequestContext) {
		n, err := app.Bytes(c.Query("n"))
		if refused(c, err) {
			return
		}
		c.SetContentType("application/octet-stream")
		c.SetBodyStream(zeros(n), n)
	})
	h.POST("/echo", func(_ context.Context, c *hertz.RequestContext) {
		c.Data(http.StatusOK, "application/octet-stream", c.Request.Body())
	})
	h.POST("/upload", func(_ context.Context, c *hertz.RequestContext) {
		c.String(http.StatusOK, strconv.Itoa(len(c.Request.Body())))
	})
}
