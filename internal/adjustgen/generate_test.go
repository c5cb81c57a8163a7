// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGenerated: what is committed is what would be generated.
func TestGenerated(t *testing.T) {
	const root = "../.."
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		// A checkout may have its own line ends.
		if got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate ./adjust", name)
		}
	}
}

// originals are the settings of the original, and what its command line and its function take besides.
var originals = []string{
	"host", "port", "listen", "ipv4", "ipv6", "unix_socket", "unix_socket_perms", "sockets", "server_name", "threads",
	"url_scheme", "url_prefix", "ident", "backlog", "recv_bytes", "send_bytes", "outbuf_overflow", "outbuf_high_watermark",
	"inbuf_overflow", "connection_limit", "cleanup_interval", "channel_timeout", "channel_request_lookahead",
	"log_socket_errors", "max_request_header_size", "max_request_body_size", "expose_tracebacks", "asyncore_loop_timeout",
	"asyncore_use_poll", "trusted_proxy", "trusted_proxy_count", "trusted_proxy_headers", "log_untrusted_proxy_headers",
	"clear_untrusted_proxy_headers", "socket_options", "_quiet", "_profile", "_server",
}

// TestOriginals: each of the original's settings has a row, which says something.
func TestOriginals(t *testing.T) {
	for _, name := range originals {
		found := false
		for line := range strings.Lines(original) {
			cells := strings.Split(line, "|")
			if len(cells) == 4 && strings.TrimSpace(cells[1]) == "`"+name+"`" {
				found = len(strings.TrimSpace(cells[2])) > 3
			}
		}
		if !found {
			t.Errorf("original.md has no row for %s", name)
		}
	}
}

func TestReadServer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "server.go")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`package p
type Server struct {
	// A is first.
	A int

	// Group one.

	// B and C are
	// together.
	//
	// Twice.
	B, C string

	d int // not exported
}
`)
	groups, err := readServer(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != 2 || groups[1].title != "Group one" || len(groups[1].fields) != 2 ||
		groups[1].fields[1] != (field{"C", "string", "B and C are together.\n\nTwice."}) {
		t.Errorf("%+v", groups)
	}
	write("package p\ntype Server struct { A int }\n")
	if _, err := readServer(name); err == nil {
		t.Error("a field without a comment is no error")
	}
	write("package p\ntype Server struct {\n\t// A is a number. Default: httpparse.DefaultHeaders.\n\tA int\n}\n")
	if _, err := readServer(name); err == nil {
		t.Error("a default that is a name in Go is no error")
	}
	write("package p\ntype Other struct { A int }\n")
	if _, err := readServer(name); err == nil {
		t.Error("no Server is no error")
	}
}
