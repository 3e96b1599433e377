package can

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// unhex decodes hex with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantFault checks a code and its offset.
func wantFault(t *testing.T, err error, code fault.Code, offset int) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || f.Offset != offset {
		t.Errorf("got %v, want %s at byte %d", err, code, offset)
	}
}

func TestJSONView(t *testing.T) {
	for _, c := range []struct{ can, json string }{
		{"00", "null"},
		{"01", "false"},
		{"02", "true"},
		{"03 00", "0"},
		{"03 ff ff ff ff ff ff ff 0f", "9007199254740991"},
		{"03 80 80 80 80 80 80 80 10", `{"$u64":"9007199254740992"}`},
		{"03 ff ff ff ff ff ff ff ff ff 01", `{"$u64":"18446744073709551615"}`},
		{"04 00", `{"$i64":"0"}`},
		{"04 02", `{"$i64":"1"}`},
		{"04 01", "-1"},
		{"04 fd ff ff ff ff ff ff 1f", "-9007199254740991"},
		{"04 ff ff ff ff ff ff ff 1f", `{"$i64":"-9007199254740992"}`},
		{"04 ff ff ff ff ff ff ff ff ff 01", `{"$i64":"-9223372036854775808"}`},
		{"05 02 de ad", `{"$bytes":"dead"}`},
		{"05 00", `{"$bytes":""}`},
		{"06 00", `""`},
		{"06 03 68 c3 a9", `"hé"`},
		{"07 00", "[]"},
		{"07 03 03 01 04 02 00", `[1,{"$i64":"1"},null]`},
		{"08 00", "{}"},
		{"08 01 06 00 00", `{"":null}`},
		{"08 01 03 01 06 01 61", `{"$map":[[1,"a"]]}`},
		{"08 01 06 01 61 03 01", `{"a":1}`},
		{"08 01 06 02 24 61 03 01", `{"$map":[["$a",1]]}`},
		{"08 02 06 01 61 08 01 00 01 06 01 62 07 01 08 00", `{"a":{"$map":[[null,false]]},"b":[{}]}`},
		{"08 02 03 01 00 06 01 61 00", `{"$map":[[1,null],["a",null]]}`},
		{"08 01 08 00 00", `{"$map":[[{},null]]}`},
	} {
		raw := unhex(t, c.can)
		got, err := AppendJSON([]byte(">"), raw)
		if err != nil || string(got) != ">"+c.json {
			t.Errorf("AppendJSON(%s) = %s, %v; want %s", c.can, got, err, c.json)
		}
		back, err := FromJSON([]byte(c.json))
		if err != nil || !bytes.Equal(back, raw) {
			t.Errorf("FromJSON(%s) = %x, %v; want %x", c.json, back, err, raw)
		}
	}
}

func TestJSONOtherSpellings(t *testing.T) {
	for _, c := range []struct{ json, can string }{
		{" [ 1 ,\t2\r\n] ", "07 02 03 01 03 02"},
		{`{ "b" : 2 , "a" : 1 }`, "08 02 06 01 61 03 01 06 01 62 03 02"},
		{`{"aa":1,"b":2}`, "08 02 06 01 62 03 02 06 02 61 61 03 01"},
		{`{"$u64":"1"}`, "03 01"},
		{`{"$i64":"-1"}`, "04 01"},
		{`{"\u0024u64":"1"}`, "03 01"},
		{`{"$map":[["b",2],["a",1]]}`, "08 02 06 01 61 03 01 06 01 62 03 02"},
		{`{"$map":[[256,0],[129,0],[5,0]]}`, "08 03 03 05 03 00 03 80 02 03 00 03 81 01 03 00"},
		{`{"$map":[]}`, "08 00"},
		{`{ "$map" : [ [ 1 , 2 ] ] }`, "08 01 03 01 03 02"},
		{`"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"`, "06 0f 22 5c 2f 08 0c 0a 0d 09 00 c3 a9 f0 9f 98 80"},
		{"\"\U0001F600\ufeff\"", "06 07 f0 9f 98 80 ef bb bf"},
	} {
		got, err := FromJSON([]byte(c.json))
		if err != nil || !bytes.Equal(got, unhex(t, c.can)) {
			t.Errorf("FromJSON(%s) = %x, %v; want %s", c.json, got, err, c.can)
		}
	}
}

func TestFromJSONRefuses(t *testing.T) {
	for _, c := range []struct {
		json   string
		code   fault.Code
		offset int
	}{
		{"", ErrJSONSyntax, 0},
		{"  ", ErrJSONSyntax, 2},
		{"nul", ErrJSONSyntax, 0},
		{"True", ErrJSONSyntax, 0},
		{"NaN", ErrJSONSyntax, 0},
		{"+1", ErrJSONSyntax, 0},
		{"'a'", ErrJSONSyntax, 0},
		{"[1", ErrJSONSyntax, 2},
		{"[1,]", ErrJSONSyntax, 3},
		{"[1 2]", ErrJSONSyntax, 3},
		{"[,]", ErrJSONSyntax, 1},
		{`{"a"}`, ErrJSONSyntax, 4},
		{`{"a":1,}`, ErrJSONSyntax, 7},
		{`{a:1}`, ErrJSONSyntax, 1},
		{`{"a":1 "b":2}`, ErrJSONSyntax, 7},
		{`{`, ErrJSONSyntax, 1},
		{`"a`, ErrJSONSyntax, 2},
		{"\"a\nb\"", ErrJSONSyntax, 2},
		{"\"\x00\"", ErrJSONSyntax, 1},
		{`"\x41"`, ErrJSONSyntax, 1},
		{`"\u12"`, ErrJSONSyntax, 1},
		{`"\u+123"`, ErrJSONSyntax, 1},
		{`"\`, ErrJSONSyntax, 1},
		{"// c\n1", ErrJSONSyntax, 0},
		{"1.0", ErrJSONNumber, 0},
		{"[1e3]", ErrJSONNumber, 1},
		{"-0", ErrJSONNumber, 0},
		{"-", ErrJSONNumber, 0},
		{"007", ErrJSONNumber, 0},
		{"9007199254740992", ErrJSONNumber, 0},
		{"-9007199254740992", ErrJSONNumber, 0},
		{"99999999999999999999999", ErrJSONNumber, 0},
		{"\ufeff1", ErrJSONText, 0},
		{"[\"ab\xff\"]", ErrJSONText, 4},
		{"\"\xed\xa0\x80\"", ErrJSONText, 1},
		{"\"\xc0\x80\"", ErrJSONText, 1},
		{`"a\ud83d"`, ErrJSONText, 2},
		{`"\ude00\ud83d"`, ErrJSONText, 1},
		{`"\ud83dx"`, ErrJSONText, 1},
		{`{"a":1,"b":2,"a":3}`, ErrJSONDuplicate, 13},
		{`{"a":1,"\u0061":3}`, ErrJSONDuplicate, 7},
		{`{"$map":[[1,2],[{"$u64":"1"},2]]}`, ErrJSONDuplicate, 16},
		{`{"b":1,"a":1,"a":1,"b":1}`, ErrJSONDuplicate, 13},
		{`{"$foo":1}`, ErrJSONTyped, 1},
		{`{"$":1}`, ErrJSONTyped, 1},
		{`{"$u64":1}`, ErrJSONTyped, 8},
		{`{"$u64":"01"}`, ErrJSONTyped, 8},
		{`{"$u64":"-1"}`, ErrJSONTyped, 8},
		{`{"$u64":"+1"}`, ErrJSONTyped, 8},
		{`{"$u64":"18446744073709551616"}`, ErrJSONTyped, 8},
		{`{"$i64":"-0"}`, ErrJSONTyped, 8},
		{`{"$i64":"9223372036854775808"}`, ErrJSONTyped, 8},
		{`{"$bytes":"DEAD"}`, ErrJSONTyped, 10},
		{`{"$bytes":"abc"}`, ErrJSONTyped, 10},
		{`{"$bytes":"zz"}`, ErrJSONTyped, 10},
		{`{"$u64":"1","a":2}`, ErrJSONTyped, 1},
		{`{"a":2,"$u64":"1"}`, ErrJSONTyped, 7},
		{`{"$map":{}}`, ErrJSONTyped, 8},
		{`{"$map":[1]}`, ErrJSONTyped, 9},
		{`{"$map":[[1]]}`, ErrJSONSyntax, 11},
		{`{"$map":[[1,2,3]]}`, ErrJSONSyntax, 13},
		{"1 2", ErrJSONTrailing, 2},
		{"{}}", ErrJSONTrailing, 2},
		{"nullx", ErrJSONTrailing, 4},
		{strings.Repeat("[", 33), ErrJSONDepth, 32},
		{strings.Repeat(`{"a":`, 32) + "{}", ErrJSONDepth, 160},
		{strings.Repeat("[", 32) + `{"$map":[]}`, ErrJSONDepth, 32},
		{strings.Repeat(`{"$map":[[`, 32) + "[]", ErrJSONDepth, 320},
	} {
		t.Run(c.json, func(t *testing.T) {
			got, err := FromJSON([]byte(c.json))
			wantFault(t, err, c.code, c.offset)
			if got != nil {
				t.Errorf("got bytes %x with an error", got)
			}
		})
	}
}

func TestJSONDepth(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("[", 32) + strings.Repeat("]", 32),
		strings.Repeat("[", 32) + `{"$bytes":"00"}` + strings.Repeat("]", 32),
		strings.Repeat(`{"$map":[[`, 31) + "[]" + strings.Repeat(",1]]}", 31),
	} {
		raw, err := FromJSON([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		back, err := AppendJSON(nil, raw)
		if err != nil || string(back) != text {
			t.Errorf("%s came back as %s, %v", text, back, err)
		}
	}
}

// TestJSONEscapes holds every code point (beyond the first 3000 hex, where all
// that is escaped stands but U+FEFF, a sample) to encoding/json: what moves a
// cursor, hides or reorders text is never written as it is, and everything
// comes back.
func TestJSONEscapes(t *testing.T) {
	for c := rune(0); c <= 0x10ffff; c++ {
		if 0xd800 <= c && c < 0xe000 || c >= 0x3000 && c != 0xfeff && c%257 != 0 {
			continue
		}
		text := AppendJSONText(nil, "a"+string(c)+"b")
		plain := string(text) == `"a`+string(c)+`b"`
		if plain == escaped(c) {
			t.Fatalf("U+%04X is written %s", c, text)
		}
		var std string
		if err := json.Unmarshal(text, &std); err != nil || std != "a"+string(c)+"b" {
			t.Fatalf("U+%04X: encoding/json reads %q, %v", c, std, err)
		}
		raw, err := FromJSON(text)
		if err != nil || !bytes.Equal(raw, AppendText(nil, std)) {
			t.Fatalf("U+%04X: %x, %v", c, raw, err)
		}
	}
	for _, c := range "\x00\x1f\x7f\u0080\u009b\u009f\u061c\u200e\u2028\u202e\u2066\u2069\ufeff\"\\" {
		if !escaped(c) {
			t.Errorf("U+%04X is not escaped", c)
		}
	}
}

func TestAppendJSONRefuses(t *testing.T) {
	got, err := AppendJSON([]byte("kept"), unhex(t, "07 02 00 09"))
	wantFault(t, err, ErrTag, 3)
	if got != nil {
		t.Errorf("got %s with an error", got)
	}
}

// FuzzFromJSON holds FromJSON to encoding/json and to its own inverse.
func FuzzFromJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2,{"$u64":"3"},{"$i64":"4"},{"$bytes":"05"},{"$map":[[1,2],[null,{}]]}],"b":"\ud83d\ude00"}`,
		`[null,true,false]`, `-0`, `1e3`, `{"a":1,"a":2}`, `"\ud83d"`, `[[[[]]]]`, "\ufeff1", ` 1 `, `{"$map":[[2,1],[1,2]]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		raw, err := FromJSON(text)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code: %v", err)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatal("encoding/json says that this is not JSON")
		}
		if err := Valid(raw); err != nil {
			t.Fatalf("%x: %v", raw, err)
		}
		view, err := AppendJSON(nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := FromJSON(view); err != nil || !bytes.Equal(back, raw) {
			t.Fatalf("%s: %x, %v; want %x", view, back, err, raw)
		}
	})
}
