// SPDX-License-Identifier: MIT

package waitress

// A systemError is an error of the operating system and what the contract of Sockets and Listener calls it.
type systemError struct {
	kind  error // reactor.ErrReset or reactor.ErrExhausted
	cause error // *os.SyscallError
}

func (e *systemError) Error() string   { return e.cause.Error() }
func (e *systemError) Unwrap() []error { return []error{e.kind, e.cause} }
