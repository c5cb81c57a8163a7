// SPDX-License-Identifier: MIT

package main

import (
	"strconv"
	"strings"
)

// A metric is one number that a measurement gives.
type metric uint8

const (
	requestRate metric = iota
	cpuPerRequest
	p50
	p99
	allocsPerRequest
	idleRSS
	idleHeap
	idleCPU
)

// metrics says how each is called in the table and in JSON, and with how many decimals it is printed.
var metrics = [...]struct {
	title, key string
	decimals   int
}{
	requestRate:      {"requests/s", "requests_per_second", 0},
	cpuPerRequest:    {"server CPU µs/request", "cpu_us_per_request", 1},
	p50:              {"latency p50 µs", "p50_us", 0},
	p99:              {"latency p99 µs", "p99_us", 0},
	allocsPerRequest: {"allocations/request", "allocs_per_request", 2},
	idleRSS:          {"resident bytes/connection", "rss_bytes_per_connection", 0},
	idleHeap:         {"heap bytes/connection", "heap_bytes_per_connection", 0},
	idleCPU:          {"CPU % of one core", "cpu_percent", 1},
}

func (m metric) String() string { return metrics[m].title }

// format prints v with the metric's decimals and a comma after each thousand.
func (m metric) format(v float64) string {
	return withCommas(strconv.FormatFloat(v, 'f', metrics[m].decimals, 64))
}

// withCommas puts a comma after each thousand of a decimal number.
func withCommas(number string) string {
	digits := strings.TrimPrefix(number, "-")
	sign := number[:len(number)-len(digits)]
	whole, _, _ := strings.Cut(digits, ".")
	fraction := digits[len(whole):]
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + fraction
}
