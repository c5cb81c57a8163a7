// SPDX-License-Identifier: MIT

package meter

import "time"

// An Order tells bench/load what to do, as one line of JSON on its standard input.
type Order struct {
	Addr     string        `json:"addr"`               // IPv4 HOST:PORT of the server
	Warmup   time.Duration `json:"warmup"`             // before the measurement
	Duration time.Duration `json:"duration"`           // of the measurement
	Groups   []Group       `json:"groups,omitempty"`   // all at the same time
	Hold     int           `json:"hold,omitempty"`     // instead of groups: connections that make one request each and wait
	TLS      bool          `json:"tls,omitempty"`      // for Hold only
	MaxDelay time.Duration `json:"max_delay,omitzero"` // of an answer, before the run has failed; default: 10 s
}

// A Group is connections that do the same.
type Group struct {
	Conns int `json:"conns"`
	// Rate is how many requests a second are due, at times drawn from a Poisson process that is the same in every run,
	// whatever the server does: the open loop. 0 is the closed loop: a connection sends when it has its answer.
	Rate  float64 `json:"rate,omitempty"`
	Depth int     `json:"depth,omitempty"` // closed loop: requests sent at once; default 1
	Close bool    `json:"close,omitempty"` // a connection for each request
	// Between is how many connections that ask for nothing are opened after each of Conns, so that a server which deals its
	// connections out in turn has some loops with all the work, and others with none.
	Between int `json:"between,omitempty"`
	// Sip, if above 0, is how many bytes of an answer a connection reads every SipEvery, through a small socket buffer.
	Sip      int           `json:"sip,omitempty"`
	SipEvery time.Duration `json:"sip_every,omitzero"`
	Kinds    []Kind        `json:"kinds"`
}

// A Kind is one sort of request, and the answer due to it. Its status must be 200.
type Kind struct {
	Name    string `json:"name"`
	Head    string `json:"head"`           // to its empty line
	Body    int    `json:"body,omitempty"` // bytes sent after it
	Share   int    `json:"share"`          // of the group's requests, by the sum of all shares
	Content string `json:"content"`        // what the answer holds, or
	Length  int64  `json:"length"`         // only its length, if Content is empty
}

// A Load is what a load generator says when it is done.
type Load struct {
	Seconds float64       `json:"seconds"` // measured
	Kinds   []KindLoad    `json:"kinds"`   // of all groups, in the order's order
	CPU     time.Duration `json:"cpu"`     // that the generator itself has used, from its first request to its last
	// Lag is how long after its time an open loop's request left, where a connection was free for it: the generator's own
	// part of the latencies.
	Lag *Latency `json:"lag"`
}

// A KindLoad is a Load's part of one kind of requests.
type KindLoad struct {
	Name     string `json:"name"`
	Answered int64  `json:"answered"` // from the first on, the warm-up's too
	// Measured requests were due and, in the closed loop, answered within Seconds.
	Measured int64 `json:"measured"`
	// Bytes of content have come within Seconds, of whatever answers.
	Bytes int64 `json:"bytes"`
	// Latency is the measured requests': to the last byte of the answer, from the time the request was due, or from the
	// begin of the write in the closed loop. A pipelined batch counts once.
	Latency *Latency `json:"latency"`
}

// Answered is the sum of all kinds'.
func (l *Load) Answered() int64 {
	var n int64
	for _, k := range l.Kinds {
		n += k.Answered
	}
	return n
}

// Kind returns the sum of the kinds that have that name; all of them for "".
func (l *Load) Kind(name string) KindLoad {
	sum := KindLoad{Name: name, Latency: NewLatency()}
	for _, k := range l.Kinds {
		if name == "" || k.Name == name {
			sum.Answered += k.Answered
			sum.Measured += k.Measured
			sum.Bytes += k.Bytes
			sum.Latency.Merge(k.Latency)
		}
	}
	return sum
}
