// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

// A service is the process as Windows' service manager sees it: from when the server listens until it has ended. A stop,
// or the system's shutdown, counts as an interrupt; a second one is not sent.
type service struct {
	signals chan<- os.Signal
	ended   <-chan struct{}
}

// serveService tells the service manager, if it has started the process, that the service runs, and of its end when ended
// is closed, and sends on signals when it is to end. A program that speaks with the service manager itself, which only one
// in a process can, is left alone. What the returned channel gives comes when the service manager knows of the end: nil, or
// why it could not be told of the service.
func serveService(signals chan<- os.Signal, ended <-chan struct{}) <-chan error {
	told := make(chan error, 1)
	if is, err := svc.IsWindowsService(); err != nil || !is {
		told <- err
		return told
	}
	go func() {
		err := svc.Run("", service{signals, ended})
		if errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			err = nil // the program's own; it knows when to call Shutdown
		}
		if err != nil {
			signals <- os.Interrupt // nobody else could stop it
		}
		told <- err
	}()
	return told
}

// Execute implements svc.Handler.
func (s service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	const accepts = svc.AcceptStop | svc.AcceptShutdown
	now := svc.Status{State: svc.Running, Accepts: accepts}
	status <- now
	for {
		select {
		case <-s.ended:
			return false, 0
		case r := <-requests:
			//exhaustive:ignore
			switch r.Cmd {
			case svc.Interrogate:
				status <- now
			case svc.Stop, svc.Shutdown:
				now = svc.Status{State: svc.StopPending}
				status <- now
				select {
				case s.signals <- os.Interrupt:
				case <-s.ended:
				}
			}
		}
	}
}
