// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"time"

	"github.com/waitress-go/waitress/bench/internal/app"
)

const (
	startPatience = 5 * time.Second
	endGrace      = time.Second
	retryAfter    = 2 * time.Millisecond
)

// supervise runs cmd, which is to listen on addr, until it ends or we do. clean is called when it is gone.
func supervise(o *app.Options, cmd *exec.Cmd, addr net.Addr, ready func(net.Addr), clean func()) error {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// A program that looks at its input sees our end in it, however that comes.
	if _, err := cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		clean()
		return err
	}
	ended := make(chan struct{})
	o.AtEnd(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(endGrace, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		<-ended
		clean()
	})
	go func() {
		if waitFor(addr) {
			ready(addr)
		}
	}()
	err := cmd.Wait()
	close(ended)
	return fmt.Errorf("%s has ended: %w\n%s", cmd.Path, err, bytes.TrimSpace(stderr.Bytes()))
}

// waitFor returns when somebody listens on addr; false if nobody does in time.
func waitFor(addr net.Addr) bool {
	for begin := time.Now(); time.Since(begin) < startPatience; time.Sleep(retryAfter) {
		c, err := (&net.Dialer{Timeout: startPatience}).DialContext(context.Background(), addr.Network(), addr.String())
		if err == nil {
			_ = c.Close()
			return true
		}
	}
	return false
}
