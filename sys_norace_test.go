// SPDX-License-Identifier: MIT

//go:build !race

package waitress

// raceEnabled says that the race detector runs, which allocates.
const raceEnabled = false
