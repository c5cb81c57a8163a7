// SPDX-License-Identifier: MIT

package waitress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

const (
	// defaultUnixSocketPerms lets nobody in but the server's own user.
	defaultUnixSocketPerms os.FileMode = 0o600

	// maxBacklog is what listen(2) takes on every system. The system has a limit of its own and keeps to that silently.
	maxBacklog = 65535

	// portTries is how often listenPort looks for a port that is free at each of several addresses.
	portTries = 10
)

// An endpoint is one entry of Server.Listen, or Server.Addr, taken apart. Immutable.
type endpoint struct {
	network string // "tcp", "tcp4", "tcp6", "unix", "systemd", or "" for a name that is yet to be resolved
	host    string // for tcp; a path for unix; the name of a socket, or none, for systemd
	port    string // for tcp
	both    bool   // host is "*"
}

// parseEndpoint takes an entry of Server.Listen apart. It resolves no names.
func parseEndpoint(entry string) (endpoint, error) {
	switch scheme, rest, _ := strings.Cut(entry, ":"); {
	case scheme == "unix":
		if rest == "" {
			return endpoint{}, errors.New("the path of the socket is missing")
		}
		return endpoint{network: "unix", host: rest}, nil
	case scheme == "systemd":
		return endpoint{network: "systemd", host: rest}, nil
	}
	host, port, err := net.SplitHostPort(entry)
	if err != nil {
		var addr *net.AddrError
		if errors.As(err, &addr) {
			err = errors.New(addr.Err)
		}
		return endpoint{}, err
	}
	if port == "" {
		return endpoint{}, errors.New("the port is missing; 0 is any")
	}
	if err := checkPort(port); err != nil {
		return endpoint{}, err
	}
	e := endpoint{host: host, port: port}
	ip, _ := netip.ParseAddr(host) // the zero Addr for a name
	switch {
	case host == "":
		e.network = "tcp"
	case host == "*":
		e.both = true
	case ip.Is4() || ip.Is4In6():
		e.network, e.host = "tcp4", ip.Unmap().String()
	case ip.Is6():
		e.network = "tcp6"
	}
	return e, nil
}

// checkPort says whether there is a port of this number. It resolves no names.
func checkPort(port string) error {
	if n, err := strconv.Atoi(port); err == nil && (n < 0 || n > 65535) {
		return fmt.Errorf("there is no port %s: it is from 0 to 65535", port)
	}
	return nil
}

// A binding is how sockets are made for a Server: its adjustments that are not an address. Immutable.
type binding struct {
	perms   os.FileMode
	backlog int // 0: as many as the system allows
	config  *net.ListenConfig
}

func (s *Server) binding() (*binding, error) {
	b := &binding{perms: s.UnixSocketPerms, backlog: s.Backlog, config: new(net.ListenConfig)}
	if b.perms == 0 {
		b.perms = defaultUnixSocketPerms
	}
	if s.ReusePort {
		if !canReusePort {
			return nil, fmt.Errorf("waitress: ReusePort: %w on this system", errors.ErrUnsupported)
		}
		b.config.Control = func(_, _ string, c syscall.RawConn) error { return onDescriptor(c, reusePort) }
	}
	if s.Backlog != 0 && !canSetBacklog {
		return nil, fmt.Errorf("waitress: Backlog: %w on this system", errors.ErrUnsupported)
	}
	return b, nil
}

// onDescriptor calls f with c's descriptor.
func onDescriptor(c syscall.RawConn, f func(fd uintptr) error) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = f(fd) }); cerr != nil {
		return cerr
	}
	return err
}

// Listeners listens on each address of Listen, or on Addr when there are none, and returns a listener for each socket: the
// standard library's own, so that they can be given to Serve or to any other server. It is all of them or none: an error
// says which address could not be had, and why, and nothing is left open then. The caller closes them; Serve does.
//
// A process that was started with listeners for the same addresses uses those instead: see Restart.
func (s *Server) Listeners() ([]net.Listener, error) { return s.listen(":http") }

// listen is Listeners with another default for Addr.
func (s *Server) listen(defaultAddr string) ([]net.Listener, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	b, err := s.binding()
	if err != nil {
		return nil, err
	}
	var all []inherited
	if len(s.Listen) > 0 {
		all, err = b.listenEach(s.Listen)
	} else {
		all, err = b.listenAddr(cmp.Or(s.Addr, defaultAddr))
	}
	if err != nil {
		return nil, err
	}
	s.opened(all)
	return listenersOf(all), nil
}

// listenEach is Listeners for Listen.
func (b *binding) listenEach(entries []string) (all []inherited, err error) {
	seen := make(map[endpoint]bool)
	for _, entry := range entries {
		opened, err := b.listen(entry, seen)
		all = append(all, opened...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("waitress: Listen: %q: %w", entry, err), closeAll(listenersOf(all)))
		}
	}
	return all, nil
}

// listenAddr is Listeners for Addr, which means what it means to http.Server.
func (b *binding) listenAddr(addr string) ([]inherited, error) {
	l, err := b.open("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("waitress: Addr: %w", err)
	}
	return []inherited{l}, nil
}

// opened notes what Listeners has opened, and by what keys another process would find it.
func (s *Server) opened(all []inherited) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, all...)
}

// heir says whether this Server has a listener that the process was started with.
func (s *Server) heir() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.listeners, func(l inherited) bool { return l.handed })
}

func listenersOf(all []inherited) []net.Listener {
	listeners := make([]net.Listener, len(all))
	for i := range all {
		listeners[i] = all[i].listener
	}
	return listeners
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// listen opens the sockets of one entry, less those that are in seen, and returns what it has opened, with an error too.
func (b *binding) listen(entry string, seen map[endpoint]bool) ([]inherited, error) {
	e, err := parseEndpoint(entry)
	if err != nil {
		return nil, err
	}
	switch e.network {
	case "systemd":
		return inheritance.named(e.host)
	case "unix":
		if seen[e] {
			return nil, nil
		}
		seen[e] = true
		l, err := b.open("unix", e.host)
		if err != nil {
			return nil, err
		}
		return []inherited{l}, nil
	}
	all, err := e.resolve()
	if err != nil {
		return nil, err
	}
	if e.port != "0" {
		all = slices.DeleteFunc(all, func(e endpoint) bool { return seen[e] })
		for _, e := range all {
			seen[e] = true
		}
	}
	return b.listenPort(all)
}

// resolve returns e's sockets: one a family for "*", and one an address for a name.
func (e endpoint) resolve() ([]endpoint, error) {
	var addrs []netip.Addr
	switch {
	case e.network != "":
		return []endpoint{e}, nil
	case e.both:
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	default:
		var err error
		if addrs, err = net.DefaultResolver.LookupNetIP(context.Background(), "ip", e.host); err != nil {
			return nil, err
		}
	}
	var all []endpoint
	for _, addr := range addrs {
		x := endpoint{network: "tcp4", host: addr.Unmap().String(), port: e.port}
		if addr.Unmap().Is6() {
			x.network = "tcp6"
			if len(addrs) > 1 && !hasIPv6() {
				continue // what is named is there by its other address
			}
		}
		if !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	return all, nil
}

// hasIPv6 says whether this machine can listen on IPv6 at all: a kernel may know it and have it switched off.
func hasIPv6() bool {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// listenPort opens all of them. If they are several, and any port will do, they get the same one.
func (b *binding) listenPort(all []endpoint) ([]inherited, error) {
	for try := 1; ; try++ {
		port := ""
		var opened []inherited
		var failed error
		for _, e := range all {
			if port == "" {
				port = e.port
			}
			l, err := b.open(e.network, net.JoinHostPort(e.host, port))
			if err != nil {
				failed = err
				break
			}
			opened = append(opened, l)
			if a, ok := l.listener.Addr().(*net.TCPAddr); ok && port == "0" {
				port = strconv.Itoa(a.Port)
			}
		}
		if failed == nil {
			return opened, nil
		}
		if len(opened) == 0 || all[0].port != "0" || try == portTries {
			return opened, failed
		}
		if err := closeAll(listenersOf(opened)); err != nil {
			return nil, errors.Join(failed, err)
		}
	}
}

// open opens one socket, or takes the one that this process was started with for that address.
func (b *binding) open(network, address string) (inherited, error) {
	l, err := inheritance.take(network, address)
	handed := l != nil
	switch {
	case err != nil:
		return inherited{}, err
	case handed: // as it is
	case network == "unix":
		l, err = listenUnix(address, b)
	default:
		l, err = b.listenTCP(network, address)
	}
	if err != nil {
		return inherited{}, err
	}
	return inherited{listenerKey(network, address), l, handed}, nil
}

func (b *binding) listenTCP(network, address string) (net.Listener, error) {
	l, err := b.config.Listen(context.Background(), network, address)
	if err != nil || b.backlog == 0 {
		return l, err
	}
	// The net package has called listen already, with as many as the system allows; the second call changes it.
	if err := setBacklog(l, b.backlog); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// setBacklog says how many connections may wait to be accepted from l.
func setBacklog(l net.Listener, n int) error {
	c, ok := l.(syscall.Conn)
	if !ok {
		return fmt.Errorf("waitress: Backlog: %w for a %T", errors.ErrUnsupported, l)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return onDescriptor(raw, func(fd uintptr) error { return sysListen(fd, n) })
}

// ServeAll serves the connections of all the listeners, as Serve does of one, until Shutdown or Close, and returns
// ErrServerClosed then. When one of them fails, it closes the others and returns why; connections that were accepted are
// served on, until Shutdown or Close.
func (s *Server) ServeAll(listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("waitress: ServeAll: there is no listener")
	}
	var all []*serving
	for i, l := range listeners {
		v, err := s.admit(l)
		if err != nil {
			for _, v := range all {
				s.dismiss(v)
			}
			_ = closeAll(listeners[i+1:]) // why there is no serving is what is told
			return err
		}
		all = append(all, v)
	}
	inheritance.serving(s.heir(), func(err error) { all[0].run.log.Error("handing over", zap.Error(err)) })
	ended := make(chan error, len(all))
	for _, v := range all {
		go func() { ended <- s.serve(v) }()
	}
	var first error
	for range all {
		if err := <-ended; first == nil {
			first = err
			for _, v := range all {
				_ = v.accept.Close() // the first failure is what is told; after Shutdown they are closed
			}
		}
	}
	return first
}

// listenerURL is how l is told to the person who starts the server.
func listenerURL(l net.Listener) string {
	if a := l.Addr(); a.Network() == "unix" {
		return "http://unix:" + a.String()
	}
	return "http://" + l.Addr().String()
}
