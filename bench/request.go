// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/waitress-go/waitress/bench/internal/app"
	"github.com/waitress-go/waitress/bench/internal/meter"
)

// The kinds of requests. Clients of programs send short heads; people's browsers do not.
var (
	helloKind   = get("hello", "/", app.Hello)
	browserKind = kindOf(meter.Kind{Name: "browser", Head: browserHead, Content: app.Hello})
	jsonKind    = get("json", "/json", string(app.JSON()))
	sleepKind   = get("sleep", "/sleep?ms=10", app.Hello)
	closeKind   = kindOf(meter.Kind{
		Name: "close", Head: "GET / HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n", Content: app.Hello,
	})
)

func kindOf(k meter.Kind) meter.Kind {
	k.Share = 1
	return k
}

func get(name, path, content string) meter.Kind {
	return kindOf(meter.Kind{Name: name, Head: "GET " + path + " HTTP/1.1\r\nHost: bench.example\r\n\r\n", Content: content})
}

// getBytes asks for something of which only the length is looked at.
func getBytes(name, path string, n int64) meter.Kind {
	k := get(name, path, "")
	k.Length = n
	return k
}

func post(n int) meter.Kind {
	head := fmt.Sprintf("POST /upload HTTP/1.1\r\nHost: bench.example\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", n)
	return kindOf(meter.Kind{Name: "post", Head: head, Body: n, Content: strconv.Itoa(n)})
}

// browserHead is 700 bytes in a request line and 12 fields.
const browserHead = "GET / HTTP/1.1\r\n" +
	"Host: bench.example\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-GB,en;q=0.7,de-DE;q=0.3\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://bench.example/some/page/before/this/one?with=a&query=string&of=some&length=here\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=3f786850e387550fdab836ed7e6dc881de23001b; theme=dark; consent=all-of-it; seen=20260101\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"X-Request-Id: 0b7e4a52-5f0e-4a0c-9d6a-6f1f6f1b2c3d-0123456789abcdef0123456789abcde\r\n" +
	"\r\n"

// How long a handler that computes would take on a core of its own.
const (
	busyFor = 2 * time.Millisecond
	workFor = 100 * time.Microsecond
)

// hashRate finds out how many KiB this machine hashes in a second when nothing else runs.
func hashRate() float64 {
	const probe = 1 << 10
	var took []time.Duration
	for range 10 {
		begin := time.Now()
		app.Hash(probe)
		took = append(took, time.Since(begin))
	}
	return probe / slices.Min(took).Seconds()
}

// busyKind asks for an amount of work that takes d at that rate. All engines get the same.
func busyKind(name string, d time.Duration, rate float64) meter.Kind {
	kib := int(rate * d.Seconds())
	return get(name, "/busy?kib="+strconv.Itoa(min(max(kib, 1), app.MaxBusyKiB)), app.Hello)
}
