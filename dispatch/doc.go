// SPDX-License-Identifier: MIT

// Package dispatch decides where user code runs, and is the only place where it does: on a task thread of an elastic
// or bounded pool, or at once on the goroutine that asks. It knows nothing of sockets, loops or HTTP: a task is
// something to run.
//
// # Policies
//
// PolicyPool gives every task to a task thread. PolicyInline runs every task where it was made, which on an event loop
// is right only for tasks known never to block. PolicyAdaptive learns from each kind of task which of the two it needs: a
// kind begins on threads, and runs on the loop when it has proven quick there. Who makes the tasks tells how each went
// (Learn), and is the one to notice that a task on the loop takes too long. It also weighs slow tasks now and then (Weigh): those
// that compute (Heavy) go through a lane, a few at a time, so that the loops find a processor.
//
// # The pool
//
// Task threads are goroutines that are kept between tasks. The queue is first in, first out. An elastic pool
// (Threads == 0) never makes a task wait for another to end, but in the lane, and there not for long, since handlers may
// wait for each other: whenever the queue holds a task, at least one thread is on its way to take it, and a thread that
// takes one while others are queued sends the next thread on its way first. So a burst of quick tasks is done by few
// threads, and a burst of sleeping ones gets a thread each. A bounded pool stops making threads at its bound, and refuses
// with ErrQueueFull when the queue is at its own.
//
// Idle threads park in a stack, and the one that parked last is sent first. There may be a limited number of them; a
// thread that finds the stack full ends. There is nothing at package level: a Dispatcher's goroutines are its threads, and
// Close waits for them.
//
// # What goes wrong
//
// A task that panics or calls runtime.Goexit costs itself only. This is the one package that recovers, so it is where
// a panic of user code ends: Task.Panicked says what to do about it.
package dispatch
