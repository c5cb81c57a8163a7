// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

const helloAnswer = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 13 \r\nX: y\r\n\r\nHello, World!"

// TestAnswer takes each stream whole, cut in two at each place, and byte by byte.
func TestAnswer(t *testing.T) {
	hello := &meter.Kind{Content: "Hello, World!"}
	for _, tt := range []struct {
		name, in string
		kind     *meter.Kind
		want     int // whole answers
		ok       bool
	}{
		{"length", helloAnswer, hello, 1, true},
		{"two", helloAnswer + helloAnswer, hello, 2, true},
		{"only the length counts", helloAnswer, &meter.Kind{Length: 13}, 1, true},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &meter.Kind{}, 1, true},
		{
			"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\nHello,\r\n7\r\n World!\r\n0\r\nT: u\r\n\r\n" + helloAnswer,
			hello, 2, true,
		},
		{"no end of the head", "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n", hello, 0, true},
		{"content cut", helloAnswer[:len(helloAnswer)-1], hello, 0, true},
		{"nothing", "", hello, 0, true},
		{"refusal", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 13\r\n\r\nHello, World!", hello, 0, false},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nHello, World!", hello, 0, false},
		{"no number", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nHello, World!", hello, 0, false},
		{"other content", strings.Replace(helloAnswer, "World", "Walls", 1), hello, 0, false},
		{"content too short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello", hello, 0, false},
		{"another length", helloAnswer, &meter.Kind{Length: 14}, 0, false},
		{"other coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", hello, 0, false},
		{"chunk too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello, World!\r\n0\r\n\r\n", hello, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := func(parts ...string) {
				t.Helper()
				a, got := &answer{}, 0
				for _, p := range parts {
					for p != "" {
						n, whole, err := a.take([]byte(p), tt.kind)
						if err != nil {
							if tt.ok {
								t.Fatalf("%q: %v", parts, err)
							}
							return
						}
						if whole {
							got++
						} else if n < len(p) {
							t.Fatalf("%q: %d bytes of %q taken", parts, n, p)
						}
						p = p[n:]
					}
				}
				if !tt.ok || got != tt.want {
					t.Fatalf("%q: %d answers and no error; want %d, ok %v", parts, got, tt.want, tt.ok)
				}
			}
			run(tt.in)
			for i := range len(tt.in) {
				run(tt.in[:i], tt.in[i:])
			}
			run(strings.Split(tt.in, "")...)
		})
	}
}

func TestAnswerHeadTooLong(t *testing.T) {
	a := &answer{}
	for range 100 {
		if _, _, err := a.take([]byte(strings.Repeat("x", 1<<10)), &meter.Kind{}); err != nil {
			return
		}
	}
	t.Error("no error")
}
