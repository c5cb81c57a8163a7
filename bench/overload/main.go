// SPDX-License-Identifier: MIT

// Overload offers a server more than it can do, and shows what comes of it:
//
//	go run ./bench/overload [-rounds N] [-seconds S] [-svg FILE]
//
// The server is a process of its own with few threads and handlers that take their time, so that its capacity is known and no
// matter of processors. Requests are due at times that do not depend on it, from half of that capacity to four times as many,
// and who waits for longer than the deadline has gone. Goodput is what was answered with 200 before that. Each load is
// offered to a server that serves whatever comes, and to one with a QueueTarget.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/waitress-go/waitress"
	"github.com/waitress-go/waitress/bench/internal/child"
	"github.com/waitress-go/waitress/bench/internal/meter"
)

// What the server is, and so what it can do.
const (
	threads  = 8
	work     = 40 * time.Millisecond // of a handler
	capacity = float64(threads) * float64(time.Second) / float64(work)
	target   = 50 * time.Millisecond // QueueTarget
)

const (
	deadline = time.Second     // of a client
	warmup   = 3 * time.Second // until a queue has become as long as it will
)

// loads are what is offered, as multiples of capacity.
var loads = []float64{0.5, 0.75, 0.9, 1, 1.25, 1.5, 2, 3, 4}

// modes are the servers: one that serves whatever comes, and one with a QueueTarget.
var modes = [2]string{"all", "target"}

// A result is what came of one load.
type result struct {
	load     float64
	goodput  float64 // a second
	shed     float64 // 503, a second
	late     float64 // not answered by the deadline, a second
	p50, p99 time.Duration
}

// quantile is how one of r's is printed: there is none where nobody was answered.
func (r result) quantile(d time.Duration) string {
	if r.goodput == 0 {
		return "-"
	}
	return d.Round(time.Millisecond).String()
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("overload: ")
	seconds := flag.Float64("seconds", 5, "time of one load")
	rounds := flag.Int("rounds", 1, "how often everything is measured; the median of the goodputs counts")
	svgFile := flag.String("svg", "", "write the plot to `FILE`")
	role := flag.String("serve", "", "be the server, \"all\" or \"target\": for the program itself")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unknown argument %q", flag.Arg(0))
	}
	if *role != "" {
		log.Fatal(serve(*role == "target"))
	}
	length := time.Duration(*seconds * float64(time.Second))
	if *rounds < 1 || length <= 0 {
		log.Fatal("-rounds and -seconds must be above 0")
	}
	found := make(map[string][]result) // of all rounds, by server and load
	for range *rounds {
		for _, load := range loads {
			for _, mode := range modes {
				r, err := measure(mode, load, length)
				if err != nil {
					log.Fatal(err)
				}
				key := fmt.Sprint(mode, load)
				found[key] = append(found[key], r)
			}
		}
	}
	var all [2][]result
	for i, mode := range modes {
		fmt.Printf("%s: %d threads, %v a request, %.0f a second at most\n", mode, threads, work, capacity)
		fmt.Println("| offered | goodput/s | 503/s | late/s | p50 | p99 |\n| ---: | ---: | ---: | ---: | ---: | ---: |")
		for _, load := range loads {
			these := found[fmt.Sprint(mode, load)]
			slices.SortFunc(these, func(a, b result) int { return cmp.Compare(a.goodput, b.goodput) })
			r := these[len(these)/2]
			all[i] = append(all[i], r)
			fmt.Printf("| %.2f | %.0f | %.0f | %.0f | %s | %s |\n", r.load, r.goodput, r.shed, r.late, r.quantile(r.p50), r.quantile(r.p99))
		}
	}
	if *svgFile != "" {
		if err := os.WriteFile(*svgFile, []byte(plot(all[0], all[1])), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// serve is the server's process, until its standard input ends.
func serve(shed bool) error {
	s := &waitress.Server{
		Threads: threads,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(work)
			_, _ = io.WriteString(w, "Hello, World!")
		}),
		ErrorLog: log.New(io.Discard, "", 0), // that the queue is deep is known
	}
	if shed {
		s.QueueTarget = target
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of the whole process
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	child.EndWithInput()
	return s.Serve(l)
}

// measure starts a server and offers it load times its capacity.
func measure(mode string, load float64, d time.Duration) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	ctx := context.Background()
	c, err := child.Start(ctx, "server", "", self, "-serve", mode)
	if err != nil {
		return result{}, err
	}
	defer c.Stop()
	addr, err := c.Line(ctx, "", child.Patience)
	if err != nil {
		return result{}, err
	}
	defer runtime.GC() // the next load begins without this one's garbage
	g := &generator{addr: addr, latency: meter.NewLatency(), begin: time.Now().Add(warmup), length: d}
	g.run(load * capacity)
	defer g.close()
	r := g.result()
	r.load = load
	c.Stop()
	return r, errors.Join(c.Err(), g.err)
}

// A generator is an open loop. It counts what is due from begin on, for length.
type generator struct {
	addr   string
	begin  time.Time
	length time.Duration

	mu               sync.Mutex
	idle             []*conn        // guarded by mu
	latency          *meter.Latency // guarded by mu; of 200s
	good, shed, late int            // guarded by mu
	err              error          // guarded by mu; the first answer that can't be
}

// A conn is a connection that has no request under way.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// run makes rate requests a second at random times.
func (g *generator) run(rate float64) {
	random := rand.New(rand.NewPCG(1, 2))
	end := g.begin.Add(g.length)
	var under sync.WaitGroup
	for due := time.Now(); due.Before(end); due = due.Add(time.Duration(random.ExpFloat64() / rate * float64(time.Second))) {
		time.Sleep(time.Until(due))
		under.Go(func() { g.request(due) })
	}
	under.Wait()
}

// request makes the request that is due then.
func (g *generator) request(due time.Time) {
	status, err := g.ask(due.Add(deadline))
	took := time.Since(due)
	g.mu.Lock()
	defer g.mu.Unlock()
	var timeout net.Error
	switch {
	case due.Before(g.begin):
	case status == http.StatusServiceUnavailable:
		g.shed++
	case errors.As(err, &timeout) && timeout.Timeout(), err == nil && took > deadline:
		g.late++
	case err == nil && status == http.StatusOK:
		g.good++
		g.latency.Record(took)
	case g.err == nil:
		g.err = fmt.Errorf("status %d, %w", status, err)
	}
}

// ask sends a request on a connection that is free, or a new one, and reads the answer. Who gives up hangs up.
func (g *generator) ask(until time.Time) (int, error) {
	c, err := g.take(until)
	if err != nil {
		return 0, err
	}
	if err := c.SetDeadline(until); err != nil {
		return 0, errors.Join(err, c.Close())
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
		_ = c.Close()
		return 0, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		_ = c.Close()
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.Close {
		_ = c.Close()
		return resp.StatusCode, err
	}
	g.mu.Lock()
	g.idle = append(g.idle, c)
	g.mu.Unlock()
	return resp.StatusCode, nil
}

func (g *generator) take(until time.Time) (*conn, error) {
	g.mu.Lock()
	if n := len(g.idle); n > 0 {
		c := g.idle[n-1]
		g.idle = g.idle[:n-1]
		g.mu.Unlock()
		return c, nil
	}
	g.mu.Unlock()
	c, err := (&net.Dialer{Deadline: until}).Dial("tcp", g.addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

func (g *generator) close() {
	for _, c := range g.idle {
		_ = c.Close()
	}
}

// result is what was counted, when run has returned.
func (g *generator) result() result {
	s := g.length.Seconds()
	return result{
		goodput: float64(g.good) / s, shed: float64(g.shed) / s, late: float64(g.late) / s,
		p50: g.latency.Quantile(0.5), p99: g.latency.Quantile(0.99),
	}
}
