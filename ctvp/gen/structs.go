package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/conformance"
	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// structs is the suite of the schema: every struct, right and wrong. A mutation
// is one way to get one struct wrong, such as missing-receipt.
func structs(p *pack) {
	s := p.suite("struct", "RFC-MYTHOS-0002", "Every struct of the schema: minimal, full, and each way to get its fields wrong.")
	s.flag("minimal", "every optional field is absent")
	s.flag("full", "every field is there, integers at their upper edge")
	s.flag("unknown-field", "open structs skip what they do not know and ids cover it; closed structs refuse it")
	s.flag("edge", "a value at the edge of a type, width or length form")
	s.flag("edge-depth", "at the bound of depth, or one beyond")
	s.spec = "RFC-MYTHOS-0001 §2.2"
	g := &structGen{s, newSampler()}
	for _, t := range schema() {
		g.valid(t)
		g.missing(t)
		g.unknown(t)
		g.types(t)
		g.ranges(t)
		g.optional(t)
	}
	g.hashes()
	g.keys()
	g.nested()
	g.maps()
	g.deep()
	g.precedence()
	g.later()
	s.invalid("name", "struct.decode", "a struct that the schema does not have", in{"type": "Nothing", "hex": x("08 00")}, "struct_unknown")
}

type structGen struct {
	*suite
	samples *sampler
}

// slug is a struct's name in an id.
func slug(t conformance.StructInfo) string { return strings.ToLower(t.Name) }

// decoded is the output for a struct whose known fields are given, received as
// raw.
func decoded(t conformance.StructInfo, known, received []field) out {
	o := out{"hex": encode(known)}
	if t.Sig != 0 {
		o["id"] = cid.Sum(encode(without(received, t.ID, t.Sig))).String()
	}
	return o
}

func (g *structGen) accept(t conformance.StructInfo, doc string, known, received []field, flags ...string) {
	g.suite.valid(slug(t), "struct.decode", doc, in{"type": t.Name, "hex": encode(received)}, decoded(t, known, received), flags...)
}

func (g *structGen) refuse(t conformance.StructInfo, what, doc string, fields []field, code string, offset int, flags ...string) {
	g.invalidAt(what+"-"+slug(t), "struct.decode", doc, in{"type": t.Name, "hex": encode(fields)}, code, offset, flags...)
}

func (g *structGen) valid(t conformance.StructInfo) {
	least, most := g.samples.fields(t, false, 2), g.samples.fields(t, true, 2)
	g.accept(t, t.Name+" with its required fields", least, least, "minimal")
	if string(encode(least)) != string(encode(most)) {
		g.accept(t, t.Name+" with all fields", most, most, "full")
	}
}

// later is for the fields that samples leave out.
func (g *structGen) later() {
	t := g.samples.structs["EffectEvidence"]
	base := g.samples.fields(t, false, 0)
	g.accept(t, "EffectEvidence with field 22", with(base, 22, hashOf(digest("probe"))), with(base, 22, hashOf(digest("probe"))))
	for _, wrong := range []struct {
		doc string
		raw []byte
	}{{"BYTES instead of MAP", canon.AppendBytes(nil, digest("probe"))}, {"NULL", canon.AppendNull(nil)}} {
		fields := with(base, 22, wrong.raw)
		g.refuse(t, "later", "EffectEvidence with "+wrong.doc+" in field 22", fields, "can_type", valueAt(fields, at(fields, 22)))
	}
}

// missing leaves out each required field.
func (g *structGen) missing(t conformance.StructInfo) {
	base := g.samples.fields(t, false, 0)
	for i, f := range base {
		if i < maxMutation {
			rest := without(base, f.num)
			g.refuse(t, "missing", fmt.Sprintf("%s without field %d", t.Name, f.num), rest, "can_missing", keyAt(rest, i))
		}
	}
}

// unknown adds fields that the struct does not have: in a gap, behind the last
// and at the upper edge.
func (g *structGen) unknown(t conformance.StructInfo) {
	base := g.samples.fields(t, false, 0)
	var nums []uint8
	last := uint8(0)
	if n := len(t.Fields); n > 0 {
		last = t.Fields[n-1].Num
	}
	for n := uint8(1); n < last; n++ {
		if !slices.ContainsFunc(t.Fields, func(f conformance.FieldInfo) bool { return f.Num == n }) {
			nums = append(nums, n)
		}
	}
	nums = append(nums, last+1, 127)
	if !t.Closed {
		more := base
		for _, n := range nums {
			more = with(more, n, extra())
		}
		g.accept(t, fmt.Sprintf("%s with the unknown fields %v", t.Name, nums), base, more, "unknown-field")
		return
	}
	for _, n := range nums {
		more := with(base, n, extra())
		g.refuse(t, "unknown", fmt.Sprintf("%s with the unknown field %d", t.Name, n), more, "can_unknown_field", keyAt(more, at(more, n)), "unknown-field")
	}
}

// extra is the value of unknown fields: a LIST with one of each plain thing.
func extra() []byte { return x("07 03 00 03 05 06 01 61") }

// types gives fields a value of another type: NULL, which never stands for
// absence, and the type most like the right one.
func (g *structGen) types(t conformance.StructInfo) {
	full := g.samples.fields(t, true, 0)
	if len(full) == 0 {
		return
	}
	num := full[0].num
	for _, f := range t.Fields {
		if f.Optional {
			num = f.Num
			break
		}
	}
	null := with(full, num, x("00"))
	g.refuse(t, "null", fmt.Sprintf("%s with NULL in field %d", t.Name, num), null, "can_type", valueAt(null, at(null, num)))
	kinds := map[byte]string{canon.Uint: "04 02", canon.Int: "03 01", canon.Bytes: "06 01 61", canon.Text: "05 01 61", canon.List: "08 00", canon.Map: "07 00", canon.True: "03 01"}
	seen := map[byte]bool{}
	for _, f := range full {
		tag := f.raw[0] // one field of each type
		if seen[tag] {
			continue
		}
		seen[tag] = true
		bad := with(full, f.num, x(kinds[tag]))
		g.refuse(t, "type", fmt.Sprintf("%s with %s instead of %s in field %d", t.Name, canon.TagName(bad[at(bad, f.num)].raw[0]), canon.TagName(tag), f.num),
			bad, "can_type", valueAt(bad, at(bad, f.num)))
	}
}

// ranges exceeds widths and lengths.
func (g *structGen) ranges(t conformance.StructInfo) {
	full := g.samples.fields(t, true, 0)
	n := 0
	for _, f := range t.Fields {
		bits := map[string]int{"u8": 8, "u16": 16, "u32": 32}[f.Type.Kind]
		if bits == 0 || n == maxMutation {
			continue
		}
		n++
		bad := with(full, f.Num, canon.AppendUint(nil, 1<<bits))
		g.refuse(t, "range", fmt.Sprintf("%s with 2^%d in field %d", t.Name, bits, f.Num), bad, "can_range", valueAt(bad, at(bad, f.Num)), "edge")
	}
	for _, f := range t.Fields {
		if f.Type.Kind != "fixed" {
			continue
		}
		for _, size := range []int{0, f.Type.Size - 1, f.Type.Size + 1} {
			bad := with(full, f.Num, canon.AppendBytes(nil, make([]byte, size)))
			g.refuse(t, "length", fmt.Sprintf("%s with %d bytes in field %d", t.Name, size, f.Num), bad, "can_length", valueAt(bad, at(bad, f.Num)), "edge")
		}
	}
}

// optional writes what absence already says, and schema texts of other kinds.
func (g *structGen) optional(t conformance.StructInfo) {
	full := g.samples.fields(t, true, 0)
	empties := map[string]string{"bytes": "05 00", "text": "06 00", "list": "07 00", "map": "08 00"}
	for _, f := range t.Fields {
		refuse := func(what, doc, digits, code string) {
			bad := with(full, f.Num, x(digits))
			g.refuse(t, what, fmt.Sprintf("%s %s %d", t.Name, doc, f.Num), bad, code, valueAt(bad, at(bad, f.Num)))
		}
		switch empty := empties[f.Type.Kind]; {
		case f.Const != "":
			refuse("schema", "with the schema of another kind in field", "06 0b 6d 79 74 68 6f 73 2e 6e 6f 6e 65", "schema_mismatch")
			refuse("schema", "with an empty schema in field", "06 00", "schema_mismatch")
		case f.Optional && empty != "":
			refuse("empty", "with an empty optional field", empty, "can_empty")
		case f.Optional && f.Type.Kind == "bool":
			refuse("default", "with the default spelled out in field", "01", "can_default")
		}
	}
}

// hashes are Hash, which the schema does not list.
func (g *structGen) hashes() {
	g.spec = "RFC-MYTHOS-0001 §3.1"
	h := hashOf(digest("hash"))
	g.suite.valid("hash", "struct.decode", "a Hash", in{"type": "Hash", "hex": h}, out{"hex": h}, "minimal")
	bad := func(what, doc, digits, code string, at int, flags ...string) {
		g.invalidAt(what, "struct.decode", doc, in{"type": "Hash", "hex": x(digits)}, code, at, flags...)
	}
	body := fmt.Sprintf("%x", digest("hash"))
	bad("hash-alg", "algorithm 2", "08 02 03 01 03 02 03 02 05 20"+body, "hash_alg", 4)
	bad("hash-alg", "algorithm 0", "08 02 03 01 03 00 03 02 05 20"+body, "hash_alg", 4)
	bad("hash-alg", "algorithm 2 and a digest of no bytes: the lower offset", "08 02 03 01 03 02 03 02 05 00", "hash_alg", 4)
	bad("hash-alg", "algorithm 256 is beyond u8 first", "08 02 03 01 03 80 02 03 02 05 20"+body, "can_range", 4)
	bad("hash-length", "31 bytes", "08 02 03 01 03 01 03 02 05 1f"+body[2:], "can_length", 8, "edge")
	bad("hash-length", "33 bytes", "08 02 03 01 03 01 03 02 05 21 00"+body, "can_length", 8, "edge")
	bad("hash-length", "no bytes", "08 02 03 01 03 01 03 02 05 00", "can_length", 8, "edge")
	bad("hash-missing", "no digest", "08 01 03 01 03 01", "can_missing", 6)
	bad("hash-missing", "field 3 stands where the digest is due", "08 02 03 01 03 01 03 03 00", "can_missing", 6)
	bad("hash-missing", "no algorithm", "08 01 03 02 05 20"+body, "can_missing", 2)
	bad("hash-unknown", "a third field", "08 03 03 01 03 01 03 02 05 20"+body+"03 03 00", "can_unknown_field", 42, "unknown-field")
	bad("hash-type", "the digest as TEXT", "08 02 03 01 03 01 03 02 06 01 61", "can_type", 8)
	bad("hash-type", "BYTES instead of a struct", "05 20"+body, "can_type", 0)
	bad("hash-type", "a LIST of algorithm and digest", "07 02 03 01 05 20"+body, "can_type", 0)
}

// keys are struct keys that are no field numbers, or stand wrong, in an open and
// in a closed struct.
func (g *structGen) keys() {
	g.spec = "RFC-MYTHOS-0001 §2.3"
	for _, name := range []string{"CodebookEntry", "AgentID"} {
		t := g.samples.structs[name]
		base := encode(g.samples.fields(t, false, 0))
		end := len(base)
		grow := func(n byte, tail string) []byte {
			b := join(base, x(tail))
			b[1] += n
			return b
		}
		bad := func(what, doc string, raw []byte, code string, at int) {
			g.invalidAt(what+"-"+slug(t), "struct.decode", name+" with "+doc, in{"type": name, "hex": raw}, code, at)
		}
		bad("key", "field number 128", grow(1, "03 80 01 00"), "can_field_number", end)
		bad("key", "field number 2^64-1", grow(1, "03 ff ff ff ff ff ff ff ff ff 01 00"), "can_field_number", end)
		bad("key", "field number 0 at its end", grow(1, "03 00 00"), "can_field_number", end)
		bad("key", "a TEXT key", grow(1, "06 01 61 00"), "can_field_number", end)
		bad("key", "an IVARINT key", grow(1, "04 02 00"), "can_field_number", end)
		bad("key", "a key with an unknown tag", grow(1, "09 00"), "can_field_number", end)
		bad("key", "a field number that is not minimal", grow(1, "03 ff 00 00"), "can_varint", end)
		bad("twice", "field 2 twice", grow(1, "03 02 00"), map[string]string{"CodebookEntry": "can_key_order", "AgentID": "can_key_duplicate"}[name], end)
		bad("order", "field 1 again behind the last", grow(1, "03 01 00"), "can_key_order", end)
		bad("first", "field 2 before field 1", join([]byte{8, 2}, x02(name), x("03 01 03 01")), "can_missing", 2)
	}
}

// x02 is field 2 of one of the structs of keys.
func x02(name string) []byte {
	if name == "AgentID" {
		return join(x("03 02 05 20"), digest("key"))
	}
	return x("03 02 03 01")
}

// nested are unknown fields inside structs: what stands in a closed struct is
// closed, even where the struct is open elsewhere.
func (g *structGen) nested() {
	g.spec = "RFC-MYTHOS-0002 §9"
	inner := func(outer, name, inside string, depth int) {
		t, kind := g.samples.structs[outer], g.samples.structs[inside]
		i := slices.IndexFunc(t.Fields, func(f conformance.FieldInfo) bool { return f.Name == name })
		f := t.Fields[i]
		odd := with(g.samples.fields(kind, false, 0), 127, extra())
		raw := encode(odd)
		offset := keyAt(odd, len(odd)-1)
		if f.Type.Kind == "list" {
			raw = join(x("07 01"), raw)
			offset += 2
		}
		fields := with(g.samples.fields(t, false, depth), f.Num, raw)
		g.refuse(t, "nested", fmt.Sprintf("%s with an unknown field inside field %d, %s", outer, f.Num, inside), fields,
			"can_unknown_field", valueAt(fields, at(fields, f.Num))+offset, "unknown-field")
	}
	inner("PackageManifest", "attestations", "Attestation", 0)
	inner("PackageManifest", "requires", "Requires", 0)
	inner("PackageManifest", "artifacts", "Artifact", 0)
	inner("RingPolicy", "max_budget", "Budget", 0)
	inner("RingPolicy", "claims", "RingClaim", 0)
	inner("Capability", "scope", "CapScope", 0)
	inner("Receipt", "signer", "AgentID", 0)
	inner("Receipt", "signature", "Signature", 0)
}

// maps are MAPs inside structs: order and widths of their keys.
func (g *structGen) maps() {
	g.spec = "RFC-MYTHOS-0001 §2.5"
	put := func(name string, num uint8, doc, digits, code string, inside int) {
		t := g.samples.structs[name]
		fields := with(g.samples.fields(t, false, 0), num, x(digits))
		g.refuse(t, "map", name+" with "+doc, fields, code, valueAt(fields, at(fields, num))+inside)
	}
	put("ProvenanceRef", 3, "keys in the order of strings, which is wrong", "08 02 06 02 61 61 06 00 06 01 62 06 00", "can_key_order", 8)
	put("ProvenanceRef", 3, "a key twice", "08 02 06 01 61 06 00 06 01 61 06 00", "can_key_duplicate", 7)
	put("ProvenanceRef", 3, "a UVARINT key", "08 01 03 01 06 00", "can_type", 2)
	put("ProvenanceRef", 3, "a NULL value", "08 01 06 01 61 00", "can_type", 5)
	operand := "08 01 03 01 03 01"
	put("Node", 3, "keys in numerical order, which is wrong", "08 02 03 81 01 "+operand+" 03 80 02 "+operand, "can_key_order", 11)
	put("Node", 3, "key 2^32", "08 01 03 80 80 80 80 10 "+operand, "can_range", 2)
	put("Node", 3, "a TEXT key", "08 01 06 01 61 "+operand, "can_type", 2)
	put("Node", 3, "a key twice", "08 02 03 01 "+operand+" 03 01 "+operand, "can_key_duplicate", 10)
}

// deep are structs at the bound of depth, which counts the whole message.
func (g *structGen) deep() {
	g.spec = "RFC-MYTHOS-0001 §2.4"
	t := g.samples.structs["Expr"]
	expr := func(n int) []byte {
		raw := x("08 01 03 01 03 01")
		for range n - 1 {
			raw = join(x("08 02 03 01 03 01 03 02 07 01"), raw)
		}
		return raw
	}
	g.suite.valid("depth", "struct.decode", "16 Expr inside one another: 31 containers", in{"type": t.Name, "hex": expr(16)}, out{"hex": expr(16)}, "edge-depth")
	g.invalidAt("depth-expr", "struct.decode", "17 Expr inside one another: the innermost is the 33rd container",
		in{"type": t.Name, "hex": expr(17)}, "can_depth", 16*10, "edge-depth")
	hashed := func(n int) []byte {
		raw := join(x("08 02 03 01 03 01 03 04 08 02 03 01 03 06 03 04"), hashOf(digest("deep")))
		for range n - 1 {
			raw = join(x("08 02 03 01 03 01 03 02 07 01"), raw)
		}
		return raw
	}
	g.suite.valid("depth", "struct.decode", "a Hash as the 31st container", in{"type": t.Name, "hex": hashed(15)}, out{"hex": hashed(15)}, "edge-depth")
	g.invalidAt("depth-expr", "struct.decode", "a Hash as the 33rd container: shortcuts for fixed shapes count too",
		in{"type": t.Name, "hex": hashed(16)}, "can_depth", 15*10+16, "edge-depth")
	ref := g.samples.structs["BlobRef"]
	base := g.samples.fields(ref, false, 0)
	ok := with(base, 127, lists(31, x("00")))
	g.accept(ref, "an unknown field of 31 LISTs inside a struct", base, ok, "edge-depth", "unknown-field")
	bad := with(base, 127, lists(32, x("00")))
	g.invalidAt("depth-unknown", "struct.decode", "an unknown field of 32 LISTs inside a struct",
		in{"type": ref.Name, "hex": encode(bad)}, "can_depth", valueAt(bad, at(bad, 127))+62, "edge-depth", "unknown-field")
	for _, c := range []struct{ doc, digits, code string }{
		{"a value with an unknown tag", "09", "can_tag"},
		{"TEXT that is not UTF-8", "06 01 ff", "can_utf8"},
		{"a UVARINT that is not minimal", "03 80 00", "can_varint"},
		{"a length beyond the end", "05 7f", "can_bounds"},
		{"a LIST without its item", "07 01 09", "can_tag"},
	} {
		odd := with(base, 127, x(c.digits))
		offset := valueAt(odd, at(odd, 127))
		if c.digits[:2] == "07" {
			offset += 2
		}
		g.invalidAt("skipped", "struct.decode", "an unknown field that is skipped is validated: "+c.doc,
			in{"type": ref.Name, "hex": encode(odd)}, c.code, offset, "unknown-field")
	}
}

// precedence are structs with two faults at one offset, or whose first fault is
// not where it seems.
func (g *structGen) precedence() {
	g.spec = "RFC-MYTHOS-0001 §2.3"
	bad := func(name, doc, digits, code string, offset int) {
		g.invalidAt("precedence", "struct.decode", name+": "+doc, in{"type": name, "hex": x(digits)}, code, offset)
	}
	bad("AgentID", "an unknown field where a required one is due", "08 02 03 01 03 01 03 04 00", "can_missing", 6)
	bad("AgentID", "the input ends where a key is due", "08 02 03 01 03 01", "can_truncated", 6)
	bad("AgentID", "a key out of order before a field that is missing", "08 02 03 01 03 01 03 01 00", "can_key_duplicate", 6)
	bad("AgentID", "a field of the wrong type before one that is missing", "08 01 03 01 00", "can_type", 4)
	bad("AgentID", "no field at all", "08 00", "can_missing", 2)
	bad("AgentID", "a second value behind a fault", "08 00 00", "can_missing", 2)
	bad("CodebookEntry", "a second value behind it", "08 03 03 01 03 01 03 02 03 01 03 03 03 01 00", "can_trailing", 14)
	bad("CodebookEntry", "an unknown field that is not canonical before one that is missing", "08 03 03 01 03 01 03 02 03 01 03 7f 09", "can_missing", 10)
	bad("CodebookEntry", "a width exceeded by a varint that is not minimal", "08 03 03 01 03 80 80 84 00 03 02 03 01 03 03 03 01", "can_varint", 4)
}
