package conformance

import (
	"encoding/binary"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// merkleOps are the ops of RFC-MYTHOS-0004 §2 and RFC-MYTHOS-0004 §5.
func merkleOps() map[string]opFunc {
	return map[string]opFunc{
		"merkle.root":   do(merkleRoot),
		"merkle.verify": do(merkleVerify),
		"merkle.range":  do(merkleRange),
	}
}

// maxFormula bounds what a formula may ask this implementation to make: values
// of a list, chunks of a blob.
const maxFormula = 1 << 21

// ListFormula stands for count values, of which number i, from 0, is the
// SHA-256 of seed and i as eight big-endian bytes.
type ListFormula struct {
	Count U64 `json:"count"`
	Seed  Hex `json:"seed"`
}

// Value returns value i.
func (f ListFormula) Value(i uint64) cid.Hash {
	return cid.Sum(binary.BigEndian.AppendUint64(f.Seed[:len(f.Seed):len(f.Seed)], i))
}

// ListInput is the input of merkle.root: exactly one member.
type ListInput struct {
	Values  []cid.Hash   `json:"values,omitempty"`
	Formula *ListFormula `json:"formula,omitempty"`
}

// ListRoot is the output of merkle.root.
type ListRoot struct {
	Root  *cid.Hash `json:"root,omitempty"` // nil: the list is empty
	Nodes int       `json:"nodes"`
}

func merkleRoot(in ListInput) (ListRoot, error) {
	var out ListRoot
	b := merkle.NewBuilder(func(cid.Hash, []byte) error { out.Nodes++; return nil })
	for _, v := range in.Values {
		if err := b.Add(v); err != nil {
			return out, err
		}
	}
	if f := in.Formula; f != nil {
		if f.Count > maxFormula || in.Values != nil {
			return out, badInput("want values, or a formula of at most %d", maxFormula)
		}
		for i := range uint64(f.Count) {
			if err := b.Add(f.Value(i)); err != nil {
				return out, err
			}
		}
	}
	root, err := b.Root()
	out.Root = root
	return out, err
}

// ProofInput is the input of ops that check a proof against a root.
type ProofInput struct {
	Root  cid.Hash `json:"root"`
	Proof Hex      `json:"proof"`
}

// ListItem is the output of merkle.verify.
type ListItem struct {
	Value cid.Hash `json:"value"`
	Index U64      `json:"index"`
	Count U64      `json:"count"`
}

func merkleVerify(in ProofInput) (ListItem, error) {
	x, err := merkle.Check(in.Root, in.Proof)
	return ListItem{x.ID, U64(x.Index), U64(x.Count)}, err
}

// ListSpan is the output of merkle.range.
type ListSpan struct {
	Values []cid.Hash `json:"values"`
	First  U64        `json:"first"`
	Count  U64        `json:"count"`
}

func merkleRange(in ProofInput) (ListSpan, error) {
	x, err := merkle.CheckRange(in.Root, in.Proof)
	return ListSpan{x.IDs, U64(x.First), U64(x.Count)}, err
}
