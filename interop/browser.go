// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
)

var result = regexp.MustCompile(`<p id="result">([^<]*)</p>`)

func chromiumChecks(picture string) []check {
	checks := []check{{"a page of 50 assets and an EventSource", func(ctx context.Context, s *site) error {
		out, err := s.chromium(ctx, "--dump-dom")
		if err != nil {
			return err
		}
		m := result.FindStringSubmatch(out)
		if m == nil {
			return fmt.Errorf("got %.500q", out)
		}
		return want("result", m[1], "10 styles, 15 scripts, 25 pictures, 5 events, wrong: nothing")
	}}}
	if picture == "" {
		return checks
	}
	return append(checks, check{"a picture of it", func(ctx context.Context, s *site) error {
		_, err := s.chromium(ctx, "--screenshot="+picture, "--window-size=1200,500")
		return err
	}})
}

// chromium has the browser load the page, in a profile of its own.
func (s *site) chromium(ctx context.Context, args ...string) (string, error) {
	profile, err := os.MkdirTemp(s.dir, "profile")
	if err != nil {
		return "", err
	}
	return s.run(ctx, "", "chromium", append(args, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+profile,
		"--virtual-time-budget=10000", s.url("/page"))...)
}
