// SPDX-License-Identifier: MIT

package waitress

import (
	"runtime"
	"testing"
	"time"
)

// TestThreadUsage: what computes uses processor time, and what sleeps waits.
func TestThreadUsage(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu, waits := threadUsage()
	if cpu <= 0 {
		t.Fatalf("%v of processor time before anything", cpu)
	}
	for began := time.Now(); ; {
		if now, _ := threadUsage(); now-cpu >= 2*time.Millisecond {
			break
		} else if now < cpu || time.Since(began) > time.Minute {
			t.Fatalf("%v and then %v of processor time", cpu, now)
		}
	}
	for began := time.Now(); ; {
		time.Sleep(time.Millisecond) // which is over before the thread waits for its end, where it has been kept from its processor
		if _, now := threadUsage(); now > waits {
			break
		} else if now < waits || time.Since(began) > time.Minute {
			t.Fatalf("waited %d times, and after a sleep %d", waits, now)
		}
	}
	if n := testing.AllocsPerRun(100, func() { threadUsage() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
