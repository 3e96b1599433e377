package conformance

import (
	"bytes"
	"encoding/hex"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// object checks the .bin of a struct: it is canonical, it is x, and x encodes
// to it again.
func (v *vector) object(raw []byte, x codec) bool {
	v.expect("sha256_of_bin", cid.Sum(raw).Hex())
	if !v.canonical(raw) {
		return false
	}
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	return v.succeeds("decode as its struct", r.Done()) && v.sameBytes("re-encode", x.AppendCAN(nil), raw)
}

// hash is CAN_001: the encoding of a Hash (RFC-MYTHOS-0001 §3.1).
func (v *vector) hash() {
	var want struct {
		Alg   int    `json:"alg"`
		Bytes string `json:"bytes"`
	}
	raw, ok := v.file("bin")
	var x cid.Hash
	if !ok || !v.object(raw, &x) || !v.parse("json", &want) {
		return
	}
	v.equal("alg", want.Alg, 1)
	digest, ok := unhex32(want.Bytes)
	v.add("digest in hex", ok, "")
	h := cid.Hash(digest)
	v.sameBytes("encode from its JSON", h.AppendCAN(nil), raw)
}

// agent is CAN_002: the encoding of an AgentID (RFC-MYTHOS-0002 §2.2).
func (v *vector) agent() {
	var want struct {
		Scheme uint8  `json:"scheme"`
		Key    string `json:"key"`
		Hint   string `json:"hint"`
	}
	raw, ok := v.file("bin")
	var x sig.AgentID
	if !ok || !v.object(raw, &x) || !v.parse("json", &want) {
		return
	}
	key, ok := unhex32(want.Key)
	v.add("key in hex", ok, "")
	made := sig.AgentID{Scheme: want.Scheme, Key: key, Hint: want.Hint}
	v.sameBytes("encode from its JSON", made.AppendCAN(nil), raw)
	if public, ok := v.key("keys/ed25519_test_public.hex"); ok {
		v.equal("the pack's test key", x.Key, public)
	}
}

// mapOrder is CAN_003: MAP keys ascend by their encoded bytes
// (RFC-MYTHOS-0001 §2.5). Its JSON is a JSON view.
func (v *vector) mapOrder() {
	raw, ok := v.file("bin")
	text, ok2 := v.file("json")
	if !ok || !ok2 {
		return
	}
	v.expect("sha256_of_bin", cid.Sum(raw).Hex())
	v.canonical(raw)
	made, err := can.FromJSON(text)
	if v.succeeds("its JSON is a JSON view", err) {
		v.sameBytes("encode from its JSON", made, raw)
	}
}

// receipt is RECEIPT_001: id, signature and encoding of a Receipt
// (RFC-MYTHOS-0002 §2.8).
func (v *vector) receipt() {
	var want struct {
		Key       string `json:"idempotency_key"`
		ID        string `json:"receipt_id"`
		Request   string `json:"request_hash"`
		Response  string `json:"response_hash"`
		Signature string `json:"signature"`
		Signer    string `json:"signer_pub"`
		Status    uint16 `json:"status"`
		Time      int64  `json:"time_us"`
		Tool      string `json:"tool_id"`
	}
	raw, ok := v.file("bin")
	if !ok || !v.canonical(raw) || !v.parse("json", &want) {
		return
	}
	x, id, err := receipt.Open(raw)
	if !v.succeeds("id and signature", err) {
		return
	}
	v.expect("receipt_id", id.Hex())
	v.equal("receipt_id in its JSON", want.ID, id.Hex())
	v.equal("receipt_id in its .hex", v.hexFile("receipt_id_hex"), id.Hex())
	v.equal("signer", want.Signer, hex.EncodeToString(x.Signer.Key[:]))
	v.equal("signature", want.Signature, hex.EncodeToString(x.Signature.SigBytes[:]))

	made := receipt.Receipt{TimeObserved: want.Time, Status: want.Status}
	tool, ok1 := unhex32(want.Tool)
	request, ok2 := unhex32(want.Request)
	response, ok3 := unhex32(want.Response)
	made.ToolID, made.RequestHash, made.ResponseHash = tool, request, response
	made.IdempotencyKey, err = hex.DecodeString(want.Key)
	v.add("hashes in hex", ok1 && ok2 && ok3 && err == nil, "")
	seed, ok := v.key("keys/ed25519_test_seed.hex")
	if !ok {
		return
	}
	again, _, err := sig.Sign(&made, sig.NewKey(seed, x.Signer.Hint))
	if v.succeeds("sign again", err) && v.sameBytes("sign and encode from its JSON", again, raw) {
		v.checks[len(v.checks)-1].Note = "the JSON leaves out the signer's hint, which is taken from the object"
	}
}

// codebook is CODEBOOK_001: the baseline codebook (RFC-MYTHOS-0002 §8).
func (v *vector) codebook() {
	var meta struct {
		CapKinds int    `json:"cap_kind_count"`
		ID       string `json:"codebook_id"`
		Entries  int    `json:"entry_count"`
		Opcodes  int    `json:"opcode_count"`
	}
	raw, ok := v.file("entries_bin")
	if !ok || !v.canonical(raw) || !v.parse("meta_json", &meta) {
		return
	}
	entries, id, err := codebook.Decode(raw)
	if !v.succeeds("decode as a codebook", err) {
		return
	}
	v.expect("codebook_id", id.Hex())
	v.expect("entry_count", len(entries))
	v.equal("codebook_id in its .hex", v.hexFile("codebook_id_hex"), id.Hex())
	v.equal("codebook_id in its JSON", meta.ID, id.Hex())
	v.equal("entries in its JSON", meta.Entries, len(entries))
	count := map[uint8]int{}
	for _, e := range entries {
		count[e.Kind]++
	}
	v.equal("opcodes", count[codebook.KindOpcode], meta.Opcodes)
	v.equal("scope kinds", count[codebook.KindScopeKind], meta.CapKinds)
	v.equal("the id of this build's baseline", codebook.BaselineID(), id)
	v.sameBytes("encode from the rule", codebook.Encode(codebook.Baseline()), raw)
}

// blob is BLOB_001: a chunked blob under a single leaf (RFC-MYTHOS-0004 §3).
func (v *vector) blob() {
	var want struct {
		ChunkSize uint32 `json:"chunk_size"`
		Chunks    []struct {
			Hash  string `json:"chunk_hash"`
			Index uint64 `json:"index"`
			Len   uint32 `json:"len"`
		} `json:"chunks"`
		TotalSize uint64 `json:"total_size"`
	}
	payload, ok := v.file("payload_bin")
	node, ok2 := v.file("rootnode_bin")
	if !ok || !ok2 || !v.canonical(node) || !v.parse("chunks_json", &want) {
		return
	}
	root := cid.Sum(node)
	v.expect("root_cid", root.Hex())
	v.equal("root in its .hex", v.hexFile("rootcid_hex"), root.Hex())

	leaf := blob.ChunkLeaf{ChunkSize: want.ChunkSize, TotalSize: want.TotalSize}
	for _, c := range want.Chunks {
		digest, _ := unhex32(c.Hash)
		v.equal("chunk index", c.Index, uint64(len(leaf.Chunks)))
		leaf.Chunks = append(leaf.Chunks, blob.Chunk{Hash: digest, Len: c.Len})
	}
	_, made := merkle.CloseNode(merkle.KindChunkLeaf, leaf.AppendCAN(nil))
	v.sameBytes("encode the root from its JSON", made, node)
	if !v.add("chunk size", want.ChunkSize > 0, "") {
		return
	}
	tree, err := blob.TreeOf(bytes.NewReader(payload), want.ChunkSize)
	if !v.succeeds("chunk the payload", err) {
		return
	}
	v.equal("root of the payload", tree.CID(), root)
	v.expect("chunk_count", tree.Chunks)
	v.equal("total size", tree.Size, want.TotalSize)
	v.readBlob(root, node, payload, want.ChunkSize)
}

// readBlob reads the blob back from its root node and chunks alone.
func (v *vector) readBlob(root cid.Hash, node, payload []byte, chunkSize uint32) {
	objects := map[cid.Hash][]byte{root: node}
	for rest := payload; len(rest) > 0; {
		n := min(int(chunkSize), len(rest))
		objects[cid.Sum(rest[:n])] = rest[:n]
		rest = rest[n:]
	}
	b, err := blob.Open(root, func(id cid.Hash, _ int64) ([]byte, error) {
		x, ok := objects[id]
		if !ok {
			return nil, fault.New(ErrPack, "no chunk or node %s", id)
		}
		return x, nil
	})
	if !v.succeeds("open the root", err) {
		return
	}
	got, err := io.ReadAll(b.Reader())
	if v.succeeds("read back", err) {
		v.sameBytes("payload read back", got, payload)
	}
}
