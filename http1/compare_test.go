// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/reactor/reactortest"
)

// A scenario is what one client sends on one connection, and the handler that answers. Both servers get it; what the
// client receives, whether the connection is kept, and what the handler notes must be the same.
type scenario struct {
	name    string
	raw     string   // what the client sends
	more    []string // what it sends after that, each when the servers have come to rest
	handler func(n *notes, w http.ResponseWriter, r *http.Request)
}

// notes is what a handler saw.
type notes struct {
	mu     sync.Mutex
	text   strings.Builder // guarded by mu
	states strings.Builder // guarded by mu: what ConnState was told
}

// state is a Server's ConnState.
func (n *notes) state(_ net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.states.WriteString(" " + state.String())
}

func (n *notes) printf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(&n.text, format+"\n", args...)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// request notes all of a request but its body.
func (n *notes) request(r *http.Request) {
	n.printf("%s %q %s %d.%d host=%q close=%v length=%d te=%q", r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor,
		r.Host, r.Close, r.ContentLength, r.TransferEncoding)
	n.printf("url %#v", *r.URL)
	n.header("header", r.Header)
	n.header("trailer", r.Trailer)
	n.printf("body %v tls %v form %v pattern %q", r.Body == http.NoBody, r.TLS, r.Form, r.Pattern)
}

func (n *notes) header(what string, h http.Header) {
	n.printf("%s nil=%v", what, h == nil)
	var names []string
	for name := range h {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		n.printf("  %s: %q", name, h[name])
	}
}

// body reads all of it, and notes it.
func (n *notes) body(r *http.Request) string {
	p, err := io.ReadAll(r.Body)
	n.printf("body %d bytes, %.100q, %s", len(p), p, kindOf(err))
	n.header("trailer", r.Trailer)
	return string(p)
}

// kindOf is what is compared of an error: what a handler may ask, not its text.
func kindOf(err error) string {
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return "no error"
	case err == io.EOF:
		return "EOF"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case err == http.ErrBodyReadAfterClose, err == http.ErrContentLength, err == http.ErrBodyNotAllowed:
		return err.Error()
	case errors.As(err, &large):
		return err.Error()
	}
	return "some error"
}

// write writes p, and notes what that returned.
func (n *notes) write(w io.Writer, p string) {
	k, err := w.Write([]byte(p))
	n.printf("wrote %d: %s", k, kindOf(err))
}

var dateLineRE = regexp.MustCompile(`\r\nDate: [A-Z][a-z]{2}, [^\r]{21}GMT`)

// refusalRE is an answer that no handler gave, of either server.
var refusalRE = regexp.MustCompile(`(?s)HTTP/1\.1 (\d{3}) [^\r]*\r\n(?:Date: [^\r]*\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: \d+\r\n\r\n|Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n|Connection: close\r\nDate: [^\r]*\r\nContent-Length: 0\r\n\r\n$).*`)

// plain is a stream of answers without what may differ.
func plain(stream string) string {
	stream = dateLineRE.ReplaceAllString(stream, "\r\nDate: now")
	return refusalRE.ReplaceAllString(stream, "refused $1")
}

// An outcome is what is compared.
type outcome struct {
	received string // up to the moment when nothing happens any more
	ended    bool   // the server ended the connection by itself
	rest     string // what came when the client ended it
	notes    string
	states   string // what ConnState was told
	logs     string // what the server logged, without the places in the code
}

func (o outcome) String() string {
	return fmt.Sprintf("received %.6000q\nended by the server: %v\nthen %.600q\nnotes:\n%s\nstates:%s\nlogs:\n%s", o.received, o.ended, o.rest, o.notes, o.states, o.logs)
}

var placeRE = regexp.MustCompile(`(?s) from .*? \(.*?\)|serving [^ ]*: |\ngoroutine .*`)

// play runs sc on one connection. The caller is in a bubble.
func play(sc *scenario, c client, n *notes, logged func() string) (o outcome) {
	t := newTap(c)
	for _, part := range append([]string{sc.raw}, sc.more...) {
		_, _ = io.WriteString(c, part) // it fails where the server ended the connection
		synctest.Wait()
	}
	time.Sleep(200 * time.Millisecond) // longer than anything that the servers wait for, but not than lingering
	synctest.Wait()
	received, err := t.soFar()
	o.ended = err != nil
	_ = c.CloseWrite()
	<-t.end
	all, _ := t.soFar()
	time.Sleep(2 * time.Second) // lingering
	_ = c.Close()
	synctest.Wait()
	o.received, o.rest = plain(received), plain(all[len(received):])
	o.notes = n.String()
	n.mu.Lock()
	o.states = n.states.String()
	n.mu.Unlock()
	o.logs = placeRE.ReplaceAllString(logged(), "")
	if i := strings.Index(o.logs, "goroutine "); i >= 0 {
		o.logs = o.logs[:i]
	}
	o.logs = strings.TrimSpace(o.logs)
	return o
}

// compare runs sc with net/http and with the channel, under both policies.
func compare(t *testing.T, sc *scenario) {
	var want outcome
	synctest.Test(t, func(t *testing.T) {
		n := new(notes)
		p := newPeer(t, n.state, func(w http.ResponseWriter, r *http.Request) { sc.handler(n, w, r) })
		want = play(sc, p.dial(), n, p.logged)
		p.end()
	})
	why, differs := differences[sc.name]
	for _, policy := range []dispatch.Policy{dispatch.PolicyPool, dispatch.PolicyInline, dispatch.PolicyAdaptive} {
		synctest.Test(t, func(t *testing.T) {
			n := new(notes)
			s := newSim(t, 1, reactortest.Faults{SendBuffer: 1 << 20, RecvBuffer: 1 << 20}, simConfig{policy: policy, Config: Config{ConnState: n.state, GeneralOptions: true, DupFile: reopen}, watermark: 1 << 20},
				func(w http.ResponseWriter, r *http.Request) { sc.handler(n, w, r) })
			got := play(sc, s.dial(), n, s.logged)
			if same := got == want; same == differs {
				if same {
					t.Errorf("%v: no difference, but the table says: %s", policy, why.reason)
					return
				}
				t.Errorf("%v: got %v\n\nnet/http: %v", policy, got, want)
			}
			if differs && !strings.Contains(got.received+got.rest, why.has) {
				t.Errorf("%v: got %v\nwhich has no %q", policy, got, why.has)
			}
		})
	}
}

func TestLikeNetHTTP(t *testing.T) {
	seen := make(map[string]bool)
	for i := range scenarios {
		sc := &scenarios[i]
		if seen[sc.name] {
			t.Fatalf("two scenarios are called %q", sc.name)
		}
		seen[sc.name] = true
		t.Run(sc.name, func(t *testing.T) { compare(t, sc) })
	}
	for name := range differences {
		if !seen[name] {
			t.Errorf("there is no scenario %q", name)
		}
	}
}
