// SPDX-License-Identifier: MIT

package adjust

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes, or of anything, that may be written as "512K", "8M" or "1.5G", with or without a B or iB behind
// it: powers of 1024. It is a flag.Value, and an encoding.TextUnmarshaler.
type Size int64

// units are in the order of their powers.
const units = "KMGTPE"

// Set implements flag.Value.
func (n *Size) Set(s string) error {
	number, bits := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(s)), "B"), 0
	if text := strings.TrimSuffix(number, "I"); text != "" {
		if i := strings.IndexByte(units, text[len(text)-1]); i >= 0 {
			number, bits = strings.TrimSpace(text[:len(text)-1]), 10*(i+1)
		}
	}
	if v, err := strconv.ParseInt(number, 10, 64); err == nil {
		if v > math.MaxInt64>>bits || v < math.MinInt64>>bits {
			return fmt.Errorf("%q is too large", s)
		}
		*n = Size(v << bits)
		return nil
	}
	v, err := strconv.ParseFloat(number, 64)
	if v *= math.Pow(2, float64(bits)); err != nil || bits == 0 || math.IsNaN(v) || strings.ContainsAny(number, "xXeEpP_") {
		return fmt.Errorf("%q is not a number, such as 1000 or 512K", s)
	}
	if math.Abs(v) >= math.MaxInt64 {
		return fmt.Errorf("%q is too large", s)
	}
	*n = Size(v)
	return nil
}

// String returns the shortest exact form: "512K" for 524288.
func (n Size) String() string {
	unit := -1
	for n != 0 && n%1024 == 0 {
		n /= 1024
		unit++
	}
	if unit < 0 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatInt(int64(n), 10) + units[unit:unit+1]
}

// MarshalText implements encoding.TextMarshaler.
func (n Size) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Size) UnmarshalText(text []byte) error { return n.Set(string(text)) }
