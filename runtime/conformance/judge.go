package conformance

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Judge holds an answer to what a vector expects and returns why it is wrong, or
// "". It is for answers to its own request that are not Unsupported.
func (c *Case) Judge(a Answer) string {
	switch {
	case a.OK && a.Error != "":
		return fmt.Sprintf("the answer is ok and has the error %.80q", a.Error)
	case c.Result == Valid && a.OK, c.Result == Acceptable && a.OK:
		return differ(a.Output, c.Expect.Output)
	case c.Result == Valid:
		return fmt.Sprintf("refused with %s, must be accepted", described(a))
	case a.OK:
		return fmt.Sprintf("accepted, must be refused with %s: output %.200s", c.Expect.Error, a.Output)
	case a.Error != c.Expect.Error:
		return fmt.Sprintf("refused with %s, want %s", described(a), c.Expect.Error)
	case c.Expect.Offset != nil && (a.Offset == nil || *a.Offset != *c.Expect.Offset):
		return fmt.Sprintf("refused with %s, want it at byte %d", described(a), *c.Expect.Offset)
	}
	return ""
}

// described names the code and offset of a refusal.
func described(a Answer) string {
	switch {
	case a.Error == "":
		return "no code"
	case a.Offset == nil:
		return fmt.Sprintf("%.80q", a.Error)
	}
	return fmt.Sprintf("%.80q at byte %d", a.Error, *a.Offset)
}

// differ compares the members of want, a JSON object, with those of got, and
// names the first one, by name, that is another.
func differ(got, want json.RawMessage) string {
	wanted, err := members(want)
	if err != nil {
		return "the vector's output: " + err.Error()
	}
	has, err := members(got)
	if err != nil {
		return "the output: " + err.Error()
	}
	var names []string
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, ok := has[name]
		if !ok {
			return fmt.Sprintf("the output has no member %q", name)
		}
		if !reflect.DeepEqual(value, wanted[name]) {
			return fmt.Sprintf("output %s is %s, want %s", name, short(value), short(wanted[name]))
		}
	}
	return ""
}

// members decodes a JSON object; nothing at all is an empty one.
func members(raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	x, err := parseJSON(raw)
	if err != nil {
		return nil, err
	}
	m, ok := x.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%.80s is not a JSON object", raw)
	}
	return m, nil
}

// short renders a value for a message.
func short(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		return err.Error()
	}
	text := strings.ToValidUTF8(string(b), "?")
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return text
}
