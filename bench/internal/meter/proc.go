// SPDX-License-Identifier: MIT

package meter

import (
	"fmt"
	"strconv"
	"strings"
)

// A Machine is where something was measured.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	// Busy is how many processes wanted to run, on average over the minute before: the noise to expect.
	Busy string `json:"load_average"`
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
