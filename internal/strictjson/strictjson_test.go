package strictjson

import (
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	shape := Shape{"": {"a", "list", "items"}, ".list[]": nil, ".items[]": {"b"}}
	for in, want := range map[string]string{
		`{"a": 1, "list": [1, "x"], "items": [{"b": 2}]}`: "",
		`{"A": 1}`:                "unknown key",
		`{"a": 1, "a": 2}`:        "twice",
		`{"a": null}`:             "null at a",
		`{"a": {}}`:               "an object at a",
		`{"a": [1]}`:              "a list at a",
		`{"list": [[1]]}`:         "a list at list[]",
		`{"list": [{}]}`:          "an object at list[]",
		`{"items": [{"c": 1}]}`:   "unknown key",
		`{} {}`:                   "stands after",
		"{\"a\": \"\xff\"}":       "UTF-8",
		`{"a": "x"}`:              "cannot unmarshal",
		`[`:                       "a list at the top",
		`{"a": 1`:                 "EOF",
		strings.Repeat("[", 1000): "a list at the top",
	} {
		var v struct {
			A     int   `json:"a"`
			List  []any `json:"list"`
			Items []struct {
				B int `json:"b"`
			} `json:"items"`
		}
		err := Decode([]byte(in), shape, &v)
		switch {
		case want == "" && (err != nil || v.A != 1 || len(v.List) != 2 || v.Items[0].B != 2):
			t.Errorf("%s: %+v, %v", in, v, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a": 1, "items": [{"b": 2}]}`))
	shape := Shape{"": {"a", "items"}, ".items[]": {"b"}}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v map[string]any
		if Decode(in, shape, &v) == nil && len(v) > 2 {
			t.Fatalf("%s: %v", in, v)
		}
	})
}
