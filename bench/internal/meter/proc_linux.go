// SPDX-License-Identifier: MIT

package meter

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time, in user and in system mode, that a process and its children have used, those of its
// threads included that have ended.
func CPU(pid int) (time.Duration, error) {
	var sum time.Duration
	for _, p := range tree(pid) {
		// Each process has a clock of its own, which counts in nanoseconds; the times in /proc/PID/stat are hundredths of a
		// second. See clock_getcpuclockid(3) for its number.
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^p)<<3|2, &t); err != nil {
			return 0, os.NewSyscallError("clock_gettime", err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// RSS returns the resident bytes of a process and its children.
func RSS(pid int) (int64, error) {
	var sum int64
	for _, p := range tree(pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		if err != nil {
			return 0, err
		}
		n, err := parseStatus(string(text))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// tree returns pid and its descendants. A kernel without that list has none of them, which is right for all servers that
// are one process.
func tree(pid int) []int {
	all := []int{pid}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		for f := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, tree(child)...)
			}
		}
	}
	return all
}

// sockets counts this process's.
func sockets() (int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	n := 0
	for _, e := range entries {
		// The descriptor of the folder itself is closed by now.
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n, err
}

// SpareCPU returns the last core that this process may run on, for what should stay out of a server's way as far as
// possible; -1 if there is one core only.
func SpareCPU() (int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, os.NewSyscallError("sched_getaffinity", err)
	}
	if set.Count() < 2 {
		return -1, nil
	}
	last := 0
	for cpu, left := 0, set.Count(); left > 0; cpu++ {
		if set.IsSet(cpu) {
			last = cpu
			left--
		}
	}
	return last, nil
}

// ThisMachine describes the machine.
func ThisMachine() (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	// Some architectures have no such line.
	m.CPU, _ = lookup(string(info), "model name")
	m.CPU = strings.TrimSpace(m.CPU + " " + runtime.GOARCH)
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	// What follows the version says who built it.
	version, _, _ := strings.Cut(strings.TrimSpace(string(kernel)), "-")
	m.Kernel = "Linux " + version
	busy, err := os.ReadFile("/proc/loadavg")
	m.Busy, _, _ = strings.Cut(string(busy), " ")
	return m, err
}
