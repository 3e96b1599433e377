package ir

import (
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Field numbers of IRBundle that are hashed from their original bytes.
const (
	fieldMeta      = 1
	fieldConsts    = 2
	fieldTypes     = 4
	fieldContracts = 6
	fieldOps       = 8
	fieldTasks     = 9
)

// Inspect decodes a bundle to be looked at, never to be run: nothing but its
// encoding is checked, and the one deviation of the published vector WIRE_001,
// a text constant whose TEXT stands in field 4 where field 5 is right, is read
// as if it stood there. BYTES of the result alias raw or a copy of it.
func Inspect(raw []byte) (*Bundle, error) {
	if len(raw) > MaxBundle {
		return nil, fault.New(ErrLimit, "the bundle has %d bytes, at most %d", len(raw), MaxBundle)
	}
	if err := can.Valid(raw); err != nil {
		return nil, err
	}
	b, err := decode(raw)
	if err == nil {
		return b, nil
	}
	moved, changed := moveTextConsts(raw)
	if !changed {
		return nil, err
	}
	return decode(moved)
}

func decode(raw []byte) (*Bundle, error) {
	var b Bundle
	r := can.NewReader(raw)
	b.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	return &b, nil
}

// section returns the offsets at which the items of one section of a bundle
// start, and the offset behind the last. It returns nil if raw has another
// shape.
func section(raw []byte, field uint8) []int {
	r := can.NewReader(raw)
	s := r.Struct()
	s.Need(field)
	inner := r.Struct()
	inner.Need(1)
	n := r.List()
	at := make([]int, 0, n+1)
	for ; n > 0 && r.OK(); n-- {
		at = append(at, r.Pos())
		r.Skip()
	}
	if !r.OK() {
		return nil
	}
	return append(at, r.Pos())
}

// moveTextConsts returns raw with field 4 of every constant that is {1 kind 4,
// 4 TEXT} renumbered to 5. Field numbers are one byte, so nothing else moves.
func moveTextConsts(raw []byte) ([]byte, bool) {
	const prefix = "\x08\x02\x03\x01\x03\x04\x03\x04\x06"
	out := append([]byte(nil), raw...)
	changed := false
	at := section(raw, fieldConsts)
	for i := range max(len(at), 1) - 1 {
		if c := raw[at[i]:at[i+1]]; len(c) > len(prefix) && string(c[:len(prefix)]) == prefix {
			out[at[i]+len(prefix)-2] = 5
			changed = true
		}
	}
	return out, changed
}

// artifactID is SHA-256 of the bundle with fields 5 and 6 of its Meta cut out
// of the original bytes (RFC-MYTHOS-0012 §1).
func artifactID(raw []byte) (cid.Hash, error) {
	r := can.NewReader(raw)
	s := r.Struct()
	s.Need(fieldMeta)
	start := r.Pos()
	r.Skip()
	if err := r.Err(); err != nil {
		return cid.Hash{}, err
	}
	pre, err := can.AppendWithout(append([]byte(nil), raw[:start]...), raw[start:r.Pos()], 5, 6)
	if err != nil {
		return cid.Hash{}, err
	}
	return cid.Sum(append(pre, raw[r.Pos():]...)), nil
}

// moduleID hashes the canonical LIST of the ops whose original bytes are span
// (RFC-MYTHOS-0012 §3.1).
func moduleID(count int, span []byte) cid.Hash {
	return cid.Sum(append(can.AppendList(make([]byte, 0, len(span)+8), count), span...))
}

// symbolID names a function by its ops and its types.
func symbolID(s *SymbolSig) cid.Hash {
	x := SymbolIdentity{ModuleID: s.ModuleID, ArgTypeIDs: s.ArgTypeIDs, ReturnTypeID: s.ReturnTypeID}
	return cid.Sum(x.AppendCAN(nil))
}

// checkID compares a declared id with the hash of the original bytes without
// field 1.
func checkID(what string, index int, declared cid.Hash, raw []byte) error {
	id, err := cid.Without(raw, 1)
	if err != nil {
		return err
	}
	if id != declared {
		return refuse(ErrID, what, index, "declares id %s, its bytes have %s", declared, id)
	}
	return nil
}
