// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waitress-go/waitress"
)

// serve runs b on an address of its own until the test ends.
func serve(t *testing.T, b *board) (server *waitress.Server, url string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &waitress.Server{TaskHandler: b, Policy: waitress.PolicyInline}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, waitress.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s, "http://" + l.Addr().String()
}

func ask(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer answer.Body.Close()
	p, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(p)
}

// untilWaiting waits until n clients wait.
func untilWaiting(t *testing.T, url string, n string) {
	t.Helper()
	for {
		if _, body := ask(t, "GET", url+"/stats"); t.Failed() || strings.HasPrefix(body, "waiting "+n+" ") {
			return
		}
	}
}

func TestPublish(t *testing.T) {
	_, url := serve(t, newBoard(time.Hour))
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			if status, body := ask(t, "GET", url+"/wait"); status != 200 || body != "hello, all" {
				t.Errorf("%d %q", status, body)
			}
		})
	}
	untilWaiting(t, url, "20")
	if _, body := ask(t, "POST", url+"/publish?msg=hello,%20all"); body != "20 clients were told\n" {
		t.Errorf("publish: %q", body)
	}
	clients.Wait()
	if _, body := ask(t, "POST", url+"/publish?msg=x"); body != "0 clients were told\n" {
		t.Errorf("publish: %q", body)
	}
	if status, _ := ask(t, "GET", url+"/"); status != 404 {
		t.Errorf("status %d", status)
	}
}

func TestPatience(t *testing.T) {
	_, url := serve(t, newBoard(time.Millisecond))
	if status, _ := ask(t, "GET", url+"/wait"); status != 204 {
		t.Errorf("status %d", status)
	}
	untilWaiting(t, url, "0")
}

func TestGone(t *testing.T) {
	_, url := serve(t, newBoard(time.Hour))
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	untilWaiting(t, url, "1")
	c.Close()
	untilWaiting(t, url, "0")
}

func TestShutdown(t *testing.T) {
	s, url := serve(t, newBoard(time.Hour))
	client := make(chan int, 1)
	go func() {
		status, _ := ask(t, "GET", url+"/wait")
		client <- status
	}()
	untilWaiting(t, url, "1")
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if status := <-client; status != 204 {
		t.Errorf("status %d", status)
	}
}
