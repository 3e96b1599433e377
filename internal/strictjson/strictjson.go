// Package strictjson reads the JSON files that people write, such as trust files and
// ring policies. It refuses what encoding/json passes over: unknown members, names in
// another case, a name that stands twice, null, text that is not UTF-8, and anything
// after the value.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Shape lists the members of the object at each place of a file. The top is "", a
// member adds "." and its name, an item of a list "[]": ".entries[].keys[]". A list
// of plain values has a place with no members.
type Shape map[string][]string

// Decode checks raw against a shape and decodes it into a value.
func Decode(raw []byte, shape Shape, into any) error {
	if !utf8.Valid(raw) {
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := shape.check(d, ""); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands after the JSON object")
	}
	return json.Unmarshal(raw, into)
}

// check walks one value.
func (s Shape) check(d *json.Decoder, place string) error {
	tok, err := d.Token()
	switch {
	case err != nil:
		return err
	case tok == nil:
		return fmt.Errorf("null at %s: leave the key out", name(place))
	case tok == json.Delim('['):
		if _, ok := s[place+"[]"]; !ok {
			return fmt.Errorf("a list at %s", name(place)) // and no nesting without end
		}
		for d.More() {
			if err := s.check(d, place+"[]"); err != nil {
				return err
			}
		}
	case tok == json.Delim('{'):
		if err := s.object(d, place); err != nil {
			return err
		}
	default:
		return nil
	}
	_, err = d.Token() // the closing delimiter
	return err
}

func (s Shape) object(d *json.Decoder, place string) error {
	known := s[place]
	if known == nil {
		return fmt.Errorf("an object at %s", name(place))
	}
	var seen []string
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string)
		switch {
		case !slices.Contains(known, key):
			return fmt.Errorf("unknown key %q: want one of %s", key, strings.Join(known, ", "))
		case slices.Contains(seen, key):
			return fmt.Errorf("key %q stands twice in one object", key)
		}
		seen = append(seen, key)
		if err := s.check(d, place+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func name(place string) string {
	if place == "" {
		return "the top"
	}
	return strings.TrimPrefix(place, ".")
}
