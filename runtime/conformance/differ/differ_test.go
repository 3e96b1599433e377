package differ

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// faulty is an implementation with a fault.
type faulty struct {
	conformance.Impl
	spoil func(r conformance.Request, a conformance.Answer) conformance.Answer
}

func (f faulty) Do(ctx context.Context, r conformance.Request) (conformance.Answer, error) {
	a, err := f.Impl.Do(ctx, r)
	if err == nil {
		a = f.spoil(r, a)
	}
	return a, err
}

// startFaulty starts this build with the fault.
func startFaulty(spoil func(conformance.Request, conformance.Answer) conformance.Answer) conformance.Start {
	return func(ctx context.Context) (conformance.Impl, error) {
		impl, err := conformance.Local(ctx)
		return faulty{impl, spoil}, err
	}
}

// rounds is how many rounds of cases the tests look at.
const rounds = 4

// newGenerator makes the cases of seed 1.
func newGenerator(t *testing.T) *Generator {
	t.Helper()
	g, err := NewGenerator(1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// asked is a case and the answer of this build.
type asked struct {
	Case
	answer conformance.Answer
}

// ask answers the cases of some rounds.
func ask(t *testing.T, g *Generator) []asked {
	t.Helper()
	local, err := conformance.Local(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []asked
	for i := range uint64(rounds * len(g.round)) {
		c, err := g.Case(i)
		if err != nil {
			t.Fatal(err)
		}
		a, err := local.Do(t.Context(), conformance.Request{ID: c.ID(), Op: c.Op, Input: c.Input})
		if err != nil {
			t.Fatal(c.Class, c.Index, err)
		}
		all = append(all, asked{c, a})
	}
	return all
}

// found counts, by class, the cases that find a fault.
func found(all []asked, spoil func(conformance.Request, conformance.Answer) conformance.Answer) map[string]int {
	n := map[string]int{}
	for _, c := range all {
		a := spoil(conformance.Request{ID: c.ID(), Op: c.Op, Input: c.Input}, c.answer)
		if differs(c.Case, c.answer, a) != "" {
			n[c.Class]++
		}
	}
	return n
}

// lenient makes an implementation that accepts what it must refuse with one of
// the codes; one that ends in _ stands for all that begin so.
func lenient(codes ...string) func(conformance.Request, conformance.Answer) conformance.Answer {
	return func(_ conformance.Request, a conformance.Answer) conformance.Answer {
		for _, c := range codes {
			if !a.OK && (a.Error == c || strings.HasSuffix(c, "_") && strings.HasPrefix(a.Error, c)) {
				return conformance.Answer{ID: a.ID, OK: true, Output: json.RawMessage(`{}`)}
			}
		}
		return a
	}
}

// strict makes an implementation that refuses what ops of these names accept.
func strict(ops ...string) func(conformance.Request, conformance.Answer) conformance.Answer {
	return func(r conformance.Request, a conformance.Answer) conformance.Answer {
		if a.OK && slices.Contains(ops, r.Op) {
			return conformance.Answer{ID: a.ID, Error: "refused"}
		}
		return a
	}
}

// another makes an implementation whose output has another digit in place of the
// last one.
func another(ops ...string) func(conformance.Request, conformance.Answer) conformance.Answer {
	return func(r conformance.Request, a conformance.Answer) conformance.Answer {
		i := strings.LastIndexAny(string(a.Output), "0123456789abcdef")
		if a.OK && i >= 0 && slices.Contains(ops, r.Op) {
			out := slices.Clone(a.Output)
			out[i] = "123456789a0"[strings.IndexByte("0123456789a", max('0', min(out[i], 'a')))]
			a.Output = out
		}
		return a
	}
}

// refusesUnknown is an implementation that takes open structs for closed.
func refusesUnknown(r conformance.Request, a conformance.Answer) conformance.Answer {
	var in, out struct {
		Hex string `json:"hex"`
	}
	if r.Op != "struct.decode" || !a.OK || json.Unmarshal(r.Input, &in) != nil || json.Unmarshal(a.Output, &out) != nil || in.Hex == out.Hex {
		return a
	}
	return conformance.Answer{ID: a.ID, Error: string(can.ErrUnknownField)}
}

// offByOne is an implementation that names the byte after the one that is wrong.
func offByOne(_ conformance.Request, a conformance.Answer) conformance.Answer {
	if a.Offset != nil {
		at := *a.Offset + 1
		a.Offset = &at
	}
	return a
}

// librarySignatures is an implementation that leaves out the checks that are
// beside the equation: it accepts keys and R of low order.
func librarySignatures(r conformance.Request, a conformance.Answer) conformance.Answer {
	var in struct {
		Key, Message, Sig conformance.Hex
	}
	if r.Op != "sig.verify" || json.Unmarshal(r.Input, &in) != nil || len(in.Key) != ed25519.PublicKeySize || len(in.Sig) != ed25519.SignatureSize {
		return a
	}
	if ed25519.Verify(ed25519.PublicKey(in.Key), in.Message, in.Sig) {
		return conformance.Answer{ID: a.ID, OK: true, Output: json.RawMessage(`{}`)}
	}
	return a
}

// faults are the faults that are planted, and the classes that must find them.
var faults = []struct {
	name    string
	spoil   func(conformance.Request, conformance.Answer) conformance.Answer
	classes string
}{
	{"required fields may be missing", lenient("can_missing"), "struct/drop struct/type struct/two"},
	{"any order", lenient("can_key_order"), "struct/reorder can/reorder"},
	{"fields may stand twice", lenient("can_key_duplicate"), "struct/duplicate can/duplicate"},
	{"any field in a closed struct", lenient("can_unknown_field"), "struct/unknown-middle struct/unknown-high struct/extra-closed object/content"},
	{"field 0, and fields above 127", lenient("can_field_number"), "struct/unknown-low struct/unknown-high"},
	{"no unknown fields in open structs", refusesUnknown, "struct/unknown-low struct/unknown-middle struct/unknown-high"},
	{"any type", lenient("can_type"), "struct/tag object/type wire/entry"},
	{"optional fields may be empty", lenient("can_empty", "can_default"), "struct/empty"},
	{"optional bools may be false", lenient("can_default"), "struct/empty"},
	{"signatures as the standard library has them", librarySignatures, "sig/verify"},
	{"any width", lenient("can_range", "can_overflow", "can_length"), "struct/range can/range"},
	{"long varints", lenient("can_varint"), "struct/varint can/varint"},
	{"any UTF-8", lenient("can_utf8"), "struct/utf8 can/utf8"},
	{"counts are not compared with what is there", lenient("can_bounds", "can_truncated"), "struct/count can/count struct/truncate can/truncate"},
	{"bytes may follow", lenient("can_trailing"), "struct/extend can/extend struct/count"},
	{"any depth", lenient("can_depth"), "struct/depth can/depth"},
	{"any constant", lenient("schema_mismatch"), "struct/const"},
	{"any hash algorithm", lenient("hash_alg"), "struct/hash"},
	{"any tag", lenient("can_tag"), "can/bytes can/bit"},
	{"offsets one too high", offByOne, "struct/splice struct/bit can/splice json/token json/bytes"},
	{"no value is known", strict("can.decode"), "can/none can/drop can/tag can/depth"},
	{"no struct is known", strict("struct.decode"), "struct/none"},
	{"no view is known", strict("can.encode"), "json/none json/made"},
	{"lenient views", lenient("json_"), "json/token json/bytes json/made pack/can.encode"},
	{"other hashes", another("hash.sum", "hash.without", "idem.id", "key.id", "tool.id", "ledger.leaf", "ledger.key"), "hash/sum hash/without hash/idem hash/key hash/tool hash/effect ledger/leaf"},
	{"any text of a hash", lenient("hash_text"), "hash/parse"},
	{"any name and path", lenient("abi_tool_name", "run_id", "path_", "tree_"), "hash/tool hash/runid hash/path pack/tool.id pack/ledger.runid pack/path.check"},
	{"any signature", lenient("signature_invalid"), "object/signature object/flip sig/verify wire/need pack/sig.verify"},
	{"any signature algorithm", lenient("signature_alg"), "object/signature"},
	{"any id", lenient("id_mismatch"), "object/signature object/flip pack/object.open"},
	{"any key id", lenient("key_id"), "object/signature object/flip"},
	{"no object opens", strict("object.open"), "object/signed object/content pack/object.open"},
	{"other roots", another("merkle.root", "blob.root", "blob.write"), "merkle/root blob/root"},
	{"no proof holds", strict("merkle.verify", "merkle.range", "blob.verify", "blob.range"), "proof/honest pack/merkle.range pack/merkle.verify pack/blob.range pack/blob.verify"},
	{"any shape of a tree", lenient("merkle_", "blob_"), "proof/form proof/number proof/relinked blob/stream pack/blob.stream pack/blob.ref pack/blob.artifact"},
	{"any packet", lenient("wire_", "can_"), "wire/header wire/frame wire/entry wire/payload pack/wire.parse pack/wire.bundle"},
	{"no packet", strict("wire.parse"), "wire/signed"},
	{"any ledger", lenient("ledger_corrupt"), "ledger/fold ledger/entry ledger/order pack/ledger.fold"},
	{"any capability", lenient("cap_"), "caps/chain caps/link caps/subset pack/caps.check pack/caps.subset"},
	{"any codebook, manifest, receipt, tree and message", lenient("codebook_", "manifest_", "receipt_", "tree_", "abi_", "can_", "id_mismatch"), "pack/codebook.decode pack/manifest.open pack/receipt.content pack/tree.open pack/tool.frame pack/tool.request pack/tool.response"},
	{"any content", lenient("attestation_", "ledger_entry", "run_", "cap_revocation_list", "ring_policy_invalid", "package_", "module_", "artifact_", "entrypoint_", "path_", "tree_", "abi_", "blob_"), "rule/object rule/manifest rule/tree rule/message rule/ref"},
	{"any seal of a run", lenient("run_seal", "run_seal_receipts", "id_mismatch", "signature_invalid", "can_"), "pack/seal.check"},
}

// TestPlantedFaults shows that every class finds the faults that it is there for,
// that this build agrees with itself, and that classes which can have both
// verdicts do.
func TestPlantedFaults(t *testing.T) {
	g := newGenerator(t)
	all := ask(t, g)
	if n := found(all, func(_ conformance.Request, a conformance.Answer) conformance.Answer { return a }); len(n) != 0 {
		t.Errorf("this build disagrees with itself: %v", n)
	}
	finds := map[string]bool{}
	for _, f := range faults {
		n := found(all, f.spoil)
		for _, class := range strings.Fields(f.classes) {
			finds[class] = true
			if n[class] == 0 {
				t.Errorf("%s: class %s does not find it, only %v", f.name, class, n)
			}
		}
	}
	for _, class := range g.Classes() {
		if !finds[class] {
			t.Errorf("class %s has no planted fault", class)
		}
	}
	verdicts(t, g, all)
}

// verdicts demands both verdicts of every class that can have both, and a fair
// share of each over all.
func verdicts(t *testing.T, g *Generator, all []asked) {
	t.Helper()
	valid, invalid, good := map[string]int{}, map[string]int{}, 0
	for _, c := range all {
		if c.answer.OK {
			valid[c.Class]++
			good++
		} else {
			invalid[c.Class]++
		}
	}
	for _, c := range g.classes {
		switch v, i := valid[c.name], invalid[c.name]; {
		case v+i < rounds*3:
			t.Errorf("%s: %d cases only", c.name, v+i)
		case !c.oneSide && (v == 0 || i == 0):
			t.Errorf("%s: %d valid, %d invalid", c.name, v, i)
		}
	}
	if 100*good < 20*len(all) || 100*good > 80*len(all) {
		t.Errorf("%d of %d cases are valid", good, len(all))
	}
}

// TestRun compares this build with one that has a fault, by way of a run: what it
// reports, and what it counts.
func TestRun(t *testing.T) {
	g := newGenerator(t)
	n := uint64(len(g.round))
	seen := map[string]uint64{}
	r, err := Run(t.Context(), g, Options{
		From: n, Cases: n, Impls: []conformance.Start{conformance.Local, startFaulty(strict("struct.decode"))},
		Found: func(d *Disagreement) { seen[d.Impl+" "+d.Case.Class]++ },
	})
	if err != nil || fault.CodeOf(r.Err()) != ErrDisagreed {
		t.Fatal(err, r.Err())
	}
	classes, cases := 0, uint64(0)
	total := uint64(0)
	for _, c := range r.Classes {
		cases += c.Valid + c.Invalid
		if strings.HasPrefix(c.Class, "struct/") && c.Valid > 0 {
			classes++
			total += c.Valid
			if seen["mythos-go "+c.Class] != c.Valid {
				t.Errorf("%s: %d valid cases, %d disagreements", c.Class, c.Valid, seen["mythos-go "+c.Class])
			}
		}
	}
	good, bad := r.Impls[0], r.Impls[1]
	if cases != n || r.Cases != n || r.From != n || classes < 10 || len(seen) != classes {
		t.Errorf("%d of %d cases, %v", cases, n, seen)
	}
	if good.Compared != n || good.Disagreed != 0 || bad.Compared != n || bad.Disagreed != total || r.Disagreements() != total {
		t.Errorf("%+v, %+v, want %d disagreements", good, bad, total)
	}
}

// TestCasesRepeat demands that a case depends on seed and index alone.
func TestCasesRepeat(t *testing.T) {
	a, b := newGenerator(t), newGenerator(t)
	other, err := NewGenerator(2)
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for i := uint64(1000); i > 0; i-- { // in another order than a's
		x, errX := a.Case(1000 - i)
		y, errY := b.Case(1000 - i)
		z, errZ := other.Case(1000 - i)
		if errX != nil || errY != nil || errZ != nil {
			t.Fatal(errX, errY, errZ)
		}
		if x.ID() != y.ID() || x.Class != y.Class || x.Op != y.Op || string(x.Input) != string(y.Input) {
			t.Fatalf("case %d is %s and %s", 2000-i, x.Input, y.Input)
		}
		if string(x.Input) == string(z.Input) {
			same++
		}
	}
	if same > 100 { // vectors of the pack as they are, and a few small values
		t.Errorf("%d of 1000 cases are the same with another seed", same)
	}
}

// TestEveryBit demands that the flips of a long run are each bit of each sealed
// object once, and that there is an object of every kind.
func TestEveryBit(t *testing.T) {
	g := newGenerator(t)
	if g.bits >= stride {
		t.Fatalf("%d bits, and a stride of %d", g.bits, stride)
	}
	type place struct {
		s    *sealed
		what uint64
	}
	seen := map[place]bool{}
	for n := range g.bits {
		s, what := g.flipAt(n)
		if what > 8*uint64(len(s.raw)) || seen[place{s, what}] {
			t.Fatalf("flip %d is %d of %s", n, what, s.op)
		}
		seen[place{s, what}] = true
	}
	if len(g.sealed) != len(g.signed)+4 {
		t.Errorf("%d sealed objects, want one of each of the %d signed structs and four others", len(g.sealed), len(g.signed))
	}
	local, err := conformance.Local(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range g.sealed {
		s.input[s.member] = s.raw
		raw, err := encodeInput(s.input)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := local.Do(t.Context(), conformance.Request{ID: "x", Op: s.op, Input: raw}); err != nil || !a.OK {
			t.Errorf("%s %s as it is: %+v, %v", s.op, raw, a, err)
		}
	}
	if done, all := g.Bits(1 << 20); done != all || all != g.bits {
		t.Errorf("a million cases flip %d of %d bits", done, all)
	}
	if done, _ := g.Bits(uint64(len(g.round))); done != 220 {
		t.Errorf("a round flips %d bits", done)
	}
}

// TestSamples demands that samples are what they are called, and that trees read
// back to the byte.
func TestSamples(t *testing.T) {
	g := newGenerator(t)
	for i := range uint64(1000) {
		r := g.random("test", i)
		name := g.typeName(r)
		v := g.schema.structOf(r, name, sampleDepth)
		again, ok := g.schema.parse(v.bytes(), structType(name))
		if !ok || string(again.bytes()) != string(v.bytes()) || string(v.clone().bytes()) != string(v.bytes()) {
			t.Fatalf("%s %x does not read back", name, v.bytes())
		}
		for _, m := range mutations {
			before := v.clone()
			if x := v.clone(); !m.do(g.schema, r, x) && string(x.bytes()) != string(before.bytes()) {
				t.Fatalf("%s changed %x and says it did not", m.name, before.bytes())
			}
			if string(v.bytes()) != string(before.bytes()) {
				t.Fatalf("%s changed the value that its copy was made of", m.name)
			}
		}
	}
}
