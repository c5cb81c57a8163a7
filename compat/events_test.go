// SPDX-License-Identifier: MIT

package compat

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// A board is an application that sends what is announced to all who listen, as server-sent events.
type board struct {
	mu        sync.Mutex
	listeners map[chan string]bool // guarded by mu
	changed   chan int             // the number of listeners, when it is what wanted says
	wanted    int                  // guarded by mu
}

func (b *board) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return
	}
	c := make(chan string, announcements)
	b.set(c, true)
	defer b.set(c, false)
	for {
		select {
		case <-r.Context().Done():
			return
		case event := <-c:
			if _, err := fmt.Fprintf(w, "data: %s\n\n", event); err != nil || control.Flush() != nil {
				return
			}
		}
	}
}

func (b *board) set(c chan string, listens bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if listens {
		b.listeners[c] = true
	} else {
		delete(b.listeners, c)
	}
	if len(b.listeners) == b.wanted {
		b.changed <- b.wanted
	}
}

// want makes b report when it has n listeners, and has had another number before.
func (b *board) want(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = n
}

func (b *board) announce(event string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.listeners {
		c <- event
	}
}

// announcements is how many events a board may send while nobody reads them.
const announcements = 10

// TestServerSentEvents has 1,000 subscribers, each of which gets every event, in order. When they leave, their handlers end.
func TestServerSentEvents(t *testing.T) {
	const subscribers = 1000
	var b *board
	eachWaiting(t, func(*testing.T) http.Handler {
		b = &board{listeners: make(map[chan string]bool), changed: make(chan int, 1), wanted: subscribers}
		return b
	}, func(t *testing.T, s *started) {
		// Their connections are their own, and have no deadline.
		client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		heard := make(chan error, subscribers)
		for range subscribers {
			go func() { heard <- listen(ctx, client, s.url) }()
		}
		receive(t, "the subscribers", b.changed)
		b.want(0)
		for i := range announcements {
			b.announce(fmt.Sprint(i))
		}
		for range subscribers {
			if err := receive(t, "the events", heard); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		receive(t, "the handlers", b.changed)
	})
}

// listen subscribes, and returns when it has got all announcements. It leaves when ctx ends.
func listen(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		return fmt.Errorf("%s, %v", resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	for i := range announcements {
		for _, want := range []string{fmt.Sprintf("data: %d", i), ""} {
			if !lines.Scan() || lines.Text() != want {
				return fmt.Errorf("event %d: %q, %w", i, lines.Text(), lines.Err())
			}
		}
	}
	return nil
}
