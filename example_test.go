// SPDX-License-Identifier: MIT

package waitress_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/waitress-go/waitress"
)

// A program that serves until Ctrl-C, or SIGTERM.
func ExampleServe() {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Hello, World!")
	})
	if err := waitress.Serve(app, waitress.Listen("127.0.0.1:8080"), waitress.WithPolicy(waitress.PolicyAdaptive)); err != nil {
		log.Fatal(err)
	}
}

// Some requests are answered without net/http's types; the others are left to the Handler.
func ExampleTaskHandler() {
	s := &waitress.Server{
		Addr:    "127.0.0.1:8080",
		Handler: http.FileServer(http.Dir("static")),
		TaskHandler: waitress.TaskFunc(func(t waitress.Task) {
			switch string(t.Path()) {
			case "/hello":
				t.AnswerString(http.StatusOK, waitress.ContentTypeText, "Hello, World!")
			default:
				t.Decline()
			}
		}),
	}
	log.Fatal(s.ListenAndServe())
}

// A Server that somebody else tells when to stop, here Ctrl-C.
func ExampleServer_Shutdown() {
	s := &waitress.Server{Addr: "127.0.0.1:8080", Handler: http.DefaultServeMux}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		<-interrupted
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			log.Print(err, ": what has not finished is cut")
			_ = s.Close()
		}
	}()
	if err := s.ListenAndServe(); !errors.Is(err, waitress.ErrServerClosed) {
		log.Fatal(err)
	}
	<-stopped // ListenAndServe returns when Shutdown begins
}
