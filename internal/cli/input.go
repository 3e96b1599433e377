package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of what a command reads and writes itself.
const (
	ErrInput         fault.Code = "input_unreadable"
	ErrInputTooLarge fault.Code = "input_too_large"
	ErrOutput        fault.Code = "output_unwritable"
)

// readInput reads a file, or standard input if it is "-" or "", of at most
// limit bytes.
func (a *app) readInput(path string, limit int64) ([]byte, error) {
	in := a.In
	if path != "" && path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, inputError(path, err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, inputError(path, err)
	case int64(len(b)) > limit:
		return nil, aboutInput(path, fault.New(ErrInputTooLarge, "more than %d bytes", limit))
	}
	return b, nil
}

func inputError(path string, err error) error {
	return aboutInput(path, fault.New(ErrInput, "%w", plain(err)))
}

// fileError gives an error of writing path its code.
func fileError(path string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(ErrOutput, "%w", plain(err)).About(path)
}

// plain takes the path off an error whose subject will name it.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// aboutInput names the input that an error is about.
func aboutInput(path string, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About(inputName(path))
	}
	return err
}

// inputName is what readInput reads, in words.
func inputName(path string) string {
	if path == "" || path == "-" {
		return "standard input"
	}
	return path
}
