// SPDX-License-Identifier: MIT

package httpparse

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

// The heads of the benchmarks, from the least that a client sends to what a browser sends to a site that knows it.
var benchHeads = []struct{ name, head string }{
	{"hello", "GET /hello HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"},
	{"browser", "GET /articles/2024/summer/heron-photo-large.jpg?size=1280&from=frontpage HTTP/1.1\r\n" +
		"Host: www.birdwatchers.example\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n" +
		"Accept-Language: en-GB,en;q=0.7,sv;q=0.3\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\n" +
		"Connection: keep-alive\r\n" +
		"Referer: https://www.birdwatchers.example/articles/2024/summer/\r\n" +
		"Cookie: visitor=3f9d2c71b8e04a56; seen=2024-06-30T08%3A15%3A00Z; theme=light; layout=wide; " +
		"basket=; stats=a%3D12%26b%3D7%26c%3D3%26d%3D44%26e%3D1%26f%3D90; session=" +
		"v2.7Jm4QxT0bLr8yWc1KdN5sZf3HgPu9aEo6iVt2BkXn4RqMj7lCwD8hFy0SzGp5UeA\r\n" +
		"If-Modified-Since: Sun, 23 Jun 2024 17:02:11 GMT\r\n\r\n"},
	{"proxied", "POST /api/v1/orders HTTP/1.1\r\n" +
		"Host: orders.internal\r\n" +
		"User-Agent: Go-http-client/1.1\r\n" +
		"Content-Length: 218\r\n" +
		"Accept-Encoding: gzip\r\n" +
		"Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJvcmRlcnMifQ.MEUCIQDk3\r\n" +
		"Content-Type: application/json\r\n" +
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n" +
		"X-Forwarded-For: 203.0.113.77\r\n" +
		"X-Forwarded-Proto: https\r\n" +
		"X-Request-Id: 9d1c7b52-6e0f-4a6d-8a53-2f4de4f1c0aa\r\n\r\n"},
}

func BenchmarkHead(b *testing.B) {
	for _, test := range benchHeads {
		b.Run(test.name, func(b *testing.B) {
			buf := []byte(test.head)
			var h Head
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				h.Reset()
				if _, err := h.Parse(buf, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadRequest is net/http's reading of the same heads. It makes a Request and a Header of them, too.
func BenchmarkReadRequest(b *testing.B) {
	for _, test := range benchHeads {
		b.Run(test.name, func(b *testing.B) {
			buf := []byte(test.head)
			r := bytes.NewReader(nil)
			br := bufio.NewReader(r)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(buf)
				br.Reset(r)
				if _, err := http.ReadRequest(br); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The bodies of the benchmarks: a thousand chunks as an event stream has them, and sixteen as an upload has them.
var benchBodies = []struct{ name, body string }{
	{"events", strings.Repeat("20\r\n"+strings.Repeat("e", 0x20)+"\r\n", 1000) + "0\r\n\r\n"},
	{"upload", strings.Repeat("1000\r\n"+strings.Repeat("u", 0x1000)+"\r\n", 16) + "0\r\n\r\n"},
}

func BenchmarkChunked(b *testing.B) {
	for _, test := range benchBodies {
		b.Run(test.name, func(b *testing.B) {
			body := []byte(test.body)
			var d Chunked
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				d.Reset(nil)
				for src := body; ; {
					_, n, err := d.Next(src)
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					src = src[n:]
				}
			}
		})
	}
}

// BenchmarkChunkedReader is net/http's reading of the same bodies. It copies the content out.
func BenchmarkChunkedReader(b *testing.B) {
	for _, test := range benchBodies {
		b.Run(test.name, func(b *testing.B) {
			body := []byte(test.body)
			r := bytes.NewReader(nil)
			br := bufio.NewReader(r)
			p := make([]byte, 4096)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(body)
				br.Reset(r)
				cr := httputil.NewChunkedReader(br)
				for {
					_, err := cr.Read(p)
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
