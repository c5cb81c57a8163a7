// SPDX-License-Identifier: MIT

//go:build race || invariant

// Package invariant says whether the project's own checks are compiled in. They are in every build with the race
// detector and in builds tagged "invariant"; release builds contain none of them.
package invariant

// Enabled is a constant, so that code behind it costs nothing where it is false.
const Enabled = true
