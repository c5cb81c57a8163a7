// SPDX-License-Identifier: MIT

package waitress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
)

// Restart starts this program anew, by the name, arguments and environment that it was started with, and passes it the
// sockets of this Server's Listen, or Addr; the new process's own Listen finds them there, so that no client is turned away
// in between. Restart returns when the new process serves; Shutdown is then to end this one, and leaves the paths of
// Unix sockets to the other. An error says why there is no such process, and this one goes on as if nothing had
// happened; ctx bounds how long it may take.
//
// The sockets are passed by the address that they were asked for: what the new process does not listen on any more, because
// its settings are others, is closed. Listeners that were given to Serve, and not opened by Listeners, are not passed on.
// Where a program has several Servers, the new process serves when the one does that has found a socket; when none has, 20 s
// after the first serves. On Linux, macOS and the BSDs.
//
// The new process has another number. Where something watches over this one and ends the service with it, as systemd does,
// sockets that this passes ("systemd" in Listen) are the better way.
func (s *Server) Restart(ctx context.Context) (*os.Process, error) {
	s.mu.Lock()
	listeners, closing := s.listeners, s.closing
	s.mu.Unlock()
	if closing {
		return nil, ErrServerClosed
	}
	p, err := startAgain(ctx, listeners)
	if err != nil {
		return nil, fmt.Errorf("waitress: Restart: %w", err)
	}
	for _, i := range listeners {
		keepPath(i.listener)
	}
	return p, nil
}

// startAgain starts the program with these listeners and waits until it serves.
func startAgain(ctx context.Context, listeners []inherited) (*os.Process, error) {
	ready, said, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ready.Close() }()
	files, keys, err := passable(listeners)
	defer func() { // the new process has its own by then
		for _, f := range append(files, said) {
			_ = f.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(handover{Listeners: keys, Ready: firstPassed + len(files)})
	if err != nil {
		return nil, err
	}
	c := exec.Command(os.Args[0], os.Args[1:]...) //nolint:noctx // it outlives ctx, and this process
	c.Env = append(os.Environ(), handoverVariable+"="+string(text))
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.ExtraFiles = append(files, said)
	if err := c.Start(); err != nil {
		return nil, err
	}
	_ = said.Close() // so that the end of the other process is the end of the pipe
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(longAgo) })
	defer stop()
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		_ = c.Process.Kill() // it may have ended by itself
		return nil, errors.Join(errors.New("the new process did not come to serve"), ctx.Err(), c.Wait())
	}
	go func() { _ = c.Wait() }() // should it end before this one
	return c.Process, nil
}

// passable returns a file for each listener that is open, and its key. The caller closes the files, with an error too.
func passable(listeners []inherited) (files []*os.File, keys []string, err error) {
	for _, i := range listeners {
		f, err := listenerFile(i.listener)
		switch {
		case errors.Is(err, net.ErrClosed):
			continue // by whoever has called Listeners
		case err != nil:
			return files, nil, err
		}
		files, keys = append(files, f), append(keys, i.key)
	}
	return files, keys, nil
}
