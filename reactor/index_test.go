// SPDX-License-Identifier: MIT

package reactor

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

func TestIndexGenerations(t *testing.T) {
	var x index
	if x.get(0) != nil || x.get(1<<32) != nil || x.get(1<<32|5000) != nil {
		t.Error("an empty index finds something")
	}
	for _, fd := range []FD{3, 0, pageSize - 1, pageSize, 5*pageSize + 7, 2 * pageSize} {
		var old []Token
		for range 5 {
			c := &Conn{fd: fd}
			token := x.put(c)
			if token != c.token() {
				t.Errorf("put returns %#x, token %#x", token, c.token())
			}
			if x.get(token) != c {
				t.Errorf("descriptor %d: not found", fd)
			}
			for _, o := range old {
				if x.get(o) != nil {
					t.Errorf("descriptor %d: stale token %#x finds its successor", fd, o)
				}
			}
			if x.get(Token(uint32(fd))) != nil {
				t.Error("generation 0 finds something")
			}
			x.del(c)
			if x.get(token) != nil {
				t.Errorf("descriptor %d: found after del", fd)
			}
			old = append(old, token)
		}
	}
}

// TestIndexLateDel: a connection that was replaced takes nobody with it.
func TestIndexLateDel(t *testing.T) {
	var x index
	first, second := &Conn{fd: 9}, &Conn{fd: 9}
	x.put(first)
	token := x.put(second)
	x.del(first)
	if x.get(token) != second {
		t.Error("the successor was deleted")
	}
}

func TestIndexEach(t *testing.T) {
	var x index
	x.each(func(*Conn) { t.Error("an empty index has a connection") })
	want := map[*Conn]bool{}
	for i := range 3 * pageSize {
		c := &Conn{fd: FD(i * 3)}
		x.put(c)
		want[c] = i%2 == 0
		if i%2 != 0 {
			x.del(c)
		}
	}
	x.each(func(c *Conn) {
		if !want[c] {
			t.Errorf("descriptor %d: not in the index, or twice", c.fd)
		}
		want[c] = false
		x.del(c) // as a loop that closes what it meets does
	})
	for c, left := range want {
		if left {
			t.Errorf("descriptor %d: not met", c.fd)
		}
	}
}

// TestIndexConcurrent lets goroutines put, find and delete while the index grows. What it finds has to be what was meant.
func TestIndexConcurrent(t *testing.T) {
	var x index
	const goroutines = 4
	var tokens [goroutines]atomic.Uint64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			for i := range 3000 {
				// Each goroutine has descriptors of its own, as an operating system sees to.
				c := &Conn{fd: FD(random.IntN(20+i*4)*goroutines + g)}
				token := x.put(c)
				tokens[g].Store(uint64(token))
				if x.get(token) != c {
					t.Error("put, and not found")
				}
				other := Token(tokens[random.IntN(goroutines)].Load())
				if found := x.get(other); found != nil && found.token() != other {
					t.Errorf("token %#x finds %#x", other, found.token())
				}
				if i%500 == 0 {
					x.each(func(c *Conn) {
						if c.gen == 0 {
							t.Error("a connection without a generation")
						}
					})
				}
				x.del(c)
				if x.get(token) != nil {
					t.Error("deleted, and found")
				}
			}
		})
	}
	wg.Wait()
}
