package process

import (
	"cmp"
	"strconv"
	"strings"
)

// number is a version as numbers, as far as it gives them.
type number []int

// parseNumber reads up to three numbers joined by dots.
func parseNumber(s string) (number, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return nil, false
	}
	var out number
	for _, p := range parts {
		if p == "" || len(p) > 9 || strings.Trim(p, "0123456789") != "" {
			return nil, false
		}
		n, err := strconv.Atoi(p)
		if err != nil {
			return nil, false
		}
		out = append(out, n)
	}
	return out, true
}

// compare orders v against a bound by as many numbers as the bound gives; what
// v does not give is 0.
func (v number) compare(bound number) int {
	for i, want := range bound {
		got := 0
		if i < len(v) {
			got = v[i]
		}
		if c := cmp.Compare(got, want); c != 0 {
			return c
		}
	}
	return 0
}

// meets reports whether a version meets a constraint: comparisons separated by
// one space, all of which must hold (RFC-MYTHOS-0006 §4). A comparison looks at
// as many numbers as it gives, so "=20" and "<=20" hold for 20.11, ">20" does
// not. "" is met by every version, one that cannot be read by none.
func meets(version, constraint string) bool {
	if constraint == "" {
		return true
	}
	v, ok := parseNumber(version)
	if !ok {
		return false
	}
	for part := range strings.SplitSeq(constraint, " ") {
		digits := strings.TrimLeft(part, "<>=")
		bound, ok := parseNumber(digits)
		if !ok || !holds(part[:len(part)-len(digits)], v.compare(bound)) {
			return false
		}
	}
	return true
}

func holds(operator string, c int) bool {
	switch operator {
	case ">=":
		return c >= 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case "<":
		return c < 0
	case "=":
		return c == 0
	}
	return false
}

// readVersion finds the version in what an interpreter says of itself, such as
// "v20.11.1" or "Python 3.13.0rc1": the first word that begins with numbers.
func readVersion(said string) string {
	for word := range strings.FieldsSeq(said) {
		word = strings.TrimPrefix(word, "v")
		end := 0
		for end < len(word) && (word[end] >= '0' && word[end] <= '9' || word[end] == '.') {
			end++
		}
		if v := strings.Trim(word[:end], "."); strings.Contains(v, ".") {
			if _, ok := parseNumber(v); ok {
				return v
			}
		}
	}
	return ""
}
