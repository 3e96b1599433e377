package manifest

import (
	"cmp"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// MaxVersion bounds the text of a version in bytes.
const MaxVersion = 128

// Version is a semantic version (semver.org 2.0.0), parsed.
type Version struct {
	core  [3]string
	pre   []string // pre-release identifiers
	build bool
}

// ParseVersion reads MAJOR.MINOR.PATCH with an optional -PRE and +BUILD; a
// build takes no part in order.
func ParseVersion(s string) (Version, error) {
	var v Version
	if len(s) > MaxVersion {
		return v, badVersion(s)
	}
	text, build, hasBuild := strings.Cut(s, "+")
	text, pre, hasPre := strings.Cut(text, "-")
	core := strings.Split(text, ".")
	if len(core) != 3 || hasBuild && !identifiers(build, false) || hasPre && !identifiers(pre, true) {
		return v, badVersion(s)
	}
	copy(v.core[:], core)
	v.build = hasBuild
	for _, n := range core {
		if !numeric(n) || n[0] == '0' && len(n) > 1 {
			return Version{}, badVersion(s)
		}
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	return v, nil
}

func badVersion(s string) error {
	return fault.New(ErrVersion, "%s is not a semantic version (MAJOR.MINOR.PATCH) of at most %d bytes", quote(s), MaxVersion)
}

// identifiers checks a dotted list; in a pre-release a number has no leading
// zeros.
func identifiers(list string, pre bool) bool {
	for id := range strings.SplitSeq(list, ".") {
		if id == "" || strings.IndexFunc(id, notIdentifier) >= 0 || pre && numeric(id) && id[0] == '0' && len(id) > 1 {
			return false
		}
	}
	return true
}

func notIdentifier(c rune) bool {
	return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-'
}

func numeric(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Compare orders versions by precedence: a pre-release comes before its
// release, numbers before words.
func (v Version) Compare(o Version) int {
	for i := range v.core {
		if c := compareIdentifiers(v.core[i], o.core[i]); c != 0 {
			return c
		}
	}
	if len(v.pre) == 0 || len(o.pre) == 0 {
		return cmp.Compare(len(o.pre), len(v.pre))
	}
	for i := range min(len(v.pre), len(o.pre)) {
		if c := compareIdentifiers(v.pre[i], o.pre[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.pre), len(o.pre))
}

// compareIdentifiers compares numbers of any length without overflow: they
// have no leading zeros, so the longer one is the greater.
func compareIdentifiers(a, b string) int {
	switch x, y := numeric(a), numeric(b); {
	case x && !y:
		return -1
	case y && !x:
		return 1
	case x && len(a) != len(b):
		return cmp.Compare(len(a), len(b))
	}
	return cmp.Compare(a, b)
}
