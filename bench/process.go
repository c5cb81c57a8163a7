// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/waitress-go/waitress/bench/internal/child"
	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A server is a child that serves on addr.
type server struct {
	*child.Child
	engine engine
	addr   string
}

func startServer(ctx context.Context, e engine, program string, args ...string) (*server, error) {
	c, err := child.Start(ctx, e.name, "", program, append(args, "-engine", e.name, "-listen", "127.0.0.1:0", "-until-eof")...)
	if err != nil {
		return nil, err
	}
	addr, err := c.Line(ctx, "Serving on http", child.Patience)
	if err != nil {
		c.Stop()
		return nil, err
	}
	_, addr, _ = strings.Cut(addr, "://")
	return &server{c, e, addr}, nil
}

// memory returns what the server has, after a collection where there is something to collect.
func (s *server) memory(ctx context.Context) (meter.Stats, error) {
	var stats meter.Stats
	if s.engine.has&needHeap == 0 {
		var err error
		stats.RSSBytes, err = meter.RSS(s.Process().Pid)
		return stats, err
	}
	if err := s.Process().Signal(meter.StatsSignal); err != nil {
		return stats, fmt.Errorf("%s: %w", s.engine.name, err)
	}
	err := s.Decode(ctx, &stats, child.Patience)
	return stats, err
}

// mallocs returns how many objects the server has allocated so far, if it can tell.
func (s *server) mallocs(ctx context.Context) (float64, error) {
	stats, err := s.memory(ctx)
	return float64(stats.Mallocs), err
}

// resident returns the MiB that the server has, garbage and all.
func (s *server) resident() (float64, error) {
	n, err := meter.RSS(s.Process().Pid)
	return float64(n) / (1 << 20), err
}

// cpu returns the processor time the server has used so far.
func (s *server) cpu() (time.Duration, error) { return meter.CPU(s.Process().Pid) }

// ask makes one request.
func (s *server) ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/", http.NoBody)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", s.engine.name, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
