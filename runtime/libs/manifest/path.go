package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of paths, in trees and in archives.
const (
	ErrPath          fault.Code = "path_invalid"   // a path that is not safe on every system
	ErrPathCollision fault.Code = "path_collision" // two paths that some system takes for one, or a file that is another's folder
)

// Bounds of paths (RFC-MYTHOS-0006 §5).
const (
	MaxPath    = 1024
	MaxSegment = 255
)

// CheckPath reports whether p may name a file of a tree or of an archive: 1 to
// 1024 bytes, segments of 1 to 255 bytes between slashes, each of ASCII
// letters, digits and ._@+~=,()[]!$- and space, not "." or "..", not ending in
// a dot or a space, and no Windows device. A path that passes is relative,
// stays below its root and means the same file on every system.
func CheckPath(p string) error {
	if len(p) == 0 || len(p) > MaxPath {
		return fault.New(ErrPath, "a path of %d bytes, want 1..%d", len(p), MaxPath)
	}
	for s := range strings.SplitSeq(p, "/") {
		if why := badSegment(s); why != "" {
			return fault.New(ErrPath, "%s", why).About(quote(p))
		}
	}
	return nil
}

func badSegment(s string) string {
	switch {
	case s == "":
		return "an empty segment (a path neither starts nor ends with a slash)"
	case len(s) > MaxSegment:
		return "a segment of more than 255 bytes"
	case s == "." || s == "..":
		return "a segment that is . or .."
	case strings.HasSuffix(s, ".") || strings.HasSuffix(s, " "):
		return "a segment that ends in a dot or a space"
	case strings.IndexFunc(s, badRune) >= 0:
		return "a character other than ASCII letters, digits, space and ._@+~=,()[]!$-"
	case device(s):
		return "a Windows device name"
	}
	return ""
}

func badRune(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return false
	}
	return !strings.ContainsRune("._@+~=,()[]!$- ", c)
}

// device reports whether Windows takes s for a device: it looks only at what
// stands before the first dot, without trailing spaces.
func device(s string) bool {
	stem, _, _ := strings.Cut(s, ".")
	switch stem = lower(strings.TrimRight(stem, " ")); stem {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	if len(stem) != 4 || stem[3] < '0' || stem[3] > '9' {
		return false
	}
	return stem[:3] == "com" || stem[:3] == "lpt"
}

// CheckPaths reports whether the paths, each good by CheckPath, can lie in one
// tree on every system: no two are equal after ASCII lower-casing, and none is
// another's folder.
func CheckPaths(paths []string) error {
	folded := make([]string, len(paths))
	for i, p := range paths {
		folded[i] = lower(p)
	}
	// With the slash below every other byte, whatever lies in a folder follows
	// the folder's own name at once, so that neighbours are all there is to see.
	slices.SortFunc(folded, comparePaths)
	for i := 1; i < len(folded); i++ {
		a, b := folded[i-1], folded[i]
		switch rest, ok := strings.CutPrefix(b, a); {
		case ok && rest == "":
			return fault.New(ErrPathCollision, "two paths are equal, or equal but for case").About(quote(b))
		case ok && rest[0] == '/':
			return fault.New(ErrPathCollision, "a file and the folder of %s", quote(b)).About(quote(a))
		}
	}
	return nil
}

func comparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			switch {
			case x == '/':
				return -1
			case y == '/':
				return 1
			}
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// lower is ASCII lower-casing: unlike Unicode's it never changes with the
// tables of a newer library.
func lower(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}
