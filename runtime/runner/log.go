package runner

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Log collects a module's log within a bound. Every line becomes "LABEL text\n"
// with all but printable characters escaped, so that a module can neither forge
// a line nor drive a terminal. A line that exceeds the bound is cut, and nothing
// follows it. Not safe for concurrent use.
type Log struct {
	limit     uint64
	buf       []byte
	partial   []byte // an unfinished line of the stream
	truncated bool
}

// StreamLabel is the label of lines that a module writes to its stderr.
const StreamLabel = "STDERR"

// NewLog returns a Log of at most limit bytes.
func NewLog(limit uint64) *Log { return &Log{limit: limit} }

// Full reports whether nothing more is kept.
func (l *Log) Full() bool { return l.truncated }

// Add appends the lines of text under a label, which must be printable. A
// newline at the end adds no empty line.
func (l *Log) Add(label string, text []byte) {
	l.flush()
	text = bytes.TrimSuffix(text, []byte("\n"))
	for !l.truncated {
		line, rest, more := bytes.Cut(text, []byte("\n"))
		l.line(label, line)
		if !more {
			return
		}
		text = rest
	}
}

// Write takes the next bytes of stderr and keeps them as lines labelled
// StreamLabel. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !l.truncated {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		// A byte of text takes at least one byte of log: no more is worth holding.
		room := int(l.limit) - len(l.buf) + 1 - len(l.partial)
		l.partial = append(l.partial, line[:max(0, min(len(line), room))]...)
		if ended || len(line) >= room { // a line that cannot fit need not end
			l.line(StreamLabel, l.partial)
			l.partial = l.partial[:0]
		}
		p = rest
	}
	return n, nil
}

// Bytes ends the unfinished line and returns the log, and whether it was cut.
func (l *Log) Bytes() ([]byte, bool) {
	l.flush()
	return l.buf, l.truncated
}

func (l *Log) flush() {
	if len(l.partial) > 0 {
		l.line(StreamLabel, l.partial)
		l.partial = l.partial[:0]
	}
}

// line appends one line, or as much of it as fits with its newline.
func (l *Log) line(label string, text []byte) {
	if l.truncated {
		return
	}
	end := int(l.limit) - 1 // where the newline must stand at the latest
	if len(l.buf)+len(label)+1 > end {
		l.truncated = true
		return
	}
	l.buf = append(l.buf, label...)
	l.buf = append(l.buf, ' ')
	for len(text) > 0 {
		mark := len(l.buf)
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			l.buf = fmt.Appendf(l.buf, `\x%02x`, text[0])
		case strconv.IsPrint(r):
			l.buf = append(l.buf, text[:n]...)
		default:
			q := strconv.AppendQuoteRuneToASCII(nil, r)
			l.buf = append(l.buf, q[1:len(q)-1]...)
		}
		if len(l.buf) > end {
			l.buf = l.buf[:mark]
			l.truncated = true
			break
		}
		text = text[n:]
	}
	l.buf = append(l.buf, '\n')
}
