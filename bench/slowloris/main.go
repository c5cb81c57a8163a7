// SPDX-License-Identifier: MIT

//go:build linux

// Slowloris attacks a server, and looks at what others notice of it:
//
//	go run ./bench/slowloris [-conns N] [-rounds N]
//
// At the same time, N connections each send a request's head by a byte now and then, send a request's content so, and read an
// answer so. The server's limits are its defaults, but for a head's timeout, which is as long as the others. Meanwhile a load
// at a fixed rate asks for something short, before the attack and from its first connection until its last one is gone. The
// server tells how long connections of each kind have lasted: none may for longer than its deadline and the second that a
// closed connection lingers.
//
// Server, load and attackers are processes of their own. The attackers have the lowest priority: they would be on other
// machines, and what they cost is not what is looked for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waitress-go/waitress"
	"github.com/waitress-go/waitress/bench/internal/child"
	"github.com/waitress-go/waitress/bench/internal/meter"
)

const (
	timeout  = 30 * time.Second // each of the server's
	every    = 5 * time.Second  // a byte of each attacker
	before   = 10 * time.Second // of the load, without an attack
	during   = 50 * time.Second // of the load, with one
	arrival  = 20 * time.Second // all of an attack's connections come within, so that all are there for ten seconds
	rate     = 500              // requests a second of the load
	answer   = 128 << 10        // bytes that a slow reader asks for: more than the kernel takes for it, which would be
	sendRoom = 16 << 10         // a megabyte without a bound of the server's send buffers,
	readRoom = 4 << 10          // and of the attackers' receive buffers
	giveUp   = 2 * time.Minute
	hello    = "Hello, World!"
	goodHead = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
	localNet = "127.0.%d.1" // a kind's address, by which the server knows it; the load's is 127.0.0.1
)

// kinds are the attackers, by what they send first.
var kinds = []struct{ name, begin string }{
	{"slow heads", "GET / HTTP/1.1\r\nHost: bench\r\nX: "},
	{"slow contents", "POST /read HTTP/1.1\r\nHost: bench\r\nContent-Length: 1000000\r\n\r\n"},
	{"slow readers", "GET /long HTTP/1.1\r\nHost: bench\r\n\r\n"},
}

// A tally is what the server knows of one kind.
type tally struct {
	Open, Gone int
	Longest    time.Duration // that one of those that are gone has lasted
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("slowloris: ")
	conns := flag.Int("conns", 5000, "connections of each kind")
	rounds := flag.Int("rounds", 3, "attacks")
	server := flag.Bool("serve", false, "be the server: for the program itself")
	victim := flag.String("attack", "", "be the attackers of `HOST:PORT`: for the program itself")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unknown argument %q", flag.Arg(0))
	}
	if *conns < 1 || *rounds < 1 {
		log.Fatal("-conns and -rounds must be above 0")
	}
	switch {
	case *server:
		log.Fatal(serve())
	case *victim != "":
		if err := attack(*victim, *conns); err != nil {
			log.Fatal(err)
		}
		return
	}
	// Ending the context ends every process that was started.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *conns, *rounds)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// serve is the server's process, until its standard input ends.
func serve() error {
	var mu sync.Mutex
	tallies := make([]tally, len(kinds)+1)
	since := make(map[string]time.Time)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, hello) })
	mux.HandleFunc("/read", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	long := make([]byte, answer)
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(long) })
	mux.HandleFunc("/tallies", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(w).Encode(tallies)
	})
	s := &waitress.Server{
		Handler:           mux,
		ReadHeaderTimeout: timeout, BodyTimeout: timeout, WriteStallTimeout: timeout, IdleTimeout: giveUp,
		ConnState: func(c net.Conn, state http.ConnState) {
			if state != http.StateNew && state != http.StateClosed {
				return
			}
			peer := c.RemoteAddr().String()
			kind := 0
			_, _ = fmt.Sscanf(peer, localNet, &kind)
			mu.Lock()
			defer mu.Unlock()
			if state == http.StateNew {
				tallies[kind].Open++
				since[peer] = time.Now()
				return
			}
			tallies[kind].Open--
			tallies[kind].Gone++
			tallies[kind].Longest = max(tallies[kind].Longest, time.Since(since[peer]))
			delete(since, peer)
		},
	}
	l, err := (&net.ListenConfig{Control: room(unix.SO_SNDBUF, sendRoom)}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	child.EndWithInput()
	return s.Serve(l)
}

// run makes the rounds and prints what was found.
func run(ctx context.Context, conns, rounds int) error {
	dir, err := os.MkdirTemp("", "slowloris-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	load := filepath.Join(dir, "load")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", load, "github.com/waitress-go/waitress/bench/load").CombinedOutput(); err != nil {
		return fmt.Errorf("building the load: %w\n%s", err, out)
	}
	fmt.Printf("%d connections of each kind, deadlines of %v, a byte every %v; %d good requests a second\n", conns, timeout, every, rate)
	var ratios []float64
	for range rounds {
		ratio, err := round(ctx, load, conns)
		if err != nil {
			return err
		}
		ratios = append(ratios, ratio)
	}
	slices.Sort(ratios)
	fmt.Printf("p99 in an attack, in multiples of p99 before: median %.2f, from %.2f to %.2f\n", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
	return nil
}

// round attacks a new server, and returns by how much the load's p99 has grown.
func round(ctx context.Context, load string, conns int) (ratio float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	c, err := child.Start(ctx, "server", "", self, "-serve")
	if err != nil {
		return 0, err
	}
	defer func() {
		c.Stop()
		err = errors.Join(err, c.Err())
	}()
	addr, err := c.Line(ctx, "", child.Patience)
	if err != nil {
		return 0, err
	}
	quiet, err := ask(ctx, load, addr, before)
	if err != nil {
		return 0, err
	}
	attackers := exec.CommandContext(ctx, "nice", "-n", "19", self, "-attack", addr, "-conns", strconv.Itoa(conns)) // watch ends it, too
	attackers.Stdout, attackers.Stderr = os.Stdout, os.Stderr
	if err := attackers.Start(); err != nil {
		return 0, err
	}
	busy, err := ask(ctx, load, addr, during)
	if err = errors.Join(err, attackers.Wait()); err != nil {
		return 0, err
	}
	fmt.Printf("  the load: p50 %v, then %v; p99 %v, then %v\n", quiet.Quantile(0.5), busy.Quantile(0.5), quiet.Quantile(0.99), busy.Quantile(0.99))
	return float64(busy.Quantile(0.99)) / float64(quiet.Quantile(0.99)), nil
}

// ask runs the load, and returns how long its answers took.
func ask(ctx context.Context, load, addr string, d time.Duration) (*meter.Latency, error) {
	order, err := json.Marshal(meter.Order{
		Addr: addr, Warmup: time.Second, Duration: d, MaxDelay: giveUp,
		Groups: []meter.Group{{Conns: 32, Rate: rate, Kinds: []meter.Kind{{Name: "hello", Head: goodHead, Share: 1, Content: hello}}}},
	})
	if err != nil {
		return nil, err
	}
	c, err := child.Start(ctx, "load", string(order)+"\n", load)
	if err != nil {
		return nil, err
	}
	var l meter.Load
	err = c.Decode(ctx, &l, d+giveUp+child.Patience)
	c.Stop()
	if err = errors.Join(err, c.Err()); err != nil {
		return nil, err
	}
	return l.Kinds[0].Latency, nil
}

// attack is the attackers' process: it opens the connections of all kinds, keeps them slow until the server has closed them all, and prints what it has said.
func attack(addr string, conns int) error {
	over := make(chan struct{})
	attackers := make(chan error, len(kinds))
	for kind := range kinds {
		go func() { attackers <- attackAs(addr, kind, conns, over) }()
	}
	tallies, err := watch(addr, conns)
	close(over)
	for range kinds {
		err = errors.Join(err, <-attackers)
	}
	if err != nil {
		return err
	}
	for kind, k := range kinds {
		fmt.Printf("  %-14s %d gone, the last after %v\n", k.name, tallies[kind+1].Gone, tallies[kind+1].Longest.Round(10*time.Millisecond))
	}
	return nil
}

// watch asks the server until no attacker is left.
func watch(addr string, conns int) (tallies []tally, err error) {
	for began := time.Now(); time.Since(began) < giveUp; time.Sleep(500 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/tallies") //nolint:noctx // the program's own server
		if err != nil {
			return nil, err
		}
		err = errors.Join(json.NewDecoder(resp.Body).Decode(&tallies), resp.Body.Close())
		if err != nil {
			return nil, err
		}
		gone := 0
		for kind := range kinds {
			if tallies[kind+1].Gone == conns {
				gone++
			}
		}
		if gone == len(kinds) {
			return tallies, nil
		}
	}
	return nil, fmt.Errorf("after %v: %+v", giveUp, tallies)
}

// attackAs opens conns connections of one kind, and has each say or read a byte now and then until over.
func attackAs(addr string, kind, conns int, over <-chan struct{}) error {
	d := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.ParseIP(fmt.Sprintf(localNet, kind+1))},
		Control:   room(unix.SO_RCVBUF, readRoom),
	}
	open := make([]net.Conn, 0, conns)
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	began := time.Now()
	for i := range conns {
		time.Sleep(time.Until(began.Add(arrival * time.Duration(i) / time.Duration(conns))))
		c, err := d.Dial("tcp4", addr)
		if err != nil {
			return err
		}
		open = append(open, c)
		if _, err := io.WriteString(c, kinds[kind].begin); err != nil {
			return err
		}
	}
	for {
		next := time.Now().Add(every)
		for _, c := range open {
			drip(c, kinds[kind].name == "slow readers")
		}
		select {
		case <-over:
			return nil
		case <-time.After(time.Until(next)):
		}
	}
}

// room bounds a socket's buffer before it is used. Those that a listener accepts have its bound.
func room(option, bytes int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, bytes) })
		return errors.Join(cerr, err)
	}
}

// drip reads a byte, or else sends one. That the server has closed the connection is what the server tells.
func drip(c net.Conn, reads bool) {
	if !reads {
		_, _ = c.Write([]byte{'x'})
		return
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		_, _ = unix.Read(int(fd), make([]byte, 1))
		return true // whatever has come
	})
}
