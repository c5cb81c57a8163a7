// SPDX-License-Identifier: MIT

package adjust

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/waitress-go/waitress"
)

// A documentation is what the source says of a field of Server.
type documentation struct{ name, group, text string }

// variablePrefix is what the names of environment variables begin with.
const variablePrefix = "WAITRESS_"

// Names returns the names of the Server's field of that name on the command line, in the environment and in a configuration
// file. ok is false if there is no such field, or it can't be written as text.
func Names(field string) (flag, variable, key string, ok bool) {
	f, found := reflect.TypeFor[waitress.Server]().FieldByName(field)
	if !found || !f.IsExported() || kindOf(f.Type) == nil {
		return "", "", "", false
	}
	flag = flagName(field)
	return flag, variableOf(flag), keyOf(flag), true
}

func variableOf(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func keyOf(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// flagName is the field's name in lower case, with hyphens between its words: url-prefix for URLPrefix.
func flagName(field string) string {
	var b strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		if unicode.IsUpper(r) {
			// A word begins after a small letter, and at the last of several capitals.
			if i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && !unicode.IsUpper(runes[i+1])) {
				b.WriteByte('-')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// A kind is how the values of one type are written. Immutable.
type kind struct {
	name string // what the help calls a value
	set  func(v reflect.Value, text string) error
	text func(v reflect.Value) string
	list bool // a further value is added to those before
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationKind    = &kind{name: "DURATION", set: setDuration, text: stringerText}
	networksKind    = &kind{name: "NETWORKS", set: setNetworks, text: listText[netip.Prefix], list: true}
	permsKind       = &kind{name: "PERMISSIONS", set: setPermissions, text: func(v reflect.Value) string { return strconv.FormatUint(v.Uint(), 8) }}
	outputKind      = &kind{name: "OUTPUT", set: setOutput, text: func(reflect.Value) string { return "" }}
	textKind        = &kind{name: "NAME", set: setText, text: stringerText}
	boolKind        = &kind{set: setBool, text: func(v reflect.Value) string { return strconv.FormatBool(v.Bool()) }}
	numberKind      = &kind{name: "N", set: setNumber, text: func(v reflect.Value) string { return Size(v.Int()).String() }}
	stringKind      = &kind{name: "TEXT", set: func(v reflect.Value, s string) error { v.SetString(s); return nil }, text: reflect.Value.String}
	stringsKind     = &kind{name: "LIST", set: setStrings, text: listText[string], list: true}
)

// kindOf returns how a field of type t is written, or nil if it is not.
func kindOf(t reflect.Type) *kind {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return durationKind
	case reflect.TypeFor[[]netip.Prefix]():
		return networksKind
	case reflect.TypeFor[os.FileMode]():
		return permsKind
	case reflect.TypeFor[io.Writer]():
		return outputKind
	case reflect.TypeFor[[]string]():
		return stringsKind
	}
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return textKind
	}
	switch k := t.Kind(); {
	case k == reflect.Bool:
		return boolKind
	case k >= reflect.Int && k <= reflect.Int64:
		return numberKind
	case k == reflect.String:
		return stringKind
	}
	return nil
}

func setDuration(v reflect.Value, s string) error {
	if strings.EqualFold(s, "none") {
		v.SetInt(-1)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no duration: it must have a unit, such as 30s or 1m30s, or be none", s)
	}
	v.SetInt(int64(d))
	return nil
}

func setNetworks(v reflect.Value, s string) error {
	var all []netip.Prefix
	for _, item := range items(s) {
		if item == "*" {
			all = append(all, netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
			continue
		}
		if a, err := netip.ParseAddr(item); err == nil && a.Zone() == "" {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(item)
		if err != nil {
			return fmt.Errorf("%q is no network, such as 10.0.0.0/8, and no address", item)
		}
		all = append(all, p)
	}
	v.Set(reflect.AppendSlice(v, reflect.ValueOf(all)))
	return nil
}

func setPermissions(v reflect.Value, s string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil {
		return fmt.Errorf("%q are no permissions: they must be octal, such as 660", s)
	}
	v.SetUint(n)
	return nil
}

// setOutput opens the file that is named. It stays open as long as the process, whose output it is.
func setOutput(v reflect.Value, s string) error {
	switch s {
	case "":
		v.SetZero()
		return nil
	case "-":
		v.Set(reflect.ValueOf(os.Stdout))
		return nil
	}
	f, err := os.OpenFile(s, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(f))
	return nil
}

func setText(v reflect.Value, s string) error {
	return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
}

func setBool(v reflect.Value, s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q must be true or false", s)
	}
	v.SetBool(b)
	return nil
}

func setNumber(v reflect.Value, s string) error {
	var n Size
	if err := n.Set(s); err != nil {
		return err
	}
	if v.OverflowInt(int64(n)) {
		return fmt.Errorf("%q is too large", s)
	}
	v.SetInt(int64(n))
	return nil
}

func setStrings(v reflect.Value, s string) error {
	v.Set(reflect.AppendSlice(v, reflect.ValueOf(items(s))))
	return nil
}

// items takes a list apart.
func items(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

func listText[T any](v reflect.Value) string {
	var b strings.Builder
	for i, item := range v.Interface().([]T) {
		if i > 0 {
			b.WriteByte(',')
		}
		_, _ = fmt.Fprint(&b, item)
	}
	return b.String()
}

func stringerText(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// A setting is one field of one Server, as a flag.Value.
type setting struct {
	documentation
	kind   *kind
	value  reflect.Value
	source *source // what sets it now; a list begins anew with each
	set    source  // what has set it last
}

// A source is one of the places that values come from, the weakest first.
type source int

const (
	fromProgram source = iota
	fromFile
	fromEnvironment
	fromArguments
)

// String implements flag.Value.
func (s *setting) String() string {
	if s.kind == nil { // the zero value, which package flag makes
		return ""
	}
	return s.kind.text(s.value)
}

// Set implements flag.Value.
func (s *setting) Set(text string) error {
	if s.kind.list && s.set != *s.source {
		s.value.SetZero()
	}
	s.set = *s.source
	return s.kind.set(s.value, text)
}

// IsBoolFlag lets a flag stand without a value.
func (s *setting) IsBoolFlag() bool { return s.kind == boolKind }

// settings returns a setting for each field of s that can be written as text, in the order of the source.
func settings(s *waitress.Server, from *source) (all []*setting, err error) {
	v := reflect.ValueOf(s).Elem()
	for _, d := range documented {
		f := v.FieldByName(d.name)
		if !f.IsValid() {
			return nil, errors.New("adjust: the table of fields is stale: run go generate ./adjust")
		}
		if k := kindOf(f.Type()); k != nil {
			all = append(all, &setting{documentation: d, kind: k, value: f, source: from})
		}
	}
	return all, nil
}
