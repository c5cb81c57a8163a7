// SPDX-License-Identifier: MIT

package waitress

import (
	"github.com/waitress-go/waitress/http1"
)

// A TaskHandler answers requests without net/http's types, and without an allocation for each: see http1.TaskHandler, and
// Server.TaskHandler.
type TaskHandler = http1.TaskHandler

// A TaskFunc is a function as a TaskHandler: see http1.TaskFunc.
type TaskFunc = http1.TaskFunc

// A Task is one request and its answer, as its TaskHandler has them: see http1.Task for its methods.
type Task = http1.Task

// A Suspension is a request that waits without a goroutine. Task.Suspend makes one. See http1.Suspension for how it ends.
type Suspension = http1.Suspension

// ErrTaskOver is what a Task's methods return when its handler has returned.
var ErrTaskOver = http1.ErrTaskOver

// A Method is a request method that is well known, or MethodOther: see http1.Method.
type Method = http1.Method

// The methods that are well known.
const (
	MethodOther   = http1.MethodOther
	MethodGet     = http1.MethodGet
	MethodHead    = http1.MethodHead
	MethodPost    = http1.MethodPost
	MethodPut     = http1.MethodPut
	MethodDelete  = http1.MethodDelete
	MethodPatch   = http1.MethodPatch
	MethodOptions = http1.MethodOptions
	MethodConnect = http1.MethodConnect
	MethodTrace   = http1.MethodTrace
)

// Content types that are often wanted.
const (
	ContentTypeText   = http1.ContentTypeText
	ContentTypeHTML   = http1.ContentTypeHTML
	ContentTypeJSON   = http1.ContentTypeJSON
	ContentTypeBinary = http1.ContentTypeBinary
)

// A Preset is the part of an answer's head that is always the same, as bytes: the status line and some fields. It is made once,
// for example in a variable of the package, and may be used by any number of goroutines. See http1.Preset.
type Preset = http1.Preset

// NewPreset returns the Preset for a status, a Content-Type, which is left out where it is empty, and more fields, given as names
// and values in turn. It panics where these are none, or such as the server must set for each answer by itself:
// Connection, Content-Length and Transfer-Encoding. A Date or Server field takes the place of the server's own, and another
// Content-Type that of contentType.
func NewPreset(status int, contentType string, namesAndValues ...string) *Preset {
	return http1.NewPreset(status, contentType, namesAndValues...)
}
