// SPDX-License-Identifier: MIT

package http1

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/reactor"
)

// Refusals that are not the parser's.
var (
	errSlowHead  = &httpparse.SyntaxError{Status: http.StatusRequestTimeout, Rule: "the request head took too long"}
	errCutHead   = &httpparse.SyntaxError{Status: http.StatusBadRequest, Rule: "the connection ended inside the request head (RFC 9112 §8)"}
	errNoMemory  = &httpparse.SyntaxError{Status: http.StatusServiceUnavailable, Rule: "the server has no memory left for another request"}
	errLargeBody = &httpparse.SyntaxError{Status: http.StatusRequestEntityTooLarge, Rule: "the content is longer than this server takes"}
)

// retryAfter is what a client is asked to wait, in seconds, when too many requests wait, or there is no memory for more.
const retryAfter = "1"

// busy answers a request that is not served since too many wait. Its framing is known, so that the connection can be kept: the
// client who comes again needs no new one, which would cost more than the answer.
func busy(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", ContentTypeText)
	h.Set("Retry-After", retryAfter)
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, "503 Service Unavailable: too many requests are waiting\n") // an error is the connection's, which ends
}

// refuse answers a request that no handler sees, and ends the connection: where the next request begins is not known, or
// not worth knowing. Answers that are held go out before it.
func (ch *channel) refuse(t *reactor.Turn, err error) want {
	refusal := &httpparse.SyntaxError{Status: http.StatusBadRequest, Rule: err.Error()}
	errors.As(err, &refusal)
	text := strconv.Itoa(refusal.Status) + " " + http.StatusText(refusal.Status) + ": " + refusal.Rule + "\n"

	p := appendStatusLine(reactor.GetBuffer(outputBuffer)[:0], 1, refusal.Status)
	p = appendIdent(p, ch.server().config.Ident)
	p = ch.server().date.append(p)
	if refusal == errNoMemory {
		p = append(p, "Retry-After: "+retryAfter+"\r\n"...)
	}
	p = append(p, "Content-Type: "+ContentTypeText+"\r\nConnection: close\r\nContent-Length: "...)
	p = strconv.AppendInt(p, int64(len(text)), 10)
	p = append(p, "\r\n\r\n"...)
	if ch.isHead() {
		text = ""
	}
	p = append(p, text...)
	ch.tellRefused(refusal.Status, len(text))
	if err = ch.flush(t); err == nil {
		err = ch.Conn.Write(t, p)
	}
	reactor.PutBuffer(p)
	if err != nil {
		return wantClose
	}
	return ch.finish(t)
}

// isHead says whether the request that is refused is known to be HEAD, whose answers have no content.
func (ch *channel) isHead() bool {
	if ch.x != nil && ch.x.busy() {
		return ch.x.response.isHead
	}
	if ch.head == nil || ch.head.Method.End < ch.head.Method.Start {
		return false // nothing, or no whole method, was parsed
	}
	return string(ch.head.Method.Of(ch.in[ch.at:])) == http.MethodHead
}
