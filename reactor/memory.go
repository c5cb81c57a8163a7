// SPDX-License-Identifier: MIT

package reactor

import "sync/atomic"

// A Memory counts the bytes of the buffers that many connections hold, and says when they are enough. One counter will do: it
// is touched when a buffer is taken to be kept, or given back, which the usual request never does. A nil *Memory counts
// nothing and is never full. Any goroutine may use it.
//
// There are two borders. Up to the lower one, seven eighths of the limit, whatever can do without memory gets some: output, whose
// writer can wait, and content that can go to a file. The rest is for what has been read already and has nowhere else to go,
// such as the first half of a request's head; who would begin with such a thing asks Full before.
type Memory struct {
	limit int64 // immutable
	used  atomic.Int64
}

// leastInput is how much is read at once while memory is short: most requests without content are not longer.
const leastInput = 4 << 10

// NewMemory returns a Memory for limit bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Used returns how many bytes are counted.
func (m *Memory) Used() int64 {
	if m == nil {
		return 0
	}
	return m.used.Load()
}

// Reserve counts n bytes if they are within the lower border, and says whether they are.
func (m *Memory) Reserve(n int) bool {
	if m == nil {
		return true
	}
	if m.used.Add(int64(n)) <= m.limit-m.limit/8 {
		return true
	}
	m.used.Add(-int64(n))
	return false
}

// Free counts n bytes off.
func (m *Memory) Free(n int) {
	if m != nil {
		m.used.Add(-int64(n))
	}
}

// Full says whether the limit has been reached: nothing may begin that needs a buffer.
func (m *Memory) Full() bool { return m != nil && m.used.Load() >= m.limit }

// Short says whether there is hardly anything left below the lower border: what can wait, or go without a buffer, should.
func (m *Memory) Short() bool { return m != nil && m.used.Load() >= m.limit-m.limit/8-segmentSize }

// Input returns how much of size bytes should be read at once: less while memory is short, so that little is read that has to
// be kept.
func (m *Memory) Input(size int) int {
	if m.Short() {
		return min(size, leastInput)
	}
	return size
}

// Get is GetBuffer for input that is kept, which is counted whatever the limit.
func (m *Memory) Get(n int) []byte {
	p := GetBuffer(n)
	if m != nil {
		m.used.Add(int64(cap(p)))
	}
	return p
}

// Put is PutBuffer for what came from Get or Grow.
func (m *Memory) Put(p []byte) {
	m.Free(cap(p))
	PutBuffer(p)
}

// Grow is GrowBuffer for what came from Get or Grow.
func (m *Memory) Grow(p []byte, n int) []byte {
	before := cap(p)
	p = GrowBuffer(p, n)
	if m != nil && cap(p) != before {
		m.used.Add(int64(cap(p) - before))
	}
	return p
}
