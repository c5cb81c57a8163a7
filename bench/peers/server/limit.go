// SPDX-License-Identifier: MIT

package main

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/waitress-go/waitress/bench/internal/app"
)

//go:embed limit/limit.c
var limitSource []byte

// limitEngine compiles and runs a program in C that does as little as a server can.
func limitEngine(o *app.Options, ready func(net.Addr)) error {
	if err := o.Plain(); err != nil {
		return err
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-limit-")
	if err != nil {
		return err
	}
	clean := func() { _ = os.RemoveAll(dir) }
	source, program := filepath.Join(dir, "limit.c"), filepath.Join(dir, "limit")
	if err := os.WriteFile(source, limitSource, 0o600); err != nil {
		clean()
		return err
	}
	if out, err := exec.CommandContext(context.Background(), compiler, "-O2", "-pthread", "-o", program, source).CombinedOutput(); err != nil {
		clean()
		return fmt.Errorf("cc: %w\n%s", err, out)
	}
	addr, err := app.FreePort(o.Addr)
	if err != nil {
		clean()
		return err
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		clean()
		return err
	}
	return supervise(o, exec.CommandContext(context.Background(), program, host, port, strconv.Itoa(o.Procs)), addr, ready, clean)
}
