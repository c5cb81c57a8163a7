// SPDX-License-Identifier: MIT

// Package accesslog writes a line for each request that a handler has answered, and tells of those that took long.
//
// Handler goes around an http.Handler and changes nothing that can be seen from inside: streaming, hijacking, sendfile and
// the deadlines of http.ResponseController are passed on. Lines are collected in memory and written a second later, or
// sooner if they are many, so that a request costs no system call of its own.
//
// The package does not rotate files; what is written to can. Of the requests that a server answers without an http.Handler, such
// as malformed ones, it knows what Logger.Log is told.
package accesslog

import (
	"io"
	"sync"
	"time"
)

const (
	// flushSize is how much is collected before it is written at once, and flushTime how long anything waits.
	flushSize = 64 << 10
	flushTime = time.Second

	// maxPending is how much may wait for an output that is slow, before requests wait for it too: no line is lost.
	maxPending = 4 << 20
)

// A Log collects lines and writes them to an io.Writer, whole lines only. Any goroutine may use it.
type Log struct {
	out    io.Writer   // guarded by writing
	failed func(error) // immutable

	mu     sync.Mutex
	buf    []byte      // guarded by mu
	timer  *time.Timer // guarded by mu; nil before there was a line
	armed  bool        // guarded by mu; the timer will flush
	closed bool        // guarded by mu; nothing waits any more

	writing sync.Mutex // held while out is written to; before mu
	spare   []byte     // guarded by writing
}

// NewLog returns a Log that writes to out. failed, if not nil, is told of each Write that fails, whose lines are lost.
func NewLog(out io.Writer, failed func(error)) *Log {
	return &Log{out: out, failed: failed}
}

// add takes a line, with its end.
func (l *Log) add(line []byte) {
	l.mu.Lock()
	l.buf = append(l.buf, line...)
	n, closed := len(l.buf), l.closed
	if !l.armed && !closed {
		l.armed = true
		if l.timer == nil {
			l.timer = time.AfterFunc(flushTime, l.Flush)
		} else {
			l.timer.Reset(flushTime)
		}
	}
	l.mu.Unlock()
	switch {
	case closed || n >= maxPending:
		l.Flush()
	case n >= flushSize && l.writing.TryLock(): // else somebody is writing, and goes on with this
		l.flush()
		l.writing.Unlock()
	}
}

// Flush writes what was collected.
func (l *Log) Flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.flush()
}

// flush is Flush, under writing.
func (l *Log) flush() {
	for {
		l.mu.Lock()
		lines := l.buf
		l.buf = l.spare
		l.armed = false
		l.mu.Unlock()
		if len(lines) > 0 {
			if _, err := l.out.Write(lines); err != nil && l.failed != nil {
				l.failed(err)
			}
		}
		l.spare = lines[:0]
		if cap(lines) > 2*flushSize {
			l.spare = nil // it was a peak
		}
		if len(lines) < flushSize {
			return
		}
	}
}

// Close writes what was collected. Lines that come later, from handlers that are still running, are written at once.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.Flush()
}
