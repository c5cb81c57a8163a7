// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/waitress-go/waitress/httpparse"
)

// browserHead is what a browser sends to a site that knows it.
const browserHead = "GET /articles/2024/summer/heron-photo-large.jpg?size=1280&from=frontpage HTTP/1.1\r\n" +
	"Host: www.birdwatchers.example\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n" +
	"Accept-Language: en-GB,en;q=0.7,sv;q=0.3\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Connection: keep-alive\r\n" +
	"Referer: https://www.birdwatchers.example/articles/2024/summer/\r\n" +
	"Cookie: visitor=3f9d2c71b8e04a56; seen=2024-06-30T08%3A15%3A00Z; theme=light; layout=wide; session=" +
	"v2.7Jm4QxT0bLr8yWc1KdN5sZf3HgPu9aEo6iVt2BkXn4RqMj7lCwD8hFy0SzGp5UeA\r\n\r\n"

// BenchmarkHead reads one head with each parser. net/http's makes a Request and a Header of it; httpparse's views do
// not outlive the input.
func BenchmarkHead(b *testing.B) {
	head := []byte(browserHead)
	in := bytes.NewReader(nil)
	br := bufio.NewReader(in)
	run := func(name string, read func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(head)))
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(head)
				br.Reset(in)
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	var ours httpparse.Head
	run("httpparse", func() error {
		ours.Reset()
		_, err := ours.Parse(head, nil)
		return err
	})
	var theirs fasthttp.RequestHeader
	run("fasthttp", func() error { return theirs.Read(br) })
	run("nethttp", func() error {
		_, err := http.ReadRequest(br)
		return err
	})
}
