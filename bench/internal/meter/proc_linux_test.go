// SPDX-License-Identifier: MIT

package meter

import (
	"os"
	"testing"
	"time"
)

func TestThisProcess(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// Working makes it more, however little of a processor there is to be had.
	for after, end := before, time.Now().Add(10*time.Second); after-before < 20*time.Millisecond; {
		if after, err = CPU(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("%v of processor time in 10 s of work", after-before)
		}
	}
	s, err := ReadStats()
	if err != nil || s.HeapBytes == 0 || s.Mallocs == 0 || s.Goroutines == 0 || s.Sockets != 0 || s.RSSBytes < int64(s.HeapBytes) {
		t.Errorf("%+v, %v", s, err)
	}
	if m, err := ThisMachine(); err != nil || m.Cores == 0 || m.Kernel == "" || m.CPU == "" || m.Busy == "" {
		t.Errorf("%+v, %v", m, err)
	}
}
