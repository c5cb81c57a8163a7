// SPDX-License-Identifier: MIT

//go:build unix || plan9 || js || wasip1

package waitress

import (
	"os"
	"os/exec"
	"syscall"
)

// programSignals are what a test can send a program so that it ends properly.
var programSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

func signalable(*exec.Cmd) {}

func allowSignals() {}

func sendSignal(p *os.Process, s os.Signal) error { return p.Signal(s) }
