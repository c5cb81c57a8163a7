// SPDX-License-Identifier: MIT

package adjust

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waitress-go/waitress"
)

// parsed adjusts a Server, and returns it with the program's own -dir and what was printed.
func parsed(t *testing.T, args ...string) (s *waitress.Server, dir, printed string, err error) {
	t.Helper()
	s = &waitress.Server{Ident: "program"}
	var out strings.Builder
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	flags.SetOutput(&out)
	flags.StringVar(&dir, "dir", ".", "the `FOLDER` to serve")
	err = Parse(s, flags, args)
	return s, dir, out.String(), err
}

func config(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "app.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// samples has, for each type of field, how a value of it is written, and the value.
var samples = map[string]struct {
	text  string
	value any
}{
	"string":          {"text", "text"},
	"bool":            {"true", true},
	"int":             {"4K", 4096},
	"int64":           {"4K", int64(4096)},
	"time.Duration":   {"1m30s", 90 * time.Second},
	"[]string":        {"a:1,b:2", []string{"a:1", "b:2"}},
	"[]netip.Prefix":  {"10.0.0.0/8", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	"fs.FileMode":     {"660", os.FileMode(0o660)},
	"dispatch.Policy": {"inline", waitress.PolicyInline},
	"io.Writer":       {"-", io.Writer(os.Stdout)},
}

// TestEveryField: each field that is adjustable can be set by a flag, a variable and a key of the file, and by nothing else.
func TestEveryField(t *testing.T) {
	n := 0
	for _, f := range reflect.VisibleFields(reflect.TypeFor[waitress.Server]()) {
		if !f.IsExported() || kindOf(f.Type) == nil {
			continue
		}
		n++
		sample, ok := samples[f.Type.String()]
		if !ok {
			t.Errorf("%s: there is no sample of type %s", f.Name, f.Type)
			continue
		}
		name, variable, key, ok := Names(f.Name)
		if !ok {
			t.Errorf("%s has no names", f.Name)
			continue
		}
		check := func(where string, args ...string) {
			t.Helper()
			s := new(waitress.Server)
			// Whether the value makes sense by itself is not the question.
			if err := parse(s, flag.NewFlagSet("app", flag.ContinueOnError), args); err != nil && !strings.HasPrefix(err.Error(), "waitress: ") {
				t.Errorf("%s by %s: %v", f.Name, where, err)
			}
			if got := reflect.ValueOf(s).Elem().FieldByName(f.Name).Interface(); !reflect.DeepEqual(got, sample.value) {
				t.Errorf("%s by %s: %v, want %v", f.Name, where, got, sample.value)
			}
		}
		check("flag", "-"+name+"="+sample.text)
		check("flag with two hyphens", "--"+name+"="+sample.text)
		check("file", "-config", config(t, fmt.Sprintf("%s = %q\n", key, sample.text)))
		check("file with hyphens", "-config", config(t, fmt.Sprintf("%s = %q\n", name, sample.text)))
		t.Setenv(variable, sample.text)
		check("variable")
		os.Unsetenv(variable)
	}
	if n < 30 {
		t.Errorf("only %d fields are adjustable", n)
	}
	for _, name := range []string{"Handler", "Logger", "ConnState", "mu", "None"} {
		if _, _, _, ok := Names(name); ok {
			t.Errorf("%s has names", name)
		}
	}
}

// TestDocumented: the table has each exported field.
func TestDocumented(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[waitress.Server]()) {
		if f.IsExported() && !slices.ContainsFunc(documented, func(d documentation) bool { return d.name == f.Name }) {
			t.Errorf("%s is not in the table: run go generate ./adjust", f.Name)
		}
	}
}

func TestNames(t *testing.T) {
	for field, want := range map[string][3]string{
		"URLPrefix":         {"url-prefix", "WAITRESS_URL_PREFIX", "url_prefix"},
		"MaxHeaderBytes":    {"max-header-bytes", "WAITRESS_MAX_HEADER_BYTES", "max_header_bytes"},
		"Addr":              {"addr", "WAITRESS_ADDR", "addr"},
		"UnixSocketPerms":   {"unix-socket-perms", "WAITRESS_UNIX_SOCKET_PERMS", "unix_socket_perms"},
		"TrustedProxyCount": {"trusted-proxy-count", "WAITRESS_TRUSTED_PROXY_COUNT", "trusted_proxy_count"},
	} {
		name, variable, key, ok := Names(field)
		if got := [3]string{name, variable, key}; !ok || got != want {
			t.Errorf("%s: %v, want %v", field, got, want)
		}
	}
}

// TestPrecedence: flags before variables, these before the file, and that before the program.
func TestPrecedence(t *testing.T) {
	file := config(t, "# comment\nident = 'file'\nlisten = ['127.0.0.1:1', '127.0.0.1:2']\nthreads = 3\nidle_timeout = 'none'\ndir = '/file'\nproxy-protocol = false\n")
	check := func(name string, s *waitress.Server, err error, ident string, listen []string, threads int) {
		t.Helper()
		if err != nil || s.Ident != ident || !slices.Equal(s.Listen, listen) || s.Threads != threads {
			t.Errorf("%s: %v: %q %q %d", name, err, s.Ident, s.Listen, s.Threads)
		}
	}
	s, _, _, err := parsed(t)
	check("program", s, err, "program", nil, 0)
	s, dir, _, err := parsed(t, "-config", file)
	check("file", s, err, "file", []string{"127.0.0.1:1", "127.0.0.1:2"}, 3)
	if dir != "/file" || s.IdleTimeout >= 0 {
		t.Errorf("file: dir %q, idle %v", dir, s.IdleTimeout)
	}
	t.Setenv("WAITRESS_CONFIG", file)
	t.Setenv("WAITRESS_LISTEN", "127.0.0.1:3")
	t.Setenv("WAITRESS_IDENT", "variable")
	t.Setenv("WAITRESS_THREADS", "")
	t.Setenv("WAITRESS_SERVICE_PORT", "somebody else's")
	s, _, _, err = parsed(t)
	check("variable", s, err, "variable", []string{"127.0.0.1:3"}, 3)
	s, dir, _, err = parsed(t, "--ident=flag", "-listen", "127.0.0.1:4 127.0.0.1:5", "-listen=127.0.0.1:6", "-dir", "/flag")
	check("flag", s, err, "flag", []string{"127.0.0.1:4", "127.0.0.1:5", "127.0.0.1:6"}, 3)
	if dir != "/flag" {
		t.Errorf("flag: dir %q", dir)
	}
	other := config(t, "threads = '1K'")
	s, _, _, err = parsed(t, "-config", other)
	check("the flag names the file", s, err, "variable", []string{"127.0.0.1:3"}, 1024)
}

// TestRest: what follows the flags is left to the program.
func TestRest(t *testing.T) {
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	if err := Parse(new(waitress.Server), flags, []string{"-threads", "2", "--", "-x", "y"}); err != nil || !slices.Equal(flags.Args(), []string{"-x", "y"}) {
		t.Errorf("%v, %q", err, flags.Args())
	}
}

// TestOwnFlag: a flag that the program has itself stays the program's.
func TestOwnFlag(t *testing.T) {
	s := new(waitress.Server)
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	own := flags.Int("threads", 1, "the program's")
	if err := Parse(s, flags, []string{"-threads=5"}); err != nil || *own != 5 || s.Threads != 0 {
		t.Errorf("%v, own %d, Server's %d", err, *own, s.Threads)
	}
}

// TestErrors: one line that names the place, the setting, the value and what is allowed.
func TestErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.toml")
	for _, test := range []struct {
		name string
		args []string
		file string
		env  [2]string
		want []string
	}{
		{name: "number", args: []string{"-threads=x"}, want: []string{"-threads", `"x"`, "number"}},
		{name: "no unit", args: []string{"-idle-timeout=30"}, want: []string{"-idle-timeout", `"30"`, "unit"}},
		{name: "policy", args: []string{"-policy=fast"}, want: []string{"-policy", `"fast"`, `"inline"`}},
		{name: "bool", args: []string{"-reuse-port=maybe"}, want: []string{"-reuse-port", `"maybe"`, "true or false"}},
		{name: "permissions", args: []string{"-unix-socket-perms=rw"}, want: []string{"-unix-socket-perms", `"rw"`, "octal"}},
		{name: "network", args: []string{"-trusted-proxies=10.0.0.0/8,x"}, want: []string{"-trusted-proxies", `"x"`, "10.0.0.0/8"}},
		{name: "too large", args: []string{"-max-body-bytes=99999999999G"}, want: []string{"-max-body-bytes", "too large"}},
		{name: "unknown flag", args: []string{"-trheads=1"}, want: []string{"-trheads"}},
		{name: "no value", args: []string{"-threads"}, want: []string{"-threads", "needs an argument"}},
		{name: "not allowed", args: []string{"-threads=-1"}, want: []string{"Threads is -1", "negative"}},
		{name: "contradiction", args: []string{"-addr=:1", "-listen=:2"}, want: []string{"Addr", "Listen", "only one"}},
		{name: "variable", env: [2]string{"WAITRESS_THREADS", "x"}, want: []string{"WAITRESS_THREADS", `"x"`}},
		{name: "key", file: "trheads = 1", want: []string{"app.toml", "trheads"}},
		{name: "value", file: "threads = 'x'", want: []string{"app.toml", "threads", `"x"`}},
		{name: "a table", file: "[threads]\nx = 1", want: []string{"app.toml", "threads"}},
		{name: "a date", file: "threads = 2020-01-01", want: []string{"app.toml", "threads", "neither"}},
		{name: "a file in the file", file: "config = 'x'", want: []string{"app.toml", "config"}},
		{name: "syntax", file: "\nthreads = \n", want: []string{"app.toml", "line 2"}},
		{name: "no file", args: []string{"-config", missing}, want: []string{"none.toml"}},
		{name: "output", args: []string{"-dir=/", "-config", missing}, want: []string{"none.toml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			if test.file != "" {
				args = append(args, "-config", config(t, test.file))
			}
			if test.env[0] != "" {
				t.Setenv(test.env[0], test.env[1])
			}
			_, _, printed, err := parsed(t, args...)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") || printed != "" {
				t.Errorf("more than one line: %q, printed %q", err, printed)
			}
		})
	}
}

// TestHelp: the flags by groups, the program's own first.
func TestHelp(t *testing.T) {
	_, _, printed, err := parsed(t, "-help")
	if !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{
		"Usage: app", "The program:", "-config FILE", "-dir FOLDER", "Where it listens:", "-listen LIST", "-reuse-port\n",
		"Timeouts:", "-idle-timeout DURATION", "Default: 75 s.",
	} {
		i := strings.Index(printed[at:], want)
		if i < 0 {
			t.Fatalf("%q is not said, or not in its place:\n%s", want, printed)
		}
		at += i
	}
}

func TestNetworks(t *testing.T) {
	s, _, _, err := parsed(t, "-trusted-proxies=* 192.0.2.1 2001:db8::/32", "-trusted-proxy-headers=forwarded")
	want := []string{"0.0.0.0/0", "::/0", "192.0.2.1/32", "2001:db8::/32"}
	var got []string
	for _, p := range s.TrustedProxies {
		got = append(got, p.String())
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", err, got)
	}
}
