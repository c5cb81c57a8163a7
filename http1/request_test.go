// SPDX-License-Identifier: MIT

package http1

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/waitress-go/waitress/httpparse"
)

// checkTarget looks at what becomes of a request-target: what httpparse accepts, net/url has to accept too, and Request.URL
// is what net/http would have made of it.
func checkTarget(t *testing.T, method, target string) (accepted bool) {
	t.Helper()
	raw := method + " " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"
	var head httpparse.Head
	head.Reset()
	n, err := head.Parse([]byte(raw), nil)
	if err != nil {
		return false
	}
	l := New(Config{}).NewListener(context.Background(), new(peer).Addr())
	ch := &channel{listener: l}
	s, err := ch.newSlab(&head, []byte(raw)[:n])
	if err != nil {
		t.Errorf("%s %q: accepted by httpparse, refused by net/url: %v", method, target, err)
		return true
	}
	want, err := parseTarget(method, target)
	if err != nil {
		t.Errorf("%s %q: %v", method, target, err)
		return true
	}
	if !reflect.DeepEqual(s.request.URL, want) {
		t.Errorf("%s %q: %#v, want %#v", method, target, s.request.URL, want)
	}
	if origin := head.Form == httpparse.OriginForm; origin {
		if want, err = url.ParseRequestURI(target); err != nil || !reflect.DeepEqual(s.request.URL, want) {
			t.Errorf("%q: %#v, want %#v, %v", target, s.request.URL, want, err)
		}
	}
	return true
}

func TestTargets(t *testing.T) {
	accepted := 0
	for _, target := range []string{
		"/", "/a", "//", "//a", "//a/b", "/?", "/??", "/?a?", "/a?b=c&d", "/a;b=c", "/%41", "/%2f", "/%2F", "/a%20b", "/%zz", "/%", "/a:b", "/:", "/*", "/!$&'()*+,;=",
		"/[", "/]", "/a?[]", "/a?{}|", "/a?%zz", "/a?%", "/a?b%20c", "/a?b+c", "/#", "/a?b#c", "/\\", "/\"", "/<>", "/^", "/`", "/{}", "/|", "/~", "/.", "/..", "/./a", "/a/../b", "/@", "/a@b:80/",
		"/\x7f", "/\x80", "/ä", "/a?ä", "/%c3%a4", "/%00", "/a?%00", "*", "", "a", "a:b", "http://h", "http://h/", "http://h?", "http://h?q", "http://h/a?b", "HTTPS://h/%41",
		"http://u@h/", "http://h:80", "http://h:/", "http://[::1]", "http://[::1]:80/a", "http://[::1%25a]/", "http:///a", "http://h/[", "http://h/%zz", "ftp://h/", "http:a", "h:80", "[::1]:443", "h", "h:x",
	} {
		for _, method := range []string{"GET", "CONNECT", "OPTIONS"} {
			if checkTarget(t, method, target) {
				accepted++
			}
		}
	}
	octets := "//????%%%%&=+;:@!$'()*,-._~[]{}|\\^\"<>#` abcABC0123456789fF\x00\x1f\x7f\x80\xff"
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		var b strings.Builder
		b.WriteByte('/')
		for range rnd.IntN(12) {
			b.WriteByte(octets[rnd.IntN(len(octets))])
		}
		if checkTarget(t, "GET", b.String()) {
			accepted++
		}
		if t.Failed() {
			return
		}
	}
	for c := range 256 { // every octet, in every place
		for _, target := range []string{"/\x00", "/a\x00b", "/a?\x00", "/a?b\x00c", "/%41\x00", "/%41?\x00", "http://h/\x00", "http://h\x00/", "http://h/?\x00"} {
			if checkTarget(t, "GET", strings.ReplaceAll(target, "\x00", string([]byte{byte(c)}))) {
				accepted++
			}
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d targets were accepted", accepted)
	}
}

func FuzzTarget(f *testing.F) {
	f.Add("GET", "/a?b=c")
	f.Add("GET", "/%41/b?%20")
	f.Add("GET", "http://h:80/a?b")
	f.Add("CONNECT", "[::1]:443")
	f.Fuzz(func(t *testing.T, method, target string) { checkTarget(t, method, target) })
}

// TestNamesAreCanonical: the names that httpparse knows are spelled as net/http spells them.
func TestNamesAreCanonical(t *testing.T) {
	known := 0
	for id := httpparse.NameID(1); id < 255; id++ {
		name, ok := nameOf(id)
		if !ok {
			break
		}
		known++
		if name != textproto.CanonicalMIMEHeaderKey(name) || name != http.CanonicalHeaderKey(strings.ToLower(name)) {
			t.Errorf("%d is %q", id, name)
		}
	}
	if known < 20 {
		t.Errorf("only %d names", known)
	}
}

// nameOf is id.String, where there is such a name.
func nameOf(id httpparse.NameID) (name string, ok bool) {
	defer func() { _ = recover() }()
	name = id.String()
	return name, name != ""
}
