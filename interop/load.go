// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// pipelined makes wrk send its requests sixteen at a time.
const pipelined = `
init = function(args)
   local r = {}
   for i = 1, 16 do r[i] = wrk.format() end
   all = table.concat(r)
end
request = function() return all end
`

func wrkChecks(string) []check {
	return []check{
		{"64 connections", func(ctx context.Context, s *site) error { return wrk(ctx, s, "-c", "64") }},
		{"64 connections, 16 requests at a time", func(ctx context.Context, s *site) error {
			script := filepath.Join(s.dir, "pipelined.lua")
			if err := os.WriteFile(script, []byte(pipelined), 0o600); err != nil {
				return err
			}
			return wrk(ctx, s, "-c", "64", "-s", script)
		}},
		{"a connection for each request", func(ctx context.Context, s *site) error {
			return wrk(ctx, s, "-c", "16", "-H", "Connection: close")
		}},
	}
}

var wrkRequests = regexp.MustCompile(`(?m)^ +(\d+) requests in `)

// wrk loads /hello for a moment: every answer was right, and the server has seen what wrk has.
func wrk(ctx context.Context, s *site, args ...string) error {
	before, err := s.count(ctx)
	if err != nil {
		return err
	}
	out, err := s.run(ctx, "", "wrk", append(args, "-t", "1", "-d", "1s", s.url("/hello"))...)
	if err != nil {
		return err
	}
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		return fmt.Errorf("wrk: %s", out)
	}
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("wrk: %s", out)
	}
	after, err := s.count(ctx)
	if err != nil {
		return err
	}
	// Those that were under way when the time was over are the server's alone.
	if n, err := strconv.ParseInt(m[1], 10, 64); err != nil || n == 0 || n > after-before {
		return fmt.Errorf("wrk has had %s answers, and the server %d requests", m[1], after-before)
	}
	return nil
}

// count is how many requests for /hello there have been.
func (s *site) count(ctx context.Context) (int64, error) {
	_, body, err := fetch(ctx, s.url("/requests"), "")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(body, 10, 64)
}

func abChecks(string) []check {
	return []check{
		{"keep-alive by HTTP/1.0", func(ctx context.Context, s *site) error { return ab(ctx, s, 20_000, 20_000, "-k") }},
		{"a connection for each request", func(ctx context.Context, s *site) error { return ab(ctx, s, 5_000, 0) }},
		{"posts, keep-alive", func(ctx context.Context, s *site) error {
			path, err := s.file(3000)
			if err != nil {
				return err
			}
			return ab(ctx, s, 5_000, 5_000, "-k", "-p", path, "-T", "text/plain")
		}},
	}
}

var abLine = regexp.MustCompile(`(?m)^([A-Z][A-Za-z0-9/ -]+): +(\d+)`)

// ab makes n requests, kept of them on connections that are kept.
func ab(ctx context.Context, s *site, n, kept int, args ...string) error {
	before, err := s.count(ctx)
	if err != nil {
		return err
	}
	out, err := s.run(ctx, "", "ab", append(args, "-q", "-n", fmt.Sprint(n), "-c", "50", s.url("/hello"))...)
	if err != nil {
		return err
	}
	said := map[string]string{"Non-2xx responses": "0", "Keep-Alive requests": "0"}
	for _, m := range abLine.FindAllStringSubmatch(out, -1) {
		said[m[1]] = m[2]
	}
	after, err := s.count(ctx)
	if err != nil {
		return err
	}
	for name, expected := range map[string]int{
		"Complete requests": n, "Failed requests": 0, "Non-2xx responses": 0, "Keep-Alive requests": kept, "HTML transferred": n * len(hello),
	} {
		err = errors.Join(err, want(name, said[name], fmt.Sprint(expected)))
	}
	return errors.Join(err, want("requests at the server", fmt.Sprint(after-before), fmt.Sprint(n)))
}
