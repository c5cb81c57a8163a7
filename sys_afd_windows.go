// SPDX-License-Identifier: MIT

//go:build !fallback

package waitress

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What golang.org/x/sys/windows doesn't have of what the poller and the sockets need: the kernel's own calls for AFD, the
// driver under Winsock, and two plain calls of Winsock that need no overlapped structure.

var (
	ntdll                           = windows.NewLazySystemDLL("ntdll.dll")
	procNtDeviceIoControlFile       = ntdll.NewProc("NtDeviceIoControlFile")
	procNtCancelIoFileEx            = ntdll.NewProc("NtCancelIoFileEx")
	procGetQueuedCompletionStatusEx = kernel32.NewProc("GetQueuedCompletionStatusEx")
	ws2                             = windows.NewLazySystemDLL("ws2_32.dll")
	procRecv                        = ws2.NewProc("recv")
	procSend                        = ws2.NewProc("send")
)

// afdName opens AFD; its last part is for whoever looks at our handles.
const afdName = `\Device\Afd\Waitress`

const (
	ioctlAFDPoll  = 0x12024
	sioBaseHandle = 0x48000022
	fionbio       = 0x8004667e
)

// What AFD polls for.
const (
	afdReceive     = 0x1
	afdSend        = 0x4
	afdDisconnect  = 0x8
	afdAbort       = 0x10
	afdLocalClose  = 0x20
	afdConnectFail = 0x100
)

// An afdPollInfo is AFD_POLL_INFO for one socket: the question, and afterwards the answer.
type afdPollInfo struct {
	timeout   int64
	handles   uint32
	exclusive uint32
	handle    windows.Handle
	events    uint32
	status    windows.NTStatus
}

// An afdCompletion is OVERLAPPED_ENTRY: what a completion port returns.
type afdCompletion struct {
	key      uintptr
	poll     *afdPoll // what was given as the OVERLAPPED
	internal uintptr
	bytes    uint32
}

// sysOpenAFD opens a handle that polls can be asked through.
func sysOpenAFD() (windows.Handle, error) {
	name, err := windows.NewNTUnicodeString(afdName)
	if err != nil {
		return 0, err
	}
	attributes := windows.OBJECT_ATTRIBUTES{ObjectName: name}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	var handle windows.Handle
	var status windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&handle, windows.SYNCHRONIZE, &attributes, &status, nil, 0,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, windows.FILE_OPEN, 0, 0, 0)
	return handle, err
}

// sysAskAFD asks a poll. If it returns nil a completion comes, even where the answer was known at once.
func sysAskAFD(afd windows.Handle, p *afdPoll) error {
	size := unsafe.Sizeof(p.info)
	r, _, _ := syscall.SyscallN(procNtDeviceIoControlFile.Addr(), uintptr(afd), 0, 0,
		uintptr(unsafe.Pointer(&p.iosb)), uintptr(unsafe.Pointer(&p.iosb)), ioctlAFDPoll,
		uintptr(unsafe.Pointer(&p.info)), size, uintptr(unsafe.Pointer(&p.info)), size)
	if status := windows.NTStatus(r); status != windows.STATUS_SUCCESS && status != windows.STATUS_PENDING {
		return status
	}
	return nil
}

// sysCancelAFD makes the completion of a poll come soon, if it isn't under way already.
func sysCancelAFD(afd windows.Handle, p *afdPoll) error {
	var status windows.IO_STATUS_BLOCK
	r, _, _ := syscall.SyscallN(procNtCancelIoFileEx.Addr(), uintptr(afd),
		uintptr(unsafe.Pointer(&p.iosb)), uintptr(unsafe.Pointer(&status)))
	if status := windows.NTStatus(r); status != windows.STATUS_SUCCESS && status != windows.STATUS_NOT_FOUND {
		return status
	}
	return nil
}

// sysCompletions waits for completions, for so many milliseconds.
func sysCompletions(port windows.Handle, list []afdCompletion, timeout uint32) (int, error) {
	var n uint32
	r, _, errno := syscall.SyscallN(procGetQueuedCompletionStatusEx.Addr(), uintptr(port),
		uintptr(unsafe.Pointer(unsafe.SliceData(list))), uintptr(len(list)), uintptr(unsafe.Pointer(&n)),
		uintptr(timeout), 0)
	if r == 0 {
		if errno == windows.WAIT_TIMEOUT {
			return 0, nil
		}
		return 0, errno
	}
	return int(n), nil
}

// sysBaseSocket returns the socket that AFD knows, which differs from s where something is layered over Winsock.
func sysBaseSocket(s windows.Handle) windows.Handle {
	var base windows.Handle
	var n uint32
	err := windows.WSAIoctl(s, sioBaseHandle, nil, 0, (*byte)(unsafe.Pointer(&base)), uint32(unsafe.Sizeof(base)), &n,
		nil, 0)
	if err != nil {
		return s
	}
	return base
}

// sysNonblock makes the calls that wait return at once instead, or wait.
func sysNonblock(s windows.Handle, nonblock bool) error {
	var on, n uint32
	if nonblock {
		on = 1
	}
	return windows.WSAIoctl(s, fionbio, (*byte)(unsafe.Pointer(&on)), uint32(unsafe.Sizeof(on)), nil, 0, &n, nil, 0)
}

// sysRecv and sysSend return an int32 that is -1 for a failure, whatever is in the rest of the register.

func sysRecv(s windows.Handle, p []byte, flags int) (int, syscall.Errno) {
	r, _, errno := syscall.SyscallN(procRecv.Addr(), uintptr(s),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags))
	if n := int32(r); n >= 0 {
		return int(n), 0
	}
	return 0, errno
}

func sysSend(s windows.Handle, p []byte) (int, syscall.Errno) {
	r, _, errno := syscall.SyscallN(procSend.Addr(), uintptr(s),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0)
	if n := int32(r); n >= 0 {
		return int(n), 0
	}
	return 0, errno
}
