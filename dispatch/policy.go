// SPDX-License-Identifier: MIT

package dispatch

import (
	"fmt"
	"strconv"
)

// A Policy says where tasks run. Its text form is lower case, for flags and configuration files (flag.TextVar).
type Policy uint8

const (
	// PolicyPool runs every task on a task thread.
	PolicyPool Policy = iota
	// PolicyInline runs every task where it was made.
	PolicyInline
	// PolicyAdaptive runs a task where it was made if tasks like it have been quick, and else on a task thread.
	PolicyAdaptive
)

// policies are all of them.
var policies = [...]Policy{PolicyPool, PolicyInline, PolicyAdaptive}

// String returns the text form, or a number in parentheses for what is no policy.
func (p Policy) String() string {
	switch p {
	case PolicyPool:
		return "pool"
	case PolicyInline:
		return "inline"
	case PolicyAdaptive:
		return "adaptive"
	}
	return "Policy(" + strconv.Itoa(int(p)) + ")"
}

// ParsePolicy is the inverse of String.
func ParsePolicy(s string) (Policy, error) {
	for _, p := range policies {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("dispatch: unknown policy %q: want %q, %q or %q", s, PolicyPool, PolicyInline, PolicyAdaptive)
}

// MarshalText returns the text form.
func (p Policy) MarshalText() ([]byte, error) {
	if int(p) >= len(policies) {
		return nil, fmt.Errorf("dispatch: %v has no text form", p)
	}
	return []byte(p.String()), nil
}

// UnmarshalText sets p to what text names, and leaves it as it is when text names nothing.
func (p *Policy) UnmarshalText(text []byte) error {
	q, err := ParsePolicy(string(text))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// A Place is where one task should run.
type Place uint8

const (
	// OnThread: give the task to Submit.
	OnThread Place = iota
	// Here: give the task to Run, on this goroutine.
	Here
)

// String names the place.
func (p Place) String() string {
	switch p {
	case OnThread:
		return "on thread"
	case Here:
		return "here"
	}
	return "Place(" + strconv.Itoa(int(p)) + ")"
}
