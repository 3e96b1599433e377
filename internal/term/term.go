// Package term writes to people: it knows whether a stream is a terminal, how
// wide it is and whether colour is welcome, and it renders tables and a
// progress line. What goes to a pipe is plain and stable, so that it can be
// cut and compared; escape sequences go to terminals only.
//
// Text from packages, modules and other nodes must not drive the reader's
// terminal: Clean makes control characters, invalid UTF-8, direction overrides
// and invisible characters visible, and tables and progress lines apply it to
// all they are given.
package term

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// DefaultWidth is the width assumed where none is known, in columns.
const DefaultWidth = 80

// fder is what *os.File has and a buffer has not.
type fder interface{ Fd() uintptr }

// IsTerminal reports whether stream (a reader or writer) is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(fder)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ReadSecret reads a line from the terminal stream without showing it.
func ReadSecret(stream any) (string, error) {
	f, ok := stream.(fder)
	if !ok {
		return "", errors.ErrUnsupported
	}
	b, err := term.ReadPassword(int(f.Fd()))
	return string(b), err
}

// Width returns the columns of the terminal stream, or DefaultWidth.
func Width(stream any) int {
	if f, ok := stream.(fder); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return DefaultWidth
}

// Colour reports whether w may be sent colour: it is a terminal, TERM names
// one that is not dumb, and NO_COLOR is unset or empty. getenv returns the
// value of an environment variable.
func Colour(w io.Writer, getenv func(string) string) bool {
	return IsTerminal(w) && getenv("NO_COLOR") == "" && controllable(getenv)
}

// controllable reports whether the terminal understands escape sequences.
func controllable(getenv func(string) string) bool {
	name := getenv("TERM")
	return name != "" && name != "dumb"
}

// Clean returns s with everything that a terminal would obey or hide escaped
// as in Go: "\n", "\x1b", "\u202e". Backslashes stay as they are.
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			quoted := strconv.QuoteToGraphic(s[:n])
			if unicode.Is(unicode.Zs, r) { // graphic, yet looks like a space
				quoted = strconv.QuoteToASCII(s[:n])
			}
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func isClean(s string) bool {
	for _, r := range s {
		// RuneError may be a real U+FFFD; the slow path tells.
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// columns returns how many columns clean text takes: two for East Asian wide
// characters and emoji, none for combining marks.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul),
		r >= 0x3000 && r <= 0x303e, // CJK punctuation
		r >= 0xff01 && r <= 0xff60, // full-width forms
		r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

// fit cuts clean text to at most n columns.
func fit(s string, n int) string {
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > n {
			return s[:i]
		}
	}
	return s
}
