// SPDX-License-Identifier: MIT

package dispatch

// minQueueSlots is what a queue keeps for good: 4 KiB, so that a pool which keeps up with bursts of a few loops never
// allocates.
const minQueueSlots = 256

// A queued is a task and when it was queued, in nanoseconds of the pool's clock; 0 where nobody will ask.
type queued struct {
	task Task
	at   int64
}

// A queue is a first-in-first-out ring of tasks. The waiting ones are slots[head], slots[head+1], ... around the end;
// all other slots are zero, so that a finished task is not kept from the garbage collector. len(slots) is zero or a
// power of two. It doubles when full and halves when a quarter full, so that the memory of a burst goes with the
// burst, and each move of n tasks has been paid for by at least n/2 pushes or pops.
type queue struct {
	slots []queued
	head  int
	count int
}

func (q *queue) push(t queued) {
	if q.count == len(q.slots) {
		q.resize(max(minQueueSlots, 2*len(q.slots)))
	}
	q.slots[(q.head+q.count)&(len(q.slots)-1)] = t
	q.count++
}

// pop returns the oldest task. There is one.
func (q *queue) pop() queued {
	t := q.slots[q.head]
	q.slots[q.head] = queued{}
	q.head = (q.head + 1) & (len(q.slots) - 1)
	q.count--
	if len(q.slots) > minQueueSlots && q.count <= len(q.slots)/4 {
		q.resize(len(q.slots) / 2)
	}
	return t
}

// resize moves the tasks to a ring of the given size, oldest first.
func (q *queue) resize(size int) {
	slots := make([]queued, size)
	n := copy(slots, q.slots[q.head:min(q.head+q.count, len(q.slots))])
	copy(slots[n:], q.slots[:q.count-n])
	q.slots, q.head = slots, 0
}
