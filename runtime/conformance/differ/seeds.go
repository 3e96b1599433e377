package differ

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/conformance"
)

// maxSeed bounds the inputs that are taken from the pack: long ones cost more
// than they show.
const maxSeed = 12 << 10

// packOps are the ops whose vectors are taken and changed, and the struct that
// their member hex is.
var packOps = [...]struct{ op, is string }{
	{"blob.artifact", ""},
	{"blob.range", ""},
	{"blob.ref", "BlobRef"},
	{"blob.stream", ""},
	{"blob.verify", ""},
	{"can.encode", ""},
	{"caps.check", ""},
	{"caps.subset", ""},
	{"codebook.decode", ""},
	{"ledger.fold", ""},
	{"ledger.runid", ""},
	{"manifest.open", "PackageManifest"},
	{"merkle.range", ""},
	{"merkle.verify", ""},
	{"object.open", ""},
	{"path.check", ""},
	{"receipt.content", "Receipt"},
	{"seal.check", "RunSeal"},
	{"sig.verify", ""},
	{"tool.frame", ""},
	{"tool.id", ""},
	{"tool.request", "ToolRequest"},
	{"tool.response", "ToolResponse"},
	{"tree.open", "Tree"},
	{"wire.bundle", ""},
	{"wire.parse", ""},
}

// packSeeds are the inputs of vectors by op, and by "valid " and op those that
// must be accepted.
func packSeeds(p *conformance.Pack) map[string][]json.RawMessage {
	all := map[string][]json.RawMessage{}
	for _, c := range p.Cases {
		op := c.Vector.Op
		if len(c.Input) > maxSeed || longFormula(c.Input) {
			continue
		}
		all[op] = append(all[op], c.Input)
		if c.Result == conformance.Valid {
			all["valid "+op] = append(all["valid "+op], c.Input)
		}
	}
	return all
}

// longFormula reports whether an input stands for more bytes or values than it
// is worth.
func longFormula(input json.RawMessage) bool {
	var x struct {
		Formula struct {
			Size  conformance.U64 `json:"size"`
			Count conformance.U64 `json:"count"`
		} `json:"formula"`
	}
	return json.Unmarshal(input, &x) == nil && (x.Formula.Size > maxSeed || x.Formula.Count > maxSeed)
}

func packClasses() []class {
	var list []class
	for _, p := range packOps {
		list = append(list, class{
			name: "pack/" + p.op, share: 7, signed: signs(p.op),
			make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) { return p.op, g.fromSeed(r, p.op, p.is) },
		})
	}
	return list
}

// signs reports whether most answers of an op take a signature.
func signs(op string) bool {
	return slices.Contains([]string{"caps.check", "ledger.fold", "object.open", "receipt.content", "sig.verify", "wire.parse", "manifest.open", "seal.check"}, op)
}

// decodeNumbers decodes JSON with numbers as their digits.
func decodeNumbers(raw []byte, x any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(x)
}

// fromSeed is the input of a vector, of one that is accepted more often than
// not, mostly after a change.
func (g *Generator) fromSeed(r *rand.Rand, op, is string) any {
	seeds := g.seeds[op]
	if good := g.seeds["valid "+op]; r.IntN(3) > 0 && len(good) > 0 {
		seeds = good
	}
	var input in
	if err := decodeNumbers(seeds[r.IntN(len(seeds))], &input); err != nil {
		panic(err) // the pack was checked
	}
	if t, ok := input["type"].(string); ok {
		is = t
	}
	for range r.IntN(3) {
		g.changeMember(r, input, is)
	}
	return input
}

// changeMember changes one member that says what the op is about, not who may do
// it.
func (g *Generator) changeMember(r *rand.Rand, input in, is string) {
	var names []string
	for name := range input {
		if slices.Contains([]string{"hex", "proof", "parent", "child", "key", "message", "sig", "chunk", "request", "response", "text", "name", "root", "now", "offset", "length", "entries", "parts", "paths", "revocations", "need", "receipts"}, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	name := names[r.IntN(len(names))]
	types := map[string]string{"hex": is, "proof": "", "request": "ToolRequest", "response": "ToolResponse"}
	switch x := input[name].(type) {
	case string:
		input[name] = g.changeText(r, name, x, types[name])
	case []any:
		input[name] = g.changeList(r, name, x)
	}
}

// changeText changes a member that is a string, as what it stands for.
func (g *Generator) changeText(r *rand.Rand, name, x, is string) any {
	switch name {
	case "text", "name":
		return near(r, x)
	case "now", "offset", "length":
		n, err := strconv.ParseUint(x, 10, 63)
		if err != nil || n == 0 {
			return x
		}
		return decimal(n + uint64(r.IntN(3)) - 1)
	case "root":
		if r.IntN(4) > 0 {
			return x
		}
		return hashDigits(digest(r))
	}
	b, err := hex.DecodeString(x)
	if err != nil {
		return x // a hash
	}
	return g.changeBytes(r, b, is)
}

// changeBytes changes bytes as the value that they are, or as bytes.
func (g *Generator) changeBytes(r *rand.Rand, b []byte, is string) []byte {
	if is != "" {
		if v, ok := g.schema.parse(b, structType(is)); ok && r.IntN(4) > 0 {
			return g.schema.mutated(r, oneMutation(r), v)
		}
	} else if v, ok := g.schema.parse(b, nil); ok && r.IntN(3) > 0 {
		return g.schema.mutated(r, oneMutation(r), v)
	}
	return spoilt(r, b)
}

// near is a text with a piece more, less, or in another case.
func near(r *rand.Rand, x string) string {
	at := r.IntN(len(x) + 1)
	switch r.IntN(4) {
	case 0:
		x = x[:at] + words[r.IntN(len(words))] + x[at:]
	case 1:
		x = x[:at] + x[min(len(x), at+1):]
	case 2:
		x = x[:at] + strings.ToUpper(x[at:])
	default:
		x = x[:at] + string(rune('!'+r.IntN(90))) + x[min(len(x), at+1):]
	}
	if !utf8.ValidString(x) {
		return strings.ToValidUTF8(x, "?")
	}
	return x
}

// changeList drops, repeats, exchanges or changes an item.
func (g *Generator) changeList(r *rand.Rand, name string, list []any) []any {
	if len(list) == 0 {
		return list
	}
	i, j := r.IntN(len(list)), r.IntN(len(list))
	switch r.IntN(5) {
	case 0:
		return slices.Delete(list, i, i+1)
	case 1:
		return slices.Insert(list, i, list[j])
	case 2:
		list[i], list[j] = list[j], list[i]
		return list
	}
	switch x := list[i].(type) {
	case string:
		switch name {
		case "paths":
			list[i] = near(r, x)
		case "parts", "revocations":
			list[i] = g.changeText(r, name, x, "")
		}
	case in:
		if h, ok := x["hex"].(string); ok {
			list[i] = in{"kind": x["kind"], "hex": g.changeText(r, "hex", h, "")}
		}
	}
	return list
}
