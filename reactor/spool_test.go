// SPDX-License-Identifier: MIT

package reactor_test

import (
	"bytes"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/reactor"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// A spooler makes temporary files, in memory, as many and as long as it may.
type spooler struct {
	overflow int
	noFile   bool  // there are none
	most     int64 // bytes of a file, or 0 for any number
	open     atomic.Int64
}

type spoolFile struct {
	spooler *spooler
	content []byte
}

var errFull = errors.New("no space left on device")

func (s *spooler) newSpool() (reactor.Spool, error) {
	if s.noFile {
		return nil, errFull
	}
	s.open.Add(1)
	return &spoolFile{spooler: s}, nil
}

func (f *spoolFile) ReadAt(p []byte, offset int64) (int, error) {
	return bytes.NewReader(f.content).ReadAt(p, offset)
}

func (f *spoolFile) WriteAt(p []byte, offset int64) (int, error) {
	if offset != int64(len(f.content)) {
		return 0, errors.New("not at the end")
	}
	var err error
	if room := f.spooler.most - offset; f.spooler.most > 0 && int64(len(p)) > room {
		p, err = p[:room], errFull
	}
	f.content = append(f.content, p...)
	return len(p), err
}

func (f *spoolFile) Close() error {
	f.spooler.open.Add(-1)
	return nil
}

// TestSpool: what a client does not take goes to a file from the overflow on, and nobody waits for the client; where there is no
// file, or it is full, the writer waits. Either way all of it arrives.
func TestSpool(t *testing.T) {
	const size, overflow = 2 << 20, 10_000
	for _, test := range []struct {
		name      string
		watermark int
		spool     *spooler
		memory    int64
		waits     bool // the writer
		faults    bool
	}{
		{"any number of bytes", 1 << 30, &spooler{overflow: overflow}, math.MaxInt64, false, false},
		{"up to the watermark", 1 << 20, &spooler{overflow: overflow}, math.MaxInt64, true, false},
		{"there is no file", 1 << 30, &spooler{overflow: overflow, noFile: true}, math.MaxInt64, true, true},
		{"the file is full at some time", 1 << 30, &spooler{overflow: overflow, most: 100_000}, math.MaxInt64, true, true},
		{"there is no memory", 1 << 30, &spooler{overflow: overflow}, 0, false, false},
		{"there is little memory", 1 << 30, &spooler{overflow: size}, 200_000, false, false},
		{"there is neither", 1 << 30, &spooler{overflow: overflow, noFile: true}, 0, true, true},
		{"there is no memory, and the file is full at some time", 1 << 30, &spooler{overflow: overflow, most: 100_000}, 0, true, true},
		{"there is no memory, and no file is wanted", 1 << 30, nil, 0, true, false},
	} {
		for _, onLoop := range []bool{true, false} {
			name := test.name + ", as a task"
			if onLoop {
				name = test.name + ", on the loop"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					content := pattern(size)
					written := make(chan time.Time, 1)
					m := newSim(t, 0, reactortest.Faults{}, simConfig{
						watermark: test.watermark, spool: test.spool, memory: reactor.NewMemory(test.memory),
					}, &script{
						input: func(c *channel, t *reactor.Turn, _ []byte) bool {
							write := func(t *reactor.Turn) {
								for p := content; len(p) > 0; p = p[min(len(p), 70_000):] {
									if err := c.Write(t, p[:min(len(p), 70_000)]); err != nil {
										c.sim.t.Error(err)
									}
								}
								written <- time.Now()
							}
							if onLoop {
								if write(t); !t.Lost() {
									return true
								}
							} else {
								return c.task(func() {
									write(nil)
									if !c.release(true) {
										c.letGo()
									}
								})
							}
							if !c.release(true) {
								c.letGo()
							}
							return false
						},
						drained: func(c *channel, turn *reactor.Turn) bool { c.Close(turn); return false },
					})
					start := time.Now()
					_, client := m.open()
					m.write(client, "x")
					time.Sleep(time.Minute)
					got, err := client.ReadAll()
					if err != nil || !bytes.Equal(got, content) {
						t.Errorf("got %d bytes, %v", len(got), err)
					}
					if waited := (<-written).Sub(start) >= time.Minute; waited != test.waits {
						t.Errorf("the writer waited: %v", waited)
					}
					if faults := m.takeFaults(); (len(faults) > 0) != test.faults {
						t.Errorf("faults: %v", faults)
					}
					if test.spool == nil {
						return
					}
					if n := test.spool.open.Load(); n != 0 {
						t.Errorf("%d files are open", n)
					}
				})
			})
		}
	}
}

// TestSpoolGone: the file goes with its connection.
func TestSpoolGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := &spooler{overflow: 10_000}
		m := newSim(t, 0, reactortest.Faults{}, simConfig{watermark: 1 << 30, spool: spool}, &script{
			input: func(c *channel, turn *reactor.Turn, _ []byte) bool {
				return c.task(func() {
					if err := c.Write(nil, make([]byte, 1<<20)); err != nil {
						t.Error(err)
					}
					c.letGo()
				})
			},
		})
		_, client := m.open()
		m.write(client, "x")
		synctest.Wait()
		client.Close()
		synctest.Wait()
		if n := spool.open.Load(); n != 0 {
			t.Errorf("%d files are open", n)
		}
	})
}
