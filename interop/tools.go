// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// packages are Debian's names for what has the programs.
var packages = map[string]string{
	"ab":       "apache2-utils",
	"chromium": "chromium",
	"curl":     "curl",
	"haproxy":  "haproxy",
	"nginx":    "nginx-light",
	"wrk":      "wrk",
}

// tools are the paths of the programs that were found.
type tools map[string]string

// find looks for programs, and has those that are missing installed.
func (t tools) find(ctx context.Context, names []string) error {
	for _, name := range names {
		if t[name] != "" {
			continue
		}
		path, err := lookUp(name)
		if err != nil {
			fmt.Printf("installing %s, for %s\n", packages[name], name)
			if err := install(ctx, packages[name]); err != nil {
				return err
			}
			if path, err = lookUp(name); err != nil {
				return err
			}
		}
		t[name] = path
	}
	return nil
}

// lookUp finds a program, servers too, which are not always in the PATH.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	if path := "/usr/sbin/" + name; isProgram(path) {
		return path, nil
	}
	return "", err
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

func install(ctx context.Context, name string) error {
	for _, args := range []string{"update -qq", "install -y -qq --no-install-recommends " + name} {
		cmd := exec.CommandContext(ctx, "apt-get", strings.Fields(args)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args, err, last(out))
		}
	}
	return nil
}

// run runs a program and returns what it printed to its standard output; the error has what it printed to the other.
func (s *site) run(ctx context.Context, stdin string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.tools[name], args...)
	cmd.Dir = s.dir
	cmd.Stdin = strings.NewReader(stdin)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, last([]byte(errs.String())))
	}
	return string(out), nil
}

// last is the end of what a program said.
func last(out []byte) []byte { return out[max(len(out)-500, 0):] }
