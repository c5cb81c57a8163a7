// SPDX-License-Identifier: MIT

//go:build race || invariant

package invariant

// Enabled is a constant, so that code behind it costs nothing where it is false.
const Enabled = true
