// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"net/http"
	"time"

	"github.com/waitress-go/waitress/httpparse"
)

// A Report is what Config.Served is told of a request that no http.Handler has served. A text that is not known is ""; those that
// are may be views of memory that is used again afterwards.
type Report struct {
	Client   string // as Task.RemoteAddr
	Method   string // it, Target and Proto may be pieces of something that is no request line
	Target   string
	Proto    string
	Host     string
	Referer  string
	Agent    string
	Start    time.Time
	Duration time.Duration
	Status   int   // 0: there was no answer
	Bytes    int64 // of content
	Panicked bool
}

// maxReported bounds what is told of a request line that was refused.
const maxReported = 1 << 10

// lineReport tells of what may be a request line, or the beginning of one.
func (ch *channel) lineReport(text []byte) Report {
	text = bytes.TrimLeft(text, "\r\n")
	if i := bytes.IndexAny(text, "\r\n"); i >= 0 {
		text = text[:i]
	}
	text = text[:min(len(text), maxReported)]
	method, text, _ := bytes.Cut(text, blank)
	target, proto, _ := bytes.Cut(text, blank)
	return Report{Client: ch.Peer(), Method: stringOf(method), Target: stringOf(target), Proto: stringOf(proto)}
}

var blank = []byte{' '}

// headReport tells of a head. text is what its spans are pieces of.
func (ch *channel) headReport(head *httpparse.Head, text []byte) Report {
	r := Report{
		Client: ch.Peer(), Method: stringOf(head.Method.Of(text)), Target: stringOf(head.Target.Of(text)), Proto: "HTTP/1.1",
		Host: stringOf(hostOf(head, text)),
	}
	if head.Minor == 0 {
		r.Proto = "HTTP/1.0"
	}
	for _, f := range head.Fields {
		switch {
		case f.ID == httpparse.NameReferer && r.Referer == "":
			r.Referer = stringOf(f.Value.Of(text))
		case f.ID == httpparse.NameUserAgent && r.Agent == "":
			r.Agent = stringOf(f.Value.Of(text))
		}
	}
	return r
}

// requestReport tells of a request that was made for an http.Handler, which has not got it.
func (ch *channel) requestReport(r *http.Request) Report {
	return Report{
		Client: r.RemoteAddr, Method: r.Method, Target: r.RequestURI, Proto: r.Proto, Host: r.Host,
		Referer: r.Header.Get("Referer"), Agent: r.Header.Get("User-Agent"),
	}
}

// tell tells Config.Served, which there is, how the request that r is of has ended. start is in Unix nanoseconds, and 0 is now.
func (ch *channel) tell(r Report, start int64, status int, length int64) {
	now := time.Now()
	r.Start = now
	if start != 0 {
		r.Start = time.Unix(0, start)
		r.Duration = max(now.Sub(r.Start), 0) // the system's clock may have been set back
	}
	r.Status, r.Bytes = status, length
	ch.server().config.Served(r)
}

// tellTask is tell of the request that a TaskHandler has.
func (ch *channel) tellTask(panicked bool) {
	if ch.server().config.Served == nil {
		return
	}
	n, status := &ch.x.native, ch.x.response.status
	if panicked && !n.began() {
		status = 0
	}
	r := ch.headReport(n.head, n.text)
	r.Panicked = panicked
	n.client.report(&r)
	ch.tell(r, n.start, status, ch.x.response.written)
}

// tellGone is tell of a request that was suspended when its client went, or the Server was closed.
func (ch *channel) tellGone(s *Suspension) {
	switch {
	case ch.server().config.Served == nil:
	case s.kept:
		if n := &ch.x.native; !n.began() {
			ch.x.response.status = 0
		}
		ch.tellTask(false)
	default:
		r := ch.headReport(s.head, s.text())
		s.client.report(&r)
		ch.tell(r, s.start, 0, 0)
	}
}

// tellRefused is tell of a request that refuse has answered. Its head may be anything.
func (ch *channel) tellRefused(status, length int) {
	if ch.server().config.Served == nil {
		return
	}
	var r Report
	switch x := ch.x; {
	case x != nil && x.slab != nil:
		r = ch.requestReport(&x.slab.request)
	case x != nil && x.native.on:
		r = ch.headReport(x.native.head, x.native.text)
		x.native.client.report(&r)
	case ch.head != nil && ch.head.Complete():
		r = ch.headReport(ch.head, ch.in[ch.at:])
	default:
		r = ch.lineReport(ch.in[ch.at:])
	}
	ch.tell(r, ch.began, status, int64(length))
}
