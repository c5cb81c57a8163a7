// SPDX-License-Identifier: MIT

package adjust

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waitress-go/waitress"
)

// TestOriginalCasts: what the original takes for a value and is none, or for another one.
func TestOriginalCasts(t *testing.T) {
	for _, test := range []struct {
		name, arg string
		says      string // of the error; "" for none
	}{
		{"int: an underscore", "-threads=1_0", "number"},
		{"int: a fraction", "-threads=1.9", "number"},
		{"int: blanks around it", "-threads= 1", ""},
		{"int: a negative number of threads", "-threads=-1", "negative"},
		{"int: no thread is any number of them", "-threads=0", ""},
		{"int: a port", "-listen=127.0.0.1:70000", "65535"},
		{"asbool: another word is not false", "-reuse-port=ture", "true or false"},
		{"asbool: nothing is not false", "-reuse-port=", "true or false"},
		{"asbool: false", "-reuse-port=false", ""},
		{"asbool: capitals", "-reuse-port=TRUE", ""},
		{"octal: digits", "-unix-socket-perms=660", ""},
		{"octal: with its prefix", "-unix-socket-perms=0o660", ""},
		{"octal: none", "-unix-socket-perms=698", "octal"},
		{"Unknown adjustment", "-trheads=1", "trheads"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, _, err := parsed(t, test.arg)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("the error is %v, want %q", err, test.says)
			}
		})
	}
	t.Run("octal: a number in a file", func(t *testing.T) { // which in the original is a TypeError
		if s, _, _, err := parsed(t, "-config", config(t, "unix_socket_perms = 660")); err != nil || s.UnixSocketPerms != 0o660 {
			t.Errorf("%o, %v", s.UnixSocketPerms, err)
		}
	})
}

// commandLineVariable has the arguments of the program that TestOriginalCommandLine is in a process of its own.
const commandLineVariable = "WAITRESS_TEST_COMMAND_LINE"

// program runs Parse as a program does, and returns what that ends with, and what it says.
func program(t *testing.T, args ...string) (status int, said string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := append(strings.Fields(os.Getenv("WAITRESS_TEST_EMULATOR")), path, "-test.run=^TestOriginalCommandLine$")
	c := exec.CommandContext(t.Context(), command[0], command[1:]...)
	c.Env = append(os.Environ(), commandLineVariable+"="+strings.Join(args, "\n"))
	out, err := c.CombinedOutput()
	var ended *exec.ExitError
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system starts no processes")
	}
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// TestOriginalCommandLine has the rows of its command. Here a program is the application, and so there is none to be named, called or
// found, and no path to find it by; and what is logged where is the program's to say (waitress.Server.Logger).
func TestOriginalCommandLine(t *testing.T) {
	if args, ok := os.LookupEnv(commandLineVariable); ok {
		s := new(waitress.Server)
		flags := flag.NewFlagSet("app", flag.ExitOnError)
		_ = Parse(s, flags, strings.Split(args, "\n")) // it ends the process instead
		fmt.Printf("serving %d %q\n", s.Threads, flags.Args())
		os.Exit(3)
	}
	for _, test := range []struct {
		name   string
		args   []string
		status int
		says   []string
		line   bool // and nothing else
	}{
		{"parse: names are whole", []string{"-thread=1"}, 2, []string{"app: ", "-thread"}, true},
		{"parse: what follows the flags is the program's", []string{"-threads=7", "site", "-threads=8"}, 3, []string{`serving 7 ["site" "-threads=8"]`}, true},
		{"flags: two hyphens", []string{"--threads=7"}, 3, []string{"serving 7"}, true},
		{"flags: the last wins", []string{"-threads=7", "-threads", "8"}, 3, []string{"serving 8"}, true},
		{"rc 0", []string{"-help"}, 0, []string{"Usage: app", "-unix-socket-perms", "-threads", "-listen LIST"}, false},
		// The original prints all of the help as well.
		{"rc 1: an unknown flag", []string{"-x"}, 2, []string{"app: ", "-x"}, true},
		// It leaves these to Python's traceback.
		{"rc 1 traceback: a value", []string{"-threads=x"}, 2, []string{`app: -threads: "x"`}, true},
		{"rc 1 traceback: a value that can't be", []string{"-threads=-1"}, 2, []string{"app: waitress: Threads is -1"}, true},
		{"rc 1 traceback: a contradiction", []string{"-addr=:0", "-listen=:0"}, 2, []string{"app: waitress: Addr"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, said := program(t, test.args...)
			for _, want := range test.says {
				if status != test.status || !strings.Contains(said, want) || test.line && strings.Count(said, "\n") != 1 {
					t.Errorf("it ended with %d and said %q, want %d and %q", status, said, test.status, want)
				}
			}
		})
	}

	t.Run("flags: each adjustment", TestEveryField)
	t.Run("flags: yes and no", func(t *testing.T) {
		for _, test := range []struct {
			args []string
			want bool
		}{{[]string{"-reuse-port"}, true}, {[]string{"-reuse-port=false"}, false}, {[]string{"-reuse-port", "-reuse-port=false"}, false}} {
			if s, _, _, err := parsed(t, test.args...); err != nil || s.ReusePort != test.want {
				t.Errorf("%q: %v, %v", test.args, s.ReusePort, err)
			}
		}
	})
	t.Run("flags: listen is repeated", func(t *testing.T) {
		if s, _, _, err := parsed(t, "-listen=127.0.0.1:1", "-listen=127.0.0.1:2 127.0.0.1:3"); err != nil || !slices.Equal(s.Listen, []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}) {
			t.Errorf("%q, %v", s.Listen, err)
		}
	})
	t.Run("flags: a file and the environment", TestPrecedence) // the original's command has neither
	t.Run("unix", func(t *testing.T) {
		path := "unix:" + filepath.Join(t.TempDir(), "socket")
		if s, _, _, err := parsed(t, "-listen", path, "-unix-socket-perms=660"); err != nil || s.Listen[0] != path || s.UnixSocketPerms != 0o660 {
			t.Errorf("%q, %o, %v", s.Listen, s.UnixSocketPerms, err)
		}
	})
}
