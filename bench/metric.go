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
	contentRate
	cpuPerRequest
	allocsPerRequest
	residentMiB
	openP50
	openP90
	openP99
	openP999
	openP9999
	openCPU
	closedP50
	closedP99
	besideRate
	besideOpenRate
	rateShare
	cpuShare
	p50Share
	slowRSS
	goroutines
	idleRSS
	idleHeap
	idleCPU
	firstAnswer
	loadCPU
	loadLag
)

// metrics says how each is called in the table and in JSON, and with how many decimals it is printed. What is a detail is
// not in the table.
var metrics = [...]struct {
	title, key string
	decimals   int
	detail     bool
}{
	requestRate:      {"requests/s", "requests_per_second", 0, false},
	contentRate:      {"MiB/s", "mib_per_second", 0, false},
	cpuPerRequest:    {"server CPU µs/request", "cpu_us_per_request", 1, false},
	allocsPerRequest: {"allocations/request", "allocs_per_request", 2, false},
	residentMiB:      {"resident MiB", "rss_mib", 1, false},
	openP50:          {"latency p50 µs", "p50_us", 0, false},
	openP90:          {"latency p90 µs", "p90_us", 0, true},
	openP99:          {"latency p99 µs", "p99_us", 0, false},
	openP999:         {"latency p99.9 µs", "p999_us", 0, false},
	openP9999:        {"latency p99.99 µs", "p9999_us", 0, false},
	openCPU:          {"server CPU µs/request, open loop", "open_cpu_us_per_request", 1, false},
	closedP50:        {"latency p50 µs, closed loop", "closed_p50_us", 0, true},
	closedP99:        {"latency p99 µs, closed loop", "closed_p99_us", 0, true},
	besideRate:       {"requests/s of the others", "beside_requests_per_second", 0, false},
	besideOpenRate:   {"requests/s of the others, open loop", "open_beside_requests_per_second", 0, false},
	rateShare:        {"requests/s, share of those without the idle ones", "rate_share", 2, false},
	cpuShare:         {"CPU/request, as a multiple of that without them", "cpu_share", 2, false},
	p50Share:         {"latency p50, as a multiple of that without the downloads", "p50_share", 2, false},
	slowRSS:          {"resident KiB/slow reader", "rss_kib_per_slow_reader", 0, false},
	goroutines:       {"goroutines", "goroutines", 0, false},
	idleRSS:          {"resident bytes/connection", "rss_bytes_per_connection", 0, false},
	idleHeap:         {"heap bytes/connection", "heap_bytes_per_connection", 0, false},
	idleCPU:          {"CPU % of one core", "cpu_percent", 2, false},
	firstAnswer:      {"ms from its start to its first answer", "first_answer_ms", 1, false},
	loadCPU:          {"load's CPU µs/request", "load_cpu_us_per_request", 1, true},
	loadLag:          {"load's own delay p99 µs", "load_lag_p99_us", 0, false},
}

// A quantile is a metric of latency.
type quantile struct {
	metric metric
	q      float64
	title  string
}

// quantiles are those of an open loop.
var quantiles = []quantile{
	{openP50, 0.5, "p50"},
	{openP90, 0.9, "p90"},
	{openP99, 0.99, "p99"},
	{openP999, 0.999, "p99.9"},
	{openP9999, 0.9999, "p99.99"},
}

func (m metric) String() string { return metrics[m].title }

// metricOf returns the metric of a key.
func metricOf(key string) (metric, bool) {
	for m := range metrics {
		if metrics[m].key == key {
			return metric(m), true
		}
	}
	return 0, false
}

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
