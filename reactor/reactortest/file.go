// SPDX-License-Identifier: MIT

package reactortest

import (
	"errors"
	"io"
	"runtime"

	"github.com/waitress-go/waitress/reactor"
)

// ErrFile is what reading a File fails with where Faults.FileFail says so.
var ErrFile = errors.New("reactortest: file can't be read")

// A File is a reactor.File in memory, which its test may change while it is sent. A file that is closed twice, used after
// its close or by two goroutines at once, or open at the end, is a Violation. All of it is guarded by Network.mu.
type File struct {
	n       *Network
	random  source
	number  int
	content []byte
	busy    bool
	closed  bool
}

var _ reactor.File = (*File)(nil)

// NewFile returns an open File with that content, of which it keeps no copy.
func (n *Network) NewFile(content []byte) *File {
	n.mu.Lock()
	defer n.unlock()
	f := &File{n: n, random: newSource(n.seed, kindFile, uint64(len(n.files))), number: len(n.files), content: content}
	n.files = append(n.files, f)
	return f
}

// SetContent changes what the file has, as who truncates or appends to it does.
func (f *File) SetContent(content []byte) {
	f.n.mu.Lock()
	defer f.n.unlock()
	f.content = content
}

// Closed says whether the file was closed.
func (f *File) Closed() bool {
	f.n.mu.Lock()
	defer f.n.unlock()
	return f.closed
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	f.n.mu.Lock()
	defer f.n.unlock()
	return f.read(p, offset)
}

// read is ReadAt under Network.mu, which it lets go of now and then, so that a second use has a chance to be seen.
func (f *File) read(p []byte, offset int64) (int, error) {
	if f.busy {
		return 0, f.n.violate("read of file %d while another is under way", f.number)
	}
	if f.random.chance(0.25) {
		f.busy = true
		f.n.unlock()
		runtime.Gosched()
		f.n.mu.Lock()
		f.busy = false
	}
	switch {
	case f.closed:
		return 0, f.n.violate("read of file %d, which is closed", f.number)
	case offset < 0:
		return 0, f.n.violate("read of file %d at %d", f.number, offset)
	case f.random.chance(f.n.faults.FileFail):
		return 0, ErrFile
	case offset >= int64(len(f.content)):
		return 0, io.EOF
	}
	n := copy(p, f.content[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (f *File) Close() error {
	f.n.mu.Lock()
	defer f.n.unlock()
	switch {
	case f.closed:
		return f.n.violate("Close of file %d for the second time", f.number)
	case f.busy:
		return f.n.violate("Close of file %d while it is read", f.number)
	}
	f.closed = true
	return nil
}

// SendFile implements reactor.Sockets. Any reactor.File will do.
func (x *sockets) SendFile(fd reactor.FD, file reactor.File, offset int64, size int) (int, error) {
	n := (*Network)(x)
	n.mu.Lock()
	defer n.unlock()
	s, err := n.begin("SendFile", fd, writing)
	if err != nil {
		return 0, err
	}
	if size <= 0 {
		return 0, n.violate("SendFile of %d bytes on descriptor %d", size, fd)
	}
	k, err := s.sendFile(file, offset, size)
	if s.reg != nil && (err == nil && k < size || err == reactor.ErrAgain) {
		s.reg.met |= reactor.Writable
	}
	return k, s.random.wrap(&n.faults, "sendfile", err)
}

func (s *socket) sendFile(file reactor.File, offset int64, size int) (int, error) {
	if s.random.chance(s.n.faults.NoSendFile) {
		return 0, errors.ErrUnsupported
	}
	read := file.ReadAt
	if f, ok := file.(*File); ok {
		s.writing = true // read lets go of the lock
		defer func() { s.writing = false }()
		read = f.read
	}
	p := make([]byte, min(size, s.n.faults.SendBuffer+1)) // more than there can be room for
	got, err := read(p, offset)
	if got == 0 && err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if got == 0 {
		return 0, err
	}
	k, writeErr := s.write(p[:got])
	if k < got || writeErr != nil {
		return k, writeErr
	}
	return k, err
}
