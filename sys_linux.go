// SPDX-License-Identifier: MIT

package waitress

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptInherits says that an accepted connection has the TCP options of the socket that listened for it.
const acceptInherits = true

// sysPeek is for both kinds of build: the byte that it reads is nobody else's. unix.Recvfrom would allocate the
// address.
func sysPeek(fd int) (int, unix.Errno) {
	var p byte
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p)), 1, unix.MSG_PEEK, 0, 0)
	return int(n), errno
}

// Nothing here waits, so the scheduler is not told of it. The first call that it is told of in an idle process wakes its monitor,
// which then looks around every 20 µs for a while; and a connection has five such calls in its life.

func sysShutdown(fd, how int) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
	return errno
}

// sysAccept accepts TCP and Unix connections.
func sysAccept(fd int) (int, syscall.Sockaddr, error) {
	var peer unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&peer)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, nil, errno
	}
	return int(n), sockaddr(&peer), nil
}

// sockaddr is the address that the kernel has written to peer, which was zero.
func sockaddr(peer *unix.RawSockaddrAny) syscall.Sockaddr {
	port := func(network uint16) int { return int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&network))[:])) }
	switch peer.Addr.Family {
	case unix.AF_INET:
		p := (*unix.RawSockaddrInet4)(unsafe.Pointer(peer))
		return &syscall.SockaddrInet4{Port: port(p.Port), Addr: p.Addr}
	case unix.AF_INET6:
		p := (*unix.RawSockaddrInet6)(unsafe.Pointer(peer))
		return &syscall.SockaddrInet6{Port: port(p.Port), ZoneId: p.Scope_id, Addr: p.Addr}
	}
	p := (*unix.RawSockaddrUnix)(unsafe.Pointer(peer))
	name := make([]byte, 0, len(p.Path))
	for i, c := range p.Path {
		if c == 0 && i > 0 {
			break
		}
		name = append(name, byte(c))
	}
	if name[0] == 0 {
		name[0] = '@' // no name, or an abstract one, as the net package writes them
	}
	return &syscall.SockaddrUnix{Name: string(name)}
}

// threadUsage returns the processor time that the calling thread has had, and how often it has waited.
func threadUsage() (cpu time.Duration, waits int64) {
	var t unix.Timespec
	var r unix.Rusage
	// Neither can fail; and a zero is a task that computes nothing.
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&t)), 0)
	_, _, _ = unix.RawSyscall(unix.SYS_GETRUSAGE, unix.RUSAGE_THREAD, uintptr(unsafe.Pointer(&r)), 0)
	return time.Duration(t.Nano()), int64(r.Nvcsw) //nolint:unconvert // 32 bits where a word has 32
}
