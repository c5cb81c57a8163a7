// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
)

// files is the handler. Immutable.
type files struct {
	folder  *os.Root
	folders http.Handler // what is no file: lists, redirections, errors
}

func newFiles(folder *os.Root) *files {
	return &files{folder, http.FileServerFS(plainFS{folder})}
}

func (h *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
		return
	}
	const index = "index.html"
	name := path.Clean("/" + r.URL.Path)[1:]
	switch {
	case strings.HasSuffix(r.URL.Path, "/"):
		name = path.Join(name, index)
	case path.Base(name) == index:
		name = "" // the folder's own address is the right one, to which FileServer redirects
	}
	if name == "" || !h.serveFile(w, r, name) {
		h.folders.ServeHTTP(w, r)
	}
}

// serveFile serves the file of that name, if it is one.
func (h *files) serveFile(w http.ResponseWriter, r *http.Request, name string) bool {
	file, info := h.open(name)
	if file == nil {
		return false
	}
	defer file.Close()
	header := w.Header()
	contentType := mime.TypeByExtension(path.Ext(name))
	coding := ""
	for _, e := range acceptedEncodings(r.Header.Values("Accept-Encoding")) {
		compressed, cinfo := h.open(name + e.suffix)
		if compressed == nil {
			continue
		}
		defer compressed.Close()
		if cinfo.ModTime().Before(info.ModTime()) {
			continue // the file has changed since it was compressed
		}
		file, info, coding = compressed, cinfo, e.coding
		if contentType == "" {
			contentType = "application/octet-stream" // what can be seen of the content says nothing now
		}
		break
	}
	header.Add("Vary", "Accept-Encoding")
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	if coding != "" {
		header.Set("Content-Encoding", coding)
		header.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	// Each form of a file has its own, so that the parts of two are never put together.
	header.Set("ETag", fmt.Sprintf(`"%x-%x-%s"`, info.ModTime().UnixNano(), info.Size(), coding))
	http.ServeContent(w, r, name, info.ModTime(), file)
	return true
}

// A systemError is a syscall.Errno, or what Plan 9 has for it.
type systemError interface {
	error
	Temporary() bool
}

// plainFS has the files and folders of a Root, and nothing else.
type plainFS struct{ *os.Root }

// Open implements fs.FS. A pipe would be waited for, and a link that leads out of the Root is an error that no system has.
func (f plainFS) Open(name string) (fs.File, error) {
	info, err := f.Stat(name)
	_, ofSystem := errors.AsType[systemError](err)
	if err != nil && !ofSystem || err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f.FS().Open(name)
}

// open returns the file of that name, or nil if there is none, or it can't be read: FileServer says why.
func (h *files) open(name string) (*os.File, fs.FileInfo) {
	info, err := h.folder.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil // a pipe would be waited for
	}
	file, err := h.folder.Open(name)
	if err != nil {
		return nil, nil
	}
	if info, err = file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, nil
	}
	return file, info
}
