// Package codebook holds codebooks (RFC-MYTHOS-0002 §8): lists that give short
// codewords to opcodes, small integers, field numbers and scope kinds. Packets
// and packages name the codebook that they were made with. On the wire it is a
// LIST of
//
//	CodebookEntry {1: codeword u16, 2: kind u8, 3: value_u64}
//
// ascending by codeword, none twice; its id is the SHA-256 of that list. The
// baseline codebook is the one that everyone has: codeword 0x0100+op for each
// of 18 opcodes (kind 1), 0x0200+n for the integers 0..255 (kind 2), 0x0300+f
// for the field numbers 0..255 (kind 3) and 0x0400+k for the scope kinds 1..11
// (kind 4), 541 in all. Its first entry, NOP, is
//
//	08 03  03 01 03 81 02  03 02 03 01  03 03 03 01
package codebook

import (
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package.
const (
	ErrOrder fault.Code = "codebook_order" // codewords that do not ascend
	ErrKind  fault.Code = "codebook_kind"  // an entry of an unknown kind
)

// Kinds of entries.
const (
	KindOpcode uint8 = 1 + iota
	KindSmallInt
	KindFieldNumber
	KindScopeKind
)

// The codewords of a kind begin here in the baseline codebook.
const (
	baseOpcode      = 0x0100
	baseSmallInt    = 0x0200
	baseFieldNumber = 0x0300
	baseScopeKind   = 0x0400
)

const opcodes = "\x01\x02\x10\x11\x12\x13\x20\x21\x22\x23\x24\x25\x30\x31\x32\x40\x41\x42"

const scopeKinds = 11

// Baseline returns the 541 entries of the baseline codebook.
func Baseline() []Entry {
	out := make([]Entry, 0, len(opcodes)+256+256+scopeKinds)
	add := func(base uint16, kind uint8, v int) {
		out = append(out, Entry{Codeword: base + uint16(v), Kind: kind, ValueU64: uint64(v)})
	}
	for i := range len(opcodes) {
		add(baseOpcode, KindOpcode, int(opcodes[i]))
	}
	for n := range 256 {
		add(baseSmallInt, KindSmallInt, n)
	}
	for f := range 256 {
		add(baseFieldNumber, KindFieldNumber, f)
	}
	for k := range scopeKinds {
		add(baseScopeKind, KindScopeKind, k+1)
	}
	return out
}

var baselineID = sync.OnceValue(func() cid.Hash { return cid.Sum(Encode(Baseline())) })

// BaselineID returns the id of the baseline codebook,
// sha256:7ed509c74d47db2ebbb0608a8aa5135208ee8abec769473830c7449cfe9ec37a.
func BaselineID() cid.Hash { return baselineID() }

// Encode returns the canonical bytes of a codebook, whose SHA-256 is its id.
// The entries must ascend by codeword.
func Encode(entries []Entry) []byte {
	b := can.AppendList(nil, len(entries))
	for i := range entries {
		b = entries[i].AppendCAN(b)
	}
	return b
}

// Decode reads a codebook and returns its entries and id. Memory is bounded by
// the input, and the number of entries by that of codewords, 65,536.
func Decode(raw []byte) ([]Entry, cid.Hash, error) {
	r := can.NewReader(raw)
	n := r.List()
	entries := make([]Entry, 0, min(r.Room(n, 15), 1<<16))
	for ; n > 0 && r.OK(); n-- {
		at := r.Pos()
		var e Entry
		e.ReadCAN(&r)
		switch last := len(entries) - 1; {
		case !r.OK():
		case last >= 0 && e.Codeword <= entries[last].Codeword:
			r.Fail(ErrOrder, at, "codeword %#04x after %#04x", e.Codeword, entries[last].Codeword)
		case e.Kind < KindOpcode || e.Kind > KindScopeKind:
			r.Fail(ErrKind, at, "kind %d, want 1 to 4", e.Kind)
		default:
			entries = append(entries, e)
		}
	}
	r.EndList()
	if err := r.Done(); err != nil {
		return nil, cid.Hash{}, err
	}
	return entries, cid.Sum(raw), nil
}
