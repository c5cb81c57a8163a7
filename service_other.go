// SPDX-License-Identifier: MIT

//go:build unix || plan9 || js || wasip1

package waitress

import "os"

// serveService has nobody to tell: the systems' service managers send signals.
func serveService(chan<- os.Signal, <-chan struct{}) <-chan error {
	told := make(chan error, 1)
	told <- nil
	return told
}
