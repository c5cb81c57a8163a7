// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

var (
	kernel32       = windows.NewLazySystemDLL("kernel32.dll")
	procReOpenFile = kernel32.NewProc("ReOpenFile")
)

// sysReopen opens the file of a handle once more, for reading, and lets others do with it what they like.
func sysReopen(file windows.Handle) (windows.Handle, error) {
	r, _, errno := syscall.SyscallN(procReOpenFile.Addr(), uintptr(file), windows.GENERIC_READ,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, 0)
	if h := windows.Handle(r); h != windows.InvalidHandle {
		return h, nil
	}
	return windows.InvalidHandle, errno
}

// lacksUnixSockets says whether Unix sockets can't be had here, after err: Windows has them since 2018.
func lacksUnixSockets(err error) bool { return errors.Is(err, windows.WSAEAFNOSUPPORT) }
