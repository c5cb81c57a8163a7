// SPDX-License-Identifier: MIT

package httpparse

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

// A testCase is one paragraph of a file in testdata/head or testdata/chunked:
//
//	# Why the case exists.
//	! RequestLine 14               a limit; the others have their defaults
//	< GET / HTTP/1.1\r\n           input, with Go's escapes; the lines follow each other without anything between
//	<* 1000 ab                     the same many times
//	> 400 method is not a token    the result, which -update rewrites
type testCase struct {
	name  string // file:line
	lines []string
	lim   Limits
	input []byte
	want  string
}

func (c *testCase) add(t testing.TB, line string) {
	kind, text, _ := strings.Cut(line, " ")
	switch kind {
	case "#":
	case "!":
		name, value, _ := strings.Cut(text, " ")
		n, err := strconv.Atoi(value)
		field := reflect.ValueOf(&c.lim).Elem().FieldByName(name)
		if err != nil || !field.IsValid() {
			t.Fatalf("%s: bad limit: %s", c.name, line)
		}
		field.SetInt(int64(n))
	case "<":
		c.input = append(c.input, unescape(t, text)...)
	case "<*":
		count, text, _ := strings.Cut(text, " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%s: bad count: %s", c.name, line)
		}
		c.input = append(c.input, bytes.Repeat(unescape(t, text), n)...)
	case ">":
		c.want += text + "\n"
		return // not to be kept
	default:
		t.Fatalf("%s: bad line: %s", c.name, line)
	}
	c.lines = append(c.lines, line)
}

func unescape(t testing.TB, s string) (b []byte) {
	for s != "" {
		r, _, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil || r > 0xff {
			t.Fatalf("bad escape: %s", s)
		}
		b = append(b, byte(r))
		s = tail
	}
	return b
}

func readCases(t testing.TB, file string) (cases []*testCase) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c *testCase
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if line == "" {
			c = nil
			continue
		}
		if c == nil {
			c = &testCase{name: fmt.Sprintf("%s:%d", filepath.Base(file), i+1)}
			cases = append(cases, c)
		}
		c.add(t, line)
	}
	return cases
}

// runCases compares the result of every case in the files with what is written there, or writes it with -update.
func runCases(t *testing.T, pattern string, run func(t *testing.T, c *testCase) string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", pattern, err)
	}
	for _, file := range files {
		var paragraphs []string
		for _, c := range readCases(t, file) {
			t.Run(c.name, func(t *testing.T) {
				got := run(t, c)
				if got != c.want && !*update {
					t.Errorf("%s\ngot:\n%s\nwant:\n%s", strings.Join(c.lines, "\n"), got, c.want)
				}
				result := "> " + strings.ReplaceAll(strings.TrimSuffix(got, "\n"), "\n", "\n> ")
				paragraphs = append(paragraphs, strings.Join(c.lines, "\n")+"\n"+result+"\n")
			})
		}
		if *update && !t.Failed() {
			if err := os.WriteFile(file, []byte(strings.Join(paragraphs, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// eachSplit calls f with the input as one part, cut in two at every position, and byte by byte. Of an input that is too
// long for that, it takes every position near the ends and few between, and pieces instead of bytes.
func eachSplit(input []byte, f func(parts ...[]byte)) {
	const many = 1000
	f(input)
	for i := 1; i < len(input); i++ {
		if i < many/4 || i > len(input)-many/4 || len(input) <= many || i%(len(input)/16) == 0 {
			f(input[:i], input[i:])
		}
	}
	f(slices.Collect(slices.Chunk(input, 1+len(input)/many))...) // no part at all of no input
}

// TestRulesHaveCases sees that everything that is refused is refused in some case.
func TestRulesHaveCases(t *testing.T) {
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	rules := 0
	for _, line := range strings.Split(string(source), "\n") {
		_, value, ok := strings.Cut(line, "= &SyntaxError{")
		if !ok {
			continue
		}
		rules++
		status, rule, _ := strings.Cut(strings.TrimSuffix(value, "}"), ", ")
		if rule, err = strconv.Unquote(rule); err != nil {
			t.Fatal(line)
		}
		if !strings.Contains(all.String(), "> "+status+" "+rule+"\n") {
			t.Errorf("no case in testdata for: %s %s", status, rule)
		}
	}
	if rules < 40 {
		t.Errorf("only %d rules found in errors.go", rules)
	}
}
