// SPDX-License-Identifier: MIT

package main

import (
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
)

// maxBody bounds what one request may make the application hold.
const maxBody = 1 << 20

// An echo is the application. It answers after it has read the whole body, and only if that could be read.
type echo struct {
	log *requestLog
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/__log" {
		answer(w, r, e.log.take(r.URL.Query().Get("peer")))
		return
	}
	// The request is in the log from its arrival on, so that one whose body never ends is seen there too.
	q := newRequest(r)
	e.log.add(q)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		// Where the body ends is not known, so nothing after it may be taken for a request.
		w.Header().Set("Connection", "close")
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.log.complete(q, string(body))
	answer(w, r, append(q.appendMembers([]byte{'{'}), '}'))
}

// answer sends the JSON text. An answer to HEAD has no content, so that the text is in a field of the head.
func answer(w http.ResponseWriter, r *http.Request, text []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodHead {
		h.Set("X-Echo", base64.StdEncoding.EncodeToString(text))
		return
	}
	// A write fails when the client has gone, and then nobody is left to tell.
	_, _ = w.Write(text)
}
