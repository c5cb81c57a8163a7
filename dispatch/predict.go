// SPDX-License-Identifier: MIT

package dispatch

import (
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// A Kind stands for tasks that are expected to be alike: those of one group (an HTTP method) and route (a path). It names
// two entries of the predictor's table, that of the route and that of the folder it is in.
type Kind uint32

const (
	// kindBits is the logarithm of the number of the predictor's entries. Kinds that fall on the same one share it: the slow
	// ones among them then decide for all.
	kindBits = 11

	// trust is how many quick runs in a row a kind needs before it may run on a loop, at first. Each time that it turned
	// out slow there soon after, twice as many are needed, up to 2^maxDistrust times.
	trust       = 64
	maxDistrust = 10

	// soon is how soon. A kind that holds up a loop now and then, once in a thousand runs say, would earn its trust again and
	// again if that did not become harder. One that was caught because the machine did not run it for a while, once in a
	// minute, has done nothing wrong.
	soon = 2 * time.Second
)

// Slow is how long a task may take on a thread and still be quick. It is far above what most handlers need, and far below
// what others that wait behind it would notice. It is wall time: a thread that does not get a processor is slow too, which
// costs its kind a few more runs on threads.
const Slow = 500 * time.Microsecond

// A predictor tells where tasks should run from how those of their kind went, like a processor's branch predictor. A kind is
// trusted to be quick after so many quick runs in a row, on threads, where the slow ones did no harm. A trusted kind costs
// two loads of memory that nobody writes. Updates of one entry by two goroutines at once may lose one of them.
//
// A kind that has not been seen often enough is judged by its folder, if it was never slow itself: paths with numbers or
// names in them are mostly alike.
type predictor struct {
	seed     maphash.Seed
	start    time.Time
	weighing atomic.Int32 // runs that are weighed
	entries  [1 << kindBits]entry
}

// An entry is what is known of a kind.
type entry struct {
	word  atomic.Uint32
	since atomic.Int64 // when it was last trusted, in nanoseconds after predictor.start
}

// The word of an entry: quick runs in a row, and above them the bits, the distrust, and how many slow runs in a row were brief, up
// to maxBrief. A kind that is trusted, or is caught, is to be weighed again.
const (
	streakMask    = 1<<20 - 1
	wordSlow      = 1 << 20 // it was slow, and has not been trusted since
	wordTrusted   = 1 << 21
	wordWeighed   = 1 << 22 // it is known whether wordHeavy is true
	wordHeavy     = 1 << 23 // it keeps a processor for as long as it runs
	distrustShift = 24
	distrustMask  = 1<<4 - 1
	briefShift    = 28
	maxBrief      = 1<<4 - 1
)

func newPredictor() *predictor {
	return &predictor{seed: maphash.MakeSeed(), start: time.Now()}
}

// kind returns the Kind of a group and route.
func (p *predictor) kind(group, route string) Kind {
	var salt uint64
	if len(group) > 0 {
		salt = uint64(group[0]) ^ uint64(len(group))<<8
	}
	salt *= 0x9e3779b97f4a7c15
	const shift = 64 - kindBits
	folder := route[:strings.LastIndexByte(route, '/')+1]
	return Kind((maphash.String(p.seed, route)^salt)>>shift) | Kind((maphash.String(p.seed, folder)+salt)>>shift)<<16
}

func (p *predictor) of(k Kind) (route, folder *entry) {
	const mask = 1<<kindBits - 1
	return &p.entries[k&mask], &p.entries[k>>16&mask]
}

// place predicts.
func (p *predictor) place(k Kind) Place {
	route, folder := p.of(k)
	w := route.word.Load()
	if w&wordTrusted != 0 || w&wordSlow == 0 && folder.word.Load()&wordTrusted != 0 {
		return Here
	}
	return OnThread
}

// learn notes how a task of kind k went: what was foretold, and whether it was quick there.
func (p *predictor) learn(k Kind, was Place, quick bool) {
	route, folder := p.of(k)
	switch {
	case quick && p.quick(route):
		p.quick(folder) // by what is new in it: what is known would write to memory that all loops share
	case quick:
	case was == Here:
		p.caught(route)
		p.caught(folder)
	default:
		slow(route)
		slow(folder)
	}
}

// quick says whether that was news.
func (p *predictor) quick(e *entry) bool {
	w := e.word.Load()
	if w&wordTrusted != 0 {
		return false
	}
	if w++; w&streakMask < trust<<(w>>distrustShift&distrustMask) {
		e.word.Store(w)
		return true
	}
	e.since.Store(int64(time.Since(p.start)))
	e.word.Store(w&(distrustMask<<distrustShift) | wordTrusted)
	return true
}

// slow is for a run on a thread. An entry that is trusted all the same, since others of its kind ran on loops meanwhile, stays
// so: it is caught there if it is slow.
func slow(e *entry) {
	if w := e.word.Load(); w&wordTrusted == 0 {
		e.word.Store(w&^streakMask | wordSlow)
	}
}

// caught is for a run that lost its loop.
func (p *predictor) caught(e *entry) {
	w := e.word.Load()
	distrust := w >> distrustShift & distrustMask
	if w&wordTrusted != 0 {
		switch early := int64(time.Since(p.start))-e.since.Load() < int64(soon); {
		case early:
			distrust = min(distrust+1, maxDistrust)
		case distrust > 0:
			distrust--
		}
	}
	e.word.Store(distrust<<distrustShift | wordSlow)
}

const (
	// weighEvery is how many runs of a kind that was weighed there are for each that is weighed again, on average.
	weighEvery = 32

	// Weighing a run costs it a system thread of its own, for as long as it lasts. So only kinds are weighed whose last
	// slow runs, as many as fewBrief, took less than brief each, and maxWeighing at a time: a stream that lasts for hours, or
	// a connection that was hijacked, is not, or is one of few.
	brief       = 100 * time.Millisecond
	fewBrief    = 8
	maxWeighing = 8
)

// slower returns what is known of k's slowness: of its route, or of its folder if the route was never slow.
func (p *predictor) slower(k Kind) uint32 {
	route, folder := p.of(k)
	if w := route.word.Load(); w&wordSlow != 0 {
		return w
	}
	return folder.word.Load()
}

// lasted notes how long a run on a thread took, which was not quick. A kind whose runs last is not heavy: they would be out of the
// lane before they end, but let others wait for that.
func (p *predictor) lasted(k Kind, took time.Duration) {
	route, folder := p.of(k)
	for _, e := range [...]*entry{route, folder} {
		switch w := e.word.Load(); {
		case w&wordTrusted != 0:
		case took >= brief:
			if lasts := w & (1<<briefShift - 1) &^ (wordWeighed | wordHeavy); w != lasts {
				e.word.Store(lasts)
			}
		case w>>briefShift < maxBrief:
			e.word.Store(w + 1<<briefShift)
		}
	}
}

func (p *predictor) weigh(k Kind) bool {
	w := p.slower(k)
	if w&wordSlow == 0 || w>>briefShift < fewBrief || w&wordWeighed != 0 && rand.Uint32N(weighEvery) != 0 {
		return false
	}
	if p.weighing.Add(1) > maxWeighing {
		p.weighing.Add(-1)
		return false
	}
	return true
}

func (p *predictor) heavy(k Kind) bool { return p.slower(k)&wordHeavy != 0 }

// weighed ends what weigh began.
func (p *predictor) weighed(k Kind, heavy bool) {
	p.weighing.Add(-1)
	route, folder := p.of(k)
	for _, e := range [...]*entry{route, folder} {
		w := e.word.Load()
		weighed := w&^wordHeavy | wordWeighed
		if heavy {
			weighed |= wordHeavy
		}
		if w&wordTrusted == 0 && w != weighed {
			e.word.Store(weighed)
		}
	}
}
