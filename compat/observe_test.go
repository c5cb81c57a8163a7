// SPDX-License-Identifier: MIT

package compat

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestPrometheus counts requests with promhttp's middleware, and reads the counts where Prometheus would.
func TestPrometheus(t *testing.T) {
	app := func(t *testing.T) http.Handler {
		registry := prometheus.NewRegistry()
		requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, []string{"code", "method"})
		flying := prometheus.NewGauge(prometheus.GaugeOpts{Name: "in_flight"})
		sizes := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "size_bytes", Buckets: []float64{10, 100}}, nil)
		first := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "head_seconds", Buckets: []float64{1000}}, nil)
		registry.MustRegister(requests, flying, sizes, first)
		mux := http.NewServeMux()
		mux.HandleFunc("/menu", private)
		mux.HandleFunc("/stream", stream)
		mux.HandleFunc("/upper", upper)
		counted := promhttp.InstrumentHandlerCounter(requests, promhttp.InstrumentHandlerInFlight(flying,
			promhttp.InstrumentHandlerResponseSize(sizes, promhttp.InstrumentHandlerTimeToWriteHeader(first, mux))))
		whole := http.NewServeMux()
		whole.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
		whole.Handle("/", counted)
		return whole
	}
	const metrics = `200 # HELP head_seconds .*
head_seconds_bucket\{le="1000"\} 4
.*in_flight 0
.*requests_total\{code="200",method="get"\} 2
requests_total\{code="200",method="post"\} 1
requests_total\{code="404",method="get"\} 1
.*size_bytes_bucket\{le="10"\} 2
size_bytes_bucket\{le="100"\} 4
.*`
	var steps []step
	for _, request := range []string{"GET /menu", "GET /stream", "GET /none", "POST /upper"} {
		s := step{request: request, want: "(200|404) .*"}
		if request == "POST /upper" {
			s.body = "soup!"
		}
		steps = append(steps, s)
	}
	each(t, app, func(t *testing.T, s *started) {
		for _, step := range steps {
			s.play(t, step)
		}
		wanted := step{request: "GET /metrics", want: metrics}
		s.expect(t, wanted)
		wanted.header = []string{"Accept-Encoding: gzip"}
		resp, body := s.play(t, wanted)
		if e := resp.Header.Get("Content-Encoding"); e != "gzip" {
			t.Errorf("Content-Encoding %q", e)
		}
		if text := gunzip(t, []byte(body)); !strings.Contains(string(text), "in_flight 0\n") {
			t.Errorf("got %q", text)
		}
	})
}

func gunzip(t *testing.T, p []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestOpenTelemetry: otelhttp sees the same of each request as on net/http, and takes the caller's trace up.
func TestOpenTelemetry(t *testing.T) {
	const parent = "0af7651916cd43dd8448eb211c80319c"
	var expected string
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
			defer func() { _ = provider.Shutdown(t.Context()) }()
			mux := http.NewServeMux()
			mux.HandleFunc("POST /upper", upper)
			mux.HandleFunc("GET /stream", stream)
			mux.HandleFunc("GET /refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
			s := e.start(t, otelhttp.NewHandler(mux, "restaurant", otelhttp.WithTracerProvider(provider),
				otelhttp.WithPropagators(propagation.TraceContext{}), otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return false })))
			traced := []string{"Traceparent: 00-" + parent + "-b7ad6b7169203331-01", "User-Agent: guest"}
			s.expect(t, step{request: "POST /upper", header: traced, body: "soup", want: "200 SOUP"})
			s.expect(t, step{request: "GET /stream", header: traced, want: "200 0\n1\n2\n"})
			s.expect(t, step{request: "GET /refused", header: traced, want: "503 "})

			// A span ends after its handler, and so maybe after the answer has been read.
			for deadline := time.Now().Add(patience); len(recorder.Ended()) < 3 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			var b strings.Builder
			for _, span := range recorder.Ended() {
				if id := span.SpanContext().TraceID().String(); id != parent {
					t.Errorf("trace %s", id)
				}
				fmt.Fprintln(&b, span.Name(), span.Status().Code)
				for _, a := range span.Attributes() {
					if a.Key != "server.port" && a.Key != "network.peer.port" && a.Key != attribute.Key("client.port") {
						fmt.Fprintf(&b, "  %s = %s\n", a.Key, a.Value.Emit())
					}
				}
			}
			got := b.String()
			for _, want := range []string{"http.response.status_code = 503", "http.request.body.size = 4", "user_agent.original = guest"} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %s", want, got)
				}
			}
			if expected == "" {
				expected = got
			}
			if got != expected {
				t.Errorf("got:\n%s%s:\n%s", got, reference, expected)
			}
		})
	}
}

// TestPprof reads the pages of net/http/pprof. Two of them stream for as long as they are told to, and one looks into the
// http.Server in its context.
func TestPprof(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	each(t, always(mux), func(t *testing.T, s *started) {
		if page := s.get(t, "/debug/pprof/"); !strings.Contains(page, "full goroutine stack dump") {
			t.Errorf("index: %q", page)
		}
		if page := s.get(t, "/debug/pprof/goroutine?debug=2"); !strings.Contains(page, "net/http/pprof.handler.ServeHTTP") {
			t.Errorf("goroutine: %q", page)
		}
		if page := s.get(t, "/debug/pprof/cmdline"); !strings.Contains(page, "compat") {
			t.Errorf("cmdline: %q", page)
		}
		if page := s.get(t, "/debug/pprof/symbol"); page != "num_symbols: 1\n" {
			t.Errorf("symbol: %q", page)
		}
		for _, path := range []string{"/debug/pprof/heap", "/debug/pprof/goroutine", "/debug/pprof/profile?seconds=1"} {
			if text := gunzip(t, []byte(s.get(t, path))); len(text) == 0 {
				t.Errorf("%s: nothing", path)
			}
		}
		if trace := s.get(t, "/debug/pprof/trace?seconds=0.1"); !strings.HasPrefix(trace, "go 1.") {
			t.Errorf("trace: %.20q", trace)
		}
	})
}
