// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

const (
	patience  = 30 * time.Second // for a line of output that is due
	stopGrace = 3 * time.Second  // between the end of a child's input and its killing
)

// A child is a process that tells us things by lines on its standard output and ends when its standard input does, so
// that it does not outlive us. It is killed when the context that it was started with ends.
type child struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer // the process's, until it has ended
	lines  chan string  // closed at the end of the output
	began  time.Time

	stopped sync.Once
	err     error // why it ended, once stopped
}

// start runs a program, and writes input to it, whose end comes with stop.
func start(ctx context.Context, name, input, program string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.CommandContext(ctx, program, args...), lines: make(chan string, 16)}
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = stopGrace
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.began = time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.lines)
		s := bufio.NewScanner(stdout)
		s.Buffer(nil, 1<<20) // a distribution of latencies is one line
		for s.Scan() {
			c.lines <- s.Text()
		}
	}()
	if _, err := io.WriteString(stdin, input); err != nil {
		return nil, c.ended()
	}
	return c, nil
}

// line returns what follows prefix in the next line that begins with it. The wait for it ends with the child, or after
// wait.
func (c *child) line(ctx context.Context, prefix string, wait time.Duration) (string, error) {
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-late.C:
			return "", fmt.Errorf("%s has said nothing for %v", c.name, wait)
		case line, ok := <-c.lines:
			if !ok {
				return "", c.ended()
			}
			if rest, found := strings.CutPrefix(line, prefix); found {
				return rest, nil
			}
		}
	}
}

// decode puts the next line that is a JSON object into v.
func (c *child) decode(ctx context.Context, v any, wait time.Duration) error {
	text, err := c.line(ctx, "{", wait)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte("{"+text), v); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// ended says why the child has ended before its time.
func (c *child) ended() error {
	c.stop()
	why := "with exit status 0"
	if c.err != nil {
		why = c.err.Error()
	}
	return fmt.Errorf("%s ended: %s\n%s", c.name, why, bytes.TrimSpace(c.stderr.Bytes()))
}

// stop ends the child, and returns when it is gone.
func (c *child) stop() {
	c.stopped.Do(func() {
		_ = c.stdin.Close()
		kill := time.AfterFunc(stopGrace, func() { _ = c.cmd.Process.Kill() })
		defer kill.Stop()
		for range c.lines { // Wait may be called only when all of the output was read
			continue
		}
		c.err = c.cmd.Wait()
	})
}

// A server is a child that serves on addr.
type server struct {
	*child
	engine engine
	addr   string
}

func startServer(ctx context.Context, e engine, program string, args ...string) (*server, error) {
	c, err := start(ctx, e.name, "", program, append(args, "-engine", e.name, "-listen", "127.0.0.1:0", "-until-eof")...)
	if err != nil {
		return nil, err
	}
	addr, err := c.line(ctx, "Serving on http", patience)
	if err != nil {
		c.stop()
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
		stats.RSSBytes, err = meter.RSS(s.cmd.Process.Pid)
		return stats, err
	}
	if err := s.cmd.Process.Signal(meter.StatsSignal); err != nil {
		return stats, fmt.Errorf("%s: %w", s.name, err)
	}
	err := s.decode(ctx, &stats, patience)
	return stats, err
}

// mallocs returns how many objects the server has allocated so far, if it can tell.
func (s *server) mallocs(ctx context.Context) (float64, error) {
	stats, err := s.memory(ctx)
	return float64(stats.Mallocs), err
}

// resident returns the MiB that the server has, garbage and all.
func (s *server) resident() (float64, error) {
	n, err := meter.RSS(s.cmd.Process.Pid)
	return float64(n) / (1 << 20), err
}

// cpu returns the processor time the server has used so far.
func (s *server) cpu() (time.Duration, error) { return meter.CPU(s.cmd.Process.Pid) }

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
		return fmt.Errorf("%s: %s", s.name, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
