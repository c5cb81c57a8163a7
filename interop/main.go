// SPDX-License-Identifier: MIT

// Interop puts the server in front of clients, load generators, proxies and a browser that others have written: curl, wrk,
// ab, nginx, HAProxy and Chromium, as Debian has them. Programs that are missing are installed, if that can be done.
//
// The server is a process of its own, under each policy in turn. Each check asserts something exact and prints one line;
// the exit status is 0 only if all have passed. Ports are free ones, files are in a temporary directory, and every process
// that was started is stopped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/waitress-go/waitress"
)

const (
	// checkTime bounds one check.
	checkTime = time.Minute
	// stopTime bounds how long a process may take to end when it was asked to.
	stopTime = 10 * time.Second
)

// A check is one thing that must be so.
type check struct {
	name string
	run  func(ctx context.Context, s *site) error
}

// A site is what checks work on.
type site struct {
	policy waitress.Policy
	addr   string // host:port of the server
	dir    string // a directory of its own
	tools  tools
}

// url is the server's URL with a path.
func (s *site) url(path string) string { return "http://" + s.addr + path }

func main() {
	serve := flag.Bool("serve", false, "be the server that is checked, for its own use")
	policy := waitress.PolicyPool
	flag.TextVar(&policy, "policy", policy, "with -serve: where handlers run")
	policies := flag.String("policies", "pool,inline,adaptive", "the policies to check, by `NAME,NAME`")
	only := flag.String("only", "", "run the checks whose name matches this `expression`")
	skip := flag.String("skip", "^$", "leave out the checks whose name matches this `expression`")
	picture := flag.String("picture", "", "write what the browser shows to this PNG `file`")
	flag.Parse()
	if *serve {
		if err := serveApp(policy); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	wanted := selection{regexp.MustCompile(*only), regexp.MustCompile(*skip)}
	passed, failed, err := runAll(ctx, strings.Split(*policies, ","), wanted, *picture)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if err != nil || failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

// A selection says which checks to run, by their names.
type selection struct{ only, skip *regexp.Regexp }

func (s selection) has(name string) bool {
	return s.only.MatchString(name) && !s.skip.MatchString(name)
}

// A group is checks that need the same programs, and maybe a server between them and ours.
type group struct {
	name   string
	needs  []string                                             // programs
	front  func(ctx context.Context, s *site) (*process, error) // nil, or starts what s.addr is from then on
	checks func(picture string) []check
}

var groups = []group{
	{"curl", []string{"curl"}, nil, curlChecks},
	{"wrk", []string{"wrk"}, nil, wrkChecks},
	{"ab", []string{"ab"}, nil, abChecks},
	{"nginx", []string{"nginx", "wrk"}, startNginx, nginxChecks},
	{"haproxy", []string{"haproxy", "wrk"}, startHAProxy, haproxyChecks},
	{"chromium", []string{"chromium"}, nil, chromiumChecks},
}

// runAll runs all checks that are wanted, under each policy.
func runAll(ctx context.Context, policies []string, wanted selection, picture string) (passed, failed int, err error) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	found := tools{}
	for _, name := range policies {
		var p waitress.Policy
		if err := p.UnmarshalText([]byte(name)); err != nil {
			return passed, failed, err
		}
		for _, g := range groups {
			var checks []check
			for _, c := range g.checks(picture) {
				if c.name = g.name + ": " + c.name; wanted.has(c.name) {
					checks = append(checks, c)
				}
			}
			if len(checks) == 0 {
				continue
			}
			if err := found.find(ctx, g.needs); err != nil {
				return passed, failed, err
			}
			p, f, err := runGroup(ctx, &site{policy: p, dir: dir, tools: found}, g, checks)
			passed, failed = passed+p, failed+f
			if err != nil {
				return passed, failed, err
			}
		}
	}
	return passed, failed, nil
}

// runGroup starts a server, and what stands before it, runs the checks and stops both.
func runGroup(ctx context.Context, s *site, g group, checks []check) (passed, failed int, err error) {
	server, addr, err := startServer(ctx, s.policy)
	if err != nil {
		return 0, 0, err
	}
	s.addr = addr
	if g.front != nil {
		front, err := g.front(ctx, s)
		if err != nil {
			return 0, 0, errors.Join(err, server.stop())
		}
		defer func() { err = errors.Join(err, front.stop()) }()
	}
	for _, c := range checks {
		limited, cancel := context.WithTimeout(ctx, checkTime)
		began := time.Now()
		err := c.run(limited, s)
		cancel()
		verdict := fmt.Sprintf("ok (%.1f s)", time.Since(began).Seconds())
		if passed++; err != nil {
			passed, failed = passed-1, failed+1
			verdict = "FAILED: " + err.Error()
		}
		fmt.Printf("%-8s %-50s %s\n", s.policy, c.name, verdict)
	}
	// The server ends when it is asked to, whatever it has been through.
	return passed, failed, server.stop()
}
