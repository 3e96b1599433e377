package conformance

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Hex is bytes, in JSON a string of lower-case hexadecimal digits.
type Hex []byte

// MarshalText returns the digits.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText parses what MarshalText returns.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || hex.EncodeToString(b) != string(text) {
		return errors.New("want an even number of lower-case hexadecimal digits")
	}
	*h = b
	return nil
}

// U64 is a u64, in JSON a decimal string.
type U64 uint64

// MarshalText returns the digits.
func (n U64) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(n), 10), nil }

// UnmarshalText parses what MarshalText returns.
func (n *U64) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil || strconv.FormatUint(v, 10) != string(text) {
		return fmt.Errorf("%.30q is no u64 in decimal digits", text)
	}
	*n = U64(v)
	return nil
}

// I64 is an i64 or a time, in JSON a decimal string.
type I64 int64

// MarshalText returns the digits.
func (n I64) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(n), 10), nil }

// UnmarshalText parses what MarshalText returns.
func (n *I64) UnmarshalText(text []byte) error {
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != string(text) {
		return fmt.Errorf("%.30q is no i64 in decimal digits", text)
	}
	*n = I64(v)
	return nil
}

// strictJSON decodes exactly one JSON value, whose members x must all have.
func strictJSON(b []byte, x any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(x); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// parseJSON decodes exactly one JSON value of any shape, numbers as their digits.
func parseJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return x, nil
}
