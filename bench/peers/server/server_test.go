// SPDX-License-Identifier: MIT

package main

import (
	"crypto/tls"
	"net"
	"os/exec"
	"testing"

	"github.com/waitress-go/waitress/bench/internal/app"
	"github.com/waitress-go/waitress/bench/internal/app/apptest"
)

func TestEngines(t *testing.T) {
	for _, name := range []string{"fasthttp", "hertz", "nbio"} {
		t.Run(name, func(t *testing.T) {
			apptest.All(t, engines[name], &app.Options{Addr: "127.0.0.1:0"})
		})
	}
	t.Run("fasthttp TLS", func(t *testing.T) {
		config, err := app.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		apptest.Canned(t, fastHTTPEngine, &app.Options{Addr: "127.0.0.1:0", TLS: config})
	})
}

// TestChildren has the programs that are not written in Go answer and end.
func TestChildren(t *testing.T) {
	for _, tt := range []struct {
		name, needs string
		check       func(*testing.T, app.Engine, *app.Options) string
	}{{"nginx", "nginx", apptest.Files}, {"limit", "cc", apptest.Sleeps}} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.needs); err != nil {
				t.Skipf("it needs a program: %v", err)
			}
			t.Setenv("TMPDIR", t.TempDir())
			o := &app.Options{Addr: "127.0.0.1:0", Procs: 2}
			ended := make(chan error, 1)
			addr := tt.check(t, func(o *app.Options, ready func(net.Addr)) error {
				err := engines[tt.name](o, ready)
				ended <- err
				return err
			}, o)
			o.End()
			if err := <-ended; err == nil {
				t.Error("no error after the end")
			}
			if c, err := net.Dial("tcp", addr); err == nil {
				_ = c.Close()
				t.Error("it listens on")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, name := range []string{"hertz", "nbio", "nginx", "limit"} {
		if err := engines[name](&app.Options{TLS: &tls.Config{}}, func(net.Addr) { t.Error("ready") }); err == nil {
			t.Errorf("%s: no error for TLS", name)
		}
	}
}
