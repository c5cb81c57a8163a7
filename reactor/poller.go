// SPDX-License-Identifier: MIT

package reactor

import (
	"errors"
	"io"
	"time"
)

// An FD names a descriptor: a file descriptor on Unix, a SOCKET on Windows, any small number in a simulation.
// While it is open no other connection of the process has the same number.
type FD int

// A Token is what a Poller reports a descriptor by. Its low 32 bits are the descriptor's slot, its high 32 bits the
// generation of that slot, so that a report that was under way when a descriptor was closed and its number given to
// another connection is recognised as stale. Pollers carry tokens and do not look inside.
type Token uint64

// Ready says what a descriptor is ready for. In an Event several bits may be set.
type Ready uint8

const (
	// Readable: a read may return bytes, the end of the file, or an error.
	Readable Ready = 1 << iota
	// Writable: a write may take bytes, or return an error.
	Writable
	// PeerClosed: the peer has shut down its writing side. Bytes it sent before may still wait to be read; writing
	// to it may still succeed.
	PeerClosed
	// Hangup: the connection is gone in both directions (a reset, an error, or both sides shut down).
	Hangup
)

// An Event is one report of a Poller.
type Event struct {
	Token Token
	Ready Ready
}

// A Poller tells one loop which of its descriptors became ready. It translates one operating system's facility and
// holds no policy. The root package has one for each system, reactortest has a simulated one, and one conformance
// suite (poller_test.go in the root) says what they all must do.
//
// What is reported is the edge: a direction that became ready is reported once, and is not reported again until its
// owner has met the end of what was ready (ErrAgain, or a read or write shorter than asked) and then called Rearm for
// it. What became ready between the short read and Rearm is reported. PeerClosed and Hangup are reported when they
// happen, with Readable, whether or not Readable is armed: at least once, perhaps more often.
//
// Reports may be spurious: an owner must stand ErrAgain after each of them. Reports are never lost. Add arms
// Readable; Writable is armed by Rearm only, though a Poller that always watches both (epoll, kqueue) may report it
// at any time it is true.
type Poller interface {
	// Add registers fd for reading, writing and the peer's close: once for its whole life, or anew with another Poller
	// after Del, with the same token, and then what is ready is reported as if it had just become so. Any goroutine;
	// reports may come before Add has returned. The descriptor is non-blocking already.
	Add(fd FD, token Token) error

	// Rearm asks for the next report of dir, which is Readable or Writable or both. Any goroutine, but only that
	// direction's owner. It costs nothing where the facility is edge-triggered by itself.
	Rearm(fd FD, dir Ready) error

	// Del ends fd's registration. Only the goroutine that is the loop, before the descriptor is closed. Reports that
	// Wait has already returned, and no others, may still name it.
	Del(fd FD) error

	// Wait fills events with what became ready and returns their number: at once where something is ready, else
	// when something becomes ready, Wake is called, or timeout has passed (negative: never). It may return 0 early.
	// Only the goroutine that is the loop. An interrupted system call is not an error.
	Wait(events []Event, timeout time.Duration) (int, error)

	// Wake makes the Wait that is under way, or else the next one, return soon. Any goroutine, also after Close.
	// Several calls before that return may count as one.
	Wake() error

	// Close frees what the Poller holds; the descriptors registered stay open. Only the goroutine that is the loop,
	// after its last Wait.
	Close() error
}

// Errors of Sockets and Listener. Implementations return ErrAgain, and io.EOF, as they are, since they are results more
// than errors and come often; of the others these values, or errors that wrap them.
var (
	// ErrAgain: nothing could be read or written now. The Poller will report when it may be tried again.
	ErrAgain = errors.New("reactor: would block")
	// ErrReset: the peer or the network ended the connection (ECONNRESET, EPIPE, ETIMEDOUT and their like).
	ErrReset = errors.New("reactor: connection reset by peer")
	// ErrExhausted: no descriptor or kernel memory for another connection. It passes when others are closed.
	ErrExhausted = errors.New("reactor: out of descriptors")
	// ErrListenerClosed: Accept after Close.
	ErrListenerClosed = errors.New("reactor: listener closed")
)

// A File is where a piece of output comes from that does not pass through the memory of the process: a regular file,
// opened for reading, that the connection owns. Sends and reads say where in the file they begin, so that it may share its
// own position with others. Each is used by one goroutine at a time.
type File interface {
	io.ReaderAt
	io.Closer
}

// Sockets are the operations on connected descriptors. None of them ever waits, except SendFile for the disk. They take
// the descriptor instead of being methods of a socket object so that a connection costs no object for it.
//
// Buffers passed in belong to the caller again on return. Read and Write of one descriptor may be called at the same
// time by two goroutines, each by one at a time; Close only by the loop.
type Sockets interface {
	// Read fills p with what is there. (0, io.EOF) is the end of the peer's stream, (0, ErrAgain) says nothing is
	// there. len(p) > 0. A result shorter than p means that nothing more was there.
	Read(fd FD, p []byte) (int, error)

	// Peek says what a Read of one byte would say, and reads nothing: (1, nil), (0, io.EOF), (0, ErrAgain) or another
	// error.
	Peek(fd FD) (int, error)

	// Write sends what the kernel takes of p: n < len(p) with a nil error, or (0, ErrAgain), means that its buffer is
	// full.
	Write(fd FD, p []byte) (int, error)

	// SendFile sends the n bytes of f from offset on, n > 0, as a Write of them would, and counts as one. It may wait for
	// the disk as long as reading so many bytes takes. It returns how many were sent, of which an error takes nothing back:
	//
	//   - fewer than n and nil, or (0, ErrAgain): the kernel's buffer is full, and nothing else;
	//   - io.ErrUnexpectedEOF: the file ends there;
	//   - errors.ErrUnsupported: such a file can't be sent to such a connection. It can be read, and written;
	//   - another error: the file could not be read, or the connection has failed.
	SendFile(fd FD, f File, offset int64, n int) (int, error)

	// CloseWrite sends the end of the stream (FIN) behind what was written.
	CloseWrite(fd FD) error

	// Abort ends both directions at once and keeps the descriptor: reads and writes under way or later fail or find the
	// end, and the Poller reports Hangup. The loop uses it where a task still has the connection. Any goroutine.
	Abort(fd FD) error

	// Close closes the descriptor.
	Close(fd FD) error
}

// An Accepted is a new connection: its descriptor, non-blocking and close-on-exec, and the peer's address as net/http
// prints it (Request.RemoteAddr). TCP connections have TCP_NODELAY and keep-alive set, as the net package does.
type Accepted struct {
	FD   FD
	Peer string
}

// A Listener gives new connections.
type Listener interface {
	// Accept waits for a connection. One goroutine at a time. A connection that ended before it was accepted is
	// skipped, not reported. errors.Is(err, ErrExhausted) says that another try may succeed later;
	// errors.Is(err, ErrListenerClosed) that Close was called; any other error is final.
	Accept() (Accepted, error)

	// Close stops listening and makes a waiting Accept return. Connections that had been accepted by then may still come
	// from Accept, before it says that this is the end. Any goroutine, any number of times.
	Close() error
}
