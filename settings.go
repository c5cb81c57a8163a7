// SPDX-License-Identifier: MIT

package waitress

import (
	"fmt"
	"net/http"
	"reflect"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress/accesslog"
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

// logged returns next with what the Server's adjustments want logged of each request. It is what is outermost, so that it
// sees whatever is answered; the client's address is in the request by the time it looks.
func (s *Server) logged(next http.Handler, r *running) http.Handler {
	if s.AccessLog == nil && s.SlowRequest <= 0 {
		return next
	}
	c := accesslog.Config{JSON: s.AccessLogFormat == "json", Sample: s.AccessLogSample, Slow: s.SlowRequest}
	if s.AccessLog != nil {
		r.access = accesslog.NewLog(s.AccessLog, func(err error) { r.log.Error("writing the access log", zap.Error(err)) })
		c.Log = r.access
	}
	c.SlowFunc = func(q *http.Request, x accesslog.Result) {
		r.log.Warn("slow request",
			zap.String("client", q.RemoteAddr), zap.String("method", q.Method), zap.String("host", q.Host),
			zap.String("uri", q.RequestURI), zap.Int("status", x.Status), zap.Int64("bytes", x.Bytes),
			zap.Duration("duration", x.Duration), zap.Bool("panicked", x.Panicked))
	}
	return accesslog.Handler(next, c)
}
