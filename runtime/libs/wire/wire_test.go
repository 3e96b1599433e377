package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var emptyMap = []byte{can.Map, 0}

func key(n byte) sig.Key { return sig.NewKey([32]byte{n}, "TEST ONLY") }

// packet returns a packet signed by the keys.
func packet(t testing.TB, payload []byte, keys ...byte) *Unverified {
	t.Helper()
	p, err := New(CodecCAN, payload)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if err := Sign(p, key(k)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func wantCode(t testing.TB, err error, want fault.Code, offset int) {
	t.Helper()
	var e *fault.Error
	if !errors.Is(err, want) || !errors.As(err, &e) || e.Offset != offset {
		t.Errorf("got %v, want %s at byte %d", err, want, offset)
	}
}

func TestWorkedExample(t *testing.T) {
	p := packet(t, emptyMap)
	id := p.Codebook
	want := slices.Concat([]byte("MYTH\x00\x02\x00\x00\x01\x01"), id[:], []byte{2, can.List, 0, 2, can.Map, 0})
	if got := p.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got, want := p.Digest(), cid.Sum(append(want[:42:42], emptyMap...)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	// One entry without a hint makes a sigblock of 120 bytes.
	if err := Sign(p, sig.NewKey([32]byte{1}, "")); err != nil {
		t.Fatal(err)
	}
	if got := p.Append(nil); len(got) != len(want)-2+120 || got[headerLen] != 120 {
		t.Errorf("a packet of %d bytes with a sigblock of %d", len(got), got[headerLen])
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := can.AppendBytes(nil, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload"))
		p, err := New(CodecCAN, payload)
		if err != nil {
			t.Fatal(err)
		}
		keys := rapid.SliceOfDistinct(rapid.ByteRange(1, 9), rapid.ID).Draw(t, "keys")
		for _, k := range append(keys, keys...) { // signing again replaces
			if err := Sign(p, key(k)); err != nil {
				t.Fatal(err)
			}
		}
		raw := p.Append(nil)
		got, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		if !bytes.Equal(got.Append(nil), raw) {
			t.Fatal("another encoding")
		}
		if b, err := got.Bundle(Options{}); err != nil || !bytes.Equal(b, payload) {
			t.Fatalf("%x, %v", b, err)
		}
		if n := len(got.Verify().Signers()); n != len(keys) || len(got.Entries) != n {
			t.Fatalf("%d entries, %d verified, want %d", len(got.Entries), n, len(keys))
		}
		if !slices.IsSortedFunc(got.Entries, func(a, b SigBlockEntry) int { return a.Signer.KeyID().Compare(b.Signer.KeyID()) }) {
			t.Fatal("entries do not ascend by key id")
		}
	})
}

func TestVerdicts(t *testing.T) {
	p := packet(t, emptyMap, 1)
	good := p.Entries[0]
	change := func(f func(e *SigBlockEntry)) SigBlockEntry {
		e := good
		e.SigBytes = bytes.Clone(good.SigBytes)
		f(&e)
		return e
	}
	p.Entries = []SigBlockEntry{
		change(func(e *SigBlockEntry) { e.SigBytes = nil }),
		change(func(e *SigBlockEntry) { e.SigBytes[63] ^= 1 }),
		change(func(e *SigBlockEntry) { e.SigBytes = e.SigBytes[:63] }),
		change(func(e *SigBlockEntry) { e.SigBytes = append(e.SigBytes, 0) }),
		change(func(e *SigBlockEntry) { e.SigAlg = 2 }),
		change(func(e *SigBlockEntry) { e.Signer.Scheme = 2 }),
		change(func(e *SigBlockEntry) { e.Signer = key(2).Agent() }),
		change(func(e *SigBlockEntry) { e.Signer.Key, e.SigBytes = [32]byte{1}, append([]byte{1}, make([]byte, 63)...) }), // low order
		good,
		change(func(e *SigBlockEntry) { e.Signer.Hint = "again" }),
	}
	got, err := Parse(p.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	verdicts := got.Verify()
	var states []State
	for _, v := range verdicts {
		states = append(states, v.State)
	}
	want := []State{Unsigned, Invalid, Invalid, Invalid, Invalid, Invalid, Invalid, Invalid, Verified, Verified}
	if d := cmp.Diff(want, states); d != "" {
		t.Error(d)
	}
	if s := verdicts.Signers(); len(s) != 1 || !s[0].Equal(key(1).Agent()) {
		t.Errorf("verified signers: %v, want one", s)
	}
	if s := verdicts[:8].Signers(); len(s) != 0 {
		t.Errorf("verified signers: %v, want none", s)
	}
	if Unsigned.String() != "unsigned" || Invalid.String() != "invalid" || Verified.String() != "verified" || State(7).String() != "invalid" {
		t.Error("the names of the states have changed")
	}
}

// TestSignatureCovers changes each signed part.
func TestSignatureCovers(t *testing.T) {
	p := packet(t, emptyMap, 1)
	for name, change := range map[string]func(p *Unverified){
		"payload":  func(p *Unverified) { p.Payload = []byte{can.List, 0} },
		"codec":    func(p *Unverified) { p.Codec = CodecZstd },
		"codebook": func(p *Unverified) { p.Codebook[0]++ },
	} {
		q := *p
		change(&q)
		if v := q.Verify(); v[0].State != Invalid {
			t.Errorf("%s: got %s, want invalid", name, v[0].State)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	signed := packet(t, emptyMap, 1).Append(nil)
	bare := packet(t, emptyMap).Append(nil)
	set := func(at int, b ...byte) []byte {
		raw := bytes.Clone(bare)
		copy(raw[at:], b)
		return raw
	}
	body := func(b ...byte) []byte { return append(bare[:headerLen:headerLen], b...) }
	crowd := can.AppendList(nil, MaxSigners+1)
	for range MaxSigners + 1 {
		e := SigBlockEntry{Signer: key(1).Agent(), SigAlg: 1}
		crowd = e.AppendCAN(crowd)
	}
	many := slices.Concat(binary.AppendUvarint(body(), uint64(len(crowd))), crowd, []byte{2, can.Map, 0})
	huge := binary.AppendUvarint(nil, 1<<63)
	for name, c := range map[string]struct {
		raw    []byte
		want   fault.Code
		offset int
	}{
		"empty":                     {nil, ErrMagic, 0},
		"half the magic":            {bare[:3], ErrMagic, 0},
		"other magic":               {set(0, 'm'), ErrMagic, 0},
		"magic alone":               {bare[:4], ErrTruncated, 4},
		"header cut":                {bare[:41], ErrTruncated, 41},
		"version 1":                 {set(4, 0, 1), ErrVersion, 4},
		"version 3":                 {set(4, 0, 3), ErrVersion, 4},
		"version little-endian":     {set(4, 2, 0), ErrVersion, 4},
		"lowest flag":               {set(6, 0, 1), ErrFlags, 6},
		"highest flag":              {set(6, 0x80, 0), ErrFlags, 6},
		"codec 0":                   {set(8, 0), ErrCodec, 8},
		"codec 3":                   {set(8, 3), ErrCodec, 8},
		"codebook algorithm":        {set(9, 2), ErrCodebook, 9},
		"codebook first byte":       {set(10, 0), ErrCodebook, 9},
		"codebook last byte":        {set(41, 0), ErrCodebook, 9},
		"no sigblock":               {body(), can.ErrTruncated, 42},
		"sigblock length cut":       {body(0x80), can.ErrTruncated, 42},
		"sigblock length padded":    {body(0x82, 0, can.List, 0, 2, can.Map, 0), can.ErrVarint, 42},
		"sigblock length too wide":  {body(bytes.Repeat([]byte{0xff}, 11)...), can.ErrOverflow, 42},
		"sigblock beyond the end":   {body(6, can.List, 0, 2, can.Map, 0), ErrSigblockLength, 42},
		"sigblock of 2^63":          {body(huge...), ErrSigblockLength, 42},
		"sigblock empty":            {body(0, 2, can.Map, 0), can.ErrTruncated, 43},
		"sigblock a map":            {body(2, can.Map, 0, 2, can.Map, 0), can.ErrType, 43},
		"sigblock with a rest":      {body(3, can.List, 0, 0, 2, can.Map, 0), can.ErrTrailing, 45},
		"sigblock count too high":   {body(2, can.List, 1, 2, can.Map, 0), can.ErrBounds, 43},
		"sigblock of other items":   {body(3, can.List, 1, 0, 2, can.Map, 0), can.ErrType, 45},
		"too many signers":          {many, ErrSigners, 42 + 3},
		"no payload":                {body(2, can.List, 0), can.ErrTruncated, 45},
		"payload length padded":     {body(2, can.List, 0, 0x82, 0, can.Map, 0), can.ErrVarint, 45},
		"payload beyond the end":    {body(2, can.List, 0, 3, can.Map, 0), ErrPayloadLength, 45},
		"payload of 2^63":           {body(append([]byte{2, can.List, 0}, huge...)...), ErrPayloadLength, 45},
		"payload empty":             {body(2, can.List, 0, 0), can.ErrTruncated, 46},
		"payload of two values":     {body(2, can.List, 0, 2, can.Null, can.Null), can.ErrTrailing, 47},
		"payload not canonical":     {body(2, can.List, 0, 3, can.Uint, 0x80, 0), can.ErrVarint, 46},
		"one byte after":            {append(bytes.Clone(bare), 0), ErrTrailing, len(bare)},
		"another packet after":      {append(bytes.Clone(bare), bare...), ErrTrailing, len(bare)},
		"trailing before canonical": {body(2, can.List, 0, 1, 9, 9), ErrTrailing, 47},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(c.raw)
			wantCode(t, err, c.want, c.offset)
		})
	}
	for n := range signed {
		if _, err := Parse(signed[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(signed))
		}
	}
	if _, err := New(CodecCAN, []byte{9}); !errors.Is(err, can.ErrTag) {
		t.Errorf("got %v", err)
	}
	if _, err := New(3, emptyMap); !errors.Is(err, ErrCodec) {
		t.Errorf("got %v", err)
	}
	if _, err := (&Unverified{Codec: 3}).Bundle(Options{}); !errors.Is(err, ErrCodec) {
		t.Errorf("got %v", err)
	}
	if err := Sign(packet(t, emptyMap), sig.Key{}); err == nil {
		t.Error("an empty key signed")
	}
}

// TestBitFlips flips every bit of a signed packet: none stays verified unless
// only the hint, which is not signed, has changed.
func TestBitFlips(t *testing.T) {
	p := packet(t, can.AppendText(nil, "payload"), 1)
	raw := p.Append(nil)
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		q, err := Parse(bad)
		if err != nil || len(q.Verify().Signers()) == 0 {
			continue
		}
		if e := q.Entries[0]; e.Signer.Hint == p.Entries[0].Signer.Hint {
			t.Fatalf("bit %d of byte %d is covered by nothing", i%8, i/8)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(packet(f, emptyMap).Append(nil))
	f.Add(packet(f, can.AppendText(nil, "text"), 1, 2).Append(nil))
	z := *packet(f, emptyMap)
	z.Codec, z.Payload = CodecZstd, rawFrame(emptyMap)
	f.Add(z.Append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		q, err := Parse(p.Append(nil))
		if err != nil || !cmp.Equal(p, q, cmpopts.EquateEmpty()) {
			t.Fatalf("%v: %s", err, cmp.Diff(p, q))
		}
		if b, err := p.Bundle(Options{Decompress: decompress, MaxBundle: 1 << 20}); err == nil && can.Valid(b) != nil {
			t.Fatal("a bundle that is not canonical")
		}
		for i, v := range p.Verify() {
			if v.State == Verified && len(p.Entries[i].SigBytes) != 64 {
				t.Fatal("a verified signature of another length")
			}
		}
	})
}
