// SPDX-License-Identifier: MIT

package http1

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// A Recording is what one scenario was on the simulated network, for tests on another one.
type Recording struct {
	Name     string
	Parts    []string // what the client sends
	Received []int    // how many bytes it has received when it sends the next part; at last, when nothing happens any more
	Ended    bool     // the server ended the connection by itself
	All      string   // what the client has received when the connection has ended, without what may differ
	Notes    string   // what the handler saw

	scenario *scenario
}

// Record plays every scenario on the simulated network.
func Record(t *testing.T) (all []*Recording) {
	for i := range scenarios {
		sc := &scenarios[i]
		rec := &Recording{Name: sc.name, Parts: append([]string{sc.raw}, sc.more...), scenario: sc}
		synctest.Test(t, func(t *testing.T) {
			n := new(notes)
			s := newSim(t, 1, reactortest.Faults{SendBuffer: 1 << 20, RecvBuffer: 1 << 20},
				simConfig{policy: dispatch.PolicyPool, Config: Config{GeneralOptions: true}, watermark: 1 << 20},
				func(w http.ResponseWriter, r *http.Request) { sc.handler(n, w, r) })
			rec.record(s.dial(), n)
		})
		all = append(all, rec)
	}
	return all
}

func (rec *Recording) record(c client, n *notes) {
	t := newTap(c)
	for i, part := range rec.Parts {
		_, _ = io.WriteString(c, part) // it fails where the server ended the connection
		synctest.Wait()
		if i == len(rec.Parts)-1 {
			time.Sleep(200 * time.Millisecond) // longer than anything that the server waits for, but not than lingering
			synctest.Wait()
		}
		received, err := t.soFar()
		rec.Received, rec.Ended = append(rec.Received, len(received)), err != nil
	}
	_ = c.CloseWrite()
	<-t.end
	received, _ := t.soFar()
	_ = c.Close()
	rec.All, rec.Notes = plain(received), n.String()
}

// Handler returns the scenario's handler, and what returns its notes.
func (rec *Recording) Handler() (handler http.Handler, noted func() string) {
	n := new(notes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { rec.scenario.handler(n, w, r) }), n.String
}

// Plain is a stream of answers without what may differ between two times of the same scenario.
func Plain(stream string) string { return plain(stream) }
