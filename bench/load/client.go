// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience is how long one answer may take.
const patience = 10 * time.Second

// A client is one keep-alive connection. It sends a batch of GET requests at once and takes the same number of answers.
type client struct {
	conn  net.Conn
	batch []byte // immutable: depth requests
	depth int
	buf   []byte // answers, read but not taken: buf[:n]
	n     int
}

// dial opens the i-th connection to addr.
func dial(ctx context.Context, addr string, i, depth int) (*client, error) {
	d := net.Dialer{Timeout: patience}
	spread(&d, addr, i)
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return newClient(conn, addr, depth), nil
}

func newClient(conn net.Conn, host string, depth int) *client {
	request := "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	return &client{conn: conn, batch: []byte(strings.Repeat(request, depth)), depth: depth, buf: make([]byte, 16<<10)}
}

// exchange sends a batch and returns when all of its answers have come.
func (c *client) exchange() error {
	if _, err := c.conn.Write(c.batch); err != nil {
		return err
	}
	for due := c.depth; ; {
		taken := 0
		for due > 0 {
			n, err := answerLen(c.buf[taken:c.n])
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			taken += n
			due--
		}
		c.n = copy(c.buf, c.buf[taken:c.n])
		if due == 0 {
			if c.n > 0 {
				return fmt.Errorf("%d bytes that nobody asked for: %.80q", c.n, c.buf[:c.n])
			}
			return nil
		}
		if c.n == len(c.buf) {
			return fmt.Errorf("an answer of more than %d bytes", len(c.buf))
		}
		n, err := c.conn.Read(c.buf[c.n:])
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("closed with %d answers due: %w", due, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
		c.n += n
	}
}

// wanted is what every answer must say. An engine that says it sooner with something else has not won.
var wanted = struct{ status, length, content []byte }{
	[]byte("HTTP/1.1 200 "), []byte("content-length:"), []byte("Hello, World!"),
}

// answerLen returns the length of the answer at the beginning of p, or 0 if it has not come whole. Content-Length is the
// only framing it knows: it is the one that every engine uses for so short an answer.
func answerLen(p []byte) (int, error) {
	head := bytes.Index(p, []byte("\r\n\r\n"))
	if head < 0 {
		return 0, nil
	}
	if !bytes.HasPrefix(p, wanted.status) {
		return 0, fmt.Errorf("not an answer with status 200: %.80q", p)
	}
	length, err := contentLength(p[:head+2])
	if err != nil {
		return 0, err
	}
	end := head + 4 + length
	if len(p) < end {
		return 0, nil
	}
	if got := p[head+4 : end]; !bytes.Equal(got, wanted.content) {
		return 0, fmt.Errorf("the content is %.80q", got)
	}
	return end, nil
}

// contentLength returns the field of that name in a head of lines that all end in CRLF.
func contentLength(head []byte) (int, error) {
	for rest := head; ; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return 0, fmt.Errorf("no Content-Length in %.200q", head)
		}
		line := rest[:end]
		rest = rest[end+1:]
		if n := len(wanted.length); len(line) > n && bytes.EqualFold(line[:n], wanted.length) {
			return strconv.Atoi(string(bytes.TrimSpace(line[n:])))
		}
	}
}
