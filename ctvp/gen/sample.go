package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/conformance"
	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

// field is one field of a struct with its value's bytes.
type field struct {
	num uint8
	raw []byte
}

// encode is a struct of the fields as they are given, in any order.
func encode(fields []field) []byte {
	b := canon.AppendMap(nil, len(fields))
	for _, f := range fields {
		b = append(canon.AppendField(b, f.num), f.raw...)
	}
	return b
}

// keyAt is the offset of the key of fields[i] in encode(fields), or of the end.
func keyAt(fields []field, i int) int { return len(encode(fields[:i])) }

// valueAt is the offset of the value of fields[i] in encode(fields).
func valueAt(fields []field, i int) int { return keyAt(fields, i) + 2 }

// without returns the fields but for some.
func without(fields []field, nums ...uint8) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return slices.Contains(nums, f.num) })
}

// with returns the fields with one replaced, or put in its place.
func with(fields []field, num uint8, raw []byte) []field {
	out := append(without(fields, num), field{num, raw})
	slices.SortFunc(out, func(a, b field) int { return int(a.num) - int(b.num) })
	return out
}

// at is the index of a field, or -1.
func at(fields []field, num uint8) int {
	return slices.IndexFunc(fields, func(f field) bool { return f.num == num })
}

// value is the bytes of a field.
func value(fields []field, num uint8) []byte { return fields[at(fields, num)].raw }

func digest(text string) []byte {
	h := sha256.Sum256([]byte("mythos ctvp " + text))
	return h[:]
}

// hashOf is the canonical Hash with a digest.
func hashOf(digest []byte) []byte { return join(x("08 02 03 01 03 01 03 02 05 20"), digest) }

// sampler makes values of the schema, the same ones every time.
type sampler struct {
	structs map[string]conformance.StructInfo
}

func newSampler() *sampler {
	s := &sampler{map[string]conformance.StructInfo{}}
	for _, x := range schema() {
		s.structs[x.Name] = x
	}
	return s
}

// later lists the optional fields that came when vectors of their struct were
// published, which stay as they are: samples leave these fields out.
var later = map[string][]uint8{"EffectEvidence": {22}}

// schema is the schema as it was when the first vectors of each struct came.
func schema() []conformance.StructInfo {
	all := conformance.Schema()
	for i := range all {
		all[i].Fields = slices.DeleteFunc(slices.Clone(all[i].Fields), func(f conformance.FieldInfo) bool {
			return slices.Contains(later[all[i].Name], f.Num)
		})
	}
	return all
}

// fields returns a struct's fields: the required ones, or all of them.
func (s *sampler) fields(x conformance.StructInfo, full bool, depth int) []field {
	var out []field
	for _, f := range x.Fields {
		if f.Optional && !full {
			continue
		}
		raw := fixedValue(x.Name + "." + f.Name)
		switch {
		case f.Const != "":
			raw = canon.AppendText(nil, f.Const)
		case raw == nil:
			raw = s.value(f.Type, x.Name+"."+f.Name, full, f.Optional, depth)
		}
		out = append(out, field{f.Num, raw})
	}
	if x.ID != 0 {
		out = with(out, x.ID, hashOf(sum256(encode(without(out, x.ID, x.Sig)))))
	}
	return out
}

func sum256(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

// fixedValue is the value of a field that the rules of its struct's content
// decide, or nil.
func fixedValue(name string) []byte {
	switch name {
	case "AgentID.scheme", "Signature.alg", "Attestation.claim_type", "Attestation.result",
		"DivergenceMark.reason_code", "LedgerResolution.outcome", "EffectRegister.retry", "RingState.ring":
		return x("03 01")
	case "EffectRegister.idem_id":
		tool, key := digest("EffectRegister.tool_id"), digest("EffectRegister.idempotency_key")
		return hashOf(sum256(join(tool, key)))
	case "EffectRegister.idempotency_key":
		return canon.AppendBytes(nil, digest(name))
	case "RunSeal.receipt_count":
		return x("03 00")
	case "RevocationList.issued":
		return canon.AppendInt(nil, 1_767_225_600_000_000)
	case "RevocationList.next_update":
		return canon.AppendInt(nil, 1_767_312_000_000_000)
	case "RingPolicy.module_kinds", "RingPolicy.cap_kinds":
		return x("07 02 03 01 03 02")
	case "RingPolicy.min_sandbox":
		return x("03 02")
	case "RingClaim.quorum":
		return x("03 01")
	}
	return nil
}

// value is a sample of a type. full asks for its upper edge and for filled
// containers, filled for at least one item.
func (s *sampler) value(t conformance.TypeInfo, name string, full, filled bool, depth int) []byte {
	switch t.Kind {
	case "u8", "u16", "u32", "u64":
		return canon.AppendUint(nil, sampleUint(t.Kind, full))
	case "i64", "time":
		if full {
			return canon.AppendInt(nil, math.MinInt64)
		}
		return canon.AppendInt(nil, 1_767_225_600_000_000)
	case "bool":
		return canon.AppendBool(nil, full || filled)
	case "bytes":
		return canon.AppendBytes(nil, digest(name)[:5])
	case "fixed":
		return canon.AppendBytes(nil, slices.Repeat(digest(name), 2)[:t.Size])
	case "text":
		return canon.AppendText(nil, short(name))
	case "raw":
		return x("07 00")
	case "list":
		return s.list(t, name, full, filled, depth)
	case "map":
		return s.mapping(t, name, full, filled, depth)
	}
	if t.Struct == "Hash" {
		return hashOf(digest(name))
	}
	return encode(s.fields(s.structs[t.Struct], full && depth > 0, depth-1))
}

func sampleUint(kind string, full bool) uint64 {
	if !full {
		return 1
	}
	return map[string]uint64{"u8": math.MaxUint8, "u16": math.MaxUint16, "u32": math.MaxUint32, "u64": math.MaxUint64}[kind]
}

// short is the name of a field as a text that most content rules accept.
func short(name string) string {
	_, field, _ := strings.Cut(name, ".")
	return strings.ReplaceAll(field, "_", "-")
}

func (s *sampler) list(t conformance.TypeInfo, name string, full, filled bool, depth int) []byte {
	n := 0
	switch {
	case full && depth > 0:
		n = 2
	case filled || full:
		n = 1
	}
	b := canon.AppendList(nil, n)
	for i := range n {
		b = append(b, s.value(*t.Elem, fmt.Sprintf("%s[%d]", name, i), full && depth > 0, true, depth-1)...)
	}
	return b
}

// mapping has, where it is full, keys whose order is not that of numbers or
// strings.
func (s *sampler) mapping(t conformance.TypeInfo, name string, full, filled bool, depth int) []byte {
	keys := [][]byte{}
	switch {
	case full && t.Key == "text":
		keys = [][]byte{canon.AppendText(nil, "b"), canon.AppendText(nil, "aa")}
	case full:
		keys = [][]byte{x("03 01"), x("03 80 02"), x("03 81 01")} // 1, 256, 129
	case filled:
		keys = [][]byte{x("06 01 61")}
	}
	b := canon.AppendMap(nil, len(keys))
	for i, k := range keys {
		b = append(b, k...)
		b = append(b, s.value(*t.Elem, fmt.Sprintf("%s[%d]", name, i), false, true, depth-1)...)
	}
	return b
}
