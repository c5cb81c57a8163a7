// SPDX-License-Identifier: MIT

//go:build windows || plan9 || js || wasip1

package waitress

import "errors"

// limitDescriptors is not possible on these systems, as capabilities.noLimit says.
func limitDescriptors() error { return errors.ErrUnsupported }
