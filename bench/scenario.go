// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/waitress-go/waitress/bench/internal/app"
	"github.com/waitress-go/waitress/bench/internal/child"
	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A scenario is one thing to be found out about a server.
type scenario struct {
	name  string
	about string
	needs need
	// measure has a fresh server to itself.
	measure func(ctx context.Context, b *bench, s *server) (sample, error)
}

// A sample is what one measurement found.
type sample map[metric]float64

func (s scenario) label() string { return s.name }

// Rates of the open loops, in requests a second: what servers have to do on a usual day, well below what they can do; but for
// mixedRate, half of what net/http can do on two cores.
const (
	usualRate  = 5_000
	mixedRate  = 14_000
	quickRate  = 2_000 // of quick requests that have others beside them
	unevenRate = 4_000 // of requests that compute a little
	lowRate    = 200
)

var scenarios = []scenario{
	{"keepalive-1", "one connection; open loop: 1,000/s", 0, both(plain(1, helloKind), rated(1, 1_000, helloKind))},
	{"keepalive-64", "64 connections; open loop: 5,000/s", 0, both(plain(64, helloKind), rated(64, usualRate, helloKind))},
	{"keepalive-1024", "1,024 connections; open loop: 5,000/s", 0, both(plain(1024, helloKind), rated(1024, usualRate, helloKind))},
	{
		"pipelined-16", "64 connections, 16 requests at a time on each; a latency is the whole batch's", 0,
		requests{closed: []meter.Group{{Conns: 64, Depth: 16, Kinds: []meter.Kind{helloKind}}}}.measure,
	},
	{"browser", "64 connections, heads of 700 bytes with 12 fields; open loop: 5,000/s", 0, both(plain(64, browserKind), rated(64, usualRate, browserKind))},
	{"json", "64 connections, a small object made each time; open loop: 5,000/s", needHandlers, both(plain(64, jsonKind), rated(64, usualRate, jsonKind))},
	{"post-1k", "64 connections, POST of 1 KiB; open loop: 5,000/s", needHandlers, both(plain(64, post(1<<10)), rated(64, usualRate, post(1<<10)))},
	{"post-1m", "16 connections, POST of 1 MiB; open loop: 100/s", needHandlers, both(plain(16, post(1<<20)), rated(16, 100, post(1<<20)))},
	{"download-1m", "16 connections, a file of 1 MiB; open loop: 200/s", needFiles, both(plain(16, file1M), rated(16, 200, file1M))},
	{"download-100m", "4 connections, a file of 100 MiB", needFiles, requests{closed: []meter.Group{plain(4, file100M)}, large: true}.measure},
	{"close", "a connection for each request, 64 at a time; open loop: 1,000/s", needFiles, both(closing(plain(64, closeKind)), closing(rated(64, 1_000, closeKind)))},
	{
		"mixed", "64 connections, 10 % of the requests sleep 10 ms; latency of the others; open loop: 14,000/s together, on 128",
		needSleep, requests{
			closed: []meter.Group{mixed(plain(64))},
			open:   []meter.Group{mixed(rated(128, mixedRate))},
			quick:  helloKind.Name,
		}.measure,
	},
	{"busy", "4 connections whose requests compute for 2 ms, beside 60 with quick ones; open loop of the quick ones: 2,000/s", needHandlers, busy},
	{
		"uneven", "32 connections whose requests compute for 100 µs, and after each of them as many that ask for nothing as make all 32 " +
			"one event loop's where connections are dealt out in turn; open loop: 4,000/s", needHandlers, uneven,
	},
	{"low-rate", "64 connections, open loop: 200/s", 0, requests{open: []meter.Group{rated(64, lowRate, helloKind)}}.measure},
	{"many", "64 connections beside 15,000 idle ones, set against 64 alone; open loop: 5,000/s", 0, many},
	{"slow-readers", "256 connections that read 4 MiB at 160 KiB/s each, beside 64 quick ones; open loop of the quick ones: 2,000/s", needHandlers, slowReaders},
	{"slow-files", "1,000 connections that read a file of 100 MiB at 64 KiB/s each, beside one that makes small requests, set against a server without them", needFiles | needHandlers | needHeap, slowFiles},
	{"idle", "15,000 keep-alive connections that have made one request each and wait", 0, idle(false)},
	{"idle-tls", "the same, encrypted", needTLS | needHeap, idle(true)},
	{"start", "from the start of the process to the first answer", needStart, firstAnswerOf},
}

// The files of the downloads, in the folder that servers are given.
const (
	name1M, size1M     = "1m", 1 << 20
	name100M, size100M = "100m", 100 << 20
)

var (
	file1M   = getBytes("1m", "/file/"+name1M, size1M)
	file100M = getBytes("100m", "/file/"+name100M, size100M)
)

func plain(conns int, kinds ...meter.Kind) meter.Group {
	return meter.Group{Conns: conns, Kinds: kinds}
}

func rated(conns int, rate float64, kinds ...meter.Kind) meter.Group {
	return meter.Group{Conns: conns, Rate: rate, Kinds: kinds}
}

func closing(g meter.Group) meter.Group {
	g.Close = true
	return g
}

// mixed has one of ten requests sleep.
func mixed(g meter.Group) meter.Group {
	quick, slow := helloKind, sleepKind
	quick.Share, slow.Share = 9, 1
	g.Kinds = []meter.Kind{quick, slow}
	return g
}

// requests is a load in a closed and in an open loop, either of which may be missing.
type requests struct {
	closed, open []meter.Group
	quick        string // the kind that rates and latencies are of; "" for all
	large        bool   // what counts is the content, not how many answers it came in
	beside       string // a kind that is counted on its own, and makes the time per request meaningless; or ""
}

func both(closed, open meter.Group) func(context.Context, *bench, *server) (sample, error) {
	return requests{closed: []meter.Group{closed}, open: []meter.Group{open}}.measure
}

func (r requests) measure(ctx context.Context, b *bench, s *server) (sample, error) {
	found := sample{}
	if r.closed != nil {
		if err := r.measureClosed(ctx, b, s, found); err != nil {
			return nil, err
		}
	}
	if rate, ok := found[requestRate]; ok && rate < r.openRate()*b.config.rateFactor {
		return found, nil // what it can't do, it is not asked for: its latencies would only be how long that went on
	}
	if r.open != nil {
		if err := r.measureOpen(ctx, b, s, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// openRate is how many requests a second the open loop makes.
func (r requests) openRate() float64 {
	var rate float64
	for _, g := range r.open {
		rate += g.Rate
	}
	return rate
}

func (r requests) measureClosed(ctx context.Context, b *bench, s *server, found sample) error {
	if err := b.warm(ctx, s, r.closed); err != nil {
		return err
	}
	before, err := s.mallocs(ctx)
	if err != nil {
		return err
	}
	l, cpu, err := b.load(ctx, s, r.closed)
	if err != nil {
		return err
	}
	if found[residentMiB], err = s.resident(); err != nil {
		return err
	}
	after, err := s.mallocs(ctx)
	if err != nil {
		return err
	}
	quick, n := l.Kind(r.quick), float64(l.Answered())
	found[requestRate] = float64(quick.Measured) / l.Seconds
	found.quantile(closedP50, quick.Latency, 0.5)
	found.quantile(closedP99, quick.Latency, 0.99)
	found[loadCPU] = micros(l.CPU) / n
	if r.large {
		// Of an answer that takes long, few begin and end within the time.
		found[contentRate] = float64(quick.Bytes) / (1 << 20) / l.Seconds
		delete(found, requestRate)
	}
	if s.engine.has&needHeap != 0 {
		found[allocsPerRequest] = (after - before) / n
	}
	if r.beside == "" {
		found[cpuPerRequest] = micros(cpu) / n
	} else {
		found[besideRate] = float64(l.Kind(r.beside).Measured) / l.Seconds
	}
	return nil
}

func (r requests) measureOpen(ctx context.Context, b *bench, s *server, found sample) error {
	if err := b.warm(ctx, s, r.open); err != nil {
		return err
	}
	l, cpu, err := b.load(ctx, s, r.open)
	if err != nil {
		return err
	}
	quick := l.Kind(r.quick)
	for _, q := range quantiles {
		found.quantile(q.metric, quick.Latency, q.q)
	}
	found.quantile(loadLag, l.Lag, 0.99)
	if r.beside == "" {
		found[openCPU] = micros(cpu) / float64(l.Answered())
	} else {
		found[besideOpenRate] = float64(l.Kind(r.beside).Measured) / l.Seconds
	}
	return nil
}

// quantile adds one if there are enough durations for it to mean something: at least one is expected above it.
func (s sample) quantile(m metric, l *meter.Latency, q float64) {
	if float64(l.Count())*(1-q) >= 0.9 {
		s[m] = micros(l.Quantile(q))
	}
}

func busy(ctx context.Context, b *bench, s *server) (sample, error) {
	beside := plain(4, busyKind("busy", busyFor, b.rate))
	return requests{
		closed: []meter.Group{plain(60, helloKind), beside},
		open:   []meter.Group{rated(60, quickRate, helloKind), beside},
		quick:  helloKind.Name,
		beside: beside.Kinds[0].Name,
	}.measure(ctx, b, s)
}

// uneven has all the work on one event loop, of as many as there are processors, where connections are dealt out in turn.
func uneven(ctx context.Context, b *bench, s *server) (sample, error) {
	work := busyKind("work", workFor, b.rate)
	between := func(g meter.Group) meter.Group {
		g.Between = b.processors() - 1
		return g
	}
	return requests{
		closed: []meter.Group{between(plain(32, work))},
		open:   []meter.Group{between(rated(32, unevenRate, work))},
	}.measure(ctx, b, s)
}

// slowStart is how long slow readers get to fill what is between them and the server, which is not what is to be measured.
const slowStart = 2 * time.Second

// startSlow starts slow readers, in a load process of their own, which go on until it is stopped.
func startSlow(ctx context.Context, b *bench, s *server, slow meter.Group) (*child.Child, error) {
	reading, err := b.startLoad(ctx, s, &meter.Order{Duration: time.Hour, Groups: []meter.Group{slow}})
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, slowStart); err != nil {
		reading.Stop()
		return nil, err
	}
	return reading, nil
}

func slowReaders(ctx context.Context, b *bench, s *server) (sample, error) {
	const readers, size = 256, 4 << 20
	slow := plain(readers, getBytes("slow", "/bytes?n=4194304", size))
	slow.Sip, slow.SipEvery = 16<<10, 100*time.Millisecond
	quick := requests{closed: []meter.Group{plain(64, helloKind)}, open: []meter.Group{rated(64, quickRate, helloKind)}}
	if err := b.warm(ctx, s, quick.closed); err != nil {
		return nil, err
	}
	before, err := s.resident()
	if err != nil {
		return nil, err
	}
	reading, err := startSlow(ctx, b, s, slow)
	if err != nil {
		return nil, err
	}
	defer reading.Stop()
	during, err := s.resident()
	if err != nil {
		return nil, err
	}
	found, err := quick.measure(ctx, b, s)
	if err != nil {
		return nil, err
	}
	// Their part of the work is the same for all servers, but it is in no number of requests.
	delete(found, cpuPerRequest)
	delete(found, openCPU)
	delete(found, allocsPerRequest)
	found[slowRSS] = (during - before) * 1024 / readers
	return found, nil
}

// slowFiles has small requests beside downloads that last for half an hour, and to a second server without any.
func slowFiles(ctx context.Context, b *bench, s *server) (sample, error) {
	const readers = 1_000
	slow := plain(readers, file100M)
	slow.Sip, slow.SipEvery = 16<<10, 250*time.Millisecond
	twin, err := b.start(ctx, s.engine)
	if err != nil {
		return nil, err
	}
	defer twin.Stop()
	reading, err := startSlow(ctx, b, s, slow)
	if err != nil {
		return nil, err
	}
	defer reading.Stop()
	beside, alone, err := inTurn(ctx, b.config.duration, s.addr, twin.addr)
	if err != nil {
		return nil, err
	}
	found := sample{p50Share: float64(beside.Quantile(0.5)) / float64(alone.Quantile(0.5))}
	for _, q := range quantiles {
		found.quantile(q.metric, beside, q.q)
	}
	if found[residentMiB], err = s.resident(); err != nil {
		return nil, err
	}
	stats, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	if stats.Sockets <= readers {
		return nil, fmt.Errorf("%s: %d sockets are open, with %d downloads", s.engine.name, stats.Sockets, readers)
	}
	found[goroutines] = float64(stats.Goroutines)
	return found, nil
}

// inTurn asks two servers one after the other, on a connection each, for that long: whatever else the machine has to do is in
// the latencies of both.
func inTurn(ctx context.Context, d time.Duration, first, second string) (a, b *meter.Latency, err error) {
	a, b = meter.NewLatency(), meter.NewLatency()
	var conns [2]net.Conn
	for i, addr := range []string{first, second} {
		if conns[i], err = new(net.Dialer).DialContext(ctx, "tcp", addr); err != nil {
			return nil, nil, err
		}
		defer conns[i].Close()
		if err := conns[i].SetDeadline(time.Now().Add(leadTime + d + maxDelay)); err != nil {
			return nil, nil, err
		}
	}
	answer := make([]byte, 4<<10)
	for measured, end := time.Now().Add(leadTime), time.Now().Add(leadTime+d); ctx.Err() == nil; {
		begin := time.Now()
		if begin.After(end) {
			return a, b, nil
		}
		for i, to := range []*meter.Latency{a, b} {
			begin := time.Now()
			if _, err := io.WriteString(conns[i], helloKind.Head); err != nil {
				return nil, nil, err
			}
			for n := 0; !strings.HasSuffix(string(answer[:n]), app.Hello); {
				more, err := conns[i].Read(answer[n:])
				if err != nil {
					return nil, nil, err
				}
				n += more
			}
			if begin.After(measured) {
				to.Record(time.Since(begin))
			}
		}
	}
	return nil, nil, ctx.Err()
}

// many has the same load twice: alone, and beside idle connections.
func many(ctx context.Context, b *bench, s *server) (sample, error) {
	active := []meter.Group{plain(64, helloKind)}
	alone := sample{}
	if err := (requests{closed: active}).measureClosed(ctx, b, s, alone); err != nil {
		return nil, err
	}
	held, err := b.hold(ctx, s, false)
	if err != nil {
		return nil, err
	}
	defer held.Stop()
	found, err := requests{closed: active, open: []meter.Group{rated(64, usualRate, helloKind)}}.measure(ctx, b, s)
	if err != nil {
		return nil, err
	}
	found[rateShare] = found[requestRate] / alone[requestRate]
	found[cpuShare] = found[cpuPerRequest] / alone[cpuPerRequest]
	return found, nil
}

// settle is how long an idle server gets to finish what its last requests left to do.
const settle = 300 * time.Millisecond

// idle measures what waiting connections cost.
func idle(secure bool) func(context.Context, *bench, *server) (sample, error) {
	return func(ctx context.Context, b *bench, s *server) (sample, error) {
		// What a server sets up for its first requests and keeps is not the connections'.
		if !secure {
			if err := b.warm(ctx, s, []meter.Group{plain(8, helloKind)}); err != nil {
				return nil, err
			}
		}
		before, err := s.memory(ctx)
		if err != nil {
			return nil, err
		}
		held, err := b.hold(ctx, s, secure)
		if err != nil {
			return nil, err
		}
		defer held.Stop()
		if err := pause(ctx, settle); err != nil {
			return nil, err
		}
		after, err := s.memory(ctx)
		if err != nil {
			return nil, err
		}
		if err := pause(ctx, settle); err != nil {
			return nil, err
		}
		cpuBefore, err := s.cpu()
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := pause(ctx, b.config.duration); err != nil {
			return nil, err
		}
		cpuAfter, err := s.cpu()
		if err != nil {
			return nil, err
		}
		n := float64(b.config.idle)
		found := sample{
			idleRSS: float64(after.RSSBytes-before.RSSBytes) / n,
			idleCPU: 100 * (cpuAfter - cpuBefore).Seconds() / time.Since(begin).Seconds(),
		}
		if s.engine.has&needHeap != 0 {
			found[idleHeap] = (float64(after.HeapBytes) - float64(before.HeapBytes)) / n
		}
		return found, nil
	}
}

// firstAnswerOf asks a server that has just been started.
func firstAnswerOf(ctx context.Context, _ *bench, s *server) (sample, error) {
	if err := s.ask(ctx); err != nil {
		return nil, err
	}
	return sample{firstAnswer: micros(time.Since(s.Began())) / 1000}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
