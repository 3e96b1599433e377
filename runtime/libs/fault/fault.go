// Package fault holds the one error that every MYTHOS package returns: a
// stable code that scripts may branch on, what it is about, and why it
// happened. A code is declared once, as a constant, by the package that raises
// it:
//
//	const ErrTruncated fault.Code = "can_truncated"
//
// and branched on with errors.Is(err, ErrTruncated). Every code is listed in
// ctvp/errors.json with its layer, exit code, HTTP status and hint.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Code is a stable error code in snake_case. It is an error itself, so that a
// constant can be a sentinel.
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// Error explains one failure.
type Error struct {
	Code    Code
	Subject string // what failed: a path, an id, a field; may be empty
	Message string // got and want, in words; may be empty
	Offset  int    // byte offset in the subject, or NoOffset
	Cause   error  // what lies beneath; may be nil
}

// NoOffset marks an Error that has no byte offset.
const NoOffset = -1

// New returns an Error with a formatted message; %w keeps a cause. If the
// message ends with the cause's own code, that code is left out of it: readers
// are shown one code, the outermost, and the chain still has both.
func New(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause, text := errors.Unwrap(err), err.Error()
	if inner := CodeOf(cause); inner != "" {
		text = strings.TrimSuffix(text, " ("+string(inner)+")")
	}
	return &Error{Code: code, Message: text, Offset: NoOffset, Cause: cause}
}

// At returns an Error at a byte offset.
func At(code Code, offset int, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.Offset = offset
	return e
}

// About returns a copy of e that names its subject.
func (e *Error) About(subject string) *Error {
	c := *e
	c.Subject = subject
	return &c
}

// Error renders "subject: message at byte N (code)".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Subject != "" {
		b.WriteString(e.Subject + ": ")
	}
	b.WriteString(e.Message)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " at byte %d", e.Offset)
	}
	return b.String() + " (" + string(e.Code) + ")"
}

// Is reports whether target is this error's code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the outermost Error or Code in err's chain, or ""
// if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	var c Code
	if errors.As(err, &c) {
		return c
	}
	return ""
}
