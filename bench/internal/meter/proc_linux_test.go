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
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		continue
	}
	after, err := CPU(os.Getpid())
	if err != nil || after-before < 20*time.Millisecond {
		t.Errorf("%v of processor time in 100 ms of work, %v", after-before, err)
	}
	s, err := ReadStats()
	if err != nil || s.HeapBytes == 0 || s.Mallocs == 0 || s.Goroutines == 0 || s.Sockets != 0 || s.RSSBytes < int64(s.HeapBytes) {
		t.Errorf("%+v, %v", s, err)
	}
	if m, err := ThisMachine(); err != nil || m.Cores == 0 || m.Kernel == "" || m.CPU == "" || m.Busy == "" {
		t.Errorf("%+v, %v", m, err)
	}
}
