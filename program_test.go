// SPDX-License-Identifier: MIT

package waitress

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
)

// programVariable names the program that the test binary is to be, instead of running tests.
const programVariable = "WAITRESS_TEST_PROGRAM"

// programs are what tests run in processes of their own, to send them signals or limit what they may have.
var programs = map[string]func() int{
	"serve":   serveProgram,
	"systemd": systemdProgram,
	"drain":   drainProgram,
	"faulty":  faultyProgram,
}

// serveProgram is a program as the README has it. "/wait" answers when the process gets a line on its standard input.
func serveProgram() int { return serveProgramOn("127.0.0.1:0") }

// systemdProgram serves on what systemd passes.
func systemdProgram() int { return serveProgramOn("systemd:web", "systemd:admin") }

func serveProgramOn(addrs ...string) int {
	lines := bufio.NewReader(os.Stdin)
	err := Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			fmt.Println("waiting")
			_, _ = lines.ReadString('\n')
		}
		if _, ok := os.LookupEnv("LISTEN_FDS"); ok {
			http.Error(w, "LISTEN_FDS is set for the programs that this one starts", http.StatusInternalServerError)
			return
		}
		hello(w, r)
	}), Listen(addrs...), func(s *Server) { s.Logger = zap.NewNop() })
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A process is one of programs under way.
type process struct {
	*exec.Cmd
	t      *testing.T
	stdin  io.WriteCloser
	stdout *bufio.Reader
	addr   string
}

// emulatorVariable names what runs the test binary, with its arguments, where the system doesn't by itself: another processor's.
const emulatorVariable = "WAITRESS_TEST_EMULATOR"

// self returns a command that runs the test binary once more.
func self(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := append(strings.Fields(os.Getenv(emulatorVariable)), path)
	command = append(command, args...)
	return exec.CommandContext(t.Context(), command[0], command[1:]...)
}

// start runs a program that serves, and waits until it does. prepare, if there is one, may change what is run.
func start(t *testing.T, name string, prepare ...func(c *exec.Cmd)) *process {
	t.Helper()
	p := &process{Cmd: self(t), t: t}
	p.Env = append(os.Environ(), programVariable+"="+name)
	p.Stderr = os.Stderr
	for _, f := range prepare {
		f(p.Cmd)
	}
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	const said = "Serving on http://"
	line := p.line()
	if !strings.HasPrefix(line, said) {
		t.Fatalf("the program said %q", line)
	}
	p.addr = strings.TrimPrefix(line, said)
	return p
}

// line returns the next line of the program's output.
func (p *process) line() string {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		p.t.Fatalf("the program's output: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (p *process) dial() net.Conn {
	p.t.Helper()
	return (&testServer{addr: p.addr}).dial(p.t)
}

func TestServeSignals(t *testing.T) {
	if systemCapabilities().noSignals {
		return
	}
	for _, s := range programSignals {
		t.Run(s.String(), func(t *testing.T) {
			p := start(t, "serve", signalable)
			idle, active := p.dial(), p.dial()
			send(t, idle, get)
			quiet := bufio.NewReader(idle)
			answer(t, quiet)
			send(t, active, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
			if line := p.line(); line != "waiting" {
				t.Fatalf("got %q", line)
			}
			if err := sendSignal(p.Process, s); err != nil {
				t.Fatal(err)
			}
			mustBeClosed(t, "the idle connection", quiet)
			if _, err := io.WriteString(p.stdin, "\n"); err != nil {
				t.Fatal(err)
			}
			if _, body := answer(t, bufio.NewReader(active)); body != "Hello, World!" {
				t.Errorf("the request that had started got %q", body)
			}
			if err := p.Wait(); err != nil {
				t.Error("exit:", err)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		p := start(t, "serve", signalable)
		c := p.dial()
		send(t, c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		if line := p.line(); line != "waiting" {
			t.Fatalf("got %q", line)
		}
		if err := sendSignal(p.Process, programSignals[0]); err != nil {
			t.Fatal(err)
		}
		// The first has arrived when the listener is closed; a second before that might count as the same one.
		for {
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				break
			}
			_ = c.Close()
		}
		if err := sendSignal(p.Process, programSignals[0]); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil {
			t.Error("exit:", err)
		}
	})
}

// TestServeDescriptorLimit: a server at its limit serves the clients it has, and accepts others when some leave.
func TestServeDescriptorLimit(t *testing.T) {
	if systemCapabilities().noLimit {
		return
	}
	const limit = 40 // descriptors: the process's own dozen, and few clients
	p := start(t, "serve", func(c *exec.Cmd) {
		// Only the shell can limit both what it runs may have and what that may ask for, as the Go runtime does.
		script := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit)
		c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", script}, c.Args...)
	})
	type client struct {
		net.Conn
		answered chan struct{}
	}
	clients := make([]*client, 2*limit)
	for i := range clients {
		c := &client{p.dial(), make(chan struct{})}
		clients[i] = c
		send(t, c, get)
		go func() {
			// Those that have to wait for others to leave are answered then.
			if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				close(c.answered)
			}
		}()
	}
	// The first ones are in; they are served again and again while the limit is reached.
	wait(t, "the first client", clients[0].answered)
	r := bufio.NewReader(clients[0])
	for range 100 {
		send(t, clients[0], get)
		answer(t, r)
	}
	// Each that leaves lets one in, in whatever order, until all have been served.
	for range clients {
		i := 0
		for ; i < len(clients); i++ {
			select {
			case <-clients[i].answered:
			default:
				continue
			}
			break
		}
		if i == len(clients) {
			wait(t, "a client that waited", clients[0].answered)
			i = 0
		}
		_ = clients[i].Close()
		clients = append(clients[:i], clients[i+1:]...)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Error("exit:", err)
	}
}
