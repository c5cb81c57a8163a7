// SPDX-License-Identifier: MIT

package http1

import (
	"testing"

	"github.com/waitress-go/waitress/dispatch"
	"github.com/waitress-go/waitress/httpparse"
	"github.com/waitress-go/waitress/internal/invariant"
)

var helloPreset = NewPreset(200, ContentTypeText)

// taskHello answers as fast as can be.
func taskHello(t Task) { t.AnswerPresetString(helloPreset, "Hello, World!") }

func TestTaskAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Skip("checks allocate")
	}
	eachPolicy(t, func(t *testing.T, policy dispatch.Policy) {
		var p [20]byte
		for _, tt := range []struct {
			name    string
			request string
			handler TaskFunc // must answer whatever happens, or the measuring never ends
		}{
			{"preset", get, taskHello},
			{"answer", get, func(t Task) { t.AnswerString(200, ContentTypeJSON, "{}") }},
			{"write", get, func(t Task) {
				t.AddHeader("Content-Type", ContentTypeText)
				t.AddHeaderInt("Age", 17)
				_, _ = t.WriteString("Hello, World!")
			}},
			{"fields", with("User-Agent: x", "Accept: */*", "Cookie: a=b; c=d", "If-None-Match: \"x\""), func(task Task) {
				count := 0
				for name, value := range task.Headers() {
					count += len(name) + len(value)
				}
				for s := range task.Segments() {
					count += len(s)
				}
				for v := range task.HeaderValues("accept") {
					count += len(v)
				}
				_, cookie := task.Cookie("c")
				var space [100]byte
				_, query := task.QueryValue("q", space[:0])
				path := task.DecodedPath(space[:0])
				if count != 68 || !cookie || query || string(path) != "/" || task.Known(httpparse.NameUserAgent) == nil || !task.IfNoneMatch(`"x"`) {
					t.Error(count, cookie, query, string(path))
				}
				taskHello(task)
			}},
			{"streamed", get, func(t Task) {
				for range 100 {
					_, _ = t.WriteString("The quick brown fox jumps over the lazy dog. ")
				}
				t.AddTrailer("Checksum", "none")
			}},
			{"body", post10, func(t Task) {
				p, _ := t.Body(100)
				t.Answer(200, "", p)
			}},
			{"body read", post10, func(t Task) {
				n, _ := t.Read(p[:])
				_, _ = t.Write(p[:n])
			}},
			{"chunked", chunks, func(t Task) {
				n, _ := t.Read(p[:])
				_, _ = t.Write(p[:n])
			}},
		} {
			if got := allocations(t, policy, tt.request, nil, tt.handler); got != 0 {
				t.Errorf("%s: %v allocations", tt.name, got)
			}
		}
	})
}
