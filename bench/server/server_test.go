// SPDX-License-Identifier: MIT

package main

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/waitress-go/waitress/bench/internal/app"
	"github.com/waitress-go/waitress/bench/internal/app/apptest"
)

// TestEngines has those that are there answer.
func TestEngines(t *testing.T) {
	for _, name := range []string{"waitress-pool", "waitress-inline", "waitress-adaptive", "waitress-native", "waitress-native-inline", "nethttp"} {
		t.Run(name, func(t *testing.T) {
			apptest.All(t, engines[name], &app.Options{Addr: "127.0.0.1:0"})
		})
		t.Run(name+" TLS", func(t *testing.T) {
			config, err := app.SelfSigned()
			if err != nil {
				t.Fatal(err)
			}
			apptest.Canned(t, engines[name], &app.Options{Addr: "127.0.0.1:0", TLS: config})
		})
	}
	t.Run("gnet", func(t *testing.T) { apptest.Canned(t, gnetEngine, &app.Options{Addr: "127.0.0.1:0"}) })
}

func TestRefusal(t *testing.T) {
	if err := gnetEngine(&app.Options{TLS: &tls.Config{}}, func(net.Addr) { t.Error("ready") }); err == nil {
		t.Error("gnet: no error for TLS")
	}
}
