// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// ErrServerClosed is returned by Serve and ListenAndServe after Shutdown or Close. It is http.ErrServerClosed itself.
var ErrServerClosed = http.ErrServerClosed

// defaultServeAddr is where Serve, the function, and Run listen: on every IPv4 address.
const defaultServeAddr = "0.0.0.0:8080"

// An Option changes the Server that Serve runs, before it starts.
type Option func(*Server)

// Listen sets the addresses to listen on, as Server.Listen has them; the default is "0.0.0.0:8080", every IPv4 address.
func Listen(addrs ...string) Option { return func(s *Server) { s.Listen = addrs } }

// WithPolicy sets where handlers run.
func WithPolicy(p Policy) Option { return func(s *Server) { s.Policy = p } }

// Serve runs handler (http.DefaultServeMux if nil) on 0.0.0.0:8080, or as the options say, until the process gets
// SIGINT or SIGTERM. It prints "Serving on http://HOST:PORT" for each socket once it listens. The first signal drains: no
// connection is accepted any more, requests that have started are finished and their answers delivered, for
// Server.ShutdownTimeout at most, and with Server.LameDuck before that. A second signal closes everything at once. Serve returns nil after either, and else the
// reason why it could not go on.
//
// Under Windows Ctrl-C and Ctrl-Break count as SIGINT, the console's closing, the user's logging off and the system's shutdown
// as SIGTERM, and so do a stop and a shutdown that the service manager asks for where it has started the program as a service.
func Serve(handler http.Handler, options ...Option) error {
	s := &Server{Handler: handler}
	for _, o := range options {
		o(s)
	}
	return s.Run()
}

// Run is Serve, the function, for a Server that has been made otherwise: it listens and serves until SIGINT or SIGTERM.
// Without Addr and Listen it listens on 0.0.0.0:8080, every IPv4 address. On SIGUSR2 it starts the program anew and drains, when that serves, and
// not later than any other signal wants it to: see Restart.
func (s *Server) Run() (err error) {
	if s.Addr == "" && len(s.Listen) == 0 {
		s.Listen = []string{defaultServeAddr} // as an Addr it would be IPv6 too
	}
	listeners, err := s.Listeners()
	if err != nil {
		return err
	}
	restart := make(chan os.Signal, 1)
	if len(restartSignals) > 0 { // none would be all
		signal.Notify(restart, restartSignals...)
		defer signal.Stop(restart)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	ended := make(chan struct{})
	told := serveService(signals, ended)
	defer func() {
		close(ended)
		if serr := <-told; serr != nil {
			err = errors.Join(err, serr)
		}
	}()

	served := make(chan error, 1)
	go func() { served <- s.ServeAll(listeners...) }()
	for _, l := range listeners {
		fmt.Println("Serving on", listenerURL(l))
	}

	var next handOver
	defer next.end()
	handed := false
	for running := true; running; {
		wanted := restart
		if next.under() {
			wanted = nil // one at a time: another signal counts when this one has failed
		}
		select {
		case err := <-served:
			return err
		case <-signals:
			handed, running = next.end(), false
		case <-wanted:
			next.begin(s)
		case handed = <-next.done:
			next.done, running = nil, !handed
		}
	}
	stop := s.Shutdown
	if handed {
		stop = s.shutdown // the new process is ready, and nobody is to be sent elsewhere
	}
	ctx, cancel := s.stopContext(handed)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- stop(ctx) }()
	select {
	case err = <-drained:
	case <-signals:
		err = context.Canceled
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			s.logger().Warn("cutting what has not finished within ShutdownTimeout", zap.Int("connections", s.conns()))
		}
		err = s.Close()
	}
	if serr := <-served; !errors.Is(serr, ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// stopContext is what bounds Run's shutdown: ShutdownTimeout, after LameDuck unless the server has handed over.
func (s *Server) stopContext(handed bool) (context.Context, context.CancelFunc) {
	timeout := orDefault(s.ShutdownTimeout, defaultShutdownTimeout)
	if timeout == 0 { // none
		return context.WithCancel(context.Background())
	}
	if !handed {
		timeout += max(s.LameDuck, 0)
	}
	return context.WithTimeout(context.Background(), timeout)
}

// conns returns how many connections are open, when the Server is closing.
func (s *Server) conns() int {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return 0
	}
	return r.conns()
}

// restartTimeout is how long a program that Run starts anew may take until it serves.
const restartTimeout = time.Minute

// A handOver is the start of the program anew while this process serves on. It belongs to Run's goroutine.
type handOver struct {
	cancel context.CancelFunc
	done   chan bool // gets whether the new process serves in place of this one; nil when none is under way
}

func (h *handOver) under() bool { return h.done != nil }

func (h *handOver) begin(s *Server) {
	ctx, cancel := context.WithTimeout(context.Background(), restartTimeout)
	done := make(chan bool, 1)
	h.cancel, h.done = cancel, done
	go func() {
		defer cancel()
		p, err := s.Restart(ctx)
		if err != nil {
			s.logger().Error("starting anew", zap.Error(err))
		} else {
			s.logger().Info("started anew", zap.Int("process", p.Pid))
		}
		done <- err == nil
	}()
}

// end ends the wait for the new process, and that process with it unless it has come to serve, which the result says.
func (h *handOver) end() bool {
	if !h.under() {
		return false
	}
	h.cancel()
	handed := <-h.done
	h.done = nil
	return handed
}

// ListenAndServe listens on addr and runs handler until the Server is told to stop, which, since nobody else has it,
// never happens: like http.ListenAndServe it returns with an error only.
func ListenAndServe(addr string, handler http.Handler) error {
	return (&Server{Addr: addr, Handler: handler}).ListenAndServe()
}
