// SPDX-License-Identifier: MIT

package waitress

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/waitress-go/waitress/httpparse"
)

const (
	// leastTimeout is the shortest timeout that anybody means: less is a number whose unit was forgotten.
	leastTimeout = time.Millisecond

	// mostParsed is the longest that the parser takes, whatever it is told.
	mostParsed = 1<<30 - 1

	// leastMemory is the least that BufferMemory may be: so many connections have to be able to hold a little that one which
	// holds more is not all of it.
	leastMemory = 1 << 20
)

// Validate returns an error that names the first adjustment that can't be, its value, and what may be in its place; or two
// that contradict each other. Serve does the same before it begins.
func (s *Server) Validate() error {
	for _, err := range []error{
		s.validateListen(),
		s.validateTimeouts(),
		s.validateNumbers(),
		s.validateTexts(),
	} {
		if err != nil {
			return fmt.Errorf("waitress: %w", err)
		}
	}
	switch {
	case s.Urgent != nil && s.TaskHandler != nil:
		return errors.New("waitress: Urgent is set, and TaskHandler too, which gets every request first: UrgentTask is what is asked then")
	case s.UrgentTask != nil && s.TaskHandler == nil:
		return errors.New("waitress: UrgentTask is set: it has no meaning without TaskHandler")
	}
	proxies := s.proxies(nil)
	if err := proxies.Validate(s.ProxyProtocol); err != nil {
		return fmt.Errorf("waitress: %w", err)
	}
	return nil
}

func (s *Server) validateListen() error {
	if s.Addr != "" {
		if len(s.Listen) > 0 {
			return fmt.Errorf("Addr is %q and Listen is %q: only one of them may be set", s.Addr, s.Listen)
		}
		_, port, err := net.SplitHostPort(s.Addr)
		if err != nil {
			return fmt.Errorf("Addr is %q: it must be host:port, such as :8080", s.Addr)
		}
		if err := checkPort(port); err != nil {
			return fmt.Errorf("Addr is %q: %w", s.Addr, err)
		}
	}
	for _, entry := range s.Listen {
		if _, err := parseEndpoint(entry); err != nil {
			return fmt.Errorf("Listen has %q: %w", entry, err)
		}
	}
	if s.UnixSocketPerms&^os.ModePerm != 0 {
		return fmt.Errorf("UnixSocketPerms is %#o: it must be from 0001 to 0777", uint32(s.UnixSocketPerms))
	}
	return nil
}

func (s *Server) validateTimeouts() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"ReadHeaderTimeout", s.ReadHeaderTimeout},
		{"ReadTimeout", s.ReadTimeout},
		{"BodyTimeout", s.BodyTimeout},
		{"WriteTimeout", s.WriteTimeout},
		{"WriteStallTimeout", s.WriteStallTimeout},
		{"IdleTimeout", s.IdleTimeout},
		{"ShutdownTimeout", s.ShutdownTimeout},
		{"LameDuck", s.LameDuck},
		{"QueueTarget", s.QueueTarget},
		{"QueueInterval", s.QueueInterval},
		{"SlowRequest", s.SlowRequest},
	} {
		if f.value > 0 && f.value < leastTimeout {
			return fmt.Errorf("%s is %v: it must be %v or more, negative for none, or 0 for the default", f.name, f.value, leastTimeout)
		}
	}
	return nil
}

func (s *Server) validateNumbers() error {
	for _, f := range []struct {
		name  string
		value int64
		most  int64 // 0: none
	}{
		{"Backlog", int64(s.Backlog), maxBacklog},
		{"MaxHeaderBytes", int64(s.MaxHeaderBytes), mostParsed},
		{"MaxRequestLine", int64(s.MaxRequestLine), mostParsed},
		{"MaxHeaders", int64(s.MaxHeaders), mostParsed},
		{"MaxBodyBytes", s.MaxBodyBytes, 0},
		{"ConnectionLimit", int64(s.ConnectionLimit), 0},
		{"AddressLimit", int64(s.AddressLimit), 0},
		{"KeepAliveRequests", int64(s.KeepAliveRequests), 0},
		{"BufferMemory", s.BufferMemory, 0},
		{"OutbufHighWatermark", int64(s.OutbufHighWatermark), 0},
		{"OutbufOverflow", int64(s.OutbufOverflow), 0},
		{"InbufOverflow", int64(s.InbufOverflow), 0},
		{"Threads", int64(s.Threads), 0},
		{"QueueLimit", int64(s.QueueLimit), 0},
		{"Loops", int64(s.Loops), 0},
		{"AccessLogSample", int64(s.AccessLogSample), 0},
	} {
		if f.value < 0 {
			return fmt.Errorf("%s is %d: it must not be negative", f.name, f.value)
		}
		if f.most > 0 && f.value > f.most {
			return fmt.Errorf("%s is %d: it must be %d at most", f.name, f.value, f.most)
		}
	}
	switch {
	case s.BufferMemory > 0 && s.BufferMemory < leastMemory:
		return fmt.Errorf("BufferMemory is %d: it must be 0, for no bound, or %d or more", s.BufferMemory, leastMemory)
	case s.OutbufOverflow > 0 && s.OutbufHighWatermark > 0 && s.OutbufHighWatermark <= s.OutbufOverflow:
		return fmt.Errorf("OutbufOverflow is %d: it must be below OutbufHighWatermark, %d", s.OutbufOverflow, s.OutbufHighWatermark)
	case s.InbufOverflow > 0 && !s.BufferRequests:
		return fmt.Errorf("InbufOverflow is %d: it has no meaning without BufferRequests", s.InbufOverflow)
	case s.MinBodyRate > 0 && s.BodyTimeout < 0:
		return fmt.Errorf("MinBodyRate is %d: it has no meaning without BodyTimeout, which is %v", s.MinBodyRate, s.BodyTimeout)
	case s.MinWriteRate > 0 && s.WriteStallTimeout < 0:
		return fmt.Errorf("MinWriteRate is %d: it has no meaning without WriteStallTimeout, which is %v", s.MinWriteRate, s.WriteStallTimeout)
	case s.QueueLimit > 0 && s.Threads == 0:
		return fmt.Errorf("QueueLimit is %d: it has no meaning without Threads", s.QueueLimit)
	case s.QueueTarget > 0 && s.Threads == 0:
		return fmt.Errorf("QueueTarget is %v: it has no meaning without Threads", s.QueueTarget)
	case s.QueueInterval > 0 && s.QueueTarget <= 0:
		return fmt.Errorf("QueueInterval is %v: it has no meaning without QueueTarget", s.QueueInterval)
	}
	return nil
}

func (s *Server) validateTexts() error {
	if _, err := s.Policy.MarshalText(); err != nil {
		return fmt.Errorf("Policy is %d: %w", s.Policy, err)
	}
	switch s.AccessLogFormat {
	case "", "combined", "json":
	default:
		return fmt.Errorf("%s is %q: it must be combined or json", "AccessLogFormat", s.AccessLogFormat)
	}
	if s.AccessLog == nil && (s.AccessLogFormat != "" || s.AccessLogSample != 0) {
		return fmt.Errorf("AccessLogFormat is %q and AccessLogSample %d: they have no meaning without AccessLog",
			s.AccessLogFormat, s.AccessLogSample)
	}
	if s.TempDir != "" {
		if info, err := os.Stat(s.TempDir); err != nil || !info.IsDir() {
			return fmt.Errorf("TempDir is %q: it must be a directory", s.TempDir)
		}
	}
	if !httpparse.ValidFieldValue(s.Ident) {
		return fmt.Errorf("%s is %q: it must be what a header field may hold, on one line", "Ident", s.Ident)
	}
	return nil
}
