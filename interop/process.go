// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/waitress-go/waitress"
)

// A process is a server that was started, and has to be stopped.
type process struct {
	*exec.Cmd
	ended chan error // what Wait returned
	said  *strings.Builder
}

// start runs a program until stop. What it prints is told only if it fails.
func start(name string, stdout io.Writer, args ...string) (*process, error) {
	p := &process{Cmd: exec.Command(name, args...), ended: make(chan error, 1), said: new(strings.Builder)} //nolint:noctx // stop ends it
	p.Stdout, p.Stderr = stdout, p.said
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.Wait() }()
	return p, nil
}

// stop asks the process to end, and waits until it has.
func (p *process) stop() error {
	if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-p.ended:
		if err != nil {
			return fmt.Errorf("%s: %w: %s", p.Path, err, last([]byte(p.said.String())))
		}
		return nil
	case <-time.After(stopTime):
		err := p.Process.Kill()
		return errors.Join(fmt.Errorf("%s did not end when it was asked to", p.Path), err, <-p.ended)
	}
}

// startServer starts this program as the server, and returns its address.
func startServer(_ context.Context, policy waitress.Policy) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = r.Close() }()
	p, err := start(self, w, "-serve", "-policy", policy.String())
	_ = w.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "Serving on http://")
	if err != nil || !ok {
		return nil, "", errors.Join(fmt.Errorf("the server said %q", line), err, p.stop())
	}
	return p, addr, nil
}

// startFront starts a proxy, and returns when it accepts connections at addr.
func startFront(ctx context.Context, addr, name string, args ...string) (*process, error) {
	p, err := start(name, io.Discard, args...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return p, c.Close()
		}
		select {
		case ended := <-p.ended:
			return nil, fmt.Errorf("%s: %w: %s", name, ended, p.said)
		case <-ctx.Done():
			return nil, errors.Join(err, p.stop())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// freeAddr returns a loopback address with a port that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
