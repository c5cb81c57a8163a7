// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/waitress-go/waitress"
	"github.com/waitress-go/waitress/bench/internal/app"
)

// text is the head of most answers.
var text = waitress.NewPreset(http.StatusOK, waitress.ContentTypeText)

func nativeEngine(policy waitress.Policy) app.Engine {
	return func(o *app.Options, ready func(net.Addr)) error {
		return serveOn(o, &waitress.Server{TaskHandler: native(o.Files), Policy: policy}, ready)
	}
}

// native is app.Handler without net/http's types.
func native(files string) waitress.TaskFunc {
	return func(t waitress.Task) {
		var err error
		switch path := t.Path(); string(path) {
		case "/":
			t.AnswerPresetString(text, app.Hello)
		case "/json":
			t.Answer(http.StatusOK, waitress.ContentTypeJSON, app.JSON())
		case "/sleep":
			var d time.Duration
			if d, err = app.Sleep(parameter(t, "ms")); err == nil {
				time.Sleep(d)
				t.AnswerPresetString(text, app.Hello)
			}
		case "/busy":
			if err = app.Busy(parameter(t, "kib")); err == nil {
				t.AnswerPresetString(text, app.Hello)
			}
		case "/bytes":
			var n int
			if n, err = app.Bytes(parameter(t, "n")); err == nil {
				writeBytes(t, n)
			}
		case "/echo":
			var body []byte
			if body, err = t.Body(app.MaxBytes); err == nil {
				t.Answer(http.StatusOK, waitress.ContentTypeBinary, body)
			}
		case "/upload":
			var n int64
			if n, err = io.Copy(io.Discard, t); err == nil {
				t.AnswerPreset(text, strconv.AppendInt(nil, n, 10))
			}
		default:
			// Base leaves no way out of the folder.
			name, ok := bytes.CutPrefix(path, []byte("/file/"))
			if !ok || files == "" || !sendFile(t, filepath.Join(files, filepath.Base(string(name)))) {
				t.AnswerString(http.StatusNotFound, waitress.ContentTypeText, "404 page not found\n")
			}
		}
		if err != nil {
			t.AnswerString(http.StatusBadRequest, waitress.ContentTypeText, err.Error())
		}
	}
}

func parameter(t waitress.Task, name string) string {
	value, _ := t.QueryValue(name, nil)
	return string(value)
}

func writeBytes(t waitress.Task, n int) {
	t.AddHeader("Content-Type", waitress.ContentTypeBinary)
	t.SetContentLength(int64(n))
	for p := app.Block(n); n > 0; n -= len(p) {
		p = p[:min(len(p), n)]
		if _, err := t.Write(p); err != nil {
			return // the client has gone
		}
	}
}

// sendFile says whether there is such a file.
func sendFile(t waitress.Task, name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	t.AddHeader("Content-Type", waitress.ContentTypeBinary)
	// What fails once the answer has begun, ends the connection.
	_ = t.SendFile(f, 0, info.Size())
	return true
}
