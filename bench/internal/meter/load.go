// SPDX-License-Identifier: MIT

package meter

// Load is what a load generator says when it is done.
type Load struct {
	Answered int64    `json:"answered"` // requests, from the first on
	Measured int64    `json:"measured"` // those of them that began and ended within Seconds
	Seconds  float64  `json:"seconds"`
	Latency  *Latency `json:"latency"` // of the measured ones; of a pipelined batch it is one, the whole batch's
}
