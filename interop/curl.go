// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// curl runs curl silently, but for errors, and returns its standard output.
func (s *site) curl(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, "", "curl", append([]string{"-sS"}, args...)...)
}

// want is an error if got is not what it should be.
func want(what, got, expected string) error {
	if got != expected {
		return fmt.Errorf("%s: %.300q, want %.300q", what, got, expected)
	}
	return nil
}

// wantDigest is what /digest and digest say of content(n).
func wantDigest(n int) string {
	text, _ := digest(content(n)) // it can't fail
	return text
}

// file puts content(n) into a file and returns its path.
func (s *site) file(n int) (string, error) {
	path := filepath.Join(s.dir, fmt.Sprint(n))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, content(n))
	return path, errors.Join(err, f.Close())
}

// prints makes a check of what curl prints for a path.
func prints(path, expected string, args ...string) func(context.Context, *site) error {
	return func(ctx context.Context, s *site) error {
		out, err := s.curl(ctx, append(args, s.url(path))...)
		if err != nil {
			return err
		}
		return want("output", out, expected)
	}
}

// uploads makes a check that sends a file of n bytes, and has their digest told.
func uploads(n int, args ...string) func(context.Context, *site) error {
	return func(ctx context.Context, s *site) error {
		path, err := s.file(n)
		if err != nil {
			return err
		}
		for i, a := range args {
			args[i] = strings.ReplaceAll(a, "FILE", path)
		}
		out, err := s.curl(ctx, append(args, s.url("/digest"))...)
		if err != nil {
			return err
		}
		return want("output", out, wantDigest(n)+", <nil>")
	}
}

func curlChecks(string) []check {
	const large = 5_000_000
	return []check{
		{"keep-alive", func(ctx context.Context, s *site) error {
			out, err := s.curl(ctx, "-w", " %{num_connects}\n", s.url("/hello"), s.url("/hello"), s.url("/hello"))
			return errors.Join(err, want("output", out, hello+" 1\n"+hello+" 0\n"+hello+" 0\n"))
		}},
		{"20 URLs, with errors between, on one connection", func(ctx context.Context, s *site) error {
			out, err := s.curl(ctx, "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", s.url("/{hello,none}?[1-10]"))
			expected := "200 1\n" + strings.Repeat("200 0\n", 9) + strings.Repeat("404 0\n", 10)
			return errors.Join(err, want("output", out, expected))
		}},
		{"HEAD, and GET on the same connection", func(ctx context.Context, s *site) error {
			out, err := s.curl(ctx, "-I", "-w", "%{http_code} %header{content-length} %{size_download}\n", "-o", "/dev/null", s.url("/hello"),
				"--next", "-sS", "-w", " %{num_connects}\n", s.url("/hello"))
			return errors.Join(err, want("output", out, "200 13 0\n"+hello+" 0\n"))
		}},
		{"HTTP/1.0, with a length and to the end of the connection", func(ctx context.Context, s *site) error {
			for _, path := range []string{"/hello", "/trailers"} {
				out, err := s.curl(ctx, "--http1.0", "-i", s.url(path))
				if err != nil {
					return err
				}
				head, body, _ := strings.Cut(out, "\r\n\r\n")
				if !strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") || strings.Contains(head, "chunked") || body != hello {
					return fmt.Errorf("%s: %q", path, out)
				}
			}
			return nil
		}},
		{"offered HTTP/2 by Upgrade", prints("/hello", hello+" 1.1 200", "--http2", "-w", " %{http_version} %{http_code}")},
		{"OPTIONS *", prints("/", "200 0", "-X", "OPTIONS", "--request-target", "*", "-w", "%{http_code} %header{content-length}")},
		{"ranges", func(ctx context.Context, s *site) error {
			for r, expected := range map[string]string{"5-9": "56789 206", "-3": "hij 206", "18-": "ij 206", "0-999": "0123456789abcdefghij 206"} {
				if err := prints("/range", expected, "-r", r, "-w", " %{http_code}")(ctx, s); err != nil {
					return err
				}
			}
			return prints("/range", "416", "-r", "20-", "-o", "/dev/null", "-w", "%{http_code}")(ctx, s)
		}},
		{"a download that is resumed", func(ctx context.Context, s *site) error {
			path := filepath.Join(s.dir, "resumed")
			if err := os.WriteFile(path, []byte("01234"), 0o600); err != nil {
				return err
			}
			if _, err := s.curl(ctx, "-C", "-", "-o", path, s.url("/range")); err != nil {
				return err
			}
			got, err := os.ReadFile(path)
			return errors.Join(err, want("file", string(got), "0123456789abcdefghij"))
		}},
		{"not modified", prints("/range", "304 0", "-z", "Sat, 03 Feb 2001 04:05:06 GMT", "-w", "%{http_code} %{size_download}")},
		{"upload with a length", uploads(large, "--data-binary", "@FILE")},
		{"chunked upload", uploads(large, "-T", "FILE", "-X", "POST", "-H", "Transfer-Encoding: chunked", "-H", "Expect:")},
		{"small chunked upload", uploads(10, "-T", "FILE", "-X", "POST", "-H", "Transfer-Encoding: chunked", "-H", "Expect:")},
		{"form upload", func(ctx context.Context, s *site) error {
			path, err := s.file(large)
			if err != nil {
				return err
			}
			return prints("/form", wantDigest(large)+", <nil>, 7", "-F", "table=7", "-F", "file=@"+path)(ctx, s)
		}},
		{"Expect: 100-continue", func(ctx context.Context, s *site) error {
			if err := uploads(large, "--data-binary", "@FILE", "-H", "Expect: 100-continue", "--expect100-timeout", "50")(ctx, s); err != nil {
				return err
			}
			path := filepath.Join(s.dir, fmt.Sprint(large))
			out, err := s.curl(ctx, "-o", "/dev/null", "-D", "-", "--data-binary", "@"+path, "-H", "Expect: 100-continue", s.url("/digest"))
			first, _, _ := strings.Cut(out, "\r\n\r\n")
			return errors.Join(err, want("the first answer", first, "HTTP/1.1 100 Continue"))
		}},
		{"Expect: 100-continue, refused", func(ctx context.Context, s *site) error {
			path, err := s.file(large)
			if err != nil {
				return err
			}
			return prints("/refuse", "No.\n403 0", "--data-binary", "@"+path, "-H", "Expect: 100-continue", "--expect100-timeout", "50",
				"-w", "%{http_code} %{size_upload}")(ctx, s)
		}},
		{"an upload that nobody reads", func(ctx context.Context, s *site) error {
			path, err := s.file(large)
			if err != nil {
				return err
			}
			return prints("/refuse", "No.\n403", "--data-binary", "@"+path, "-H", "Expect:", "-w", "%{http_code}")(ctx, s)
		}},
		{"trailers", func(ctx context.Context, s *site) error {
			out, err := s.curl(ctx, "-D", "-", s.url("/trailers"))
			if err == nil && !strings.HasSuffix(out, "\r\n\r\n"+hello+"Sum: 13\r\n") {
				err = fmt.Errorf("got %q", out)
			}
			return err
		}},
		{"103 Early Hints", func(ctx context.Context, s *site) error {
			out, err := s.curl(ctx, "-D", "-", s.url("/hints"))
			if err == nil && (!strings.HasPrefix(out, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n") ||
				!strings.HasSuffix(out, "\r\n\r\n"+hello)) {
				err = fmt.Errorf("got %q", out)
			}
			return err
		}},
		{"a large answer, chunked and not", func(ctx context.Context, s *site) error {
			for _, query := range []string{"", "&chunked=1"} {
				out, err := s.curl(ctx, s.url(fmt.Sprint("/bytes?n=", maxBytes, query)))
				got, derr := digest(strings.NewReader(out))
				if err := errors.Join(err, derr, want("content", got, wantDigest(maxBytes))); err != nil {
					return err
				}
			}
			return nil
		}},
		{"slow readers, and a quick one beside them", slowReaders},
		{"a client that leaves in the middle", abort},
	}
}

// slowReaders has more clients than there are loops read slowly, and asks others things meanwhile.
func slowReaders(ctx context.Context, s *site) error {
	const clients, size = 8, 10_000_000
	done := make(chan error, clients)
	for range clients {
		go func() {
			out, err := s.curl(ctx, "--limit-rate", "5M", s.url(fmt.Sprint("/bytes?n=", size)))
			got, derr := digest(strings.NewReader(out))
			done <- errors.Join(err, derr, want("content", got, wantDigest(size)))
		}()
	}
	quick := 0
	for ended := 0; ended < clients; {
		select {
		case err := <-done:
			if ended++; err != nil {
				return err
			}
		default:
			if err := prints("/hello", hello)(ctx, s); err != nil {
				return err
			}
			if ended == 0 {
				quick++
			}
		}
	}
	if quick == 0 {
		return errors.New("no other client was answered meanwhile")
	}
	return nil
}

// abort has a client leave in the middle of an answer, and the handler notice.
func abort(ctx context.Context, s *site) error {
	before, err := s.curl(ctx, s.url("/gone"))
	if err != nil {
		return err
	}
	_, err = s.curl(ctx, "--limit-rate", "1M", "--max-time", "0.3", "-o", "/dev/null", s.url(fmt.Sprint("/bytes?n=", maxBytes)))
	var ended *exec.ExitError
	const timedOut = 28
	if !errors.As(err, &ended) || ended.ExitCode() != timedOut {
		return fmt.Errorf("curl: %w", err)
	}
	for {
		after, err := s.curl(ctx, s.url("/gone"))
		if err != nil || after != before {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("the handler has not noticed")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
