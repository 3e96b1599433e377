package ctvp

import (
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	if _, err := Errors(); err != nil {
		t.Fatal(err)
	}
}

func TestParseErrors(t *testing.T) {
	const a = `{"code":"a_b","layer":"invalid","exit":3,"http":422,"hint":"Do this."}`
	const b = `{"code":"b","layer":"trap","exit":8,"http":500,"hint":"Do that."}`
	table := func(codes ...string) string {
		return `{"schema":"` + ErrorsSchema + `","codes":[` + strings.Join(codes, ",") + `]}`
	}
	got, err := ParseErrors([]byte(table(a, b)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != (ErrorEntry{"a_b", "invalid", 3, 422, "Do this."}) || got[1].Code != "b" {
		t.Errorf("got %+v", got)
	}
	for name, c := range map[string]struct{ doc, want string }{
		"not json":          {`{`, "unexpected EOF"},
		"trailing data":     {table(a) + `{}`, "data after"},
		"other schema":      {`{"schema":"mythos.errors/2","codes":[]}`, "schema is"},
		"unknown field":     {strings.Replace(table(a), `"exit"`, `"exits"`, 1), "unknown field"},
		"unsorted":          {table(b, a), "does not come after"},
		"twice":             {table(a, a), "does not come after"},
		"not snake_case":    {table(strings.Replace(a, "a_b", "a__b", 1)), "snake_case"},
		"unknown layer":     {table(strings.Replace(a, "invalid", "odd", 1)), "layer is"},
		"exit code 0":       {table(strings.Replace(a, `"exit":3`, `"exit":0`, 1)), "exit code is 0"},
		"exit code 9":       {table(strings.Replace(a, `"exit":3`, `"exit":9`, 1)), "exit code is 9"},
		"http status 200":   {table(strings.Replace(a, "422", "200", 1)), "http status is 200"},
		"http status 600":   {table(strings.Replace(a, "422", "600", 1)), "http status is 600"},
		"hint of one blank": {table(strings.Replace(a, "Do this.", " ", 1)), "no hint"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseErrors([]byte(c.doc))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
