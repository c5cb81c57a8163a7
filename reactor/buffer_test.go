// SPDX-License-Identifier: MIT

package reactor

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/waitress-go/waitress/internal/invariant"
)

func TestBuffers(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 511, 512, 513, segmentSize, turnBuffer, turnBuffer + 1, 3 << 20} {
		p := GetBuffer(n)
		if len(p) != n {
			t.Errorf("GetBuffer(%d) has %d bytes", n, len(p))
		}
		PutBuffer(p)
	}
	PutBuffer(nil)
}

// TestBufferNotShared: two that are out at the same time are not the same, whatever piece of them was given back.
func TestBufferNotShared(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	type held struct {
		p    []byte
		mark byte
	}
	var out []held
	for i := range 2000 {
		if len(out) > 20 || len(out) > 0 && random.IntN(2) == 0 {
			k := random.IntN(len(out))
			h := out[k]
			if bytes.Count(h.p, []byte{h.mark}) != len(h.p) {
				t.Fatalf("a buffer of %d bytes was written to by another owner", len(h.p))
			}
			PutBuffer(h.p[:random.IntN(len(h.p)+1)])
			out[k] = out[len(out)-1]
			out = out[:len(out)-1]
			continue
		}
		h := held{GetBuffer(1 + random.IntN(5000)), byte(i)}
		for j := range h.p {
			h.p[j] = h.mark
		}
		out = append(out, h)
	}
}

func TestPutBufferOverwrites(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("in test builds only")
	}
	p := append(GetBuffer(100)[:0], "secret"...)
	PutBuffer(p[:2])
	if bytes.Contains(p[:cap(p)], []byte("cret")) {
		t.Error("the content is still there")
	}
}

func TestGrowBuffer(t *testing.T) {
	var p []byte
	var want []byte
	for i := range 300 {
		piece := bytes.Repeat([]byte{byte(i)}, i*7%1000)
		if p = GrowBuffer(p, len(piece)); cap(p)-len(p) < len(piece) || len(p) != len(want) {
			t.Fatalf("length %d, capacity %d, for %d more", len(p), cap(p), len(piece))
		}
		p = append(p, piece...)
		want = append(want, piece...)
	}
	if !bytes.Equal(p, want) {
		t.Error("the content changed")
	}
	at := &p[0]
	if p = GrowBuffer(p, cap(p)-len(p)); at != &p[0] {
		t.Error("moved without need")
	}
	PutBuffer(p)
	if GrowBuffer(nil, 0) != nil {
		t.Error("something from nothing")
	}
}
