// SPDX-License-Identifier: MIT

package dispatch

import (
	"math/rand"
	"testing"
)

// TestQueue drives the ring up and down at random and compares it with a slice.
func TestQueue(t *testing.T) {
	for seed := range int64(20) {
		random := rand.New(rand.NewSource(seed))
		var q queue
		var model []Task
		for range 100 {
			pushes := random.Intn(2) == 0
			for range random.Intn(400) {
				if pushes {
					task := &funcTask{}
					q.push(queued{task: task})
					model = append(model, task)
				} else if len(model) > 0 {
					want := model[0]
					model = model[1:]
					if got := q.pop(); got.task != want {
						t.Fatalf("seed %d: pop = %p, want %p", seed, got.task, want)
					}
				}
				if q.count != len(model) || len(q.slots) > max(minQueueSlots, 4*q.count) && q.count > 0 && !pushes {
					t.Fatalf("seed %d: %d tasks in %d slots, want %d tasks", seed, q.count, len(q.slots), len(model))
				}
			}
		}
		for q.count > 0 {
			q.pop()
		}
		if len(q.slots) > minQueueSlots {
			t.Errorf("seed %d: the empty queue keeps %d slots", seed, len(q.slots))
		}
		for i, task := range q.slots {
			if task != (queued{}) {
				t.Fatalf("seed %d: slot %d keeps a task", seed, i)
			}
		}
	}
}
