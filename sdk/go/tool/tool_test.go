//go:build !wasip1

package tool

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// request returns a ToolRequest with this payload.
func request(payload []byte) []byte {
	hash := append([]byte{tagMap, 2, tagUint, 1, tagUint, 1, tagUint, 2}, appendSized(nil, tagBytes, make([]byte, 32))...)
	b := appendSized([]byte{tagMap, 4, tagUint, 1}, tagText, requestSchema)
	b = append(append(b, tagUint, 2), hash...)
	b = appendSized(append(b, tagUint, 3), tagBytes, payload)
	return append(append(b, tagUint, 4), hash...)
}

func success(v Value) []byte { return appendResponse(nil, 200, v.Raw(), nil) }

func failure(status int, code, message string) []byte {
	return appendResponse(nil, status, []byte{tagNull}, &Failure{Code: code, Message: message})
}

func TestAnswer(t *testing.T) {
	returns := func(v Value, err error) Func { return func(*Call) (Value, error) { return v, err } }
	fails := func(err error) Func { return returns(Null(), err) }
	deep := Null()
	for range 33 {
		deep = List(deep)
	}
	toolError := failure(500, "tool_error", "")
	bad := failure(400, "bad_request", "")
	for name, c := range map[string]struct {
		tool Func
		want []byte
	}{
		"echo":                {func(c *Call) (Value, error) { return c.Payload, nil }, success(Text("hello"))},
		"a value":             {returns(Uint(7), nil), success(Uint(7))},
		"nothing":             {returns(Value{}, nil), success(Null())},
		"a failure":           {fails(Fail(404, "not_found", "no such key")), failure(404, "not_found", "no such key")},
		"wrapped":             {fails(fmt.Errorf("get: %w", Fail(404, "not_found", ""))), failure(404, "not_found", "")},
		"status 200":          {fails(Fail(200, "fine", "")), toolError},
		"status 99":           {fails(Fail(99, "x", "")), toolError},
		"status 600":          {fails(Fail(600, "x", "")), toolError},
		"no code":             {fails(Fail(500, "", "")), toolError},
		"the longest code":    {fails(Fail(500, strings.Repeat("x", 128), "")), failure(500, strings.Repeat("x", 128), "")},
		"a longer code":       {fails(Fail(500, strings.Repeat("x", 129), "")), toolError},
		"a code not UTF-8":    {fails(Fail(500, "\xff", "")), toolError},
		"a message not UTF-8": {fails(Fail(500, "x", "\xff")), toolError},
		"another error":       {fails(io.ErrUnexpectedEOF), toolError},
		"a panic":             {func(*Call) (Value, error) { panic("no") }, toolError},
		"a runtime panic":     {func(c *Call) (Value, error) { _ = c.Payload.Raw()[1<<20]; return Null(), nil }, toolError},
		"too deep":            {returns(deep, nil), toolError},
		"text not UTF-8":      {returns(Text("\xff"), nil), toolError},
		"a key twice":         {returns(Map(Pair{Uint(1), Null()}, Pair{Uint(1), Null()}), nil), toolError},
		"another type":        {func(c *Call) (Value, error) { _, err := c.Payload.Uint(); return Null(), err }, bad},
		"a missing member":    {func(c *Call) (Value, error) { return c.Payload.Get("x"), nil }, bad},
		"and in a list":       {func(c *Call) (Value, error) { return List(Null(), c.Payload.Get("x")), nil }, bad},
		"and in a map":        {func(c *Call) (Value, error) { return Object(map[string]Value{"y": c.Payload.Get("x")}), nil }, bad},
	} {
		if got := answer(c.tool, request(Text("hello").Raw())); !bytes.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestAnswerBadRequest(t *testing.T) {
	never := func(*Call) (Value, error) { t.Error("the tool was called"); return Null(), nil }
	for _, raw := range [][]byte{nil, []byte("garbage"), request(nil), request([]byte{9}), append(request([]byte{0}), 0)} {
		if got, want := answer(never, raw), failure(400, "bad_request", ""); !bytes.Equal(got, want) {
			t.Errorf("%x: got %q, want %q", raw, got, want)
		}
	}
}

func TestValue(t *testing.T) {
	v := Object(map[string]Value{"name": Text("x"), "n": Int(-5), "raw": Bytes([]byte{1}), "list": List(Uint(1), Bool(true))})
	if got := v.Len(); got != 4 {
		t.Errorf("Len is %d", got)
	}
	n, err := v.Get("n").Int()
	if n != -5 || err != nil {
		t.Errorf("Int: %d, %v", n, err)
	}
	if _, ok := v.Lookup("no"); ok {
		t.Error("Lookup found what is not there")
	}
	if x, ok := v.Lookup("name"); !ok || x.Kind() != KindText {
		t.Errorf("Lookup: %v %v", x.Kind(), ok)
	}
	missing := v.Get("no").Get("deeper")
	if _, err := missing.Text(); err == nil || missing.Kind() != KindNone || missing.Err() == nil {
		t.Errorf("a missing member: %v, %v", missing.Kind(), err)
	}
	if _, err := Uint(5).Int(); err == nil {
		t.Error("a UVARINT was taken for an IVARINT")
	}
	if _, err := Parse([]byte{tagText, 1, 0xff}); err == nil {
		t.Error("Parse took text that is not UTF-8")
	}
}

// TestServe talks to a worker over frames.
func TestServe(t *testing.T) {
	frame := func(b []byte) string { return string(append(appendUvarint(nil, uint64(len(b))), b...)) }
	echo := func(c *Call) (Value, error) { return c.Payload, nil }
	one, two := request(Text("one").Raw()), request(Bytes(make([]byte, 70000)).Raw())
	for name, c := range map[string]struct {
		in, out string
		err     error
	}{
		"nothing":         {"", "", nil},
		"two calls":       {frame(one) + frame(two), frame(success(Text("one"))) + frame(success(Bytes(make([]byte, 70000)))), nil},
		"a bad request":   {frame(nil), frame(failure(400, "bad_request", "")), nil},
		"a cut frame":     {frame(one) + "\x05ab", frame(success(Text("one"))), errFrameCut},
		"too long":        {"\x81\x80\x80\x08", "", errFrameLarge},
		"4 GiB":           {"\x80\x80\x80\x80\x10", "", errFrameLarge},
		"not minimal":     {"\x80\x00", "", errFrameLength},
		"a broken stream": {"", "", iotest.ErrTimeout},
	} {
		var out bytes.Buffer
		in := io.Reader(iotest.OneByteReader(strings.NewReader(c.in)))
		if c.err == iotest.ErrTimeout {
			in = iotest.ErrReader(c.err)
		}
		if err := serve(echo, bufio.NewReader(in), &out); !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
		if d := cmp.Diff(c.out, out.String()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	broken, w := io.Pipe()
	broken.Close()
	if err := serve(echo, bufio.NewReader(strings.NewReader(frame(one))), w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed output: got %v", err)
	}
}

// value draws a value of at most depth containers.
func value(depth int) *rapid.Generator[Value] {
	return rapid.Custom(func(t *rapid.T) Value {
		top := 7
		if depth == 0 {
			top = 5
		}
		switch rapid.IntRange(0, top).Draw(t, "kind") {
		case 1:
			return Bool(rapid.Bool().Draw(t, "b"))
		case 2:
			return Uint(rapid.Uint64().Draw(t, "u"))
		case 3:
			return Int(rapid.Int64().Draw(t, "i"))
		case 4:
			return Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "raw"))
		case 5:
			return Text(rapid.String().Draw(t, "s"))
		case 6:
			return List(rapid.SliceOfN(value(depth-1), 0, 5).Draw(t, "items")...)
		case 7:
			keys := rapid.SliceOfNDistinct(value(depth-1), 0, 5, func(v Value) string { return string(v.Raw()) }).Draw(t, "keys")
			pairs := make([]Pair, len(keys))
			for i, k := range keys {
				pairs[i] = Pair{k, value(depth-1).Draw(t, "value")}
			}
			return Map(pairs...)
		}
		return Null()
	})
}

func TestBuiltValuesAreCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := value(3).Draw(t, "v")
		parsed, err := Parse(v.Raw())
		if err != nil {
			t.Fatalf("%x: %v", v.Raw(), err)
		}
		again, err := rebuild(parsed)
		if err != nil || !bytes.Equal(again.Raw(), v.Raw()) {
			t.Fatalf("%x became %x, %v", v.Raw(), again.Raw(), err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(request(Text("hello").Raw()))
	f.Add(request(Map(Pair{Uint(1), List(Null())}).Raw()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		again := func(c *Call) (Value, error) { return rebuild(c.Payload) }
		same := func(c *Call) (Value, error) { return c.Payload, nil }
		if a, b := answer(again, raw), answer(same, raw); !bytes.Equal(a, b) {
			t.Errorf("%x: built again %x, passed on %x", raw, a, b)
		}
	})
}
