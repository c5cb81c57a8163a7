// SPDX-License-Identifier: MIT

//go:build unix && !solaris && !aix

package main

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestFilesPipe: a pipe that nobody writes to is not waited for, by whatever name it is asked for.
func TestFilesPipe(t *testing.T) {
	h := folder(t)
	for _, name := range []string{"pipe", "sub/pipe", "list/index.html"} {
		if err := syscall.Mkfifo(filepath.Join(h.folder.Name(), filepath.FromSlash(name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for target, status := range map[string]int{"/pipe": 404, "/pipe/": 404, "/sub/pipe": 404, "/list/": 200} {
		if resp := get(h, "GET", target); resp.StatusCode != status {
			t.Errorf("%s: %s, want %d", target, resp.Status, status)
		}
	}
}
