// SPDX-License-Identifier: MIT

package main

import (
	"slices"
	"strconv"
	"sync"
)

// What the log keeps at most. Nobody has to read it, so it forgets the oldest request by itself.
const (
	maxLogRequests = 16 << 10
	maxLogBytes    = 32 << 20
)

// A requestLog remembers the requests of all connections, in the order of their arrival, until they are asked for.
type requestLog struct {
	maxRequests int // immutable
	maxBytes    int // immutable

	mu       sync.Mutex
	requests []*request // guarded by mu, as what these hold of body, complete and listed
	bytes    int        // guarded by mu; the sizes of requests together
}

func newRequestLog(maxRequests, maxBytes int) *requestLog {
	return &requestLog{maxRequests: maxRequests, maxBytes: maxBytes}
}

// add lists q, incomplete.
func (l *requestLog) add(q *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.listed = true
	l.requests = append(l.requests, q)
	l.bytes += q.size()
	l.shrink()
}

// complete says that q's whole body was read. q may have been taken or forgotten meanwhile.
func (l *requestLog) complete(q *request, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.body, q.complete = body, true
	if q.listed {
		l.bytes += len(body)
		l.shrink()
	}
}

// shrink forgets the oldest requests until the limits hold. l.mu is held.
func (l *requestLog) shrink() {
	for len(l.requests) > l.maxRequests || l.bytes > l.maxBytes {
		l.drop(l.requests[0])
		l.requests[0] = nil
		l.requests = l.requests[1:]
	}
}

// drop takes q out of the count; the caller takes it out of l.requests. l.mu is held.
func (l *requestLog) drop(q *request) {
	q.listed = false
	l.bytes -= q.size()
}

// take returns the requests of one connection as a JSON array, and forgets them. Requests are told apart by their
// client's address, "IP:PORT", which a later connection may have again.
func (l *requestLog) take(peer string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := []byte{'['}
	l.requests = slices.DeleteFunc(l.requests, func(q *request) bool {
		if q.peer != peer {
			return false
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = q.appendMembers(append(b, '{'))
		b = append(b, `,"complete":`...)
		b = strconv.AppendBool(b, q.complete)
		b = append(b, '}')
		l.drop(q)
		return true
	})
	return append(b, ']')
}
