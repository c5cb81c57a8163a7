// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// portsPerAddress is how many connections leave from one loopback address. The usual range of ports for it holds 28,000,
// and the kernel's search for a free one gets slow from half of them on.
const portsPerAddress = 10_000

// spread has the i-th connection to a loopback address leave from one of several: Linux has all of 127.0.0.0/8.
func spread(d *net.Dialer, addr string, i int) {
	if i < portsPerAddress || !strings.HasPrefix(addr, "127.") {
		return
	}
	d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/portsPerAddress))}
	// Without this the port is chosen before the kernel knows the destination, so that it must differ from those of all
	// connections to anywhere, closed ones included: with some 10,000 of these about, bind looks for minutes.
	d.Control = func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		})
		if cerr != nil {
			return cerr
		}
		return err
	}
}

// pin keeps this process on one core. Threads that are not there yet inherit it.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return os.NewSyscallError("sched_setaffinity", err)
		}
	}
	return nil
}

// wait is epoll_pwait2: epoll_wait knows no time below a millisecond, and an open loop has many of these.
func wait(epfd int, events []unix.EpollEvent, d time.Duration) (int, error) {
	t := unix.NsecToTimespec(int64(d))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&t)), 0, 0)
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, os.NewSyscallError("epoll_pwait2", errno)
	}
	return int(n), nil
}

// exactTimers has the kernel wake the calling thread when its time has come, instead of up to 50 µs later.
func exactTimers() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0))
}

// ownCPU returns the processor time that this process has used.
func ownCPU() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), os.NewSyscallError("clock_gettime", err)
}
