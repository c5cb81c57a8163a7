// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// Options is what an Engine is told.
type Options struct {
	Addr  string      // HOST:PORT to listen on; port 0 is any
	TLS   *tls.Config // nil for none
	Files string      // the folder of /file/, or ""
	Procs int         // processors to use, at most: GOMAXPROCS

	mu   sync.Mutex
	ends []func() // guarded by mu
}

// Plain returns an error if o asks for TLS, for engines without it.
func (o *Options) Plain() error {
	if o.TLS != nil {
		return errors.New("this engine has no TLS here")
	}
	return nil
}

// Listen listens as o says, with TLS if it says so.
func (o *Options) Listen() (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", o.Addr)
	if err == nil && o.TLS != nil {
		l = tls.NewListener(l, o.TLS)
	}
	return l, err
}

// FreePort returns addr with a port instead of 0, for servers that do not tell which one they got. Another process could
// take that port meanwhile, and then they fail to listen.
func FreePort(addr string) (net.Addr, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return l.Addr(), l.Close()
}

// AtEnd has f called when the process ends by a signal or by -until-eof. Any goroutine may call it.
func (o *Options) AtEnd(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ends = append(o.ends, f)
}

// End calls them.
func (o *Options) End() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.ends {
		f()
	}
}

// An Engine listens, calls ready with the address it got, and serves until it can't go on.
type Engine func(o *Options, ready func(net.Addr)) error

// Main is the program: it serves as one of the engines, prints "Serving on http://HOST:PORT" once it listens, and for each
// meter.StatsSignal (SIGUSR1) a meter.Stats as one line of JSON.
func Main(engines map[string]Engine) {
	log.SetFlags(0)
	log.SetPrefix("server: ")
	names := strings.Join(slices.Sorted(maps.Keys(engines)), ", ")
	o := &Options{}
	name := flag.String("engine", "", "what serves: "+names)
	flag.StringVar(&o.Addr, "listen", "127.0.0.1:0", "`HOST:PORT` to serve on")
	flag.StringVar(&o.Files, "files", "", "`FOLDER` of what is under /file/")
	flag.IntVar(&o.Procs, "gomaxprocs", 0, "processors to use at most, if above 0")
	secure := flag.Bool("tls", false, "serve HTTPS, with a certificate made at the start")
	untilEOF := flag.Bool("until-eof", false, "end with the standard input, as a process does not outlive its driver")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "%s\nSIGUSR1 has it collect its garbage and print what is left.\n\n", Routes)
		flag.PrintDefaults()
	}
	flag.Parse()
	serve, ok := engines[*name]
	if !ok {
		log.Fatalf("no engine %q; there are %s", *name, names)
	}
	if *secure {
		var err error
		if o.TLS, err = SelfSigned(); err != nil {
			log.Fatal(err)
		}
	}
	if o.Procs > 0 {
		runtime.GOMAXPROCS(o.Procs)
	}
	o.Procs = runtime.GOMAXPROCS(0)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if *untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	if meter.StatsSignal != nil {
		// From here on, so that nobody who has seen the address asks in vain.
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, meter.StatsSignal)
		go tellStats(asked)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- serve(o, func(addr net.Addr) { fmt.Printf("Serving on %s://%s\n", o.scheme(), addr) })
	}()
	select {
	case err := <-ended:
		log.Printf("%s: %v", *name, err)
		o.End()
		os.Exit(1)
	case <-ctx.Done():
		o.End()
	}
}

// scheme is of the URL that is served.
func (o *Options) scheme() string {
	if o.TLS != nil {
		return "https"
	}
	return "http"
}

// tellStats prints the process's Stats each time it is asked to.
func tellStats(asked <-chan os.Signal) {
	for range asked {
		stats, err := meter.ReadStats()
		if err != nil {
			log.Fatal(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(stats); err != nil {
			log.Fatal(err)
		}
	}
}

// SelfSigned makes a certificate for this process's life.
func SelfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}
