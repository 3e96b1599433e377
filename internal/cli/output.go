package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// printJSON writes v as one line of JSON, members in the order of its fields.
// What a terminal would obey or hide is escaped.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := a.Out.Write(escapeJSON(b.Bytes()))
	return err
}

// escapeJSON escapes the characters of JSON text that are not printable. They
// stand only inside strings.
func escapeJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out = append(out, text[:n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out
}

// jsonView returns the JSON view of one canonical value; nil is null.
func jsonView(raw []byte) (json.RawMessage, error) {
	if raw == nil {
		return json.RawMessage("null"), nil
	}
	b, err := can.AppendJSON(nil, raw)
	return b, err
}

// orNull returns nil for an empty text, so that JSON shows null.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// printf writes cleaned text: each argument that is a string is made safe for a
// terminal.
func (a *app) printf(format string, args ...any) error {
	for i, x := range args {
		switch x := x.(type) {
		case string:
			args[i] = term.Clean(x)
		case fmt.Stringer:
			args[i] = term.Clean(x.String())
		}
	}
	_, err := fmt.Fprintf(a.Out, format, args...)
	return err
}

// printTable writes a table, its header bold on a colour terminal.
func (a *app) printTable(t *term.Table) error {
	return t.Write(a.Out, term.Colour(a.Out, a.Getenv))
}

// printBinary writes bytes that are no text, but never to a terminal.
func (a *app) printBinary(b []byte) error {
	if term.IsTerminal(a.Out) {
		return usagef("standard output is a terminal; send the bytes to a file or a pipe")
	}
	_, err := a.Out.Write(b)
	return err
}

// printText writes text as it is, but cleaned line by line on a terminal.
func (a *app) printText(text string) error {
	if term.IsTerminal(a.Out) {
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			lines[i] = term.Clean(line)
		}
		text = strings.Join(lines, "\n")
	}
	_, err := a.Out.Write([]byte(text))
	return err
}

// yes is a truth value in a table.
func yes(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

// moreFailures ends the message of the first of several failures.
func moreFailures(n int) string {
	if n == 1 {
		return ", and one more failure"
	}
	return fmt.Sprintf(", and %d more failures", n)
}
