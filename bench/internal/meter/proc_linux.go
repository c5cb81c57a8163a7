// SPDX-License-Identifier: MIT

package meter

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// StatsSignal asks a server of bench for its Stats.
const StatsSignal = syscall.SIGUSR1

// CPU returns the processor time that a process has used. It is exact to a hundredth of a second.
func CPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(text))
}

// RSS returns the resident bytes of a process.
func RSS(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseStatus(string(text))
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
	m.Kernel = "Linux " + strings.TrimSpace(string(kernel))
	busy, err := os.ReadFile("/proc/loadavg")
	m.Busy, _, _ = strings.Cut(string(busy), " ")
	return m, err
}
