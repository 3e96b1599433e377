package ir

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Indexes of the built-in types; the types of a bundle follow (RFC-MYTHOS-0012
// §2.2). noType, which is any's index, is "no record type" in a register.
const (
	noType int32 = iota
	typeNull
	typeBool
	typeU64
	typeI64
	typeBytes
	typeText
	typeList
	typeMap
	builtins
)

// typeInfo is a resolved type.
type typeInfo struct {
	kind   uint8 // 0 built-in, TypeRecord or TypeEnum
	name   string
	fields []fieldInfo // of a Record, ascending by order
	tags   uint64      // of an Enum
	needed int         // required fields
}

type fieldInfo struct {
	order    uint64 // see keyOrder
	id       uint32
	typ      int32
	required bool
}

// typeTable holds the built-in types and those of one bundle.
type typeTable struct {
	list  []typeInfo
	index map[cid.Hash]int32
}

func newTypeTable(room int) typeTable {
	t := typeTable{
		list: make([]typeInfo, 0, int(builtins)+room),
		index: map[cid.Hash]int32{
			abi.TypeAny: noType, abi.TypeNull: typeNull, abi.TypeBool: typeBool, abi.TypeU64: typeU64, abi.TypeI64: typeI64,
			abi.TypeBytes: typeBytes, abi.TypeText: typeText, abi.TypeList: typeList, abi.TypeMap: typeMap,
		},
	}
	for _, name := range builtinNames() {
		t.list = append(t.list, typeInfo{name: name})
	}
	return t
}

// builtinNames lists the built-in types in the order of their indexes.
func builtinNames() []string {
	return []string{"any", "null", "bool", "u64", "i64", "bytes", "text", "list", "map"}
}

func (t *typeTable) record(typ int32) bool { return t.list[typ].kind == TypeRecord }

func (t *typeTable) field(typ int32, id uint64) (fieldInfo, bool) {
	fields := t.list[typ].fields
	if i, ok := search(fields, 0, id); ok {
		return fields[i], true
	}
	return fieldInfo{}, false
}

// keyOrder is a number that orders field ids as a MAP orders its keys: the
// bytes of their varint, the first byte highest.
func keyOrder(id uint32) uint64 {
	var b [8]byte
	binary.PutUvarint(b[:], uint64(id))
	return binary.BigEndian.Uint64(b[:])
}

// search finds a field id at index from or behind it. It takes steps that
// double, so that reading all fields one after another takes one step each.
func search(fields []fieldInfo, from int, id uint64) (int, bool) {
	if id > math.MaxUint32 {
		return from, false
	}
	order := keyOrder(uint32(id))
	lo, step := from, 1 // fields before lo come before id
	for lo+step-1 < len(fields) && fields[lo+step-1].order < order {
		lo += step
		step *= 2
	}
	for hi := min(lo+step-1, len(fields)); lo < hi; {
		if mid := int(uint(lo+hi) / 2); fields[mid].order < order {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(fields) && fields[lo].id == uint32(id)
}

// describe names a type in messages.
func (t *typeTable) describe(typ int32) string {
	if name := t.list[typ].name; name != "" {
		return name
	}
	if t.record(typ) {
		return "the record type"
	}
	return "the enum type"
}

// conforms reports whether the one value in b conforms to a type
// (RFC-MYTHOS-0012 §2.4).
func (t *typeTable) conforms(b []byte, typ int32) bool {
	if typ < builtins { // the value is one, so nothing behind its tag matters
		return builtinTag(typ, b[0])
	}
	_, ok := t.walk(b, 0, typ)
	return ok
}

// walk checks the value at off and returns the offset behind it. Records nest
// no deeper than the value does.
func (t *typeTable) walk(b []byte, off int, typ int32) (int, bool) {
	switch info := &t.list[typ]; info.kind {
	case TypeRecord:
		return t.walkRecord(b, off, info)
	case TypeEnum:
		tag, n, next := head(b, off)
		return next, tag == can.Uint && n < info.tags
	}
	return skip(b, off), builtinTag(typ, b[off])
}

func builtinTag(typ int32, tag byte) bool {
	switch typ {
	case noType:
		return true
	case typeNull:
		return tag == can.Null
	case typeBool:
		return tag == can.True || tag == can.False
	}
	return tag == byte(typ) // u64 is index 3 and tag 3, and so on up to map
}

func (t *typeTable) walkRecord(b []byte, off int, info *typeInfo) (int, bool) {
	tag, n, off := head(b, off)
	if tag != can.Map {
		return 0, false
	}
	needed, at := info.needed, 0
	for ; n > 0; n-- {
		tag, id, next := head(b, off)
		if tag != can.Uint {
			return 0, false
		}
		i, ok := search(info.fields, at, id)
		if !ok || b[next] == can.Null {
			return 0, false
		}
		f := &info.fields[i]
		at = i + 1
		if off, ok = t.walk(b, next, f.typ); !ok {
			return 0, false
		}
		if f.required {
			needed--
		}
	}
	return off, needed == 0
}

// pass gives v the type of the place it is put in, or reports that it does not
// conform (RFC-MYTHOS-0012 §2.4).
func (t *typeTable) pass(v value, typ int32) (value, bool) {
	if typ == noType {
		return v, true
	}
	if !t.conforms(v.bytes(), typ) {
		return value{}, false
	}
	if t.record(typ) {
		v.typ = typ
	}
	return v, true
}

// checkValue refuses bytes that are not one canonical value within the limits
// of RFC-MYTHOS-0012 §2.1.
func checkValue(b []byte) error {
	if len(b) > MaxValue {
		return fault.New(TrapLarge, "a value of %d bytes, at most %d", len(b), MaxValue)
	}
	return can.Valid(b)
}

// CheckType checks that b is one canonical value of a type that is built in or
// defined in the program's bundle: ErrTypeUnknown, an error of package can,
// TrapLarge or TrapType.
func (p *Program) CheckType(id cid.Hash, b []byte) error {
	typ, ok := p.types.index[id]
	if !ok {
		return fault.New(ErrTypeUnknown, "type %s is not in the bundle", id)
	}
	if err := checkValue(b); err != nil {
		return err
	}
	if !p.types.conforms(b, typ) {
		return fault.New(TrapType, "%s does not conform to %s", can.TagName(b[0]), p.types.describe(typ))
	}
	return nil
}

// addTypes validates the TypeDefs and appends them to the table. raw(i) is the
// original encoding of definition i.
func (t *typeTable) addTypes(defs []TypeDef, raw func(int) []byte) error {
	for i := range defs {
		d := &defs[i]
		if err := checkTypeShape(d); err != nil {
			return about(err, "type", i)
		}
		if err := checkID("type", i, d.TypeID, raw(i)); err != nil {
			return err
		}
		if _, twice := t.index[d.TypeID]; twice {
			return refuse(ErrType, "type", i, "%s is defined twice", d.TypeID)
		}
		t.index[d.TypeID] = int32(len(t.list))
		t.list = append(t.list, typeInfo{kind: d.Kind, name: d.Name, tags: uint64(len(d.EnumTags))})
	}
	for i := range defs {
		info := &t.list[int(builtins)+i]
		for _, f := range defs[i].Fields {
			typ, ok := t.index[f.FieldTypeID]
			if !ok {
				return refuse(ErrTypeUnknown, "type", i, "field %d has type %s, which is not in the bundle", f.FieldID, f.FieldTypeID)
			}
			info.fields = append(info.fields, fieldInfo{keyOrder(f.FieldID), f.FieldID, typ, f.Required})
			if f.Required {
				info.needed++
			}
		}
		slices.SortFunc(info.fields, func(a, b fieldInfo) int { return cmp.Compare(a.order, b.order) })
	}
	return nil
}

func checkTypeShape(d *TypeDef) error {
	switch d.Kind {
	case TypeRecord:
		return checkRecordShape(d)
	case TypeEnum:
		return checkEnumShape(d)
	}
	return fault.New(ErrType, "kind %d, want %d (Record) or %d (Enum)", d.Kind, TypeRecord, TypeEnum)
}

func checkRecordShape(d *TypeDef) error {
	if len(d.EnumTags) != 0 {
		return fault.New(ErrType, "a Record with enum_tags")
	}
	names := map[string]bool{}
	for i, f := range d.Fields {
		if i > 0 && d.Fields[i-1].FieldID >= f.FieldID {
			return fault.New(ErrType, "field %d stands after field %d", f.FieldID, d.Fields[i-1].FieldID)
		}
		if f.Name != "" && names[f.Name] {
			return fault.New(ErrType, "field %d repeats a name", f.FieldID)
		}
		names[f.Name] = true
	}
	return nil
}

func checkEnumShape(d *TypeDef) error {
	if len(d.Fields) != 0 {
		return fault.New(ErrType, "an Enum with fields")
	}
	if n := len(d.EnumTags); n == 0 || n > maxTags {
		return fault.New(ErrType, "an Enum with %d tags, want 1 to %d", n, maxTags)
	}
	tags := map[string]bool{}
	for i, tag := range d.EnumTags {
		if tag == "" || tags[tag] {
			return fault.New(ErrType, "tag %d is empty or repeats another", i)
		}
		tags[tag] = true
	}
	return nil
}
