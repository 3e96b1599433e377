package record_test

import (
	"errors"
	"testing"

	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

func code(err error) string {
	var f *tool.Failure
	if errors.As(err, &f) {
		return f.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestRecord(t *testing.T) {
	v := tool.Map(
		record.Pair(1, tool.Text("a")), record.Pair(2, tool.Null()), record.Pair(3, tool.Bool(true)),
		record.Pair(4, tool.Bytes([]byte("b"))), record.Pair(5, tool.List(tool.Text("x"), tool.Text("y"))),
	)
	r, err := record.Read(v, 6)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{1: true, 2: false, 3: true, 6: false} {
		if r.Has(n) != want {
			t.Errorf("Has(%d) = %v", n, !want)
		}
	}
	text, err1 := r.Text(1)
	none, err2 := r.Text(2)
	yes, err3 := r.Bool(3)
	no, err4 := r.Bool(6)
	data, err5 := r.Data(4)
	same, err6 := r.Data(1)
	list, err7 := r.Texts(5, 2)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
	if text != "a" || none != "" || !yes || no || string(data) != "b" || string(same) != "a" || len(list) != 2 || list[1] != "y" {
		t.Errorf("got %q %q %v %v %q %q %q", text, none, yes, no, data, same, list)
	}
}

func TestRefusals(t *testing.T) {
	five := tool.Map(record.Pair(5, tool.List(tool.Text("x"), tool.Uint(1))))
	r, err := record.Read(five, 5)
	if err != nil {
		t.Fatal(err)
	}
	_, short := r.Items(5, 1)
	_, mixed := r.Texts(5, 2)
	_, text := r.Text(5)
	_, yes := r.Bool(5)
	_, data := r.Data(5)
	_, high := record.Read(five, 4)
	_, zero := record.Read(tool.Map(record.Pair(0, tool.Null())), 4)
	_, named := record.Read(tool.Map(tool.Pair{Key: tool.Text("csv"), Value: tool.Null()}), 4)
	_, list := record.Read(tool.List(), 4)
	for what, c := range map[string]struct {
		err  error
		want string
	}{
		"list too long": {short, "list_too_long"}, "no text in list": {mixed, "bad_request"}, "no text": {text, "bad_request"},
		"no bool": {yes, "bad_request"}, "no data": {data, "bad_request"}, "number too high": {high, "field_unknown"},
		"field 0": {zero, "field_unknown"}, "a name": {named, "bad_request"}, "no map": {list, "bad_request"},
	} {
		if got := code(c.err); got != c.want {
			t.Errorf("%s: got %q, want %q", what, got, c.want)
		}
	}
}
