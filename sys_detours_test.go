// SPDX-License-Identifier: MIT

//go:build race || kqsim

package waitress

// detoursAllocate says that the race detector or the model of kqueue runs, which allocate by themselves.
const detoursAllocate = true
