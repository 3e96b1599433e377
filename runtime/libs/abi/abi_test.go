package abi

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func TestTypeIDs(t *testing.T) {
	if got, want := TypeAny, cid.Sum([]byte("\x06\x0fmythos.type/any")); got != want {
		t.Errorf("TypeAny is %s, want %s", got, want)
	}
	seen := map[cid.Hash]bool{}
	for _, id := range []cid.Hash{TypeAny, TypeNull, TypeBool, TypeU64, TypeI64, TypeBytes, TypeText, TypeList, TypeMap} {
		if seen[id] {
			t.Errorf("%s names two types", id)
		}
		seen[id] = true
	}
}

func TestToolID(t *testing.T) {
	base := ToolID("demo/echo", 1, TypeAny, TypeAny)
	raw := "\x08\x05\x03\x01\x06\x0bmythos.tool\x03\x02\x06\x09demo/echo\x03\x03\x03\x01\x03\x04" + hash(TypeAny) + "\x03\x05" + hash(TypeAny)
	if want := cid.Sum([]byte(raw)); base != want {
		t.Errorf("got %s, want the hash of its canonical identity %s", base, want)
	}
	for name, other := range map[string]cid.Hash{
		"name":      ToolID("demo/echo2", 1, TypeAny, TypeAny),
		"interface": ToolID("demo/echo", 2, TypeAny, TypeAny),
		"request":   ToolID("demo/echo", 1, TypeText, TypeAny),
		"response":  ToolID("demo/echo", 1, TypeAny, TypeText),
	} {
		if other == base {
			t.Errorf("the id does not cover the %s", name)
		}
	}
}

func hash(h cid.Hash) string { return string(h.AppendCAN(nil)) }

func TestBuiltinTool(t *testing.T) {
	for _, name := range []string{BlobPut, BlobGet, BlobChunkGet} {
		if got := BuiltinTool(ToolID(name, 1, TypeAny, TypeAny)); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
		if err := CheckToolName(name); err != nil {
			t.Error(err)
		}
	}
	if got := BuiltinTool(ToolID(BlobPut, 2, TypeAny, TypeAny)); got != "" {
		t.Errorf("interface 2 is taken for %q", got)
	}
}

func TestCheckToolName(t *testing.T) {
	for _, good := range []string{"a", "demo/echo", "a.b-c_d/9", strings.Repeat("a", MaxToolName)} {
		if err := CheckToolName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "A", "/a", "a/", "a//b", "a b", "a.-b", "\u00e4", "a\x00", strings.Repeat("a", MaxToolName+1)} {
		if err := CheckToolName(bad); !errors.Is(err, ErrToolName) {
			t.Errorf("%q: got %v, want %s", bad, err, ErrToolName)
		}
	}
}

func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 100, 127, 128, 16383, 16384, 70000}).Draw(t, "n")
		want := Request{ToolID: cid.Sum([]byte("t")), Payload: can.AppendBytes(nil, make([]byte, n)), IdemID: cid.Sum([]byte("i"))}
		raw := want.AppendCAN(nil)
		if got := RequestLen(want.Payload); got != len(raw) {
			t.Fatalf("RequestLen is %d, the request has %d bytes", got, len(raw))
		}
		got, err := DecodeRequest(raw)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDecodeRequestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		code    fault.Code
	}{
		"empty payload":     {"", ErrPayload},
		"two values":        {"\x00\x00", ErrPayload},
		"payload not can":   {"\x09", ErrPayload},
		"non-minimal value": {"\x03\x80\x00", ErrPayload},
	} {
		x := Request{Payload: []byte(c.payload)}
		if _, err := DecodeRequest(x.AppendCAN(nil)); !errors.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	response := Response{Status: 200, Payload: []byte{can.Null}}
	if _, err := DecodeRequest(response.AppendCAN(nil)); !errors.Is(err, can.ErrSchema) {
		t.Errorf("a response as a request: got %v, want %s", err, can.ErrSchema)
	}
	ok := Request{Payload: []byte{can.Null}}
	if _, err := DecodeRequest(append(ok.AppendCAN(nil), 0)); !errors.Is(err, can.ErrTrailing) {
		t.Errorf("a byte behind a request: got %v, want %s", err, can.ErrTrailing)
	}
}

func TestDecodeResponse(t *testing.T) {
	null := []byte{can.Null}
	for name, c := range map[string]struct {
		x    Response
		code fault.Code
	}{
		"ok":                  {Response{Status: 200, Payload: []byte{can.True}}, ""},
		"ok with null":        {Response{Status: 200, Payload: null}, ""},
		"failure":             {Response{Status: 404, Payload: null, Error: &Error{Code: "not_found", Message: "no such thing"}}, ""},
		"failure, no error":   {Response{Status: 500, Payload: null}, ""},
		"lowest status":       {Response{Status: 100, Payload: null}, ""},
		"longest error":       {Response{Status: 400, Payload: null, Error: &Error{Code: strings.Repeat("x", MaxErrorCode)}}, ""},
		"highest status":      {Response{Status: 599, Payload: null}, ""},
		"status 0":            {Response{Status: 0, Payload: null}, ErrResponse},
		"status 99":           {Response{Status: 99, Payload: null}, ErrResponse},
		"status 600":          {Response{Status: 600, Payload: null}, ErrResponse},
		"ok with an error":    {Response{Status: 200, Payload: null, Error: &Error{Code: "x"}}, ErrResponse},
		"failure and payload": {Response{Status: 500, Payload: []byte{can.True}}, ErrResponse},
		"empty error code":    {Response{Status: 500, Payload: null, Error: &Error{}}, ErrResponse},
		"endless error code":  {Response{Status: 500, Payload: null, Error: &Error{Code: strings.Repeat("x", MaxErrorCode+1)}}, ErrResponse},
		"no payload":          {Response{Status: 200}, ErrPayload},
		"payload and more":    {Response{Status: 200, Payload: []byte{can.True, can.True}}, ErrPayload},
	} {
		got, err := DecodeResponse(c.x.AppendCAN(nil))
		if c.code != "" {
			if !errors.Is(err, c.code) {
				t.Errorf("%s: got %v, want %s", name, err, c.code)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(c.x, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestFail(t *testing.T) {
	got, err := DecodeResponse(Fail(502, "bad_response", "no frame"))
	if err != nil {
		t.Fatal(err)
	}
	want := Response{Status: 502, Payload: []byte{can.Null}, Error: &Error{Code: "bad_response", Message: "no frame"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msgs := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 4).Draw(t, "msgs")
		var stream []byte
		for _, m := range msgs {
			stream = AppendFrame(stream, m)
		}
		r := iotest.OneByteReader(bytes.NewReader(stream))
		for _, m := range msgs {
			got, err := ReadFrame(r, 300)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, m) {
				t.Fatalf("got %x, want %x", got, m)
			}
		}
		if _, err := ReadFrame(r, 300); !errors.Is(err, ErrFrameEnd) || !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: got %v, want %s over EOF", err, ErrFrameEnd)
		}
	})
}

func TestReadFrameRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		code   fault.Code
	}{
		"nothing":             {"", ErrFrameEnd},
		"ends in the length":  {"\x80", ErrFrameTruncated},
		"ends in the body":    {"\x03ab", ErrFrameTruncated},
		"no body":             {"\x01", ErrFrameTruncated},
		"not minimal":         {"\x81\x00a", ErrFrameLength},
		"ten bytes, too big":  {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", ErrFrameLength},
		"eleven bytes":        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", ErrFrameLength},
		"not minimal at ten":  {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", ErrFrameLength},
		"one over":            {"\x11abcdefghijklmnopq", ErrFrameTooLarge},
		"the largest varint":  {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ErrFrameTooLarge},
		"text where a length": {"Segmentation fault\n", ErrFrameTooLarge},
	} {
		if _, err := ReadFrame(strings.NewReader(c.stream), 16); !errors.Is(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	broken := errors.New("broken pipe")
	if _, err := ReadFrame(iotest.ErrReader(broken), 16); !errors.Is(err, ErrFrameRead) || !errors.Is(err, broken) {
		t.Errorf("a failing stream: got %v, want %s over its cause", err, ErrFrameRead)
	}
	if _, err := ReadFrame(io.MultiReader(strings.NewReader("\x05a"), iotest.ErrReader(broken)), 16); !errors.Is(err, ErrFrameRead) {
		t.Errorf("a stream failing inside: got %v, want %s", err, ErrFrameRead)
	}
}

// TestReadFrameReadsNoMore guards what follows a frame.
func TestReadFrameReadsNoMore(t *testing.T) {
	r := strings.NewReader("\x02abrest")
	if _, err := ReadFrame(r, 2); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "rest" {
		t.Errorf("%q is left, want %q", rest, "rest")
	}
}

func FuzzRequest(f *testing.F) {
	x := Request{ToolID: TypeAny, Payload: can.AppendText(nil, "hello"), IdemID: TypeMap}
	f.Add(x.AppendCAN(nil))
	f.Add(append([]byte("\x08\x05"), append(x.AppendCAN(nil)[2:], "\x03\x09\x01"...)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := DecodeRequest(raw)
		if err != nil {
			return
		}
		if can.Valid(x.Payload) != nil {
			t.Fatal("an accepted payload is not a value")
		}
		again, err := DecodeRequest(x.AppendCAN(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(x, again); d != "" {
			t.Fatal(d)
		}
		if got, want := RequestLen(x.Payload), len(x.AppendCAN(nil)); got != want {
			t.Fatalf("RequestLen %d, want %d", got, want)
		}
	})
}

func FuzzResponse(f *testing.F) {
	ok := Response{Status: 200, Payload: can.AppendText(nil, "hello")}
	f.Add(ok.AppendCAN(nil))
	f.Add(Fail(502, "bad_response", "no frame"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := DecodeResponse(raw)
		if err != nil {
			return
		}
		if x.Status != StatusOK && string(x.Payload) != "\x00" || x.Status == StatusOK && x.Error != nil {
			t.Fatalf("accepted %+v", x)
		}
		again, err := DecodeResponse(x.AppendCAN(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(x, again); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add(AppendFrame(nil, []byte("hello")))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 1 << 16
		msg, err := ReadFrame(bytes.NewReader(stream), limit)
		if err != nil {
			return
		}
		if len(msg) > limit || !bytes.HasPrefix(stream, AppendFrame(nil, msg)) {
			t.Fatalf("read %x from %x", msg, stream)
		}
	})
}

// TestIDs derives the ids that stand in this package as bytes.
func TestIDs(t *testing.T) {
	for name, got := range map[string]cid.Hash{
		"any": TypeAny, "null": TypeNull, "bool": TypeBool, "u64": TypeU64, "i64": TypeI64,
		"bytes": TypeBytes, "text": TypeText, "list": TypeList, "map": TypeMap,
	} {
		if want := cid.Sum(can.AppendText(nil, "mythos.type/"+name)); got != want {
			t.Errorf("type %s is %s, want %s", name, got, want)
		}
	}
	for name, got := range map[string]cid.Hash{BlobPut: BlobPutID, BlobGet: BlobGetID, BlobChunkGet: BlobChunkGetID} {
		if want := ToolID(name, 1, TypeAny, TypeAny); got != want {
			t.Errorf("tool %s is %s, want %s", name, got, want)
		}
	}
}
