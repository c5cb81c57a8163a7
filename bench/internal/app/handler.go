// SPDX-License-Identifier: MIT

// Package app is what every server of bench serves, and the program around it: the same work, the same flags and the same
// signals for each, so that what differs is the server.
package app

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Hello is the answer to "/".
const Hello = "Hello, World!"

// Routes describes what is served, for -help.
const Routes = `It answers
  GET  /               "Hello, World!"
  GET  /json           a small JSON object, made anew each time
  GET  /sleep?ms=N     after N milliseconds
  GET  /busy?kib=N     after hashing N KiB, which is some milliseconds per MiB
  GET  /bytes?n=N      N bytes from memory
  POST /echo           the request's content
  POST /upload         how many bytes that content had
  GET  /file/NAME      a file of -files
`

// MaxBusyKiB and MaxBytes bound what a request can ask for.
const (
	MaxBusyKiB = 1 << 20
	MaxBytes   = 1 << 30
)

// A Message is what /json answers.
type Message struct {
	ID      int      `json:"id"`
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Active  bool     `json:"active"`
	Balance float64  `json:"balance"`
	Tags    []string `json:"tags"`
}

// JSON makes the answer of /json.
func JSON() []byte {
	b, err := json.Marshal(Message{
		ID: 4711, Name: "Alice Example", Email: "alice@example.org", Active: true, Balance: 1234.5,
		Tags: []string{"one", "two", "three"},
	})
	if err != nil {
		panic(err) // it is the same every time
	}
	return b
}

// Handler is all of Routes, with the files in the folder files.
func Handler(files string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(JSON())
	})
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		d, err := Sleep(r.FormValue("ms"))
		if refused(w, err) {
			return
		}
		time.Sleep(d)
		hello(w, r)
	})
	mux.HandleFunc("/busy", func(w http.ResponseWriter, r *http.Request) {
		if refused(w, Busy(r.FormValue("kib"))) {
			return
		}
		hello(w, r)
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := Bytes(r.FormValue("n"))
		if refused(w, err) {
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(n))
		for p := Block(n); n > 0; n -= len(p) {
			p = p[:min(len(p), n)]
			if _, err := w.Write(p); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		p, err := io.ReadAll(r.Body)
		if refused(w, err) {
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(p)
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if refused(w, err) {
			return
		}
		_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
	})
	if files != "" {
		mux.Handle("/file/", http.StripPrefix("/file/", http.FileServer(http.Dir(files))))
	}
	// What is asked for most does not pay for the others: the mux is no part of any server.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			hello(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func hello(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, Hello)
}

func refused(w http.ResponseWriter, err error) bool {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err != nil
}

// Sleep reads the parameter of /sleep.
func Sleep(ms string) (time.Duration, error) {
	n, err := number(ms, 60_000)
	return time.Duration(n) * time.Millisecond, err
}

// Bytes reads the parameter of /bytes.
func Bytes(n string) (int, error) { return number(n, MaxBytes) }

// Busy does the work of /busy: an amount, not a time, since a time would make less of it where a processor is shared.
func Busy(kib string) error {
	n, err := number(kib, MaxBusyKiB)
	if err == nil {
		Hash(n)
	}
	return err
}

// Hash hashes so many KiB.
func Hash(kib int) {
	h := sha256.New()
	for range kib {
		_, _ = h.Write(zeros[:1<<10])
	}
	h.Sum(nil)
}

var zeros [64 << 10]byte

// Block returns n bytes, or as many as an answer is to be made of at a time. They must not be changed.
func Block(n int) []byte { return zeros[:min(n, len(zeros))] }

var errNumber = errors.New("the parameter is no number, or too large")

func number(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most {
		return 0, errNumber
	}
	return n, nil
}
