// SPDX-License-Identifier: MIT

//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

var errLinux = fmt.Errorf("the load is made with epoll, which %s has not: %w", runtime.GOOS, errors.ErrUnsupported)

func drive(context.Context, *meter.Order) (*meter.Load, error) { return nil, errLinux }

func pin(int) error { return errLinux }

// spread does nothing: other systems have one loopback address.
func spread(*net.Dialer, string, int) {}
