// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// A kind is a meter.Kind, its bytes, and what came of it.
type kind struct {
	meter.Kind
	batch  []byte // immutable: what is sent at once
	result *meter.KindLoad
}

// An arrival is a request that is due, in the open loop.
type arrival struct {
	at   time.Duration // since the loop's begin
	kind *kind
}

// A group is the connections of a meter.Group.
type group struct {
	meter.Group
	kinds  []*kind
	shares int // the sum of the kinds'
	conns  []*conn
	random *rand.Rand

	// In the open loop, either nobody is free or nothing is late.
	due  arrival // the next
	free queue[*conn]
	late queue[arrival] // due, and no connection was free

	sips    int           // done, one connection after the other
	nextSip time.Duration // since the loop's begin
}

func newGroup(g meter.Group, seed uint64) (*group, error) {
	g.Depth = max(g.Depth, 1)
	switch {
	case g.Conns < 1 || len(g.Kinds) == 0:
		return nil, errors.New("a group without connections or kinds")
	case g.Depth > 1 && (g.Rate > 0 || g.Close || len(g.Kinds) > 1):
		return nil, errors.New("pipelines are for one kind, in the closed loop, on connections that stay")
	case g.Between > 0 && g.Close:
		return nil, errors.New("between connections that do not stay there is no place for others")
	case g.Sip > 0 && (g.Rate > 0 || g.Close || g.SipEvery <= 0):
		return nil, errors.New("who sips does so in the closed loop, in some rhythm, on connections that stay")
	}
	// The same seed gives every server the same requests at the same times.
	n := &group{Group: g, random: rand.New(rand.NewPCG(seed, seed))}
	for _, k := range g.Kinds {
		if k.Share < 1 {
			return nil, errors.New("a kind without a share")
		}
		n.shares += k.Share
		n.kinds = append(n.kinds, &kind{
			Kind:   k,
			batch:  []byte(strings.Repeat(k.Head+strings.Repeat("x", k.Body), g.Depth)),
			result: &meter.KindLoad{Name: k.Name, Latency: meter.NewLatency()},
		})
	}
	n.due = n.arrivalAfter(0)
	return n, nil
}

// pick draws a kind by the shares.
func (g *group) pick() *kind {
	if len(g.kinds) == 1 {
		return g.kinds[0]
	}
	at := g.random.IntN(g.shares)
	for _, k := range g.kinds {
		if at -= k.Share; at < 0 {
			return k
		}
	}
	panic("load: shares that are more than their sum")
}

// arrivalAfter draws the next one of a Poisson process: people do not agree on when to come.
func (g *group) arrivalAfter(at time.Duration) arrival {
	if g.Rate <= 0 {
		return arrival{}
	}
	gap := time.Duration(g.random.ExpFloat64() / g.Rate * float64(time.Second))
	return arrival{at + gap, g.pick()}
}

// between is the time from one connection's sip to the next one's.
func (g *group) between() time.Duration { return g.SipEvery / time.Duration(g.Conns) }

// A queue is first in, first out.
type queue[T any] struct {
	items []T
	taken int // of items
}

func (q *queue[T]) len() int { return len(q.items) - q.taken }

func (q *queue[T]) push(v T) {
	if q.taken > 0 && len(q.items) == cap(q.items) {
		q.items = q.items[:copy(q.items, q.items[q.taken:])]
		q.taken = 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) pop() T {
	v := q.items[q.taken]
	q.taken++
	return v
}
