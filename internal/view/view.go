// Package view renders canonical bytes for people and tells what they are.
// Its named views (RFC-MYTHOS-0001 §6) are driven by the schema: an object
// with the field names of the struct in field order; absent fields are left
// out; a Hash is "sha256:<hex>", other BYTES are lowercase hex, u64 and i64 are
// decimal strings, smaller integers numbers, a Time is RFC 3339 in UTC with
// microseconds (outside the years 0 to 9999 the microseconds as a string). For
// example an AgentID is
//
//	{"scheme":1,"key":"197f...8d61","hint":"TEST ONLY"}
//
// Fields that an open struct holds and this build does not know stand last,
// under "unknown", by their numbers and in the JSON view of RFC-MYTHOS-0001 §6.
// BYTES that are canonical themselves (a scope's payload, a Merkle node's, a
// ledger entry's body, ...) stand as hex and once more, decoded, under the
// field's name with "_view" behind it. Views are output only.
package view

import (
	"strconv"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrStruct is the code of a name that is no struct of the schema.
const ErrStruct fault.Code = "struct_unknown"

// Struct describes one struct of spec/schema.can.
type Struct struct {
	Name, Package string
	Closed        bool  // unknown fields are refused
	ID, Sig, By   uint8 // fields of the id, signature and signer; 0 if none
	Fields        []Field
}

// Field describes one field.
type Field struct {
	Num      uint8
	Name     string
	Optional bool
	Const    string // the one text that it may have; "" for any
	Type     Type
}

// Type describes a field's type. Kind is u8, u16, u32, u64, i64, time, bool,
// bytes, text, raw (any one value), fixed (BYTES of Size), struct, list (of
// Elem) or map (from Key, text or u32, to Elem).
type Type struct {
	Kind   string
	Size   int
	Struct string
	Closed bool // of struct: read as closed though it is open
	Key    string
	Elem   *Type
}

// lists are the documents that are a LIST at the top.
var lists = [...]struct {
	name string
	typ  Type
}{
	{"Codebook", Type{Kind: "list", Elem: &Type{Kind: "struct", Struct: "CodebookEntry"}}},
	{"CapProof", Type{Kind: "list", Elem: &Type{Kind: "bytes"}}},
	{"ManifestSignatures", Type{Kind: "list", Elem: &Type{Kind: "struct", Struct: "Signature"}}},
	{"SigBlock", Type{Kind: "list", Elem: &Type{Kind: "struct", Struct: "SigBlockEntry"}}},
}

// Lookup returns the descriptor of a struct, and whether there is one.
func Lookup(name string) (Struct, bool) {
	x, ok := schema().byName[name]
	return x, ok
}

// Names returns every name that JSON takes: Hash, the structs of the schema and
// the documents Codebook, CapProof, ManifestSignatures and SigBlock.
func Names() []string { return append([]string(nil), schema().names...) }

// JSON decodes raw strictly as the struct or document name and returns its
// named view as one line of JSON. Errors are ErrStruct and those of a strict
// decoder, with their offsets.
func JSON(name string, raw []byte) ([]byte, error) {
	t, ok := schema().typeOf(name)
	if !ok {
		return nil, fault.New(ErrStruct, "%.80q is no struct of the schema", name)
	}
	r := can.NewReader(raw)
	check(&r, t)
	if err := r.Done(); err != nil {
		return nil, err
	}
	if list, ok := nestedIn(t, holder{name: name}, raw); ok {
		return list, nil // a CapProof
	}
	r = can.NewReader(raw)
	w := writer{}
	w.value(&r, t)
	return w.out, nil
}

// ID recomputes the id of a signed struct from its original bytes, and returns
// false if name is no signed struct.
func ID(name string, raw []byte) (cid.Hash, bool, error) {
	x, ok := Lookup(name)
	if !ok || x.Sig == 0 {
		return cid.Hash{}, false, nil
	}
	id, err := cid.Without(raw, x.cut()...)
	return id, err == nil, err
}

// cut returns the fields that x's id leaves out.
func (x Struct) cut() []uint8 {
	if x.ID == 0 {
		return []uint8{x.Sig}
	}
	return []uint8{x.ID, x.Sig}
}

// field returns the index of the field num, or -1.
func (x Struct) field(num uint64) int {
	for i, f := range x.Fields {
		if uint64(f.Num) == num {
			return i
		}
	}
	return -1
}

// check reads one value of type t strictly, as the generated codecs do, and
// returns the length of BYTES, TEXT, LIST or MAP.
func check(r *can.Reader, t Type) int {
	switch t.Kind {
	case "u8", "u16", "u32":
		bits, _ := strconv.Atoi(t.Kind[1:])
		r.UintMax(1<<bits - 1)
	case "u64":
		r.Uint()
	case "i64", "time":
		r.Int()
	case "bool":
		r.Bool()
	case "bytes":
		return len(r.Bytes())
	case "text":
		return len(r.Text())
	case "raw":
		r.Skip()
	case "fixed":
		r.Fixed(make([]byte, t.Size))
	case "struct":
		checkStruct(r, t)
	case "list":
		n := r.List()
		for left := n; left > 0 && r.OK(); left-- {
			check(r, *t.Elem)
		}
		r.EndList()
		return n
	case "map":
		return checkMap(r, t)
	}
	return 0
}

func checkMap(r *can.Reader, t Type) int {
	n := r.MapHead()
	var keys can.Keys
	for left := n; left > 0 && r.OK(); left-- {
		at := r.Pos()
		check(r, Type{Kind: t.Key})
		keys.Check(r, at)
		check(r, *t.Elem)
	}
	r.EndMap()
	return n
}

func checkStruct(r *can.Reader, t Type) {
	if t.Struct == "Hash" {
		var h cid.Hash
		h.ReadCAN(r)
		return
	}
	x, _ := Lookup(t.Struct)
	s := r.Struct()
	need, has, end := s.Need, s.Has, s.End
	if x.Closed || t.Closed {
		need, has, end = s.Exact, s.Maybe, s.Close
	}
	for _, f := range x.Fields {
		switch {
		case !f.Optional:
			need(f.Num)
			if f.Const != "" {
				r.Schema(f.Const)
				continue
			}
			check(r, f.Type)
		case has(f.Num):
			checkOptional(r, f.Type)
		}
	}
	end()
}

// checkOptional refuses what absence already says.
func checkOptional(r *can.Reader, t Type) {
	at := r.Pos()
	switch t.Kind {
	case "bool":
		v := r.Bool()
		r.NotDefault(r.OK() && !v, at)
	case "bytes", "text", "list", "map":
		n := check(r, t)
		r.Filled(n, at)
	default:
		check(r, t)
	}
}
