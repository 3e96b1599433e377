package view

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

// table is the schema by name.
type table struct {
	names   []string
	structs []Struct
	byName  map[string]Struct
}

var schema = sync.OnceValue(func() table {
	t := table{names: []string{"Hash"}, structs: structs(), byName: map[string]Struct{}}
	for _, x := range t.structs {
		t.names = append(t.names, x.Name)
		t.byName[x.Name] = x
	}
	for _, l := range lists {
		t.names = append(t.names, l.name)
	}
	return t
})

// typeOf returns the type behind a name that JSON takes.
func (t table) typeOf(name string) (Type, bool) {
	for _, l := range lists {
		if l.name == name {
			return l.typ, true
		}
	}
	_, ok := t.byName[name]
	return Type{Kind: "struct", Struct: name}, ok || name == "Hash"
}

// inside returns the name of the struct that the BYTES of a field hold, by the
// kind field before it where that decides; "any" is a value of any shape and
// "" nothing that is known.
func inside(h holder) string {
	switch h.name + "." + h.field {
	case "MerkleNode.payload":
		return nodeKind(h.kind)
	case "MerkleProof.leaf", "MerkleStep.node", "MerkleRangeProof.nodes":
		return "MerkleNode"
	case "CapProof.":
		return "Capability"
	case "CapScope.payload", "CapRequirement.scope":
		return scopeKind(h.kind)
	case "Receipt.idempotency_key", "EffectRegister.idempotency_key":
		return "IdempotencyKey"
	case "ToolRequest.payload", "ToolResponse.payload":
		return "any"
	case "LedgerEntry.body":
		return entryKind(h.kind)
	}
	return ""
}

func nodeKind(kind uint64) string {
	return pick([]string{"MerkleListLeaf", "MerkleListInternal", "ChunkLeaf", "ChunkInternal"}, kind, 1)
}

func entryKind(kind uint64) string {
	return pick([]string{
		"EffectRegister", "EffectCommit", "DivergenceMark", "LedgerResolution", "Refusal", "RunRecord", "RunSeal",
		"RingState",
	}, kind, 1)
}

func scopeKind(kind uint64) string {
	if kind >= 32 {
		return pick([]string{
			"NetConnectScope", "FsReadScope", "FsWriteScope", "ClockScope", "RandomScope", "SecretReadScope",
			"PackageRunScope", "PackagePublishScope",
		}, kind, 32)
	}
	return pick([]string{
		"BlobReadScope", "BlobWriteScope", "BlobPinScope", "BlobDeleteScope", "ToolCallScope", "TrainRunScope",
		"EvalRunScope", "DeployPromoteScope", "ComputeSpawnScope", "CellReadScope", "CellWriteScope",
	}, kind, 1)
}

// pick returns the name of a kind in a list that begins with the kind first.
func pick(names []string, kind, first uint64) string {
	if kind < first || kind-first >= uint64(len(names)) {
		return ""
	}
	return names[kind-first]
}

// nested returns the view of what BYTES at h hold, and false where they hold
// nothing that is known.
func nested(h holder, raw []byte) ([]byte, bool) {
	switch name := inside(h); name {
	case "":
		return nil, false
	case "any":
		out, err := can.AppendJSON(nil, raw)
		return out, err == nil
	default:
		out, err := JSON(name, raw)
		return out, err == nil
	}
}

// Identify returns the names of the structs and documents that raw could be,
// the likeliest first; nothing if raw is not one canonical value or no struct
// fits. A schema text in its place decides alone, even if the rest of the
// struct is wrong. Otherwise raw must decode strictly, and where the struct has
// an id, that must be the recomputed one; structs whose id is wrong, or in
// which raw has unknown fields, are named only if nothing fits better.
func Identify(raw []byte) []string {
	if can.Valid(raw) != nil {
		return nil
	}
	if name := bySchema(raw); name != "" {
		return []string{name}
	}
	var found []match
	for _, name := range schema().names {
		if m, ok := fit(name, raw); ok {
			found = append(found, m)
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(a.rank, b.rank) })
	var names []string
	for _, m := range found {
		if m.rank == found[0].rank {
			names = append(names, m.name)
		}
	}
	return names
}

// match is a struct that raw decodes as; rank 0 is a proven id, 1 a plain fit,
// 2 a fit with unknown fields, 3 a wrong id.
type match struct {
	name string
	rank int
}

func fit(name string, raw []byte) (match, bool) {
	t, _ := schema().typeOf(name)
	r := can.NewReader(raw)
	check(&r, t)
	if r.Done() != nil {
		return match{}, false
	}
	x, ok := Lookup(name)
	switch {
	case !ok:
		return match{name, 1}, name != "CapProof" || allHold(raw, "Capability")
	case x.ID != 0 && !idProven(x, raw):
		return match{name, 3}, true
	case x.ID != 0:
		return match{name, 0}, true
	case !x.kindHolds(raw):
		return match{}, false
	case x.unknownIn(raw):
		return match{name, 2}, true
	}
	return match{name, 1}, true
}

// bySchema returns the struct whose schema text raw carries in its place.
func bySchema(raw []byte) string {
	r := can.NewReader(raw)
	if tag, _ := r.Kind(); tag != can.Map {
		return ""
	}
	for n := r.MapHead(); n > 0; n-- {
		key, value := r.Raw(), r.Raw()
		if key[0] != can.Uint || len(key) != 2 {
			return "" // no struct, and nothing behind this key makes it one
		}
		if name := constant(key[1], value); name != "" {
			return name
		}
	}
	return ""
}

// constant returns the struct in which field num always has this value.
func constant(num uint8, value []byte) string {
	r := can.NewReader(value)
	text := r.Text()
	if r.Done() != nil || text == "" {
		return ""
	}
	for _, x := range schema().structs {
		if i := x.field(uint64(num)); i >= 0 && x.Fields[i].Const == text {
			return x.Name
		}
	}
	return ""
}

// fields calls f with the number and the bytes of each field of a struct.
func fields(raw []byte, f func(num uint64, value []byte)) {
	r := can.NewReader(raw)
	for n := r.MapHead(); n > 0; n-- {
		num := r.Uint()
		f(num, r.Raw())
	}
}

func idProven(x Struct, raw []byte) bool {
	id, _, err := ID(x.Name, raw)
	same := false
	fields(raw, func(num uint64, value []byte) {
		same = same || num == uint64(x.ID) && bytes.Equal(value, id.AppendCAN(nil))
	})
	return err == nil && same
}

func (x Struct) unknownIn(raw []byte) bool {
	unknown := false
	fields(raw, func(num uint64, _ []byte) { unknown = unknown || x.field(num) < 0 })
	return unknown
}

// kindHolds reports whether BYTES whose struct the kind before them decides are
// that struct.
func (x Struct) kindHolds(raw []byte) bool {
	ok := true
	h := holder{name: x.Name}
	fields(raw, func(num uint64, value []byte) {
		i := x.field(num)
		if i < 0 {
			return
		}
		r := can.NewReader(value)
		h.field = x.Fields[i].Name
		switch h.name + "." + h.field {
		case "MerkleNode.kind", "CapScope.kind", "CapRequirement.kind":
			h.kind = r.Uint()
		case "MerkleNode.payload", "CapScope.payload", "CapRequirement.scope":
			_, ok = nested(h, r.Bytes())
		}
	})
	return ok
}

// allHold reports whether the items of a LIST of BYTES are all structs name.
func allHold(raw []byte, name string) bool {
	r := can.NewReader(raw)
	n := r.List()
	for range n {
		if _, err := JSON(name, r.Bytes()); err != nil {
			return false
		}
	}
	return true
}
