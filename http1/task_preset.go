// SPDX-License-Identifier: MIT

package http1

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/waitress-go/waitress/httpparse"
)

// A Preset is the part of an answer's head that is always the same, as bytes: the status line and some fields. It is made once,
// for example in a variable of the package, and may be used by any number of goroutines.
type Preset struct {
	status  int
	head    []byte // the status line of HTTP/1.1, and field lines
	fields  int    // where in head these begin
	special fieldSet
}

// NewPreset returns the Preset for a status, a Content-Type, which is left out where it is empty, and more fields, given as names
// and values in turn. It panics where these are none, or such as the server must set for each answer by itself:
// Connection, Content-Length and Transfer-Encoding. A Date or Server field takes the place of the server's own, and another
// Content-Type that of contentType.
func NewPreset(status int, contentType string, namesAndValues ...string) *Preset {
	mustBeFinal(status)
	if len(namesAndValues)%2 != 0 {
		panic("waitress: NewPreset: a name without a value")
	}
	p := &Preset{status: status, head: appendStatusLine(nil, 1, status)}
	p.fields = len(p.head)
	if contentType != "" {
		namesAndValues = append([]string{"Content-Type", contentType}, namesAndValues...)
	}
	for i := 0; i < len(namesAndValues); i += 2 {
		name, value := namesAndValues[i], namesAndValues[i+1]
		special := specialField(name)
		switch {
		case special&(fieldConnection|fieldContentLength|fieldTransferEncoding) != 0:
			panic("waitress: NewPreset: the server sets " + name)
		case !httpparse.ValidFieldName(name) || !httpparse.ValidFieldValue(value):
			panic(fmt.Sprintf("waitress: NewPreset: %q: %q is no field", name, value))
		}
		if twice := p.special & special; twice != 0 {
			p.head = appendWithout(p.head[:p.fields], p.head[p.fields:], twice)
		}
		p.special |= special
		p.head = appendLine(p.head, name, value)
	}
	return p
}

// mustBeFinal panics if status is none that an answer can have: from 200 to 999.
func mustBeFinal(status int) {
	if status < http.StatusOK || status > 999 {
		panic(fmt.Sprintf("waitress: %d is no status of an answer", status))
	}
}

// specialField is fieldOf for a name in any case.
func specialField[S string | []byte](name S) fieldSet {
	switch len(name) {
	case len("Date"):
		if equalFold(name, "Date") {
			return fieldDate
		}
	case len("Server"):
		if equalFold(name, "Server") {
			return fieldServer
		}
	case len("Connection"):
		if equalFold(name, "Connection") {
			return fieldConnection
		}
	case len("Content-Type"):
		if equalFold(name, "Content-Type") {
			return fieldContentType
		}
	case len("Content-Length"):
		if equalFold(name, "Content-Length") {
			return fieldContentLength
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "Transfer-Encoding") {
			return fieldTransferEncoding
		}
	}
	return 0
}

// appendWithout appends field lines but for those of drop. p may be where lines begin.
func appendWithout(p, lines []byte, drop fieldSet) []byte {
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n') + 1
		if name := lines[:bytes.IndexByte(lines, ':')]; specialField(name)&drop == 0 {
			p = append(p, lines[:end]...)
		}
		lines = lines[end:]
	}
	return p
}

// appendLine is appendField for one value: the value without the whitespace around it, and with line breaks made spaces.
func appendLine[N, V string | []byte](p []byte, name N, value V) []byte {
	if !httpparse.ValidFieldName(name) {
		return p
	}
	p = append(p, name...)
	p = append(p, ": "...)
	p = appendValue(p, value)
	return append(p, "\r\n"...)
}

func appendValue[V string | []byte](p []byte, value V) []byte {
	for len(value) > 0 && isBlank(value[0]) {
		value = value[1:]
	}
	for len(value) > 0 && isBlank(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	start := len(p)
	p = append(p, value...)
	for i, c := range p[start:] {
		if c == '\r' || c == '\n' {
			p[start+i] = ' '
		}
	}
	return p
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
