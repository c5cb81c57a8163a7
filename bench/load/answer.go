// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/waitress-go/waitress/bench/internal/meter"
)

// maxAnswerHead bounds what is kept of a head, or of a line between chunks, that comes in pieces.
const maxAnswerHead = 64 << 10

// A part is what of an answer comes next.
type part uint8

const (
	partHead part = iota
	partContent
	partChunkSize
	partChunk
	partChunkEnd
	partTrailer
)

// An answer is one that is being taken off a stream of bytes, however they are cut. Between two answers it is as new, but
// for all and the memory of held.
type answer struct {
	part part
	held []byte // the begin of a head or line whose end has not come
	left int64  // of the content, or of the chunk
	got  int64  // of the content
	all  int64  // of the content of all answers
}

var (
	endOfHead = []byte("\r\n\r\n")
	endOfLine = []byte("\r\n")
	statusOK  = []byte("HTTP/1.1 200 ")
	lengthKey = []byte("content-length:")
	codingKey = []byte("transfer-encoding:")
	chunked   = []byte("chunked")
)

// take takes what belongs to the answer off p, and returns how much that was, and whether the answer is whole. An engine
// that answers sooner with something else has not won, so what is not what k says is an error.
func (a *answer) take(p []byte, k *meter.Kind) (n int, whole bool, err error) {
	for {
		rest := p[n:]
		switch a.part {
		case partHead:
			head, used, err := a.upTo(rest, endOfHead)
			n += used
			if head == nil || err != nil {
				return n, false, err
			}
			if err := a.begin(head); err != nil {
				return n, false, err
			}
		case partContent:
			n += a.content(rest, k, &err)
			if a.left > 0 || err != nil {
				return n, false, err
			}
			return n, true, a.end(k)
		case partChunkSize:
			line, used, err := a.upTo(rest, endOfLine)
			n += used
			if line == nil || err != nil {
				return n, false, err
			}
			size, _, _ := bytes.Cut(line[:len(line)-2], []byte(";"))
			if a.left, err = strconv.ParseInt(string(size), 16, 63); err != nil {
				return n, false, err
			}
			if a.part = partChunk; a.left == 0 {
				a.part = partTrailer
			}
		case partChunk:
			n += a.content(rest, k, &err)
			if a.left > 0 || err != nil {
				return n, false, err
			}
			a.part = partChunkEnd
		case partChunkEnd, partTrailer:
			line, used, err := a.upTo(rest, endOfLine)
			n += used
			if line == nil || err != nil {
				return n, false, err
			}
			switch {
			case a.part == partTrailer && len(line) == 2:
				return n, true, a.end(k)
			case a.part == partChunkEnd && len(line) != 2:
				return n, false, fmt.Errorf("a chunk goes on: %.80q", line)
			case a.part == partChunkEnd:
				a.part = partChunkSize
			}
		}
	}
}

// upTo returns what lies before the end of the first mark in held and p, the mark included, and how much of p belongs to
// it. It is nil, and p is held, if the mark has not come.
func (a *answer) upTo(p, mark []byte) (found []byte, used int, err error) {
	if len(a.held) == 0 {
		if i := bytes.Index(p, mark); i >= 0 {
			return p[:i+len(mark)], i + len(mark), nil
		}
	}
	before := len(a.held)
	a.held = append(a.held, p...)
	from := max(0, before-len(mark)+1)
	if i := bytes.Index(a.held[from:], mark); i >= 0 {
		end := from + i + len(mark)
		found, a.held = a.held[:end], a.held[:0]
		return found, end - before, nil
	}
	if len(a.held) > maxAnswerHead {
		return nil, len(p), fmt.Errorf("a head or line of more than %d bytes", maxAnswerHead)
	}
	return nil, len(p), nil
}

// begin reads a head.
func (a *answer) begin(head []byte) error {
	if !bytes.HasPrefix(head, statusOK) {
		return fmt.Errorf("not an answer with status 200: %.80q", head)
	}
	a.left = -1
	for rest := head; len(rest) > 0; {
		line := rest[:bytes.IndexByte(rest, '\n')+1]
		rest = rest[len(line):]
		switch {
		case isField(line, lengthKey):
			n, err := strconv.ParseInt(string(bytes.TrimSpace(line[len(lengthKey):])), 10, 63)
			if err != nil {
				return err
			}
			a.part, a.left = partContent, n
		case isField(line, codingKey):
			if !bytes.EqualFold(bytes.TrimSpace(line[len(codingKey):]), chunked) {
				return fmt.Errorf("coded unlike anybody asked for: %q", line)
			}
			a.part, a.left = partChunkSize, 0
		}
	}
	if a.left < 0 {
		return fmt.Errorf("no length in %.200q", head)
	}
	return nil
}

func isField(line, key []byte) bool {
	return len(line) > len(key) && line[0]|0x20 == key[0] && bytes.EqualFold(line[:len(key)], key)
}

// content takes what p has of the content or chunk.
func (a *answer) content(p []byte, k *meter.Kind, err *error) int {
	p = p[:min(int64(len(p)), a.left)]
	if k.Content != "" && (a.got+int64(len(p)) > int64(len(k.Content)) || string(p) != k.Content[a.got:a.got+int64(len(p))]) {
		*err = fmt.Errorf("the content is %.80q", p)
	}
	a.left -= int64(len(p))
	a.got += int64(len(p))
	a.all += int64(len(p))
	return len(p)
}

var errShort = errors.New("the content has another length than is due")

// end makes a ready for the next answer.
func (a *answer) end(k *meter.Kind) error {
	want := k.Length
	if k.Content != "" {
		want = int64(len(k.Content))
	}
	got := a.got
	*a = answer{held: a.held, all: a.all}
	if got != want {
		return fmt.Errorf("%w: %d, not %d", errShort, got, want)
	}
	return nil
}
