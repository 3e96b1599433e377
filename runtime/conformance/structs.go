package conformance

import (
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/dataset"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/wire"
)

// Descriptors of the schema, for those who make vectors of every struct.
type (
	StructInfo = view.Struct
	FieldInfo  = view.Field
	TypeInfo   = view.Type
)

// Schema returns the structs of spec/schema.can.
func Schema() []StructInfo {
	var out []StructInfo
	for _, name := range view.Names() {
		if x, ok := view.Lookup(name); ok {
			out = append(out, x)
		}
	}
	return out
}

// codec is a struct that reads and writes itself.
type codec interface {
	AppendCAN(b []byte) []byte
	ReadCAN(r *can.Reader)
}

// codecs holds the Go codec of every struct by its name in the schema; a test
// compares them.
func codecs() map[string]func() codec {
	return map[string]func() codec{
		"Hash":                func() codec { return new(cid.Hash) },
		"AgentID":             func() codec { return new(sig.AgentID) },
		"Signature":           func() codec { return new(sig.Signature) },
		"EncryptRef":          func() codec { return new(blob.EncryptRef) },
		"ProvenanceRef":       func() codec { return new(blob.ProvenanceRef) },
		"BlobRef":             func() codec { return new(blob.Ref) },
		"Chunk":               func() codec { return new(blob.Chunk) },
		"ChunkLeaf":           func() codec { return new(blob.ChunkLeaf) },
		"ChunkInternal":       func() codec { return new(blob.ChunkInternal) },
		"BlobPutRequest":      func() codec { return new(blob.PutRequest) },
		"BlobGetRequest":      func() codec { return new(blob.GetRequest) },
		"MerkleNode":          func() codec { return new(merkle.Node) },
		"MerkleListLeaf":      func() codec { return new(merkle.ListLeaf) },
		"MerkleListInternal":  func() codec { return new(merkle.ListInternal) },
		"MerkleProof":         func() codec { return new(merkle.Proof) },
		"MerkleStep":          func() codec { return new(merkle.Step) },
		"MerkleRangeProof":    func() codec { return new(merkle.RangeProof) },
		"CodebookEntry":       func() codec { return new(codebook.Entry) },
		"Receipt":             func() codec { return new(receipt.Receipt) },
		"Attestation":         func() codec { return new(receipt.Attestation) },
		"Capability":          func() codec { return new(caps.Capability) },
		"CapScope":            func() codec { return new(caps.Scope) },
		"BlobReadScope":       func() codec { return new(caps.BlobRead) },
		"BlobWriteScope":      func() codec { return new(caps.BlobWrite) },
		"BlobPinScope":        func() codec { return new(caps.BlobPin) },
		"BlobDeleteScope":     func() codec { return new(caps.BlobDelete) },
		"ToolCallScope":       func() codec { return new(caps.ToolCall) },
		"TrainRunScope":       func() codec { return new(caps.TrainRun) },
		"EvalRunScope":        func() codec { return new(caps.EvalRun) },
		"DeployPromoteScope":  func() codec { return new(caps.DeployPromote) },
		"ComputeSpawnScope":   func() codec { return new(caps.ComputeSpawn) },
		"CellReadScope":       func() codec { return new(caps.CellRead) },
		"CellWriteScope":      func() codec { return new(caps.CellWrite) },
		"NetConnectScope":     func() codec { return new(caps.NetConnect) },
		"FsReadScope":         func() codec { return new(caps.FsRead) },
		"FsWriteScope":        func() codec { return new(caps.FsWrite) },
		"ClockScope":          func() codec { return new(caps.Clock) },
		"RandomScope":         func() codec { return new(caps.Random) },
		"SecretReadScope":     func() codec { return new(caps.SecretRead) },
		"PackageRunScope":     func() codec { return new(caps.PackageRun) },
		"PackagePublishScope": func() codec { return new(caps.PackagePublish) },
		"RevocationList":      func() codec { return new(caps.Revocations) },
		"TraceRef":            func() codec { return new(dataset.TraceRef) },
		"EpisodeRef":          func() codec { return new(dataset.Episode) },
		"DatasetQuery":        func() codec { return new(dataset.Query) },
		"DatasetSampling":     func() codec { return new(dataset.Sampling) },
		"DatasetStratify":     func() codec { return new(dataset.Stratify) },
		"DatasetDef":          func() codec { return new(dataset.Def) },
		"SigBlockEntry":       func() codec { return new(wire.SigBlockEntry) },
		"Meta":                func() codec { return new(ir.Meta) },
		"IRBundle":            func() codec { return new(ir.Bundle) },
		"ConstPool":           func() codec { return new(ir.ConstPool) },
		"NodePool":            func() codec { return new(ir.NodePool) },
		"TypeTable":           func() codec { return new(ir.TypeTable) },
		"SymbolTable":         func() codec { return new(ir.SymbolTable) },
		"ContractTable":       func() codec { return new(ir.ContractTable) },
		"ToolTable":           func() codec { return new(ir.ToolTable) },
		"OpList":              func() codec { return new(ir.OpList) },
		"TaskTable":           func() codec { return new(ir.TaskTable) },
		"Const":               func() codec { return new(ir.Const) },
		"Node":                func() codec { return new(ir.Node) },
		"FieldDef":            func() codec { return new(ir.FieldDef) },
		"TypeDef":             func() codec { return new(ir.TypeDef) },
		"SymbolSig":           func() codec { return new(ir.SymbolSig) },
		"ContractDef":         func() codec { return new(ir.ContractDef) },
		"ToolDef":             func() codec { return new(ir.ToolDef) },
		"Op":                  func() codec { return new(ir.Op) },
		"Operand":             func() codec { return new(ir.Operand) },
		"TaskDef":             func() codec { return new(ir.TaskDef) },
		"Budget":              func() codec { return new(ir.Budget) },
		"Expr":                func() codec { return new(ir.Expr) },
		"ExprPath":            func() codec { return new(ir.ExprPath) },
		"SymbolIdentity":      func() codec { return new(ir.SymbolIdentity) },
		"ToolRequest":         func() codec { return new(abi.Request) },
		"ToolResponse":        func() codec { return new(abi.Response) },
		"ToolError":           func() codec { return new(abi.Error) },
		"ToolIdentity":        func() codec { return new(abi.Identity) },
		"PackageManifest":     func() codec { return new(manifest.Manifest) },
		"Requires":            func() codec { return new(manifest.Requires) },
		"Artifact":            func() codec { return new(manifest.Artifact) },
		"ModuleBinding":       func() codec { return new(manifest.ModuleBinding) },
		"Tool":                func() codec { return new(manifest.Tool) },
		"Entrypoint":          func() codec { return new(manifest.Entrypoint) },
		"ModuleRef":           func() codec { return new(manifest.ModuleRef) },
		"CapRequirement":      func() codec { return new(manifest.CapRequirement) },
		"Limits":              func() codec { return new(manifest.Limits) },
		"Runtime":             func() codec { return new(manifest.Runtime) },
		"Tree":                func() codec { return new(manifest.Tree) },
		"TreeEntry":           func() codec { return new(manifest.TreeEntry) },
		"IdempotencyKey":      func() codec { return new(ledger.IdempotencyKey) },
		"DerivedKey":          func() codec { return new(ledger.DerivedKey) },
		"EffectRegister":      func() codec { return new(ledger.Register) },
		"EffectCommit":        func() codec { return new(ledger.Commit) },
		"DivergenceMark":      func() codec { return new(ledger.Divergence) },
		"LedgerResolution":    func() codec { return new(ledger.Resolution) },
		"Refusal":             func() codec { return new(ledger.Refusal) },
		"LedgerEntry":         func() codec { return new(ledger.Entry) },
		"EffectEvidence":      func() codec { return new(evidence.EffectEvidence) },
		"RunRecord":           func() codec { return new(evidence.RunRecord) },
		"RunSeal":             func() codec { return new(evidence.RunSeal) },
		"RingPolicy":          func() codec { return new(rings.Policy) },
		"RingClaim":           func() codec { return new(rings.Claim) },
	}
}
