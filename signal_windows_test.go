// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// programSignals are what a test can send a program so that it ends properly: of a console's events, those that the
// runtime calls an interrupt. The others, which it calls SIGTERM, come from the system only.
var programSignals = []os.Signal{os.Interrupt}

// signalable makes the command a group of its own, so that an event can be sent to it and not to us, too. It takes a
// console, which it shares with us.
func signalable(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// allowSignals is called by the command: a new group begins with Ctrl-C disabled.
func allowSignals() { _, _, _ = procSetConsoleCtrlHandler.Call(0, 0) }

// sendSignal sends Ctrl-Break, which alone can be sent to a group, or, under Wine 8, Ctrl-C, which alone can be sent.
func sendSignal(p *os.Process, _ os.Signal) error {
	err := windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.Pid))
	if errors.Is(err, windows.ERROR_INVALID_HANDLE) {
		return windows.GenerateConsoleCtrlEvent(windows.CTRL_C_EVENT, uint32(p.Pid))
	}
	return err
}

var procSetConsoleCtrlHandler = kernel32.NewProc("SetConsoleCtrlHandler")
