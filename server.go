// SPDX-License-Identifier: MIT

package waitress

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/waitress-go/waitress/accesslog"
	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/http1"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/proxy"
	"github.com/waitress-go/waitress/reactor"
)

// A Policy says where handlers run.
type Policy = dispatch.Policy

const (
	// PolicyPool runs every handler on a task thread. It is the default.
	PolicyPool = dispatch.PolicyPool
	// PolicyInline runs handlers on the event loops. It is for handlers known never to block: one that does holds up
	// every connection of its loop. What the library itself has to wait for, a body that is still arriving or a client
	// that reads slowly, holds up nobody.
	PolicyInline = dispatch.PolicyInline
	// PolicyAdaptive runs a handler on the event loop if requests like it, by method and path, have been quick, and else on a
	// task thread. A handler that takes its time all the same loses the loop to another goroutine after 1 to 21 ms, or up to
	// 51 ms where requests are rare, and its kind runs on task threads from then on, until it has proven quick again. Handlers
	// that compute for milliseconds leave a processor to the loops while these have something to do: on Linux, and where
	// Threads is 0, as many of them run at the same time as there are processors (GOMAXPROCS) but one, and one at least; those
	// that have run for longer than 10 ms do not count.
	PolicyAdaptive = dispatch.PolicyAdaptive
)

// A Server runs an http.Handler. Its zero value is ready to use; its fields must not be changed once it serves. Those that
// http.Server has too mean the same here, but for the timeouts: zero is a safe default and negative is none.
//
// A Server is used once: after Shutdown or Close it can't serve again.
//
// docs/adjustments.md lists the fields, by the comments that stand alone below; "go generate ./adjust" writes it.
type Server struct {
	// Handler answers the requests. Default: http.DefaultServeMux.
	Handler http.Handler

	// TaskHandler, if set, gets every request first, and leaves to Handler what it declines (Task.Decline). Default: none.
	TaskHandler TaskHandler

	// Where it listens.

	// Addr is where ListenAndServe and Run listen, "host:port". Without a host that is all addresses, IPv4 and IPv6, and with 0.0.0.0,
	// unlike in Listen, too. Default: ":http"; Run, and Serve, the function, listen on 0.0.0.0:8080, IPv4 only.
	Addr string

	// Listen is where ListenAndServe and Run listen, instead of Addr: any number of addresses, of which each must be had.
	// "host:port" is each address of the host, "*:port" all addresses, IPv4 and IPv6, "[::]:port" all of IPv6 only, and
	// ":port" what it is in Addr; port 0 is any. "unix:/path" is a Unix socket: one that nobody listens on any more is
	// replaced, and the path is removed when the server stops. "unix:@name" is one without a path, on Linux.
	// "systemd:name" is the socket of that name, or "systemd" all sockets, that systemd passes. Default: Addr.
	Listen []string

	// UnixSocketPerms are the permissions of Unix sockets that have a path: who may write may connect. Default: 0600.
	UnixSocketPerms os.FileMode

	// Backlog is how many connections may wait to be accepted at each of the addresses. Default: as many as the system
	// allows. On Linux, macOS and the BSDs.
	Backlog int

	// ReusePort lets other processes listen on the same TCP addresses (SO_REUSEPORT); the system shares the connections out
	// among them. On Linux, macOS and the BSDs.
	ReusePort bool

	// Proxies in front of it.

	// TrustedProxies are the addresses of the proxies in front of the server, which are believed what they say of their
	// clients: by header fields, TrustedProxyHeaders, or by ProxyProtocol. Handlers then find the client's address in
	// Request.RemoteAddr and the host that it asked for in Request.Host; proxy.ClientOf tells scheme and port, as the methods of
	// these names do of a Task. What a trusted proxy sends and makes no sense is answered with 400. Header fields that nobody vouches for are removed. Default: none.
	TrustedProxies []netip.Prefix

	// TrustUnixProxies: peers that come by a Unix socket are trusted proxies too.
	TrustUnixProxies bool

	// TrustedProxyCount is how many proxies there are, one behind the other, that append to the lists of X-Forwarded-For,
	// X-Forwarded-Host and Forwarded: the client is the first of that many entries at the end. Default: 1.
	TrustedProxyCount int

	// TrustedProxyHeaders names the fields that the trusted proxies set on each request: X-Forwarded-For, -Host, -Proto, -Port
	// and -By, or else Forwarded. Default: none.
	TrustedProxyHeaders []string

	// ClearUntrustedProxyHeaders removes those fields from requests even if no proxy is trusted. Where one is, they are
	// removed in any case unless a trusted proxy has set them. Default: a handler sees them, as with net/http.
	ClearUntrustedProxyHeaders bool

	// LogUntrustedProxyHeaders says so in the log, as a warning, when such fields are removed.
	LogUntrustedProxyHeaders bool

	// ProxyProtocol makes connections of TrustedProxies begin with the PROXY protocol's header, version 1 or 2, which tells the
	// client's address. Those without it fail; from others it is a malformed request. Connections then cost a goroutine
	// and a buffer each: see Serve.
	ProxyProtocol bool

	// URLPrefix is where a proxy has put the server, "/app": it is taken off the path of requests that begin with it, and
	// told by proxy.ClientOf, or Task.Prefix. Default: none.
	URLPrefix string

	// URLScheme is the scheme by which clients reach the server through a proxy that does not tell, "http" or "https":
	// proxy.ClientOf tells it, or Task.Scheme. Default: that of the connection.
	URLScheme string

	// Timeouts.

	// ReadHeaderTimeout is how long a request head may take, from its first byte, or from the accept of the connection:
	// 408 after it. Default: 10 s.
	ReadHeaderTimeout time.Duration

	// ReadTimeout is how long a whole request may take, body included. Default: none, since it would bound the size of
	// uploads by the client's speed; BodyTimeout bounds silence instead.
	ReadTimeout time.Duration

	// BodyTimeout is how long a handler that reads a body waits for the client to send something of it. Default: 30 s.
	BodyTimeout time.Duration

	// WriteTimeout is how long an answer may take, from the end of the request head. Default: none, since it would cut
	// long downloads and streams; WriteStallTimeout bounds silence instead.
	WriteTimeout time.Duration

	// WriteStallTimeout is how long a client may take nothing of the output that waits for it. Default: 30 s.
	WriteStallTimeout time.Duration

	// IdleTimeout is how long a connection may wait for its next request. Default: 75 s.
	IdleTimeout time.Duration

	// ShutdownTimeout is how long Serve, the function, lets requests finish after SIGINT or SIGTERM. Default: 30 s.
	ShutdownTimeout time.Duration

	// LameDuck is how long Shutdown goes on accepting and serving before it begins, so that load balancers which ask for Ready
	// can send their clients elsewhere: Ready says no, and each answer is the last of its connection. It counts within
	// Shutdown's context, but not in ShutdownTimeout; a restart does without it. Default: none.
	LameDuck time.Duration

	// Limits.

	// MaxHeaderBytes bounds a request head, request line and all: 431 above it. Default: 64 KiB.
	MaxHeaderBytes int

	// MaxRequestLine bounds the request line: 414 above it. Default: 48 KiB.
	MaxRequestLine int

	// MaxHeaders bounds the number of field lines of a request: 431 above it. Default: 256.
	MaxHeaders int

	// MaxBodyBytes bounds the content of a request, in decoded bytes: 413, or a read error in the handler where the
	// length was not declared. Default: no bound; a body that nobody reads takes no memory.
	MaxBodyBytes int64

	// MinBodyRate is how many bytes a second of a request's content must come on average, of the time that it is waited for, and
	// with BodyTimeout for a start: one byte now and then does not keep a connection. Default: 100; negative: none.
	MinBodyRate int

	// MinWriteRate is how many bytes a second a client must take on average of the output that waits for it, counted from
	// when it began to wait, and with WriteStallTimeout for a start. Default: 100; negative: none.
	MinWriteRate int

	// BufferRequests calls a handler only when all of the request's content has been received: no slow upload holds a thread,
	// Request.ContentLength is always known, and Request.Body is an io.Seeker too. BodyTimeout and ReadTimeout bound the
	// wait, 408, and 507 says that there was no room.
	BufferRequests bool

	// InbufOverflow is how many bytes of a request's content may be in memory with BufferRequests; the others are in a
	// temporary file, in TempDir. Default: 512 KiB.
	InbufOverflow int

	// ConnectionLimit bounds the connections that are open at once. One more waits, and takes the place of the keep-alive
	// connection that has been idle for longest; further ones wait in the listener's backlog. The connections of
	// listeners without descriptors are counted by themselves. Default: no bound but the system's.
	ConnectionLimit int

	// AddressLimit bounds the connections of one client address, of an IPv6 client those of its /64 network: one more is closed
	// at once. Behind a proxy all are the proxy's. Default: no bound.
	AddressLimit int

	// KeepAliveRequests bounds the requests on one connection, which is closed after so many. Default: no bound.
	KeepAliveRequests int

	// OutbufHighWatermark is how many bytes of output may wait on one connection for its client before the handler's
	// Write waits too. What waits in the files that a handler has sent is not counted. Default: 1 MiB; none with
	// OutbufOverflow.
	OutbufHighWatermark int

	// OutbufOverflow is how many of those bytes may be in memory; the others are in a temporary file, so that a handler is done
	// when it has written its answer, whoever reads it. Where there is no room for a file, the handler waits for its client
	// as it would without. Default: none, all are in memory.
	OutbufOverflow int

	// BufferMemory bounds the bytes in the buffers of all connections together: of input that is held, of content that
	// BufferRequests collects, and of output that waits for its client. What handlers are writing together is not counted, nor
	// what the system has of each connection, or in its place, for connections that goroutines wait for, up to 64 KiB each
	// way. From seven eighths of it on, collected content and, with OutbufOverflow, output go to their files, and other output
	// waits where it is: a handler's Write waits until its own client takes something, as at OutbufHighWatermark, and
	// WriteStallTimeout applies. Less is read at once, so that clients which upload are held back. At the bound a request with
	// content, and one whose head comes in pieces, gets 503; requests that need no buffer are served as ever. It may be passed
	// by 4 KiB for each request that is being received. At least 1 MiB. Default: no bound.
	BufferMemory int64

	// TempDir is where temporary files are made. They have no names there but while they are made, or, on systems where that
	// can't be, while they are in use. Default: the system's, os.TempDir.
	TempDir string

	// Where handlers run.

	// Policy says where handlers run: pool, on task threads; inline, on the event loops, for handlers that never block; adaptive,
	// on the loops if requests like theirs have been quick, and else on threads. Default: pool.
	Policy Policy

	// Threads bounds the number of task threads. Default: no bound: there is always a thread for a request, since
	// handlers may wait for each other.
	Threads int

	// QueueLimit bounds how many requests may wait for one of Threads: 503 with Retry-After above it. Default: no bound.
	QueueLimit int

	// QueueTarget bounds how long requests wait for one of Threads under a load that is too much for them: when for a
	// QueueInterval none has waited for less, those that have waited for longer get 503 with Retry-After, until none waits.
	// Shorter peaks are served. Default: none; QueueInterval: 100 ms, or QueueTarget if that is longer.
	QueueTarget, QueueInterval time.Duration

	// Urgent says which requests go before all others that wait for a thread, and are never answered with 503 for their
	// number, such as health checks. It is called on the event loops, and must not wait or keep the request. With a
	// TaskHandler it is UrgentTask that is asked. Default: none.
	Urgent func(*http.Request) bool

	// UrgentTask is Urgent in a Server with a TaskHandler. The Task may only be asked, for what it says of its request, and
	// panics at all else, which costs the connection; the TaskHandler gets another one. Default: none.
	UrgentTask func(Task) bool

	// Loops is the number of event loops. Default: one per GOMAXPROCS.
	Loops int

	// What it says.

	// AccessLog gets a line for each request that was answered, by a handler or by the server itself, or was suspended until its
	// client went; a second later at most, and all of them by the end of Shutdown or Close, which waits for no handler. Of a
	// request that was refused for its form the line has what is known of it. What can't be written is lost, and told to the Logger. Default: none.
	AccessLog io.Writer

	// AccessLogFormat is "combined", the lines that most web servers write, with the seconds that the handler took behind
	// them, or "json", an object a line. Default: combined.
	AccessLogFormat string

	// AccessLogSample is how many requests there are to a line: 100 writes each hundredth. Default: 1.
	AccessLogSample int

	// SlowRequest is how long a handler may take, or a suspended request until it is answered, before that is told to the Logger,
	// as a warning. Default: any time.
	SlowRequest time.Duration

	// Ident is the value of the Server field in answers. Default: none is sent.
	Ident string

	// DisableGeneralOptionsHandler passes "OPTIONS *" to the Handler instead of answering it.
	DisableGeneralOptionsHandler bool

	// In Go only.

	// TLSConfig is what ServeTLS and ListenAndServeTLS begin with, and what they change a copy of: HTTP/1.1 is the only protocol
	// that they offer. There is no HTTP/2, and so none of TLSNextProto, Protocols and HTTP2. Default: TLS 1.2 and above.
	TLSConfig *tls.Config

	// BaseContext gives the context that requests of a listener are based on. Default: context.Background.
	BaseContext func(net.Listener) context.Context

	// ConnContext changes the context of a new connection's requests. The net.Conn tells its addresses, can be closed, and as a
	// syscall.Conn has its descriptor asked (RawConn.Control), and no more: the server reads and writes it.
	ConnContext func(ctx context.Context, c net.Conn) context.Context

	// ConnState is told when a connection changes its state. The net.Conn is the one that ConnContext gets. It is called where
	// the state changes, which may be an event loop, and must neither wait nor panic.
	ConnState func(net.Conn, http.ConnState)

	// Logger gets what the server has to say. Default: warnings and errors to standard error, in zap's console form; or
	// ErrorLog.
	Logger *zap.Logger

	// ErrorLog gets what http.Server would log, if Logger is not set.
	ErrorLog *log.Logger

	mu         sync.Mutex
	run        *running          // guarded by mu; made by the first Serve
	serving    map[*serving]bool // guarded by mu
	listeners  []inherited       // guarded by mu; those that Listeners has opened, for Restart
	onShutdown []func()          // guarded by mu
	noKeep     bool              // guarded by mu
	lame       chan struct{}     // guarded by mu; made when LameDuck begins, closed when Shutdown or Close goes on
	closing    bool              // guarded by mu; Shutdown or Close was called
}

// A serving is one listener that Serve is in, and the engine that its connections run on. Immutable.
type serving struct {
	accept reactor.Listener
	engine *engine
	http   *http1.Listener
	run    *running
}

// A running is what a Server is made of while it serves. Immutable, but for the engines: each is made for the first listener
// of its kind, under Server.mu, and none when the Server is closing.
type running struct {
	log        *zap.Logger
	dispatcher *dispatch.Dispatcher
	http       *http1.Server
	access     *accesslog.Log         // nil without Server.AccessLog
	memory     *reactor.Memory        // nil without Server.BufferMemory
	plain      *engine                // for descriptors that the system's poller knows; nil before there is one
	net        *engine                // for any other net.Conn; nil before there is one
	admit      func(peer string) bool // of AddressLimit, or nil
	left       func(peer string)
	accepting  sync.WaitGroup // the listeners in serving; counted under Server.mu while that is not closing
	stop       sync.Once
	stopped    chan struct{} // closed when the loops have ended
}

// An engine is a reactor, and what its descriptors can be asked. Immutable.
type engine struct {
	*reactor.Reactor
	localAddr func(fd reactor.FD, network string) net.Addr
	handle    func(fd reactor.FD) uintptr                   // or nil
	take      func(fd reactor.FD) (net.Conn, []byte, error) // for Hijack
	conn      func(fd reactor.FD) net.Conn                  // what the listener accepted; nil where that is a descriptor
	tls       func(fd reactor.FD) *tls.ConnectionState      // nil where no connection has one
	sockets   *netSockets                                   // nil where the system is what holds the connections
}

// takeConn makes a net.Conn of a descriptor. Nothing was read of it that is not known.
func takeConn(fd reactor.FD) (net.Conn, []byte, error) {
	c, err := netConn(fd)
	return c, nil, err
}

// The defaults of a Server's zero fields.
const (
	defaultReadHeaderTimeout   = 10 * time.Second
	defaultBodyTimeout         = 30 * time.Second
	defaultWriteStallTimeout   = 30 * time.Second
	defaultIdleTimeout         = 75 * time.Second
	defaultShutdownTimeout     = 30 * time.Second
	defaultOutbufHighWatermark = 1 << 20
	defaultInbufOverflow       = 512 << 10
	defaultMinRate             = 100
	defaultQueueInterval       = 100 * time.Millisecond

	// closeWait is how long Close waits for the loops to end the connections. They do at once, unless an inline handler holds one up.
	closeWait = time.Second

	// shutdownGrace is how long Shutdown goes on when its context has ended: the loops and whoever accepts are other goroutines, and what
	// is as good as over, such as an idle connection, is over when they have noticed.
	shutdownGrace = 50 * time.Millisecond

	// shareAfter is how long a request may be expected to wait for others on its event loop before their connections are shared with
	// a loop that has nothing to do. What that costs is a wake-up and two system calls for each connection.
	shareAfter = time.Millisecond
)

// orDefault is how a timeout field is read: zero is the default, negative is none, which is 0 below.
func orDefault(d, byDefault time.Duration) time.Duration {
	if d == 0 {
		return byDefault
	}
	return max(d, 0)
}

// handshakeTimeout is how long a TLS handshake may take: as long as what comes first of a request's head, a request and its
// answer, as in net/http.
func (s *Server) handshakeTimeout() time.Duration {
	d := orDefault(s.ReadHeaderTimeout, defaultReadHeaderTimeout)
	for _, other := range []time.Duration{s.ReadTimeout, s.WriteTimeout} {
		if other > 0 && (d <= 0 || other < d) {
			d = other
		}
	}
	return d
}

// start makes what the Server runs on, once. Under mu.
func (s *Server) start() error {
	if s.run != nil {
		return nil
	}
	if err := s.Validate(); err != nil {
		return err
	}
	r := &running{log: s.logger(), stopped: make(chan struct{})}
	proxies := s.proxies(r.log)
	var err error
	r.dispatcher, err = dispatch.New(dispatch.Config{
		Policy:   s.Policy,
		Threads:  s.Threads,
		Queue:    s.QueueLimit,
		Target:   max(s.QueueTarget, 0),
		Interval: max(orDefault(s.QueueInterval, defaultQueueInterval), s.QueueTarget),
		Depth: func(waiting int) {
			r.log.Warn("task queue is deep", zap.Int("waiting", waiting), zap.Int("threads", s.Threads))
		},
	})
	if err != nil {
		return fmt.Errorf("waitress: %w", err)
	}
	handler := s.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	// It is what is outermost, so that it sees whatever is answered; the client's address is in the request by the time it looks.
	logged := proxy.Handler(handler, proxies)
	var served func(http1.Report)
	if l := s.startLog(r); l != nil {
		logged, served = l.Handler(logged), logReports(l)
	}
	clients, prefix := taskProxies(proxies)
	if s.BufferMemory > 0 {
		r.memory = reactor.NewMemory(s.BufferMemory)
	}
	r.http = http1.New(http1.Config{
		Handler:        logged,
		TaskHandler:    s.TaskHandler,
		Dispatcher:     r.dispatcher,
		Limits:         httpparse.Limits{RequestLine: s.MaxRequestLine, HeadBytes: s.MaxHeaderBytes, Headers: s.MaxHeaders},
		HeaderTimeout:  orDefault(s.ReadHeaderTimeout, defaultReadHeaderTimeout),
		ReadTimeout:    orDefault(s.ReadTimeout, 0),
		BodyTimeout:    orDefault(s.BodyTimeout, defaultBodyTimeout),
		WriteTimeout:   orDefault(s.WriteTimeout, 0),
		IdleTimeout:    orDefault(s.IdleTimeout, defaultIdleTimeout),
		MaxBody:        s.MaxBodyBytes,
		MaxRequests:    s.KeepAliveRequests,
		MinBodyRate:    cmp.Or(s.MinBodyRate, defaultMinRate),
		BufferRequests: s.BufferRequests,
		BodyMemory:     cmp.Or(s.InbufOverflow, defaultInbufOverflow),
		NewSpool:       func() (reactor.Spool, error) { return newSpool(s.TempDir) },
		Memory:         r.memory,
		Ident:          s.Ident,
		Urgent:         s.Urgent,
		UrgentTask:     s.UrgentTask,
		Served:         served,
		Proxies:        clients,
		Prefix:         prefix,
		ThreadUsage:    threadUsage,
		GeneralOptions: !s.DisableGeneralOptionsHandler,
		HTTPServer:     s.asHTTPServer(handler),
		ConnContext:    s.ConnContext,
		ConnState:      s.ConnState,
		DupFile:        dupFile,
		Logf:           func(format string, args ...any) { r.log.Error(fmt.Sprintf(format, args...)) },
	})
	r.http.SetKeepAlivesEnabled(!s.noKeep && s.lame == nil)
	if s.AddressLimit > 0 {
		addresses := newAddressLimit(s.AddressLimit)
		r.admit, r.left = addresses.admit, addresses.left
	}
	r.log.Info("starting", s.settings()...)
	s.run = r
	return nil
}

// startReactor makes the loops for one kind of descriptors. Under mu.
func (s *Server) startReactor(newPoller func() (reactor.Poller, error), sockets reactor.Sockets) (*reactor.Reactor, error) {
	loops, watermark := s.Loops, s.OutbufHighWatermark
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0)
	}
	var spool func() (reactor.Spool, error)
	if s.OutbufOverflow > 0 {
		spool = func() (reactor.Spool, error) { return newSpool(s.TempDir) }
	}
	switch {
	case watermark > 0:
	case spool != nil:
		watermark = math.MaxInt
	default:
		watermark = defaultOutbufHighWatermark
	}
	log := s.run.log
	return reactor.New(reactor.Config{
		Loops:         loops,
		NewPoller:     newPoller,
		Sockets:       sockets,
		HighWatermark: watermark,
		Overflow:      s.OutbufOverflow,
		NewSpool:      spool,
		Memory:        s.run.memory,
		WriteStall:    orDefault(s.WriteStallTimeout, defaultWriteStallTimeout),
		MinRate:       cmp.Or(s.MinWriteRate, defaultMinRate),
		MaxConns:      s.ConnectionLimit,
		ShareAfter:    shareAfter,
		Overstayed:    s.run.http.Overstayed,
		Admit:         s.run.admit,
		Left:          s.run.left,
		Fault:         func(what string, err error) { log.Error(what, zap.Error(err)) },
	})
}

// enter makes what accepts from l, and what its connections run on if there is none yet. Under mu.
func (s *Server) enter(l net.Listener) (*serving, error) {
	r := s.run
	accept, err := newListener(l)
	switch {
	case err == nil:
		if r.plain == nil {
			x, err := s.startReactor(newPoller, newSockets())
			if err != nil {
				return nil, errors.Join(err, accept.Close())
			}
			r.plain = &engine{Reactor: x, localAddr: localAddr, handle: socketHandle, take: takeConn}
		}
		return &serving{accept: accept, engine: r.plain}, nil
	case errors.Is(err, errListenerKind):
		if r.net == nil {
			sockets := newNetSockets()
			if d := s.handshakeTimeout(); d > 0 {
				sockets.handshakeTimeout = d
			}
			sockets.handshakeFailed = func(peer net.Addr, err error) {
				r.log.Warn(fmt.Sprintf("http: TLS handshake error from %s: %v", addrText(peer), err))
			}
			x, err := s.startReactor(sockets.newPoller, sockets)
			if err != nil {
				return nil, err
			}
			r.net = &engine{Reactor: x, localAddr: sockets.localAddr, tls: sockets.tlsState, take: sockets.take, conn: sockets.netConn, sockets: sockets}
		}
		return &serving{accept: newNetListener(l, r.net.sockets), engine: r.net}, nil
	}
	return nil, err
}

// asHTTPServer is the *http.Server that handlers find in their context: it says how they are served, and serves nothing.
func (s *Server) asHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Addr:                         s.Addr,
		Handler:                      handler,
		DisableGeneralOptionsHandler: s.DisableGeneralOptionsHandler,
		TLSConfig:                    s.TLSConfig,
		ReadTimeout:                  s.ReadTimeout,
		ReadHeaderTimeout:            s.ReadHeaderTimeout,
		WriteTimeout:                 s.WriteTimeout,
		IdleTimeout:                  s.IdleTimeout,
		MaxHeaderBytes:               s.MaxHeaderBytes,
		ConnState:                    s.ConnState,
		ErrorLog:                     s.ErrorLog,
		BaseContext:                  s.BaseContext,
		ConnContext:                  s.ConnContext,
	}
}

// ListenAndServe listens on Addr, or on each address of Listen, and serves until Shutdown or Close, and returns
// ErrServerClosed then.
func (s *Server) ListenAndServe() error {
	if s.isClosing() {
		return ErrServerClosed
	}
	listeners, err := s.Listeners()
	if err != nil {
		return err
	}
	return s.ServeAll(listeners...)
}

// Serve serves the connections that l accepts until Shutdown or Close, and returns ErrServerClosed then. It may be called
// for several listeners at once, and closes l before it returns. Closing l ends it too, with net.ErrClosed, on Linux up to
// 250 ms later where a connection has just come. l may be any net.Listener; but only the connections of a *net.TCPListener or
// *net.UnixListener, on systems with epoll, kqueue or completion ports, are waited for by the system. Any other has a goroutine
// that waits, and a buffer.
func (s *Server) Serve(l net.Listener) error { return s.ServeAll(l) }

// admit takes l, which it closes unless it can be served.
func (s *Server) admit(l net.Listener) (_ *serving, err error) {
	admitted := false
	defer func() { // BaseContext may panic
		if !admitted {
			_ = l.Close()
		}
	}()
	ctx := context.Background()
	if s.BaseContext != nil {
		if ctx = s.BaseContext(l); ctx == nil {
			panic("waitress: BaseContext returned a nil context")
		}
	}
	if s.ProxyProtocol {
		l = proxy.NewListener(l, s.proxies(nil), orDefault(s.ReadHeaderTimeout, defaultReadHeaderTimeout))
	}
	v, err := s.add(l)
	if err != nil {
		return nil, err
	}
	admitted = true
	addr := l.Addr()
	if addr == nil {
		addr = noAddr{}
	}
	v.http = v.run.http.NewListener(ctx, addr)
	v.http.Handle = v.engine.handle
	v.http.LocalAddr, v.http.TLS, v.http.Take, v.http.Conn = v.engine.localAddr, v.engine.tls, v.engine.take, v.engine.conn
	return v, nil
}

// dismiss ends what admit began.
func (s *Server) dismiss(v *serving) {
	_ = v.accept.Close() // nobody waits for it
	defer v.run.accepting.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.serving, v)
	if r := s.run; len(s.serving) == 0 && !s.closing {
		go s.retire(r, r.engines())
	}
}

// retire ends r when its last connection has gone, unless there is a listener again by then: whoever stops serving by
// closing the listener, as net/http allows, leaves no goroutine behind. engines are all of r's, since only a listener
// brings one more.
func (s *Server) retire(r *running, engines []*engine) {
	for _, e := range engines {
		_ = e.Empty(context.Background()) // it has no other end
	}
	s.mu.Lock()
	over := s.run == r && !s.closing && len(s.serving) == 0 && r.conns() == 0
	if over {
		s.run = nil
	}
	s.mu.Unlock()
	if !over {
		return
	}
	r.end()
	_ = r.dispatcher.Close(context.Background()) // likewise
}

// serve accepts for v until its listener is closed, and says why.
func (s *Server) serve(v *serving) error {
	err := v.engine.Serve(v.accept, v.http.Open)
	s.dismiss(v)
	switch {
	case s.isClosing():
		return ErrServerClosed
	case err == nil:
		return net.ErrClosed // by somebody else
	}
	return err
}

// add starts the Server, if it has not been, and enters l.
func (s *Server) add(l net.Listener) (*serving, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, ErrServerClosed
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	v, err := s.enter(l)
	if err != nil {
		return nil, fmt.Errorf("waitress: %w", err)
	}
	if s.serving == nil {
		s.serving = make(map[*serving]bool)
	}
	s.serving[v] = true
	v.run = s.run
	v.run.accepting.Add(1)
	return v, nil
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// close stops listening, and with drain tells who waits for a shutdown. It returns what runs, or nil.
func (s *Server) close(drain bool) (*running, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for v := range s.serving {
		err = errors.Join(err, v.accept.Close())
	}
	if !s.closing {
		s.closing = true
		if s.lame != nil {
			close(s.lame)
		}
	}
	if drain {
		for _, f := range s.onShutdown {
			go f()
		}
		if s.run != nil {
			s.run.http.Drain()
		}
	}
	return s.run, err
}

// Ready says whether clients should be sent here: the Server serves, and neither Shutdown nor Close was called. It is what a
// health check should answer with; by Urgent that is answered under any load. Any goroutine.
func (s *Server) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.serving) > 0 && s.lame == nil && !s.closing
}

// Shutdown stops listening, closes the connections that wait for a request, lets the requests that have started finish,
// with "Connection: close" where the head has not been sent, and waits until all answers are delivered. When ctx ends
// before, Shutdown returns its error, up to 50 ms later, and the rest goes on; Close then ends it. LameDuck comes before all that.
func (s *Server) Shutdown(ctx context.Context) error {
	s.lameDuck(ctx)
	return s.shutdown(ctx)
}

// lameDuck serves on for LameDuck, until ctx ends, or until the Server is closed meanwhile.
func (s *Server) lameDuck(ctx context.Context) {
	s.mu.Lock()
	if s.LameDuck <= 0 || s.closing || s.run == nil {
		s.mu.Unlock()
		return
	}
	if s.lame == nil {
		s.lame = make(chan struct{})
		s.run.http.SetKeepAlivesEnabled(false)
	}
	over := s.lame
	s.mu.Unlock()
	timer := time.NewTimer(s.LameDuck)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
	}
}

// shutdown is Shutdown without the LameDuck.
func (s *Server) shutdown(ctx context.Context) error {
	r, err := s.close(true)
	if r == nil {
		return err
	}
	late, cancel := overtime(ctx, shutdownGrace)
	defer cancel()
	if r.drain(late) != nil {
		return ctx.Err()
	}
	r.end()
	<-r.stopped
	// The threads are done, but for those of handlers that have hijacked their connections, which nobody waits for.
	go func() { _ = r.dispatcher.Close(context.Background()) }()
	if r.wait(late) != nil {
		err = errors.Join(err, ctx.Err())
	}
	return err
}

// overtime returns a context that ends when ctx has ended for d.
func overtime(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() {
		stop()
		cancel()
	}
}

// Close stops listening and ends every connection at once. Handlers that still run find their context cancelled and their
// writes failing; Close does not wait for them.
func (s *Server) Close() error {
	r, err := s.close(false)
	if r == nil {
		return err
	}
	for _, e := range r.engines() {
		if e.sockets != nil {
			e.sockets.cut()
		}
		e.Abort()
	}
	go func() {
		// It returns when the last handler has. Nothing can be waited for in vain: no connection is new.
		_ = r.drain(context.Background())
		r.end()
		_ = r.dispatcher.Close(context.Background())
	}()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	for _, e := range r.engines() {
		_ = e.Aborted(ctx) // in vain if an inline handler waits
	}
	if r.conns() == 0 { // else handlers have them
		select {
		case <-r.stopped:
			_ = r.wait(ctx) // in vain if a net.Conn's Close waits
			return err
		case <-ctx.Done():
		}
	}
	if r.access != nil {
		r.access.Flush() // the rest follows when the handlers have returned, if the process lasts
	}
	return err
}

// engines are those that were made. Only under Server.mu, or when the Server is closing, so that there will be no other.
func (r *running) engines() (all []*engine) {
	for _, e := range []*engine{r.plain, r.net} {
		if e != nil {
			all = append(all, e)
		}
	}
	return all
}

// conns returns how many connections are open. As engines.
func (r *running) conns() (n int) {
	for _, e := range r.engines() {
		n += e.Conns()
	}
	return n
}

// drain waits until all connections have ended, or ctx ends.
func (r *running) drain(ctx context.Context) (err error) {
	engines := r.engines()
	drained := make(chan error, len(engines))
	for _, e := range engines { // together: the idle connections of each close at once
		go func() { drained <- e.Drain(ctx) }()
	}
	for range engines {
		if e := <-drained; e != nil {
			err = e
		}
	}
	if err != nil {
		return err
	}
	// What was accepted last may have been opened since.
	accepted := make(chan struct{})
	go func() {
		r.accepting.Wait()
		close(accepted)
	}()
	select {
	case <-accepted:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, e := range engines {
		if err := e.Empty(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until what was written to connections that have ended is delivered, as far as that is not the system's task,
// or ctx ends.
func (r *running) wait(ctx context.Context) error {
	if r.net == nil {
		return nil
	}
	return r.net.sockets.wait(ctx)
}

// end ends the loops, once.
func (r *running) end() {
	r.stop.Do(func() {
		for _, e := range r.engines() {
			e.Stop()
		}
		if r.access != nil {
			r.access.Close()
		}
		close(r.stopped)
	})
}

// RegisterOnShutdown makes Shutdown, but not Close, call f in a goroutine of its own when it begins.
func (s *Server) RegisterOnShutdown(f func()) {
	s.mu.Lock()
	s.onShutdown = append(s.onShutdown, f)
	s.mu.Unlock()
}

// SetKeepAlivesEnabled says whether connections are kept after an answer. They are by default. Those that are idle when it
// is switched off are closed.
func (s *Server) SetKeepAlivesEnabled(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noKeep = !on
	if s.run == nil {
		return
	}
	s.run.http.SetKeepAlivesEnabled(on && s.lame == nil)
	if !on {
		for _, e := range s.run.engines() {
			e.CloseIdle()
		}
	}
}
