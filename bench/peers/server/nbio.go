// SPDX-License-Identifier: MIT

package main

import (
	"net"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"

	"github.com/waitress-go/waitress/bench/internal/app"
)

func nbioEngine(o *app.Options, ready func(net.Addr)) error {
	if err := o.Plain(); err != nil {
		return err
	}
	addr, err := app.FreePort(o.Addr)
	if err != nil {
		return err
	}
	logging.SetLevel(logging.LevelNone)
	e := nbhttp.NewEngine(nbhttp.Config{Network: "tcp", Addrs: []string{addr.String()}, Handler: app.Handler(o.Files)})
	if err := e.Start(); err != nil {
		return err
	}
	ready(addr)
	select {} // it serves on goroutines of its own
}
