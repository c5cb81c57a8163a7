// SPDX-License-Identifier: MIT

// Package meter has what is measured of a server, and how the processes of bench tell it each other: as one JSON text a
// line. It makes no load and compares nothing.
package meter

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
)

// Stats is what a server written in Go says of itself, one line for each StatsSignal it gets.
type Stats struct {
	HeapBytes  uint64 `json:"heap_bytes"`  // in use after a collection
	StackBytes uint64 `json:"stack_bytes"` // of all goroutines
	Mallocs    uint64 `json:"mallocs"`     // objects allocated since the process began
	Goroutines int    `json:"goroutines"`
	// Linux only:
	Sockets  int   `json:"sockets"`   // open, the listening one included
	RSSBytes int64 `json:"rss_bytes"` // resident, after free memory was given back to the system
}

// ReadStats collects the process's garbage, gives free memory back to the system, and returns what is left.
func ReadStats() (Stats, error) {
	// A sync.Pool survives one collection. What a second one leaves is really in use.
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := Stats{
		HeapBytes:  m.HeapAlloc,
		StackBytes: m.StackInuse,
		Mallocs:    m.Mallocs,
		Goroutines: runtime.NumGoroutine(),
	}
	rss, err := RSS(os.Getpid())
	if errors.Is(err, errors.ErrUnsupported) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.RSSBytes = rss
	s.Sockets, err = sockets()
	return s, err
}
