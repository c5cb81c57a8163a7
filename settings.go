// SPDX-License-Identifier: MIT

package waitress

import (
	"fmt"
	"reflect"
	"strings"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress/accesslog"
	"github.com/waitress-go/waitress/http1"
)

// settings are the Server's adjustments that are not their defaults, for the log.
func (s *Server) settings() []zap.Field {
	var fields []zap.Field
	v := reflect.ValueOf(s).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		value := v.FieldByIndex(f.Index)
		if !f.IsExported() || value.IsZero() {
			continue
		}
		switch k := f.Type.Kind(); {
		case k == reflect.Func || k == reflect.Interface || k == reflect.Pointer:
			fields = append(fields, zap.Stringer(f.Name, reflect.TypeOf(value.Interface())))
		default:
			fields = append(fields, zap.String(f.Name, fmt.Sprint(value.Interface())))
		}
	}
	return fields
}

// startLog makes what logs each request as the Server's adjustments want it, or nil if they don't.
func (s *Server) startLog(r *running) *accesslog.Logger {
	if s.AccessLog == nil && s.SlowRequest <= 0 {
		return nil
	}
	c := accesslog.Config{JSON: s.AccessLogFormat == "json", Sample: s.AccessLogSample, Slow: s.SlowRequest}
	if s.AccessLog != nil {
		r.access = accesslog.NewLog(s.AccessLog, func(err error) { r.log.Error("writing the access log", zap.Error(err)) })
		c.Log = r.access
	}
	c.SlowFunc = func(e accesslog.Entry) {
		// The log may keep what it gets, and the texts be overwritten.
		text := func(name, value string) zap.Field { return zap.String(name, strings.Clone(value)) }
		r.log.Warn("slow request",
			text("client", e.Client), text("method", e.Method), text("host", e.Host), text("uri", e.URI),
			zap.Int("status", e.Status), zap.Int64("bytes", e.Bytes), zap.Duration("duration", e.Duration), zap.Bool("panicked", e.Panicked))
	}
	return accesslog.NewLogger(c)
}

// logReports returns what logs the requests that no http.Handler serves.
func logReports(l *accesslog.Logger) func(http1.Report) {
	return func(r http1.Report) {
		l.Log(&accesslog.Entry{
			Client: r.Client, Method: r.Method, URI: r.Target, Proto: r.Proto, Host: r.Host, Referer: r.Referer, Agent: r.Agent,
			Result: accesslog.Result{Start: r.Start, Duration: r.Duration, Status: r.Status, Bytes: r.Bytes, Panicked: r.Panicked},
		})
	}
}
