// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"errors"

	"github.com/waitress-go/waitress/httpparse"
)

// A TaskHandler answers requests without net/http's types: what the request says is looked up in the bytes that were received,
// and the answer is put together where it is sent from. A request costs no allocation that way.
//
// ServeTask runs where an http.Handler would, by the Server's policy, and may block where one may. When it returns, the
// answer is complete; one that wrote nothing has answered 200 without content. Unless
//
//   - it called Task.Decline: then the Server's http.Handler gets the request;
//   - it called Task.Suspend: then the request waits, without a goroutine, for Suspension.Resume.
//
// A panic costs its connection, as that of an http.Handler does.
type TaskHandler interface {
	ServeTask(t Task)
}

// A TaskFunc is a function as a TaskHandler.
type TaskFunc func(t Task)

// ServeTask calls f(t).
func (f TaskFunc) ServeTask(t Task) { f(t) }

// A Task is one request and its answer, as its TaskHandler has them. It is a value of two words: what it stands for is
// recycled, and its generation is what tells a Task that was kept too long.
//
// One goroutine at a time may use it, until ServeTask returns, or, in a function that resumes it, until that returns. After
// that, and after Decline and Suspend, the methods that return an error return ErrTaskOver, and the others panic; neither
// ever reaches another request. A goroutine that is inside a method when ServeTask returns is a data race.
//
// The bytes that its methods return are views of the Server's memory, valid as long as the Task, and not to be changed. Test
// builds, which are those with the race detector or the tag invariant, overwrite that memory afterwards, so that whoever
// keeps a view finds out. Comparing is free: string(t.Path()) == "/" copies nothing.
type Task struct {
	x   *exchange
	gen uint64
}

// Errors of a Task's methods, besides those of net/http for the same: http.ErrBodyNotAllowed, http.ErrContentLength,
// *http.MaxBytesError.
var (
	// ErrTaskOver: the Task was used after its handler returned, or declined or suspended the request.
	ErrTaskOver = errors.New("waitress: Task used after its handler has returned, declined or suspended it")

	errComplete = errors.New("waitress: Task written to after Answer, which has given all of the content")
)

// over says whether t is no longer its request's. Any goroutine.
func (t Task) over() bool { return t.x == nil || t.x.native.gen.Load() != t.gen }

// use returns what t stands for, and panics if that is over.
func (t Task) use() *native {
	if t.over() {
		panic(ErrTaskOver)
	}
	return &t.x.native
}

// Decline leaves the request to the Server's http.Handler, which gets it as if there were no TaskHandler when ServeTask has
// returned. It panics if the body was read from, the answer begun - a status, also one from 100 to 199, a field or a byte was set or
// written - or the request suspended before.
func (t Task) Decline() {
	n := t.use()
	n.mayServe("Decline")
	if n.began() || n.bodyUsed || n.resumed {
		panic("waitress: Task.Decline after the answer was begun, the body read, or the request suspended")
	}
	n.declined = true
	n.end()
}

// Context returns a context that is cancelled when the client goes away, when the Server is closed, and when the request
// has been answered. It is made when it is asked for, which allocates; Gone asks without. That the client closed the connection
// is not noticed while anything that it sent is unread: a request that waits without a goroutine uses SuspendFor.
func (t Task) Context() context.Context {
	n := t.use()
	if n.ctx == nil {
		n.ctx = n.channel().newContext()
	}
	return n.ctx
}

// Gone says whether the client is known to have gone: it closed or reset the connection, and nothing that it sent waits to be
// read. It is cheap to ask until the client has at least closed its side.
func (t Task) Gone() bool {
	ch := t.use().channel()
	return ch.HalfClosed() && ch.Conn.Gone()
}

// A Method is a request method that is well known, or MethodOther.
type Method uint8

// The methods that are well known.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodPatch
	MethodOptions
	MethodConnect
	MethodTrace
)

var methodNames = [...]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"}

// String returns the method as it is in a request, and "" for MethodOther.
func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return ""
}

// knownMethod returns the Method that name is. Methods are case-sensitive.
func knownMethod(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "PATCH":
		return MethodPatch
	case "OPTIONS":
		return MethodOptions
	case "CONNECT":
		return MethodConnect
	case "TRACE":
		return MethodTrace
	}
	return MethodOther
}

// A NameID is a field name that is well known; package httpparse lists them.
type NameID = httpparse.NameID
