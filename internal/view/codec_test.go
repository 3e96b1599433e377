package view

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// draw appends a random value of type t that a strict reader accepts; depth
// bounds recursion.
func draw(t *rapid.T, b []byte, typ Type, depth int, filled bool) []byte {
	least := 0
	if filled {
		least = 1
	}
	count := func() int {
		if depth <= 0 {
			return least
		}
		return rapid.IntRange(least, 3).Draw(t, "count")
	}
	switch typ.Kind {
	case "u8":
		return can.AppendUint(b, uint64(rapid.Uint8().Draw(t, "u8")))
	case "u16":
		return can.AppendUint(b, uint64(rapid.Uint16().Draw(t, "u16")))
	case "u32":
		return can.AppendUint(b, uint64(rapid.Uint32().Draw(t, "u32")))
	case "u64":
		return can.AppendUint(b, rapid.Uint64().Draw(t, "u64"))
	case "i64", "time":
		return can.AppendInt(b, rapid.Int64().Draw(t, "i64"))
	case "bool":
		return can.AppendBool(b, filled || rapid.Bool().Draw(t, "bool"))
	case "bytes":
		return can.AppendBytes(b, rapid.SliceOfN(rapid.Byte(), least, 9).Draw(t, "bytes"))
	case "text":
		return can.AppendText(b, rapid.StringN(least, 9, -1).Draw(t, "text"))
	case "fixed":
		return can.AppendBytes(b, rapid.SliceOfN(rapid.Byte(), typ.Size, typ.Size).Draw(t, "fixed"))
	case "raw":
		return can.AppendList(b, 0)
	case "list":
		n := count()
		b = can.AppendList(b, n)
		for range n {
			b = draw(t, b, *typ.Elem, depth-1, false)
		}
		return b
	case "map":
		n := count()
		b = can.AppendMap(b, n)
		for i := range n {
			if typ.Key == "text" {
				b = can.AppendText(b, string(rune('a'+i)))
			} else {
				b = can.AppendUint(b, uint64(i))
			}
			b = draw(t, b, *typ.Elem, depth-1, false)
		}
		return b
	}
	return drawStruct(t, b, typ, depth)
}

func drawStruct(t *rapid.T, b []byte, typ Type, depth int) []byte {
	if typ.Struct == "Hash" {
		h := cid.Sum(rapid.SliceOfN(rapid.Byte(), 1, 1).Draw(t, "hash"))
		return h.AppendCAN(b)
	}
	x, _ := Lookup(typ.Struct)
	var body []byte
	n := 0
	for _, f := range x.Fields {
		if f.Optional && (depth <= 0 || rapid.Bool().Draw(t, f.Name)) {
			continue
		}
		n++
		body = can.AppendField(body, f.Num)
		if f.Const != "" {
			body = can.AppendText(body, f.Const)
			continue
		}
		body = draw(t, body, f.Type, depth-1, f.Optional)
	}
	return append(can.AppendMap(b, n), body...)
}

// both decodes raw with the descriptors and with the generated codec, and
// fails the test unless they give one verdict, at one offset.
func both(t interface {
	Helper()
	Fatalf(string, ...any)
}, name string, raw []byte,
) (codec, error) {
	t.Helper()
	x := codecs()[name]()
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	want := r.Done()
	_, got := JSON(name, raw)
	var a, b *fault.Error
	errors.As(want, &a)
	errors.As(got, &b)
	if (a == nil) != (b == nil) || a != nil && (a.Code != b.Code || a.Offset != b.Offset) {
		t.Fatalf("%s: the codec says %v, the view %v: %x", name, want, got, raw)
	}
	return x, want
}

// TestCodecsAgree draws values of every struct: the generated codec re-encodes
// them to the same bytes, their view is JSON, and after any change of one byte
// codec and descriptors still give the same verdict.
func TestCodecsAgree(t *testing.T) {
	for name := range codecs() {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			raw := drawStruct(t, nil, Type{Kind: "struct", Struct: name}, 3)
			x, err := both(t, name, raw)
			if err != nil {
				t.Fatalf("%x: %v", raw, err)
			}
			if again := x.AppendCAN(nil); string(again) != string(raw) {
				t.Fatalf("re-encoded as %x, want %x", again, raw)
			}
			if text, err := JSON(name, raw); err != nil || !json.Valid(text) || strings.ContainsAny(string(text), "\n\r") {
				t.Fatalf("view %s, %v", text, err)
			}
			damaged := slices.Clone(raw)
			at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
			damaged[at] = rapid.Byte().Draw(t, "byte")
			_, _ = both(t, name, damaged)
			_, _ = both(t, name, raw[:at])
			_, _ = both(t, name, append(slices.Clone(raw), damaged[at]))
		}))
	}
}

// TestUnknownFields adds a field that no build knows behind the others: open
// structs step over it and show it, closed ones refuse it.
func TestUnknownFields(t *testing.T) {
	for name := range codecs() {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			raw := drawStruct(t, nil, Type{Kind: "struct", Struct: name}, 1)
			n := raw[1]
			more := append([]byte{can.Map, n + 1}, raw[2:]...)
			more = append(more, "\x03\x7f\x07\x01\x06\x01a"...)
			_, err := both(t, name, more)
			x, _ := Lookup(name)
			if x.Closed != (fault.CodeOf(err) == can.ErrUnknownField) || !x.Closed && err != nil {
				t.Fatalf("closed %t: %v", x.Closed, err)
			}
			if x.Closed {
				return
			}
			if text, _ := JSON(name, more); !strings.HasSuffix(string(text), `"unknown":{"127":["a"]}}`) || !json.Valid(text) {
				t.Fatalf("view %s", text)
			}
		}))
	}
}

// FuzzStructs holds the generated codecs of every struct to the descriptors
// on arbitrary bytes.
func FuzzStructs(f *testing.F) {
	var names []string
	for name := range codecs() {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		x := codecs()[name]()
		f.Add(uint8(i), x.AppendCAN(nil))
	}
	f.Fuzz(func(t *testing.T, i uint8, raw []byte) {
		name := names[int(i)%len(names)]
		x, err := both(t, name, raw)
		Identify(raw)
		if err != nil {
			return
		}
		first := x.AppendCAN(nil)
		y, err := both(t, name, first)
		if err != nil {
			t.Fatalf("%x: its re-encoding %x is refused: %v", raw, first, err)
		}
		if again := y.AppendCAN(nil); string(again) != string(first) {
			t.Fatalf("re-encoded as %x, then %x", first, again)
		}
		if desc, _ := Lookup(name); desc.Closed && string(first) != string(raw) {
			t.Fatalf("closed, yet %x comes back as %x", raw, first)
		}
	})
}
