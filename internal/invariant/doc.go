// SPDX-License-Identifier: MIT

// Package invariant says whether the project's own checks are compiled in. They are in every build with the race
// detector and in builds tagged "invariant"; release builds contain none of them.
package invariant
