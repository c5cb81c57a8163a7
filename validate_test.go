// SPDX-License-Identifier: MIT

package waitress

import (
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// badValues has values that each adjustment can't have, and what the error says besides the name: the value, and what is
// allowed.
var badValues = []struct {
	field string
	value any
	says  []string
}{
	{"Addr", "127.0.0.1", []string{`"127.0.0.1"`, "host:port"}},
	{"Addr", "127.0.0.1:70000", []string{`"127.0.0.1:70000"`, "from 0 to 65535"}},
	{"Addr", ":-1", []string{`":-1"`, "from 0 to 65535"}},
	{"Listen", []string{":0", "127.0.0.1:70000"}, []string{`"127.0.0.1:70000"`, "from 0 to 65535"}},
	{"Listen", []string{""}, []string{`""`, "missing port"}},
	{"UnixSocketPerms", os.FileMode(0o1777), []string{"01777", "0777"}},
	{"UnixSocketPerms", os.ModeSetuid, []string{"0777"}},
	{"Backlog", -1, []string{"-1", "negative"}},
	{"Backlog", 65536, []string{"65536", "65535"}},
	{"TrustedProxies", make([]netip.Prefix, 1), []string{"invalid", "10.0.0.0/8"}},
	{"TrustedProxyCount", -1, []string{"-1", "negative"}},
	{"TrustedProxyCount", 1, []string{"1", "TrustedProxyHeaders"}},
	{"TrustedProxyHeaders", []string{"Via"}, []string{`"Via"`, "X-Forwarded-For"}},
	{"TrustedProxyHeaders", []string{"Forwarded"}, []string{"Forwarded", "TrustedProxies"}},
	{"TrustUnixProxies", true, []string{"true", "TrustedProxyHeaders"}},
	{"ProxyProtocol", true, []string{"true", "TrustedProxies"}},
	{"URLPrefix", "/a?b", []string{`"/a?b"`, "a path"}},
	{"URLScheme", "ftp", []string{`"ftp"`, "http or https"}},
	{"ReadHeaderTimeout", time.Duration(10), []string{"10ns", "1ms"}},
	{"ReadTimeout", time.Duration(10), []string{"10ns", "1ms"}},
	{"BodyTimeout", time.Duration(10), []string{"10ns", "1ms"}},
	{"WriteTimeout", time.Duration(10), []string{"10ns", "1ms"}},
	{"WriteStallTimeout", time.Duration(10), []string{"10ns", "1ms"}},
	{"IdleTimeout", time.Duration(10), []string{"10ns", "1ms"}},
	{"ShutdownTimeout", time.Duration(10), []string{"10ns", "1ms"}},
	{"MaxHeaderBytes", -1, []string{"-1", "negative"}},
	{"MaxHeaderBytes", 1 << 30, []string{"1073741824", "1073741823"}},
	{"MaxRequestLine", -1, []string{"-1", "negative"}},
	{"MaxHeaders", -1, []string{"-1", "negative"}},
	{"MaxBodyBytes", int64(-1), []string{"-1", "negative"}},
	{"ConnectionLimit", -1, []string{"-1", "negative"}},
	{"AddressLimit", -1, []string{"-1", "negative"}},
	{"KeepAliveRequests", -1, []string{"-1", "negative"}},
	{"OutbufHighWatermark", -1, []string{"-1", "negative"}},
	{"InbufOverflow", -1, []string{"-1", "negative"}},
	{"InbufOverflow", 1, []string{"1", "BufferRequests"}},
	{"OutbufOverflow", -1, []string{"-1", "negative"}},
	{"BufferMemory", int64(-1), []string{"-1", "negative"}},
	{"BufferMemory", int64(1000), []string{"1000", "1048576"}},
	{"TempDir", "/no/such/folder", []string{"/no/such/folder", "directory"}},
	{"Policy", Policy(200), []string{"200"}},
	{"Threads", -1, []string{"-1", "negative"}},
	{"LameDuck", time.Duration(10), []string{"10ns", "1ms"}},
	{"QueueLimit", -1, []string{"-1", "negative"}},
	{"QueueLimit", 1, []string{"1", "Threads"}},
	{"QueueTarget", time.Duration(10), []string{"10ns", "1ms"}},
	{"QueueTarget", time.Second, []string{"1s", "Threads"}},
	{"QueueInterval", time.Duration(10), []string{"10ns", "1ms"}},
	{"QueueInterval", time.Second, []string{"1s", "QueueTarget"}},
	{"Loops", -1, []string{"-1", "negative"}},
	{"AccessLogFormat", "xml", []string{`"xml"`, "combined or json"}},
	{"AccessLogFormat", "json", []string{`"json"`, "AccessLog"}},
	{"AccessLogSample", -1, []string{"-1", "negative"}},
	{"AccessLogSample", 10, []string{"10", "AccessLog"}},
	{"SlowRequest", time.Duration(10), []string{"10ns", "1ms"}},
	{"Ident", "a\r\nb", []string{`"a\r\nb"`, "one line"}},
}

func TestValidate(t *testing.T) {
	if err := new(Server).Validate(); err != nil {
		t.Error("the zero Server:", err)
	}
	for _, test := range badValues {
		s := new(Server)
		reflect.ValueOf(s).Elem().FieldByName(test.field).Set(reflect.ValueOf(test.value))
		err := s.Validate()
		if err == nil {
			t.Errorf("%s: %v is allowed", test.field, test.value)
			continue
		}
		for _, want := range append(test.says, test.field) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error %q does not say %q", test.field, err, want)
			}
		}
	}
}

// TestValidateRates: a rate is a part of a timeout, and nothing without.
func TestValidateRates(t *testing.T) {
	for timeout, s := range map[string]*Server{
		"BodyTimeout": {MinBodyRate: 10, BodyTimeout: -1}, "WriteStallTimeout": {MinWriteRate: 10, WriteStallTimeout: -1},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "Rate is 10") || !strings.Contains(err.Error(), timeout) {
			t.Errorf("%s: got %v", timeout, err)
		}
	}
}

// TestValidateUrgent: nobody would be asked.
func TestValidateUrgent(t *testing.T) {
	for _, s := range []*Server{
		{Urgent: func(*http.Request) bool { return true }, TaskHandler: TaskFunc(Task.Decline)},
		{UrgentTask: func(Task) bool { return true }},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "UrgentTask") || !strings.Contains(err.Error(), "TaskHandler") {
			t.Errorf("got %v", err)
		}
	}
}

// TestValidateEach: every adjustment that can be wrong is in the table.
func TestValidateEach(t *testing.T) {
	var named []string
	for _, test := range badValues {
		named = append(named, test.field)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Server]()) {
		simple := []reflect.Kind{reflect.Bool, reflect.Func, reflect.Interface, reflect.Pointer}
		if slices.Contains(simple, f.Type.Kind()) {
			continue // nothing can be wrong with it by itself
		}
		if strings.HasPrefix(f.Name, "Min") {
			continue // negative is none
		}
		if f.IsExported() && !slices.Contains(named, f.Name) {
			t.Errorf("%s: no value of it is known to be refused", f.Name)
		}
	}
}

// TestServeValidates: nothing listens or serves with an adjustment that can't be.
func TestServeValidates(t *testing.T) {
	s := &Server{Listen: []string{"127.0.0.1:0"}, Ident: "a\nb"}
	if l, err := s.Listeners(); err == nil {
		_ = closeAll(l)
		t.Error("Listeners: no error")
	}
	l := listenOn(t, "tcp", "127.0.0.1:0")
	if err := s.Serve(l); err == nil || !strings.Contains(err.Error(), "Ident") {
		t.Error("Serve:", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener was left open")
	}
}
