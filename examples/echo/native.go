// SPDX-License-Identifier: MIT

package main

import (
	"encoding/base64"
	"net/http"
	"net/textproto"

	"github.com/waitress-go/waitress"
	"github.com/waitress-go/waitress/httpparse"
)

// ServeTask is ServeHTTP without net/http's types: the same answers to the same requests.
func (e *echo) ServeTask(t waitress.Task) {
	if string(t.DecodedPath(nil)) == "/__log" {
		peer, _ := t.QueryValue("peer", nil)
		answerTask(t, e.log.take(string(peer)))
		return
	}
	q := newTaskRequest(t)
	e.log.add(q)
	body, err := t.Body(maxBody)
	if err != nil {
		t.CloseAfter()
		t.AddHeader("X-Content-Type-Options", "nosniff")
		t.AnswerString(http.StatusBadRequest, waitress.ContentTypeText, err.Error()+"\n")
		return
	}
	e.log.complete(q, string(body))
	answerTask(t, append(q.appendMembers([]byte{'{'}), '}'))
}

// answerTask is answer for a Task.
func answerTask(t waitress.Task, text []byte) {
	if t.Method() == waitress.MethodHead {
		t.AddHeader("X-Echo", base64.StdEncoding.EncodeToString(text))
	}
	t.Answer(http.StatusOK, waitress.ContentTypeJSON, text)
}

// newTaskRequest copies what the log keeps. The fields are those that a Request has in its Header: canonical, without Host, and
// without what frames the message where it is chunked.
func newTaskRequest(t waitress.Task) *request {
	q := &request{
		peer:    t.RemoteAddr(),
		method:  string(t.MethodName()),
		target:  string(t.Target()),
		proto:   "HTTP/1.1",
		host:    string(t.Host()),
		headers: make(http.Header),
	}
	if t.Minor() == 0 {
		q.proto = "HTTP/1.0"
	}
	for name, value := range t.Headers() {
		q.headers.Add(textproto.CanonicalMIMEHeaderKey(string(name)), string(value))
	}
	q.headers.Del("Host")
	if t.Known(httpparse.NameTransferEncoding) != nil {
		q.headers.Del("Transfer-Encoding")
		q.headers.Del("Trailer")
	}
	return q
}

var _ waitress.TaskHandler = (*echo)(nil)
