// SPDX-License-Identifier: MIT

// Package child runs the processes that a measurement is made of.
package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// Patience is how long to wait for a line of output that is due.
	Patience = 30 * time.Second

	stopGrace = 3 * time.Second // between the end of a child's input and its killing
)

// A Child is a process that tells us things by lines on its standard output and ends when its standard input does, so
// that it does not outlive us. It is killed when the context that it was started with ends. It belongs to one goroutine,
// but for Stop.
type Child struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer // the process's, until it has ended
	lines  chan string  // closed at the end of the output
	began  time.Time

	stopped sync.Once
	err     error // why it ended, once stopped
}

// Start runs a program, and writes input to it, whose end comes with Stop. Errors have the name.
func Start(ctx context.Context, name, input, program string, args ...string) (*Child, error) {
	c := &Child{name: name, cmd: exec.CommandContext(ctx, program, args...), lines: make(chan string, 16)}
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

// Line returns what follows prefix in the next line that begins with it. The wait for it ends with the child, or after
// wait.
func (c *Child) Line(ctx context.Context, prefix string, wait time.Duration) (string, error) {
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

// Decode puts the next line that is a JSON object into v.
func (c *Child) Decode(ctx context.Context, v any, wait time.Duration) error {
	text, err := c.Line(ctx, "{", wait)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte("{"+text), v); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// ended says why the child has ended before its time.
func (c *Child) ended() error {
	c.Stop()
	why := "with exit status 0"
	if c.err != nil {
		why = c.err.Error()
	}
	return fmt.Errorf("%s ended: %s\n%s", c.name, why, bytes.TrimSpace(c.stderr.Bytes()))
}

// Stop ends the child, and returns when it is gone. Any goroutine, any number of times.
func (c *Child) Stop() {
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

// Err returns how the child has ended, after Stop: nil for exit status 0.
func (c *Child) Err() error { return c.err }

// Began returns when the process was started.
func (c *Child) Began() time.Time { return c.began }

// Process returns the process, which may have ended.
func (c *Child) Process() *os.Process { return c.cmd.Process }

// EndWithInput makes this process end when its standard input does, as a child is to.
func EndWithInput() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}
