// SPDX-License-Identifier: MIT

//go:build !linux

package meter

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// StatsSignal is what nobody sends: see errLinux.
var StatsSignal = os.Interrupt

var errLinux = fmt.Errorf("meter: processor time and memory of a process are read from /proc, which %s has not: %w",
	runtime.GOOS, errors.ErrUnsupported)

// CPU is for Linux only.
func CPU(int) (time.Duration, error) { return 0, errLinux }

// RSS is for Linux only.
func RSS(int) (int64, error) { return 0, errLinux }

// ThisMachine is for Linux only.
func ThisMachine() (Machine, error) { return Machine{}, errLinux }
