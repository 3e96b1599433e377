package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

const (
	errA Code = "a_failed"
	errB Code = "b_failed"
)

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*Error{
		"got 1, want 2 (a_failed)":           New(errA, "got %d, want %d", 1, 2),
		"got 1 at byte 0 (a_failed)":         At(errA, 0, "got 1"),
		"file x: got 1 at byte 7 (a_failed)": At(errA, 7, "got %d", 1).About("file x"),
		"dir: file: EOF (a_failed)":          New(errA, "file: %w", io.EOF).About("dir"),
		"outer: inner (a_failed)":            New(errA, "outer: %w", New(errB, "inner")),
		"100% (a_failed)":                    New(errA, "%s", "100%"),
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBranching(t *testing.T) {
	inner := New(errB, "inner: %w", io.EOF)
	err := fmt.Errorf("wrapped: %w", New(errA, "outer: %w", inner))
	for _, target := range []error{errA, errB, io.EOF, inner} {
		if !errors.Is(err, target) {
			t.Errorf("%v is not found in %v", target, err)
		}
	}
	if errors.Is(inner, errA) || errors.Is(New(errA, "x"), io.EOF) {
		t.Error("found what is not there")
	}
	var e *Error
	if !errors.As(err, &e) || e.Code != errA {
		t.Errorf("the outermost error is %v", e)
	}
}

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Code
	}{
		{nil, ""},
		{io.EOF, ""},
		{errA, errA},
		{fmt.Errorf("x: %w", errB), errB},
		{New(errA, "x: %w", New(errB, "y")), errA},
		{fmt.Errorf("x: %w", New(errB, "y")), errB},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

// TestAboutCopies: naming a subject leaves the error it was called on alone.
func TestAboutCopies(t *testing.T) {
	e := At(errA, 3, "m")
	about := e.About("s")
	if e.Subject != "" || about.Subject != "s" || about.Offset != 3 || about.Code != errA {
		t.Errorf("got %+v and %+v", e, about)
	}
	if New(errA, "m").Offset != NoOffset {
		t.Error("New sets an offset")
	}
}
