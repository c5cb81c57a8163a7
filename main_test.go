// SPDX-License-Identifier: MIT

package waitress

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails a run that leaves goroutines or descriptors behind, and is the entry of the programs that some tests run
// as processes of their own (see program).
func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		os.Exit(programs[name]())
	}
	warmUp()
	descriptors := openDescriptors()
	code := m.Run()
	if code == 0 {
		http.DefaultClient.CloseIdleConnections()
		code = leaks(descriptors)
	}
	os.Exit(code)
}

// warmUp makes the runtime open what it opens once, such as the descriptors of its own poller.
func warmUp() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = l.Close()
	}
}

// openDescriptors lists what the process has open, or nil where the system does not tell.
func openDescriptors() map[string]string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	open := make(map[string]string)
	for _, e := range entries {
		// The descriptor that ReadDir itself used is gone by now, and so is not listed.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open[e.Name()] = target
		}
	}
	return open
}

// leaks reports what is still there, and is 1 if anything is. What ends by itself gets a moment to do so: the goroutines of
// a closed connection of http.Client, say, have been told, but may not have run yet.
func leaks(before map[string]string) int {
	deadline := time.Now().Add(5 * time.Second)
	for {
		goroutines, descriptors := leakedGoroutines(), leakedDescriptors(before)
		if len(goroutines) == 0 && len(descriptors) == 0 {
			return 0
		}
		if time.Now().After(deadline) {
			fmt.Printf("leaked %d goroutines and %d descriptors\n%s\n%s\n", len(goroutines), len(descriptors),
				strings.Join(goroutines, "\n\n"), strings.Join(descriptors, "\n"))
			return 1
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func leakedGoroutines() (leaked []string) {
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(g, "TestMain(") && !strings.Contains(g, "signal.loop") && !strings.Contains(g, "signal_recv") {
			leaked = append(leaked, g)
		}
	}
	return leaked
}

func leakedDescriptors(before map[string]string) (leaked []string) {
	if before == nil {
		return nil
	}
	for fd, target := range openDescriptors() {
		if _, ok := before[fd]; !ok {
			leaked = append(leaked, fd+" -> "+target)
		}
	}
	return leaked
}
