// SPDX-License-Identifier: MIT

package waitress

import (
	"os"
	"testing"

	"golang.org/x/sys/windows/svc"
)

// TestService: what the service manager asks for is done, and it is told.
func TestService(t *testing.T) {
	for _, how := range []svc.Cmd{svc.Stop, svc.Shutdown} {
		signals, ended := make(chan os.Signal, 1), make(chan struct{})
		requests, status := make(chan svc.ChangeRequest), make(chan svc.Status)
		done := make(chan uint32)
		go func() {
			_, code := service{signals, ended}.Execute(nil, requests, status)
			done <- code
		}()
		if s := <-status; s.State != svc.Running || s.Accepts&svc.AcceptStop == 0 || s.Accepts&svc.AcceptShutdown == 0 {
			t.Errorf("at first: %+v", s)
		}
		requests <- svc.ChangeRequest{Cmd: svc.Interrogate}
		if s := <-status; s.State != svc.Running {
			t.Errorf("asked: %+v", s)
		}
		requests <- svc.ChangeRequest{Cmd: how}
		if s := <-status; s.State != svc.StopPending {
			t.Errorf("asked to stop: %+v", s)
		}
		if s := <-signals; s != os.Interrupt {
			t.Errorf("the server got %v", s)
		}
		close(ended)
		if code := <-done; code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}
