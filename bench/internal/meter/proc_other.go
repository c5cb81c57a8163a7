// SPDX-License-Identifier: MIT

//go:build !linux

package meter

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

var errLinux = fmt.Errorf("meter: processor time and memory of a process are read from /proc, which %s has not: %w",
	runtime.GOOS, errors.ErrUnsupported)

// CPU is for Linux only.
func CPU(int) (time.Duration, error) { return 0, errLinux }

// RSS is for Linux only.
func RSS(int) (int64, error) { return 0, errLinux }

func sockets() (int, error) { return 0, errLinux }

// SpareCPU is for Linux only.
func SpareCPU() (int, error) { return -1, errLinux }

// ThisMachine is for Linux only.
func ThisMachine() (Machine, error) { return Machine{}, errLinux }
