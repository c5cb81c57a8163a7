// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/reactor"
)

// Config is how a Server treats its connections. Durations of 0 or less mean no limit.
type Config struct {
	Handler     http.Handler
	TaskHandler TaskHandler // gets every request first; nil: the Handler gets them all
	Dispatcher  *dispatch.Dispatcher
	Limits      httpparse.Limits

	HeaderTimeout time.Duration // for a whole head, from the first byte, or from the accept
	ReadTimeout   time.Duration // for a whole request, likewise
	BodyTimeout   time.Duration // between two reads of a body that bring something
	WriteTimeout  time.Duration // for a whole answer, from the end of the head
	IdleTimeout   time.Duration // between two requests

	MaxRequests int // of one connection; 0: no limit

	// BufferRequests: all of a request's content is received before its handler is called, the first BodyMemory bytes in
	// memory, and what is more in a file that NewSpool makes.
	BufferRequests bool
	BodyMemory     int
	NewSpool       func() (reactor.Spool, error)

	// Memory is what the buffers are counted in that input and collected content are kept in; the reactors are to have the same
	// one. nil: there is no bound.
	Memory *reactor.Memory

	// MinBodyRate is how many bytes a second of a body must come on average, while it is waited for and with BodyTimeout
	// for a start. 0: any.
	MinBodyRate int

	MaxBody int64  // bytes of a request's content; 0: no limit
	Ident   string // the Server field of answers, if the handler sets none

	// ThreadUsage returns the processor time that the calling thread has had, and how often it has waited for something, by which
	// the policy that learns tells computing from waiting. nil: the system does not tell.
	ThreadUsage func() (cpu time.Duration, waits int64)

	// Urgent says which requests go before all others that wait for a thread, and are never refused for their number. nil: none.
	Urgent func(*http.Request) bool

	// UrgentTask is Urgent for requests that wait for the TaskHandler. The Task may only be asked: what changes something panics,
	// and a panic costs the connection.
	UrgentTask func(Task) bool

	// Served is told of each request that the Handler has not got: those that the TaskHandler has served, and those that were
	// refused. It is called where they were answered, also by the loops. nil: nobody is told.
	Served func(Report)

	// Prefix is taken off the paths that TaskHandlers see, if they begin with it: "/app", or "". Proxies are what is to be
	// believed of their clients, or nil.
	Prefix  string
	Proxies *Proxies

	// GeneralOptions: the server answers "OPTIONS *" itself, as net/http does.
	GeneralOptions bool

	HTTPServer  *http.Server // what http.ServerContextKey gives
	ConnContext func(ctx context.Context, c net.Conn) context.Context
	ConnState   func(net.Conn, http.ConnState)

	// DupFile returns a handle of its own for the open file that c is, so that it can be sent when the handler has closed c.
	// nil, or an error: what is in the file goes the way of all other content.
	DupFile func(c syscall.Conn) (reactor.File, error)

	// Logf reports what a handler did wrong, or a failure that was nobody's request.
	Logf func(format string, args ...any)
}

const (
	// smallBody is how long a declared body may be for the loop to wait for it, bodyWait how long it does so: such a
	// body nearly always is one packet behind its head, and a handler that starts with the body in hand needs no
	// thread to wait on.
	smallBody = 64 << 10
	bodyWait  = 50 * time.Millisecond

	// maxDrain is how much of a body that the handler left unread is read and thrown away for the sake of the
	// connection; net/http has the same number.
	maxDrain = 256 << 10

	// maxChunkedDrain is the same for a chunked body. The answer left before anybody could know how long that is, and did
	// not say that the connection ends; so the client may already have sent its next request when it does, and can't tell
	// whether that was served. net/http waits for 256 KB of the body before it answers.
	maxChunkedDrain = 16 << 20

	// lingerTimeout and maxLinger bound how long, and for how many bytes, a channel that has said its last word goes on
	// reading so that the peer can read that word: closing at once would reset the connection under it
	// (RFC 9112 §9.6). After so many bytes it waits for another half of the time without reading.
	lingerTimeout = time.Second
	maxLinger     = 1 << 20

	// newGrace is how long a connection on which nothing has come is left open when the Server shuts down, from its
	// accept on; net/http has the same number.
	newGrace = 5 * time.Second

	// holdTime bounds how long an answer waits for the following ones of its pipeline.
	holdTime = 2 * time.Millisecond

	// maxTurn is how many requests of one connection a task serves before it queues up behind the others.
	maxTurn = 64

	// longTask is how long a task may keep a processor before it lets the loops look for events.
	longTask = time.Millisecond

	// inputBuffer is what a task reads into.
	inputBuffer = 16 << 10

	// smallRead is how much a handler must want to read for the socket to be asked for no more, while memory is short.
	smallRead = 512
)

// A Server is what the channels of one waitress.Server share.
type Server struct {
	config    Config
	draining  atomic.Bool // no connection is kept after its answer
	noKeep    atomic.Bool // SetKeepAlivesEnabled(false)
	date      dateCache
	exchanges sync.Pool // of *exchange. Not package-level: they have timers, which belong to one synctest bubble
	heads     sync.Pool // of *httpparse.Head
}

// New returns a Server.
func New(config Config) *Server {
	s := &Server{config: config}
	s.exchanges.New = func() any { return newExchange() }
	s.heads.New = func() any { return new(httpparse.Head) }
	return s
}

// SetKeepAlivesEnabled says whether connections are kept after an answer. Any goroutine.
func (s *Server) SetKeepAlivesEnabled(on bool) { s.noKeep.Store(!on) }

// Drain makes every answer from now on the last of its connection. Any goroutine.
func (s *Server) Drain() { s.draining.Store(true) }

// Overstayed is reactor.Config's: requests of this kind are no longer expected to be quick, from the moment that one of them has
// lost its loop. It may wait for long yet, and those behind it would hold up a loop each until it ends.
func (s *Server) Overstayed(kind uint32) {
	s.config.Dispatcher.Learn(dispatch.Kind(kind), dispatch.Here, false)
}

func (s *Server) keepAlives() bool { return !s.draining.Load() && !s.noKeep.Load() }

// A Listener is what the connections of one listener share.
type Listener struct {
	// LocalAddr and TLS tell of a connection's descriptor what only those know who accepted it: its own address, and the
	// state of its encryption. Either may be nil, and return nil. They are set before the first Open.
	LocalAddr func(fd reactor.FD, network string) net.Addr
	TLS       func(fd reactor.FD) *tls.ConnectionState

	// Handle returns what the system calls the descriptor, for SyscallConn. nil: that is the same.
	Handle func(fd reactor.FD) uintptr

	// Take returns a net.Conn for the connection, which the descriptor's Close does not close, and what was read of it
	// that the reactor has not seen, for Hijack. nil: there is no Hijack.
	Take func(fd reactor.FD) (conn net.Conn, read []byte, err error)

	// Conn returns the net.Conn that the descriptor stands for, for ConnState and ConnContext. nil: there is none.
	Conn func(fd reactor.FD) net.Conn

	server  *Server
	ctx     context.Context
	addr    net.Addr
	network string
	date    atomic.Pointer[turnDate]
}

// NewListener returns the Listener for connections that come from addr; ctx is the base of their requests' contexts.
func (s *Server) NewListener(ctx context.Context, addr net.Addr) *Listener {
	return &Listener{server: s, ctx: ctx, addr: addr, network: addr.Network()}
}

// Open makes the channel for one new connection.
func (l *Listener) Open() (*reactor.Conn, reactor.Protocol) {
	ch := &channel{listener: l}
	return &ch.Conn, ch
}

// A dateCache holds the Date field of this second.
type dateCache struct{ p atomic.Pointer[dateLine] }

type dateLine struct {
	second int64
	line   []byte // "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
}

// append appends the line for the time now.
func (d *dateCache) append(p []byte) []byte {
	now := time.Now()
	line := d.p.Load()
	if s := now.Unix(); line == nil || line.second != s {
		line = &dateLine{second: s}
		line.line = append(line.line, "Date: "...)
		line.line = now.UTC().AppendFormat(line.line, http.TimeFormat)
		line.line = append(line.line, "\r\n"...)
		d.p.Store(line)
	}
	return append(p, line.line...)
}
