// SPDX-License-Identifier: MIT

package main

import (
	"net/http/httptest"
	"testing"
)

func TestHello(t *testing.T) {
	for _, target := range []string{"/", "/some/where?else"} {
		w := httptest.NewRecorder()
		hello(w, httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
		if got := w.Body.String(); w.Code != 200 || got != "Hello, World!" {
			t.Errorf("%s: %d %q", target, w.Code, got)
		}
	}
}
