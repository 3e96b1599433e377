// Package ctvp embeds the conformance pack, which README.md describes, and
// errors.json, the table of every stable error code:
//
//	{"schema": "mythos.errors/1", "codes": [
//	  {"code": "can_tag", "layer": "malformed", "exit": 3, "http": 400, "hint": "..."}]}
//
// Codes are unique and ascending. The layer says what kind of failure it is,
// exit is the exit code of a command that ends with it, http the status of a
// service that answers with it, and hint says what to do next. The file is
// read by programs in other languages too: entries are added, never renamed.
package ctvp

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// ErrorEntry is one row of the error table.
type ErrorEntry struct {
	Code  string `json:"code"`  // snake_case, stable
	Layer string `json:"layer"` // one of Layers
	Exit  int    `json:"exit"`  // exit code of a command, 1..8 or 130
	HTTP  int    `json:"http"`  // status of a response, 400..599
	Hint  string `json:"hint"`  // what to do next, one sentence
}

// ErrorsSchema is the schema name that errors.json carries.
const ErrorsSchema = "mythos.errors/1"

//go:embed errors.json
var errorsJSON string

//go:embed README.md SHA256SUMS errors.json flags.json keys manifest.json schemas vectors
var pack embed.FS

// Files returns the files of the pack, as they stand in this folder.
func Files() fs.FS { return pack }

var codeForm = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Layers returns the kinds of failure, from bad bytes to a missing service.
func Layers() []string {
	return []string{"malformed", "invalid", "unauthorised", "conflict", "exhausted", "trap", "unavailable"}
}

// Errors returns the table of error codes, ascending by code.
func Errors() ([]ErrorEntry, error) {
	return ParseErrors([]byte(errorsJSON))
}

// ParseErrors reads an error table and checks every row; the error names the
// first row that is wrong.
func ParseErrors(b []byte) ([]ErrorEntry, error) {
	var table struct {
		Schema string       `json:"schema"`
		Codes  []ErrorEntry `json:"codes"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&table); err != nil {
		return nil, fmt.Errorf("error table: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("error table: data after the document")
	}
	if table.Schema != ErrorsSchema {
		return nil, fmt.Errorf("error table: schema is %q, want %q", table.Schema, ErrorsSchema)
	}
	last := ""
	for _, e := range table.Codes {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("error table: code %q: %w", e.Code, err)
		}
		if e.Code <= last {
			return nil, fmt.Errorf("error table: code %q does not come after %q", e.Code, last)
		}
		last = e.Code
	}
	return table.Codes, nil
}

func (e ErrorEntry) check() error {
	switch {
	case !codeForm.MatchString(e.Code):
		return errors.New("not snake_case")
	case !slices.Contains(Layers(), e.Layer):
		return fmt.Errorf("layer is %q, want one of %v", e.Layer, Layers())
	case (e.Exit < 1 || e.Exit > 8) && e.Exit != 130:
		return fmt.Errorf("exit code is %d, want 1 to 8 or 130", e.Exit)
	case e.HTTP < 400 || e.HTTP > 599:
		return fmt.Errorf("http status is %d, want 400 to 599", e.HTTP)
	case strings.TrimSpace(e.Hint) == "":
		return errors.New("no hint")
	}
	return nil
}
