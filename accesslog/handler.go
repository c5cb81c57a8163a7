// SPDX-License-Identifier: MIT

package accesslog

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Config says what is logged.
type Config struct {
	// Log gets the lines. nil: there are none.
	Log *Log

	// JSON writes each line as a JSON object, instead of the combined format that web servers have in common.
	JSON bool

	// Sample is how many requests there are to a line. Default: 1, all of them.
	Sample int

	// Slow is how long a request may take before SlowFunc is told of it. 0: any time.
	Slow     time.Duration
	SlowFunc func(Entry)
}

// An Entry is what is logged of a request. A text that is not known is "".
type Entry struct {
	Client  string // "IP:port"
	Method  string
	URI     string // as it was sent
	Proto   string // "HTTP/1.1"
	Host    string
	Referer string
	Agent   string // User-Agent
	Result
}

// A Result is how a request ended.
type Result struct {
	Start    time.Time     // when its handler began
	Duration time.Duration // until the handler returned; the client may not have read all of the answer then
	Status   int           // of the answer; 0 if the handler did not come to give one
	Bytes    int64         // of content that the handler has written
	Hijacked bool          // the handler took the connection
	Panicked bool          // it panicked, or ended its goroutine
}

// A Logger logs as a Config says. Any goroutine may use it.
type Logger struct {
	config Config // immutable
	count  atomic.Uint64
	clock  clock
}

// NewLogger returns a Logger for c.
func NewLogger(c Config) *Logger { return &Logger{config: c} }

// Log logs one request: for those that no http.Handler has served. The texts are not kept, but may be by Config.SlowFunc.
func (l *Logger) Log(e *Entry) {
	if n := l.config.Sample; l.config.Log != nil && (n <= 1 || l.count.Add(1)%uint64(n) == 0) {
		var line [512]byte // most lines fit
		if l.config.JSON {
			l.config.Log.add(appendJSON(line[:0], &l.clock, e))
		} else {
			l.config.Log.add(appendCombined(line[:0], &l.clock, e))
		}
	}
	if l.config.Slow > 0 && e.Duration >= l.config.Slow {
		l.config.SlowFunc(*e)
	}
}

type handler struct {
	next http.Handler
	*Logger
}

// Handler returns a handler that has next serve the requests, and logs them. It reads what it logs of the request when next has
// returned: the client's address is the one that next, or what it calls, has put in place.
func (l *Logger) Handler(next http.Handler) http.Handler { return &handler{next, l} }

// Handler is NewLogger(c).Handler(next).
func Handler(next http.Handler, c Config) http.Handler { return NewLogger(c).Handler(next) }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &writer{ResponseWriter: w, start: time.Now()}
	defer h.done(x, r) // of a handler that panics, too
	h.next.ServeHTTP(x, r)
	x.returned = true
}

func (h *handler) done(x *writer, r *http.Request) {
	e := Entry{
		Client: r.RemoteAddr, Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Host: r.Host,
		Referer: first(r.Header["Referer"]), Agent: first(r.Header["User-Agent"]),
		Result: Result{
			Start: x.start, Duration: time.Since(x.start), Status: x.status, Bytes: x.bytes,
			Hijacked: x.hijacked, Panicked: !x.returned,
		},
	}
	if e.Status == 0 && !e.Hijacked && !e.Panicked {
		e.Status = http.StatusOK // a handler that says nothing says that
	}
	h.Log(&e)
}

// A writer is the http.ResponseWriter that the handler gets. As any, it is for one goroutine at a time.
type writer struct {
	http.ResponseWriter
	start    time.Time
	bytes    int64
	status   int
	hijacked bool
	returned bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// begin notes that the answer begins, with 200 if nothing else was said.
func (w *writer) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// Write implements http.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// WriteString implements io.StringWriter.
func (w *writer) WriteString(s string) (int, error) {
	w.begin()
	n, err := io.WriteString(w.ResponseWriter, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, by which files leave without a copy.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	// io.Copy uses the ReadFrom of the writer within, if there is one.
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Flush implements http.Flusher.
func (w *writer) Flush() {
	_ = w.FlushError() // who wants the error asks for it
}

// FlushError is Flush for http.ResponseController.
func (w *writer) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// CloseNotify implements http.CloseNotifier, which programmes still ask for, and without asking whether there is one. Where the writer
// within has none, nothing ever comes.
func (w *writer) CloseNotify() <-chan bool {
	if n, ok := w.ResponseWriter.(interface{ CloseNotify() <-chan bool }); ok { // http.CloseNotifier is deprecated
		return n.CloseNotify()
	}
	return nil
}

// Hijack implements http.Hijacker.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
	}
	return c, rw, err
}
