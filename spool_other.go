// SPDX-License-Identifier: MIT

//go:build aix || js || plan9 || solaris || wasip1 || windows

package waitress

import (
	"errors"
	"os"

	"github.com/waitress-go/waitress/reactor"
)

// A spoolFile is a temporary file that has a name until it is closed.
type spoolFile struct{ *os.File }

// newSpool makes a temporary file.
func newSpool(dir string) (reactor.Spool, error) {
	f, err := os.CreateTemp(dir, "waitress-")
	if err != nil {
		return nil, err
	}
	return spoolFile{f}, nil
}

// Close implements io.Closer.
func (f spoolFile) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }
