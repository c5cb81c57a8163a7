// SPDX-License-Identifier: MIT

package meter

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat. The kernel converts to it for programs, whatever it counts in.
const tick = 10 * time.Millisecond

// A Machine is where something was measured.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	// Busy is how many processes wanted to run, on average over the minute before: the noise to expect.
	Busy string `json:"load_average"`
}

// parseStat returns the processor time, in user and in system mode, that /proc/PID/stat tells.
func parseStat(text string) (time.Duration, error) {
	// The second field is the program's name in parentheses, which may hold spaces and parentheses itself. utime and
	// stime are the 14th and 15th field.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("meter: /proc/PID/stat: %q", text)
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("meter: /proc/PID/stat: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// parseStatus returns the resident bytes that /proc/PID/status tells.
func parseStatus(text string) (int64, error) {
	value, ok := lookup(text, "VmRSS")
	if !ok {
		return 0, fmt.Errorf("meter: no VmRSS in /proc/PID/status")
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("meter: /proc/PID/status: %w", err)
	}
	return n << 10, nil
}

// lookup returns the value of the first line "name: value" of a file of /proc.
func lookup(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}
