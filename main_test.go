// SPDX-License-Identifier: MIT

package waitress

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails a run that leaves goroutines or descriptors behind, and is the entry of the programs that some tests run
// as processes of their own (see program).
func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		allowSignals()
		// By these a program starts itself anew, which one that is emulated can't do without its emulator.
		os.Args = append(strings.Fields(os.Getenv(emulatorVariable)), os.Args...)
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

// leaks reports what is still there, and is 1 if anything is. What ends by itself gets a moment to do so.
func leaks(before map[string]string) int {
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		return 1
	}
	if left := leakedDescriptors(before); len(left) > 0 {
		fmt.Printf("leaked descriptors:\n%s\n", strings.Join(left, "\n"))
		return 1
	}
	return 0
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
