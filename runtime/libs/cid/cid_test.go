package cid

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWorkedExample is the one of RFC-MYTHOS-0001 §2.2.
func TestWorkedExample(t *testing.T) {
	h := Sum([]byte("hello"))
	want := unhex(t, "08 02 03 01 03 01 03 02 05 20"+hello)
	if got := h.AppendCAN(nil); !bytes.Equal(got, want) {
		t.Errorf("got % x", got)
	}
	if h.String() != "sha256:"+hello || h.Hex() != hello || h.IsZero() || !(Hash{}).IsZero() {
		t.Errorf("got %s", h)
	}
	if other := Sum(nil); h.Compare(other) >= 0 || other.Compare(h) <= 0 || h.Compare(h) != 0 {
		t.Error("hashes are not ordered by their bytes")
	}
}

func TestText(t *testing.T) {
	h := Sum([]byte("hello"))
	if got, err := Parse(h.String()); got != h || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	text, err := json.Marshal(h)
	var back Hash
	if err != nil || json.Unmarshal(text, &back) != nil || back != h {
		t.Errorf("%s came back as %s", text, back)
	}
	for name, s := range map[string]string{
		"empty":      "",
		"no prefix":  hello,
		"prefix":     "sha256:",
		"case":       "SHA256:" + hello,
		"upper":      "sha256:" + strings.ToUpper(hello),
		"short":      "sha256:" + hello[1:],
		"long":       "sha256:" + hello + "0",
		"not hex":    "sha256:" + hello[1:] + "g",
		"space":      " sha256:" + hello,
		"other":      "sha512:" + hello,
		"no UTF-8":   "sha256:" + hello[2:] + "\xff\xff",
		"very large": strings.Repeat("x", 1<<20),
	} {
		got, err := Parse(s)
		if !errors.Is(err, ErrText) || !got.IsZero() || len(err.Error()) > 500 {
			t.Errorf("%s: got %s, %.500v", name, got, err)
		}
		if err := back.UnmarshalText([]byte(s)); !errors.Is(err, ErrText) {
			t.Errorf("%s: UnmarshalText: %.500v", name, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		in     string
		code   fault.Code
		offset int
	}{
		{"", can.ErrTruncated, 0},
		{"08 01 03 01 03 01", can.ErrMissing, 6},
		{"08 02 03 01 03 02 03 02 05 00", ErrAlg, 4},
		{"08 02 03 01 03 00 03 02 05 00", ErrAlg, 4},
		{"08 02 03 01 03 80 02 03 02 05 00", can.ErrRange, 4},
		{"08 02 03 01 03 01 03 02 05 01 00", can.ErrLength, 8},
		{"08 02 03 01 03 01 03 03 00", can.ErrMissing, 6},
		{"08 02 03 01 03 01 03 02 05 21" + hello + "00", can.ErrLength, 8},
		{"08 02 03 01 03 01 03 02 05 20" + hello[2:], can.ErrBounds, 8},
		{"08 03 03 01 03 01 03 02 05 20" + hello + "03 03 00", can.ErrUnknownField, 42},
		{"08 02 03 01 03 01 03 02 05 20" + hello + "00", can.ErrTrailing, 42},
		{"08 02 03 01 04 02 03 02 05 00", can.ErrType, 4},
	} {
		r := can.NewReader(unhex(t, c.in))
		var h Hash
		h.ReadCAN(&r)
		var f *fault.Error
		if err := r.Done(); !errors.As(err, &f) || f.Code != c.code || f.Offset != c.offset {
			t.Errorf("%s: got %v, want %s at byte %d", c.in, err, c.code, c.offset)
		}
	}
}

// TestWithout cuts fields out of the original bytes: fields that nobody knows
// stay covered, and every other bit of the message changes the id.
func TestWithout(t *testing.T) {
	raw := unhex(t, "08 04 03 01 03 05 03 02 06 01 61 03 0b 00 03 63 07 01 02")
	id, err := Without(raw, 1, 11)
	if want := Hash(sha256.Sum256(unhex(t, "08 02 03 02 06 01 61 03 63 07 01 02"))); id != want || err != nil {
		t.Errorf("got %s, %v; want %s", id, err, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(raw)
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		cut := at >= 2 && at < 6 || at >= 11 && at < 14 // the two entries that are left out
		if got, err := Without(b, 1, 11); err == nil && got == id && !cut {
			t.Fatalf("%x has the same id", b)
		}
	})
	if _, err := Without([]byte{7, 0}, 1); !errors.Is(err, can.ErrType) {
		t.Errorf("got %v", err)
	}
}

// FuzzHash: a Hash has one encoding, and its fast path and slow path agree.
func FuzzHash(f *testing.F) {
	h := Sum([]byte("hello"))
	f.Add(h.AppendCAN(nil))
	f.Add([]byte("\x08\x02\x03\x01\x03\x02\x03\x02\x05\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := can.NewReader(in)
		var h Hash
		h.ReadCAN(&r)
		if r.Done() == nil && !bytes.Equal(h.AppendCAN(nil), in) {
			t.Fatalf("%x is accepted, yet encodes as %x", in, h.AppendCAN(nil))
		}
	})
}

// FuzzParse: what Parse accepts is what String writes.
func FuzzParse(f *testing.F) {
	f.Add("sha256:" + hello)
	f.Add("sha256:" + strings.ToUpper(hello))
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := Parse(s); err == nil && h.String() != s {
			t.Fatalf("%q is accepted as %s", s, h)
		}
	})
}
