// SPDX-License-Identifier: MIT

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package waitress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	canReusePort  = true
	canSetBacklog = true
)

func reusePort(fd uintptr) error {
	// The constant's name; on FreeBSD, where SO_REUSEPORT gives all connections to one socket, it is not enough.
	return os.NewSyscallError("setsockopt SO_REUSEPORT", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, soReusePort, 1))
}

func sysListen(fd uintptr, backlog int) error {
	return os.NewSyscallError("listen", unix.Listen(int(fd), backlog))
}

// A unixListener is a listener on a path, which it removes when it is closed, if the path still leads to it.
type unixListener struct {
	*net.UnixListener
	path   string
	file   os.FileInfo // of path, as this listener made it
	closed atomic.Bool
	keep   atomic.Bool // the path is another process's now
}

// listenUnix listens on path.
//
// Nobody can connect before listen(2), so the permissions are set between bind and listen, and there is no moment at which
// the socket is open to others. (The umask, which would do for bind, belongs to the whole process.) The net package does
// both in one call, so this is done by hand.
func listenUnix(path string, b *binding) (net.Listener, error) {
	if path[0] == '@' {
		// Linux has names for sockets beside the file system's. They have no permissions, and go with the socket.
		return b.config.Listen(context.Background(), "unix", path)
	}
	if most := len(unix.RawSockaddrUnix{}.Path) - 1; len(path) > most {
		return nil, fmt.Errorf("the path has %d bytes: a socket's may have %d at most", len(path), most)
	}
	defer lockDirectory(path)()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // FileListener makes one of its own
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	l, err := listenUnixBound(f, path, b)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return l, nil
}

// listenUnixBound is the second half of listenUnix: f is bound to path.
func listenUnixBound(f *os.File, path string, b *binding) (net.Listener, error) {
	if err := os.Chmod(path, b.perms); err != nil {
		return nil, err
	}
	backlog := b.backlog
	if backlog == 0 {
		backlog = maxBacklog
	}
	if err := sysListen(f.Fd(), backlog); err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return adoptUnix(l, path)
}

// lockDirectory keeps other processes that start at the same time from taking a socket that is bound and does not listen
// yet for a stale one. It returns what ends that. Where the directory can't be locked, because it can't be read or its file
// system has no locks, there is no way to keep them out, and few such starts.
func lockDirectory(path string) (unlock func()) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return func() {}
	}
	_ = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
	return func() { _ = dir.Close() }
}

// removeStale removes the socket at path if nobody listens on it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("there is a file of that name, and it is no socket")
	}
	c, err := new(net.Dialer).DialContext(context.Background(), "unix", path)
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("%w: somebody listens on it", os.NewSyscallError("bind", unix.EADDRINUSE))
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, os.ErrNotExist):
		return nil // gone meanwhile
	}
	return fmt.Errorf("there is a socket of that name, and it can't be told whether it is in use: %w", err)
}

// adoptUnix makes a unixListener of l, whose socket is at path.
func adoptUnix(l net.Listener, path string) (net.Listener, error) {
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a %T is not on a path", l), l.Close())
	}
	if path[0] == '@' {
		return u, nil
	}
	u.SetUnlinkOnClose(false) // it would remove whatever is there
	info, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &unixListener{UnixListener: u, path: path, file: info}, nil
}

// Close closes the listener and removes its path. The path goes first: who finds it should find somebody who listens.
func (l *unixListener) Close() error {
	var err error
	if !l.closed.Swap(true) && !l.keep.Load() {
		if info, serr := os.Lstat(l.path); serr == nil && os.SameFile(info, l.file) {
			err = os.Remove(l.path)
		}
	}
	return errors.Join(l.UnixListener.Close(), err)
}

// keepPath makes Close leave l's path, if it has one, to another process.
func keepPath(l net.Listener) {
	if u, ok := l.(*unixListener); ok {
		u.keep.Store(true)
	}
}

// listenerFile returns a file for l's socket, to be closed by the caller. l's own File method would not do: whoever asks that
// file for its descriptor, as os/exec does, makes the socket a blocking one, and l's Accept with it.
func listenerFile(l net.Listener) (*os.File, error) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%w for a %T", errors.ErrUnsupported, l)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var file *os.File
	err = onDescriptor(raw, func(fd uintptr) error {
		dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		file = os.NewFile(uintptr(dup), l.Addr().String())
		return nil
	})
	return file, err
}
