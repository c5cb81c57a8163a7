// SPDX-License-Identifier: MIT

package dispatch

import (
	"flag"
	"testing"
)

func TestPolicyText(t *testing.T) {
	for _, p := range policies {
		text, err := p.MarshalText()
		if err != nil || string(text) != p.String() {
			t.Errorf("%v.MarshalText() = %q, %v", p, text, err)
		}
		if q, err := ParsePolicy(p.String()); q != p || err != nil {
			t.Errorf("ParsePolicy(%q) = %v, %v", p, q, err)
		}
	}
	for _, s := range []string{"", "Pool", "pool ", "Policy(7)"} {
		if p, err := ParsePolicy(s); err == nil {
			t.Errorf("ParsePolicy(%q) = %v, want an error", s, p)
		}
	}
	if text, err := Policy(7).MarshalText(); err == nil {
		t.Errorf("Policy(7).MarshalText() = %q, want an error", text)
	}
}

func TestPolicyFlag(t *testing.T) {
	var p Policy
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(t.Output())
	flags.TextVar(&p, "policy", PolicyPool, "where handlers run")
	if err := flags.Parse([]string{"-policy", "inline"}); err != nil || p != PolicyInline {
		t.Errorf("after -policy inline: %v, %v", p, err)
	}
	if err := flags.Parse([]string{"-policy", "outline"}); err == nil || p != PolicyInline {
		t.Errorf("after -policy outline: %v, %v", p, err)
	}
}

func TestPlace(t *testing.T) {
	for _, test := range []struct {
		policy Policy
		want   Place
	}{{PolicyPool, OnThread}, {PolicyInline, Here}} {
		d := newTest(t, Config{Policy: test.policy})
		if got := d.Place(42); got != test.want {
			t.Errorf("%v: Place = %v, want %v", test.policy, got, test.want)
		}
	}
}
