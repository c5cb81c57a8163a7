// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// An encoding is a form in which a file may lie beside itself.
type encoding struct{ coding, suffix string }

// encodings are the ones there are, the smaller first.
var encodings = []encoding{{"br", ".br"}, {"gzip", ".gz"}}

// acceptedEncodings returns the encodings that a client takes, what it likes best first (RFC 9110 §12.5.3). The file as it is
// comes after all of them, whatever the client says of that: clients that refuse it mean something else.
func acceptedEncodings(lines []string) []encoding {
	weights := make(map[string]float64)
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			coding = strings.ToLower(strings.TrimSpace(coding))
			weight := 1.0
			if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q="); ok {
				var err error
				if weight, err = strconv.ParseFloat(q, 64); err != nil {
					weight = 0
				}
			}
			if coding == "x-gzip" {
				coding = "gzip"
			}
			weights[coding] = weight
		}
	}
	weight := func(e encoding) float64 {
		if w, ok := weights[e.coding]; ok {
			return w
		}
		return weights["*"]
	}
	accepted := slices.DeleteFunc(slices.Clone(encodings), func(e encoding) bool { return !(weight(e) > 0) })
	slices.SortStableFunc(accepted, func(a, b encoding) int { return cmp.Compare(weight(b), weight(a)) })
	return accepted
}
