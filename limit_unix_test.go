// SPDX-License-Identifier: MIT

//go:build unix

package waitress

import "syscall"

// limitDescriptors gives this process the limit of descriptorLimit.
func limitDescriptors() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = descriptorLimit
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
