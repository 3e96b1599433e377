package conformance

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// tlogOps are the ops of RFC-MYTHOS-0005 §10.
func tlogOps() map[string]opFunc {
	return map[string]opFunc{
		"tlog.root":        do(tlogRoot),
		"tlog.inclusion":   do(tlogInclusion),
		"tlog.consistency": do(tlogConsistency),
		"tlog.checkpoint":  do(tlogCheckpoint),
	}
}

// LogRoot is the output of tlog.root.
type LogRoot struct {
	Root cid.Hash `json:"root"`
}

func tlogRoot(in ListInput) (LogRoot, error) {
	var r tlog.Range
	for _, leaf := range in.Values {
		r.Append(leaf)
	}
	if f := in.Formula; f != nil {
		if f.Count > maxFormula || in.Values != nil {
			return LogRoot{}, badInput("want values, or a formula of at most %d", maxFormula)
		}
		for i := range uint64(f.Count) {
			r.Append(f.Value(i))
		}
	}
	return LogRoot{r.Root()}, nil
}

// LogInclusion is the input of tlog.inclusion.
type LogInclusion struct {
	Leaf   cid.Hash   `json:"leaf"`
	Index  U64        `json:"index"`
	Size   U64        `json:"size"`
	Root   cid.Hash   `json:"root"`
	Hashes []cid.Hash `json:"hashes"`
}

func tlogInclusion(in LogInclusion) (struct{}, error) {
	return struct{}{}, tlog.CheckInclusion(in.Hashes, uint64(in.Index), uint64(in.Size), in.Leaf, in.Root)
}

// LogConsistency is the input of tlog.consistency.
type LogConsistency struct {
	From   U64        `json:"from"`
	To     U64        `json:"to"`
	Old    cid.Hash   `json:"old"`
	New    cid.Hash   `json:"new"`
	Hashes []cid.Hash `json:"hashes"`
}

func tlogConsistency(in LogConsistency) (struct{}, error) {
	return struct{}{}, tlog.CheckConsistency(in.Hashes, uint64(in.From), uint64(in.To), in.Old, in.New)
}

// LogCheckpoint is the input of tlog.checkpoint.
type LogCheckpoint struct {
	Checkpoint Hex      `json:"checkpoint"`
	Keys       []Hex    `json:"keys"`                // Ed25519 keys of executors, 32 bytes each
	Witnesses  []string `json:"witnesses,omitempty"` // NAME+ID+BASE64
}

// LogHead is the output of tlog.checkpoint.
type LogHead struct {
	Origin       string           `json:"origin"`
	Size         U64              `json:"size"`
	Root         cid.Hash         `json:"root"`
	Cosignatures []LogCosignature `json:"cosignatures"`
}

// LogCosignature is one of a known witness.
type LogCosignature struct {
	Witness string `json:"witness"`
	Seconds U64    `json:"seconds"`
}

func tlogCheckpoint(in LogCheckpoint) (LogHead, error) {
	var agents []sig.AgentID
	for _, key := range in.Keys {
		if len(key) != 32 {
			return LogHead{}, badInput("a key has 32 bytes, got %d", len(key))
		}
		agents = append(agents, sig.AgentID{Scheme: sig.Ed25519, Key: [32]byte(key)})
	}
	var witnesses []tlog.Key
	for _, text := range in.Witnesses {
		key, err := tlog.ParseKey(text)
		if err != nil {
			return LogHead{}, err
		}
		witnesses = append(witnesses, key)
	}
	v, err := tlog.Open(in.Checkpoint, agents, witnesses)
	if err != nil {
		return LogHead{}, err
	}
	head := LogHead{Origin: v.Origin, Size: U64(v.Size), Root: v.Root, Cosignatures: []LogCosignature{}}
	for _, w := range v.Witnesses {
		head.Cosignatures = append(head.Cosignatures, LogCosignature{w.Key.String(), U64(w.Seconds)})
	}
	return head, nil
}
