// SPDX-License-Identifier: MIT

package dispatch

import (
	"errors"
	"runtime/debug"
	"sync/atomic"
)

// A Task is something to run once. Implementations are pointers, so that handing one over allocates nothing.
type Task interface {
	// Run does the work. It may block, panic, or end its goroutine with runtime.Goexit; all three cost this task only.
	Run()

	// Panicked is called after a Run that did not return, on Run's goroutine, with the value of the panic and the
	// stack where it happened; or with ErrGoexit and no stack. What Panicked itself lets escape is not caught: it is
	// the embedder's own code, and a panic there ends the process like any other.
	Panicked(v any, stack []byte)

	// Shed is called instead of Run, on a task thread, when the task has waited for so long that the pool gives it up
	// (Config.Target). It should not take long, and what it lets escape is not caught.
	Shed()
}

// ErrGoexit is the value Panicked gets after a Run that called runtime.Goexit.
var ErrGoexit = errors.New("dispatch: task called runtime.Goexit")

// guard runs t and is the only place of the project that recovers. It reports whether Run returned, and counts in
// panicked what did not. After Goexit, and after a panic in a function that Goexit itself made run, it does not return
// at all, since neither can be stopped: callers that must act then need a deferred function of their own.
func guard(t Task, panicked *atomic.Uint64) (ok bool) {
	defer func() {
		if ok {
			return
		}
		panicked.Add(1)
		// A nil value can't be a panic, since panic(nil) has a value of its own (runtime.PanicNilError).
		if v := recover(); v != nil {
			t.Panicked(v, debug.Stack())
		} else {
			t.Panicked(ErrGoexit, nil)
		}
	}()
	t.Run()
	return true
}
