package conformance

import (
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// hashOps are the ops of RFC-MYTHOS-0001 §3, RFC-MYTHOS-0001 §4.2 and
// RFC-MYTHOS-0005 §7.
func hashOps() map[string]opFunc {
	return map[string]opFunc{
		"hash.sum":     do(func(in Bytes) (Hashed, error) { return Hashed{cid.Sum(in.Hex)}, nil }),
		"hash.parse":   do(hashParse),
		"hash.without": do(hashWithout),
		"key.id":       do(keyID),
		"idem.id":      do(func(in IdemInput) (Hashed, error) { return Hashed{ledger.IdemID(in.ToolID, in.Key)}, nil }),
	}
}

// Hashed is the output of ops that make a hash.
type Hashed struct {
	Hash cid.Hash `json:"hash"`
}

// HashText is the input of hash.parse.
type HashText struct {
	Text string `json:"text"`
}

func hashParse(in HashText) (Bytes, error) {
	h, err := cid.Parse(in.Text)
	return Bytes{h.AppendCAN(nil)}, err
}

// WithoutInput is the input of hash.without.
type WithoutInput struct {
	Hex    Hex   `json:"hex"`
	Fields []int `json:"fields"`
}

func hashWithout(in WithoutInput) (Hashed, error) {
	var drop []uint8
	for i, f := range in.Fields {
		if f < 1 || f > 127 || i > 0 && in.Fields[i-1] >= f {
			return Hashed{}, badInput("fields must ascend within 1..127")
		}
		drop = append(drop, uint8(f))
	}
	h, err := cid.Without(in.Hex, drop...)
	return Hashed{h}, err
}

// AgentInput is the input of key.id.
type AgentInput struct {
	Agent Hex `json:"agent"`
}

func keyID(in AgentInput) (Hashed, error) {
	agent, err := readAgent(in.Agent)
	return Hashed{agent.KeyID()}, err
}

func readAgent(raw []byte) (sig.AgentID, error) {
	var x sig.AgentID
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	return x, r.Done()
}

// IdemInput is the input of idem.id.
type IdemInput struct {
	ToolID cid.Hash `json:"tool_id"`
	Key    Hex      `json:"key"`
}

// codebookOps is the op of RFC-MYTHOS-0002 §8.
func codebookOps() map[string]opFunc {
	return map[string]opFunc{"codebook.decode": do(codebookDecode)}
}

// Codebook is the output of codebook.decode.
type Codebook struct {
	ID      cid.Hash `json:"id"`
	Entries int      `json:"entries"`
}

func codebookDecode(in Bytes) (Codebook, error) {
	entries, id, err := codebook.Decode(in.Hex)
	return Codebook{id, len(entries)}, err
}
