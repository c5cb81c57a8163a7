// SPDX-License-Identifier: MIT

package reactortest

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// A Style is which of the behaviours that reactor.Poller's contract allows a Poller has.
type Style uint8

const (
	// StyleAny lets the seed choose for each Poller.
	StyleAny Style = iota
	// StyleEdge is as epoll and kqueue: every arrival is reported, armed or not, together with whatever else is true
	// then, and Rearm does nothing.
	StyleEdge
	// StyleStrict gives the least that the contract promises: one report, and no second one before the owner has met the
	// end of what was ready and called Rearm, in this order. It finds the Rearm that is missing.
	StyleStrict
)

// String names the style.
func (s Style) String() string {
	switch s {
	case StyleAny:
		return "any"
	case StyleEdge:
		return "edge"
	case StyleStrict:
		return "strict"
	}
	return "Style(" + strconv.Itoa(int(s)) + ")"
}

// Faults say what a Network does to its users. The zero value is a fast and faultless network whose Pollers have the
// style that the seed chooses. A float64 is a probability, each time from 0 to 1; the user of a probability of 1 must
// expect no progress.
type Faults struct {
	Style Style

	// On the descriptors. What a fault withholds or refuses follows after a pause: bytes that were sent are as if still
	// under way, and a full buffer has room again.
	ShortRead  float64 // a Read returns a part of what is there
	ShortWrite float64 // a Write takes a part of what there is room for
	Again      float64 // a Read or Write returns ErrAgain for nothing
	Reset      float64 // a Read or Write finds that the network has reset the connection
	Discard    float64 // a reset throws away what had arrived before it
	Wrap       float64 // an error comes wrapped
	NoSendFile float64 // a SendFile returns errors.ErrUnsupported
	FileFail   float64 // reading a File fails

	// On the Pollers. Together they bring reports in any number and order that the contract allows.
	Spurious  float64 // a Wait also reports a descriptor, Readable or Writable, of which that may not be true
	Duplicate float64 // a report comes twice
	Delay     float64 // a report, or a Wake, comes after a pause
	Split     float64 // Readable and Writable of one descriptor come as two reports
	Shuffle   float64 // the reports of a Wait come in any order
	Early     float64 // a Wait returns 0 for nothing, or fewer reports than there are
	AddFail   float64 // an Add fails with ErrExhausted

	// Stale is the one fault beyond the contract of Del: a Wait also reports the Token of a descriptor that has been
	// deleted. Tokens have generations so that their user is not misled by one.
	Stale float64

	// On the Listeners.
	AcceptFail  float64 // an Accept with a connection waiting returns ErrExhausted
	Descriptors int     // how many may be open before Accept returns ErrExhausted; 0: no limit

	// Between the ends.
	SendBuffer int           // bytes that an end may have under way; 0: defaultBuffer
	RecvBuffer int           // bytes that may wait to be read at an end; 0: defaultBuffer
	Fragment   float64       // what a client writes at once arrives in pieces
	Latency    time.Duration // the longest that a piece is under way
	Pause      time.Duration // the longest pause of a fault; 0: defaultPause
}

const (
	defaultBuffer = 64 << 10
	defaultPause  = time.Millisecond
)

// Random returns a mixture that is different for each seed: most faults are absent or rare in some, and frequent in
// others. It leaves out what changes what a correct server does with bytes: Reset, FileFail, AddFail and Descriptors are 0.
func Random(seed int64) Faults {
	random := newSource(seed, kindFaults, 0)
	p := func(most float64) float64 {
		if random.IntN(2) == 0 {
			return 0
		}
		return random.Float64() * most
	}
	size := func() int {
		return [...]int{0, 0, 1 + random.IntN(16), 1 + random.IntN(512), 1 + random.IntN(16<<10)}[random.IntN(5)]
	}
	span := func() time.Duration {
		return [...]time.Duration{0, time.Microsecond, time.Millisecond, 100 * time.Millisecond}[random.IntN(4)]
	}
	return Faults{
		ShortRead: p(0.5), ShortWrite: p(0.5), Again: p(0.3), Discard: p(1), Wrap: p(0.5),
		Spurious: p(0.5), Duplicate: p(0.5), Delay: p(0.5), Split: p(1), Shuffle: p(1), Early: p(0.5), Stale: p(0.3),
		AcceptFail: p(0.3),
		SendBuffer: size(), RecvBuffer: size(), Fragment: p(0.5), Latency: span(), Pause: span(),
		NoSendFile: p(1),
	}
}

// Kinds of sources, so that no two objects draw the same numbers.
const (
	kindFaults = iota
	kindServerEnd
	kindClientEnd
	kindPoller
	kindListener
	kindFile
)

// A source is where one object draws its faults from. It is guarded by Network.mu.
type source struct{ *rand.Rand }

func newSource(seed int64, kind, number uint64) source {
	return source{rand.New(rand.NewPCG(uint64(seed), kind<<32|number))}
}

// chance draws true with probability p. It draws nothing where p is 0, so that a fault that is switched off leaves the
// others as they were.
func (s source) chance(p float64) bool { return p > 0 && s.Float64() < p }

// upTo draws a time from 0 to most, 0 in every second case: what happens at once finds other faults than what
// happens later.
func (s source) upTo(most time.Duration) time.Duration {
	if most <= 0 || s.IntN(2) == 0 {
		return 0
	}
	return time.Duration(s.Int64N(int64(most)) + 1)
}
