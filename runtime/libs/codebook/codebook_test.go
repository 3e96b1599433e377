package codebook

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func TestBaseline(t *testing.T) {
	const want = "sha256:7ed509c74d47db2ebbb0608a8aa5135208ee8abec769473830c7449cfe9ec37a"
	if got := BaselineID().String(); got != want {
		t.Errorf("got id %s, want %s", got, want)
	}
	entries, id, err := Decode(Encode(Baseline()))
	if err != nil {
		t.Fatal(err)
	}
	if id != BaselineID() || len(entries) != 541 {
		t.Errorf("got %d entries with id %s", len(entries), id)
	}
	if d := cmp.Diff(Baseline(), entries); d != "" {
		t.Error(d)
	}
	if n := len(Encode(entries)); n != 8374 {
		t.Errorf("the encoding has %d bytes, want 8374", n)
	}
}

func TestDecodeRefuses(t *testing.T) {
	e := func(word uint16, kind uint8) Entry { return Entry{Codeword: word, Kind: kind} }
	for name, c := range map[string]struct {
		raw  []byte
		want fault.Code
	}{
		"empty input":       {nil, can.ErrTruncated},
		"not a list":        {[]byte{can.Map, 0}, can.ErrType},
		"truncated":         {Encode(Baseline())[:8000], can.ErrTruncated},
		"extended":          {append(Encode(Baseline()), 0), can.ErrTrailing},
		"count too low":     {append([]byte{can.List, 1}, Encode([]Entry{e(1, 1), e(2, 1)})[2:]...), can.ErrTrailing},
		"count too high":    {append([]byte{can.List, 3}, Encode([]Entry{e(1, 1), e(2, 1)})[2:]...), can.ErrTruncated},
		"announced billion": {[]byte{can.List, 0xff, 0xff, 0xff, 0xff, 0x0f}, can.ErrBounds},
		"reordered":         {Encode([]Entry{e(2, 1), e(1, 1)}), ErrOrder},
		"twice":             {Encode([]Entry{e(2, 1), e(2, 1)}), ErrOrder},
		"kind 0":            {Encode([]Entry{e(2, 0)}), ErrKind},
		"kind 5":            {Encode([]Entry{e(2, 5)}), ErrKind},
		"codeword too wide": {bytes.Replace(Encode([]Entry{e(0xffff, 1)}), []byte("\x03\xff\xff\x03"), []byte("\x03\x80\x80\x04"), 1), can.ErrRange},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Decode(c.raw); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfDistinct(rapid.Uint16(), rapid.ID).Draw(t, "words")
		entries := make([]Entry, 0, len(words))
		slices.Sort(words)
		for _, w := range words {
			entries = append(entries, Entry{w, rapid.Uint8Range(1, 4).Draw(t, "kind"), rapid.Uint64().Draw(t, "value")})
		}
		raw := Encode(entries)
		got, id, err := Decode(raw)
		if err != nil || id != cid.Sum(raw) {
			t.Fatalf("%s: %v", id, err)
		}
		if d := cmp.Diff(entries, got); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(Baseline()[:3]))
	f.Add(Encode(nil))
	f.Add(Encode([]Entry{{0x0101, 1, 1}, {0x0102, 1, 2}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, id, err := Decode(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if id != cid.Sum(raw) || can.Valid(raw) != nil {
			t.Fatal("accepted bytes that are not canonical")
		}
		again, _, err := Decode(Encode(entries))
		if err != nil || !cmp.Equal(entries, again) {
			t.Fatalf("%v: %v", err, cmp.Diff(entries, again))
		}
	})
}
