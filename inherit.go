// SPDX-License-Identifier: MIT

package waitress

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How listeners are passed to a new process.
const (
	// handoverVariable names what Restart passes, as the JSON text of a handover.
	handoverVariable = "WAITRESS_HANDOVER"

	// firstPassed is the first descriptor that a process inherits by number; 0 to 2 are the standard streams. systemd and
	// os/exec have the same.
	firstPassed = 3

	// maxPassed bounds what LISTEN_FDS may claim: it is closed, or made a listener of, number by number.
	maxPassed = 1024

	// heirTime is how long a process that serves on nothing that it was started with may yet come to do so, before who started
	// it is told that it serves. It is less than Run waits for that.
	heirTime = 20 * time.Second
)

// A handover is what one process tells the next of the descriptors that it passes on.
type handover struct {
	Listeners []string // the key of each, in the order of their descriptors
	Ready     int      // the descriptor to close when the process serves
}

// A heritage is the listeners that this process was started with, by Restart or by systemd, until somebody takes them.
//
// There is one for the whole process, as there is one set of descriptors and of environment variables; it is read when it
// is first asked for, and the variables are removed then, so that no other program that this one starts takes them for
// its own.
type heritage struct {
	read  sync.Once
	mu    sync.Mutex
	err   error       // guarded by mu: why it could not be read
	items []inherited // guarded by mu
	ready *os.File    // guarded by mu: nil if nobody waits for this process to serve
	grace *time.Timer // guarded by mu: for heirTime; nil before
}

// An inherited is one listener, and by what it is found: network and address as they were asked for, since port 0 has
// another one by now, or "systemd" and its name.
type inherited struct {
	key      string
	listener net.Listener
	handed   bool // the process was started with it
}

var inheritance heritage

func listenerKey(network, address string) string { return network + " " + address }

// take returns the listener that was made for address, or nil.
func (h *heritage) take(network, address string) (net.Listener, error) {
	all, err := h.takeAll(func(key string) bool { return key == listenerKey(network, address) }, 1)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if network == "unix" {
		return adoptUnix(all[0].listener, address)
	}
	return all[0].listener, nil
}

// named returns systemd's sockets of that name, or all of systemd's.
func (h *heritage) named(name string) ([]inherited, error) {
	all, err := h.takeAll(func(key string) bool {
		network, of, _ := strings.Cut(key, " ")
		return network == "systemd" && (name == "" || of == name)
	}, maxPassed)
	if err == nil && len(all) == 0 {
		err = errors.New("no such socket was passed to this process (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES), or it is taken")
	}
	return all, err
}

// takeAll takes at most n of those whose key is wanted.
func (h *heritage) takeAll(wanted func(key string) bool, n int) (all []inherited, err error) {
	h.read.Do(h.receive)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, h.err
	}
	h.items = slices.DeleteFunc(h.items, func(i inherited) bool {
		if len(all) == n || !wanted(i.key) {
			return false
		}
		all = append(all, i)
		return true
	})
	return all, nil
}

// receive reads what was passed.
func (h *heritage) receive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = errors.Join(h.receiveHandover(), h.receiveSystemd())
}

func (h *heritage) receiveHandover() error {
	text, ok := os.LookupEnv(handoverVariable)
	if !ok {
		return nil
	}
	_ = os.Unsetenv(handoverVariable) // fails for names that can't be, only
	var from handover
	if err := json.Unmarshal([]byte(text), &from); err != nil {
		return fmt.Errorf("%s: %w", handoverVariable, err)
	}
	if err := h.receiveDescriptors(from.Listeners); err != nil {
		return err
	}
	if from.Ready >= firstPassed {
		h.ready = os.NewFile(uintptr(from.Ready), "ready")
	}
	return nil
}

// receiveSystemd follows sd_listen_fds(3).
func (h *heritage) receiveSystemd() error {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if pid == "" || count == "" {
		return nil
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil // they are another process's, whose environment came down to us
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxPassed {
		return fmt.Errorf("LISTEN_FDS is %q: it must be from 0 to %d", count, maxPassed)
	}
	keys := make([]string, n)
	name := strings.Split(names, ":")
	for i := range keys {
		keys[i] = listenerKey("systemd", "unknown")
		if i < len(name) && name[i] != "" {
			keys[i] = listenerKey("systemd", name[i])
		}
	}
	return h.receiveDescriptors(keys)
}

// receiveDescriptors makes a listener of each, and closes the descriptor it came by.
func (h *heritage) receiveDescriptors(keys []string) (err error) {
	for i, key := range keys {
		fd := firstPassed + i
		f := os.NewFile(uintptr(fd), key)
		if f == nil {
			err = errors.Join(err, fmt.Errorf("descriptor %d (%s) can't be one", fd, key))
			continue
		}
		l, lerr := net.FileListener(f)
		if lerr != nil {
			err = errors.Join(err, fmt.Errorf("descriptor %d (%s) is no stream socket that listens: %w", fd, key, lerr))
		} else {
			h.items = append(h.items, inherited{key, l, true})
		}
		_ = f.Close() // FileListener has one of its own
	}
	return err
}

// serving is called when a Server begins to serve. The heir, which has taken a listener from here, ends the hand-over. Any
// other may be one of several in this process, whose heir is still to come: it ends the hand-over after heirTime, since what
// the process listens on may be other than before altogether. failed is told why the end of it fails.
func (h *heritage) serving(heir bool, failed func(error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ready == nil:
	case heir:
		if err := h.end(); err != nil {
			go failed(err)
		}
	case h.grace == nil:
		h.grace = time.AfterFunc(heirTime, func() { h.serving(true, failed) })
	}
}

// end tells who waits for it that this process serves, and closes what it was passed and nobody wanted, where clients would
// wait for ever. Under mu.
func (h *heritage) end() error {
	var err error
	for _, i := range h.items {
		err = errors.Join(err, i.listener.Close())
	}
	h.items = nil
	_, werr := h.ready.Write([]byte{1})
	err = errors.Join(err, werr, h.ready.Close())
	h.ready = nil
	return err
}
