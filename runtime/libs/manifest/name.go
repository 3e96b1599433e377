package manifest

import (
	"strconv"
	"strings"
)

// CheckName reports whether s may name a package or a tool:
// ^[a-z0-9]+([._/-][a-z0-9]+)*$, at most 128 bytes.
func CheckName(s string) bool { return checkWord(s, "._/-", MaxName) }

// CheckToolName is CheckName for a tool that a package brings: names below
// "mythos/" are the executor's own.
func CheckToolName(s string) bool { return CheckName(s) && !strings.HasPrefix(s, "mythos/") }

// CheckWord reports whether s may name a variant, an entry point or a feature:
// ^[a-z0-9]+([._-][a-z0-9]+)*$, at most 64 bytes.
func CheckWord(s string) bool { return checkWord(s, "._-", MaxWord) }

// checkWord matches ^[a-z0-9]+([joints][a-z0-9]+)*$ of at most limit bytes.
func checkWord(s, joints string, limit int) bool {
	if len(s) > limit {
		return false
	}
	joined := true // at a place where a letter or digit must follow
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			joined = false
		case joined || strings.IndexByte(joints, c) < 0:
			return false
		default:
			joined = true
		}
	}
	return !joined
}

// CheckPlatform reports whether s is OS/ARCH, each ^[a-z0-9]+(_[a-z0-9]+)*$, at
// most 64 bytes.
func CheckPlatform(s string) bool {
	system, arch, ok := strings.Cut(s, "/")
	return ok && len(s) <= MaxWord && checkWord(system, "_", MaxWord) && checkWord(arch, "_", MaxWord)
}

// checkConstraint reports whether s is a list of comparisons such as
// ">=3.10 <4", at most 64 bytes.
func checkConstraint(s string) bool {
	if len(s) > MaxWord {
		return false
	}
	for c := range strings.SplitSeq(s, " ") {
		digits := strings.TrimLeft(c, "<>=")
		switch c[:len(c)-len(digits)] {
		case ">=", "<=", ">", "<", "=":
		default:
			return false
		}
		parts := strings.Split(digits, ".")
		if len(parts) > 3 {
			return false
		}
		for _, n := range parts {
			if !numeric(n) || len(n) > 9 || n[0] == '0' && len(n) > 1 {
				return false
			}
		}
	}
	return true
}

// quote renders text from outside for a message.
func quote(s string) string {
	if len(s) > 100 {
		s = s[:100]
	}
	return strconv.QuoteToASCII(s)
}

// plain is quote for what is almost always a good name.
func plain(s string) string {
	if checkWord(s, "._/-", MaxName) {
		return s
	}
	return quote(s)
}
