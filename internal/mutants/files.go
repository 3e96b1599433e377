package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// dir is one folder of code that vectors hold to the specification, or that
// they do not see. Every Go file in it that is neither a test nor generated is
// in files or in out.
type dir struct {
	path  string
	why   string            // what its files decide
	near  []string          // the suites that are run first: they catch most, and soon
	files []string          // without ".go"
	fns   map[string]reason // functions of files that are left out, and constants that only they use
	out   map[string]string // files that are left out, and why
	none  string            // why the whole folder is left out
}

// reason is why code of a listed file is left out.
type reason string

// The reasons.
const (
	makes reason = "makes what others verify: no op signs, seals or proves"
	node  reason = "a decision of one node, which no op of the pack asks for"
	text  reason = "a message for people"
)

// dirs is the list of the verifying files. can_gen.go is in none of them: it is
// written by internal/cangen, and a mutant of one copy of its few templates says
// nothing about the others.
var dirs = []dir{
	{
		path: "runtime/libs/can", near: []string{"can", "struct", "ir"}, why: "canonical bytes: the decoder, the encoder that every op's answer goes through, the JSON view",
		files: []string{"can", "json", "jsonread", "maps", "reader", "struct"},
		fns:   map[string]reason{"clip": text, "varintMessage": text, "TagName": text},
	},
	{path: "runtime/libs/cid", near: []string{"hash", "struct", "confusion"}, why: "hashes, their text, ids", files: []string{"cid"}, fns: map[string]reason{"clip": text}},
	{
		path: "runtime/libs/sig", near: []string{"sig", "confusion"}, why: "strict Ed25519, signed objects",
		files: []string{"sig", "strict"},
		fns: map[string]reason{
			"NewKey": makes, "Key.Agent": makes, "Key.Format": makes, "Key.Sign": makes, "Sign": makes,
		},
		out: map[string]string{"keyfile": "key files stay on one machine", "text": "signs texts"},
	},
	{
		path: "runtime/libs/merkle", near: []string{"merkle", "dataset"}, why: "the shape of lists, nodes, proofs",
		files: []string{"build", "cursor", "list", "node", "proof", "shape"},
		fns: map[string]reason{
			"ProveIn": makes, "ProveRangeIn": makes, "List.Prove": makes, "List.ProveRange": makes, "outside": makes,
		},
	},
	{
		path: "runtime/libs/blob", near: []string{"blob"}, why: "blobs, references and artifacts, read from sources that are not trusted",
		files: []string{"artifact", "blob", "build", "reader", "ref", "verify"},
		fns: map[string]reason{
			"Tree.Ref": makes, "FlatRef": makes, "Blob.Range": node, "Blob.Chunk": node, "Blob.Chunks": node, "Reader.WriteTo": node,
		},
		out: map[string]string{"proof": "makes proofs"},
	},
	{path: "runtime/libs/codebook", near: []string{"codebook"}, why: "codebooks", files: []string{"codebook"}},
	{
		path: "runtime/libs/wire", near: []string{"wire"}, why: "packets",
		files: []string{"payload", "wire"},
		fns:   map[string]reason{"New": makes, "Unverified.Append": makes},
		out:   map[string]string{"sign": "makes packets"},
	},
	{
		path: "runtime/libs/abi", near: []string{"tool", "ir"}, why: "requests, responses, frames",
		files: []string{"abi", "frame"},
		fns:   map[string]reason{"Fail": makes, "AppendFrame": makes},
		out: map[string]string{
			"probe":      "the answer of a probe, which only an executor asks for",
			"ids":        "the bytes of eleven hashes: 700 mutants that any vector with a built-in tool catches would be padding",
			"http":       "requests that a host performs: no op has them",
			"transcript": "what a run has read and written: no op has it",
		},
	},
	{path: "runtime/libs/receipt", near: []string{"receipt", "confusion"}, why: "receipts and attestations", files: []string{"receipt"}},
	{
		path: "runtime/libs/ledger", near: []string{"ledger"}, why: "what the entries of an id amount to",
		files: []string{"fold", "ledger", "ring", "state"},
		fns:   map[string]reason{"RingKey": node, "RingFold.Stands": node, "FoldRings": node},
		out:   map[string]string{"refusal": "what one store keeps of what it refused", "log": "the port of stores that sign checkpoints", "own": "signs a node's own entries", "store": "the port of the stores"},
	},
	{
		path: "runtime/libs/caps", near: []string{"caps"}, why: "capability chains, scopes, constraints, revocation",
		files: []string{"addr", "caps", "chain", "check", "constraint", "places", "pointer", "request", "revocation", "scope", "subset"},
		fns: map[string]reason{
			"EncodeProof": makes, "SignRevocations": makes, "ScopeOf": makes, "stamp": text,
			"Chain.CheckPrincipals": node, "Verified.CheckPrincipals": node, "Verified.Coherent": makes, "Chain.Constrains": node,
			"Use.SetCall": node, "constraint.String": text, "constraint.broken": text,
		},
		out: map[string]string{"denial": "the error type", "issue": "makes capabilities", "where": "how people write constraints"},
	},
	{
		path: "runtime/libs/ir", near: []string{"ir", "dataset"}, why: "bundles: the loader, the validator, the machine",
		files: []string{"blobs", "bundle", "code", "effects", "expr", "ir", "level1", "nodes", "program", "run", "tasks", "types", "value", "values"},
		fns: map[string]reason{
			"Inspect": node, "moveTextConsts": node, "opcodes": makes, "Program.CheckType": node, "clip": text, "typeTable.describe": text,
		},
		out: map[string]string{
			"asm_body": asm, "asm_emit": asm, "asm_funcs": asm, "asm_lex": asm, "asm_parse": asm, "asm_tree": asm, "disasm": asm,
		},
	},
	{
		path: "runtime/libs/manifest", near: []string{"package"}, why: "manifests, publishers, hosts, paths, trees",
		files: []string{"artifact", "host", "manifest", "module", "name", "path", "validate", "version"},
		fns: map[string]reason{
			"Sign": makes, "AddSignature": makes, "Manifest.addSignature": makes,
			"Unverified.keyIDs": text, "quote": text, "plain": text, "ModuleBinding.Label": text, "KindName": text, "ModuleKindName": text,
		},
	},
	{
		path: "runtime/libs/dataset", near: []string{"dataset"}, why: "datasets and their selection",
		files: []string{"dataset", "episode", "predicate", "sample", "select"},
		fns:   map[string]reason{"Seal": makes, "SealEpisode": makes},
	},
	{
		path: "runtime/libs/evidence", near: []string{"confusion", "receipt", "sig"}, why: "run records and run seals",
		files: []string{"evidence"},
		fns:   map[string]reason{"DecodeEffect": node, "EffectEvidence.Check": node, "RunSeal.CheckReceipts": node},
	},
	{
		path: "runtime/libs/rings", near: []string{"rings", "sig", "confusion"}, why: "ring policies, claims, promotions",
		files: []string{"rings", "claim", "promotion"},
		fns: map[string]reason{
			"Default": makes, "Draft": makes, "Sign": makes, "SignPromotion": makes, "Policy.Promote": makes,
			"Standing.Demote": makes, "Standing.RollBack": makes, "Standing.next": makes, "Standing.Ran": makes,
			"Standing.promotedBy": makes, "NeedsHistory": node, "ClaimOf": node, "ClaimName": text, "claimNames": text,
			"Tally.who": text, "Claim.text": text, "names": text, "Policy.AdmitRing": node,
			"Policy.AdmitModule": node, "Policy.AdmitSandbox": node, "Policy.AdmitCap": node, "Policy.AdmitBudget": node,
			"ints": text, "mostDepth": node, "or": node,
		},
	},
	{
		path: "runtime/pack/archive", near: []string{"package"}, why: "archives of packages, read",
		files: []string{"archive", "reader"},
		fns:   map[string]reason{"MaxFile": makes},
		out:   map[string]string{"writer": "makes archives"},
	},
	{
		path: "runtime/libs/tlog", near: []string{"tlog"}, why: "the log's root, its proofs and its checkpoints",
		files: []string{"checkpoint", "key", "note", "proof", "tlog"},
		fns: map[string]reason{
			"Sign": makes, "ProveInclusion": makes, "inclusion": makes, "ProveConsistency": makes, "consistency": makes,
			"root": makes, "split": makes, "Load": node, "Range.Grow": node, "Note.Append": makes,
		},
	},
	{path: "runtime/libs/fault", none: "the error type"},
	{path: "runtime/libs/fuel", none: "meters WebAssembly; the pack runs no modules"},
}

const asm = "assembly text, which the pack does not have"

// nearest returns the suites that are run first for a file.
func nearest(file string) []string {
	for _, d := range dirs {
		if path.Dir(file) == d.path {
			return d.near
		}
	}
	return nil
}

// sourceFile is a listed file with the functions of it that are left out.
type sourceFile struct {
	path   string
	except []string
}

// listed returns the verifying files, in order.
func listed() []sourceFile {
	var all []sourceFile
	for _, d := range dirs {
		for _, f := range d.files {
			s := sourceFile{path: d.path + "/" + f + ".go"}
			for fn := range d.fns {
				s.except = append(s.except, fn)
			}
			slices.Sort(s.except)
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b sourceFile) int { return cmp.Compare(a.path, b.path) })
	return all
}

// mutants enumerates the mutants of all listed files in the order of seed.
func mutants(root fs.FS, seed uint64) ([]mutant, error) {
	var all []mutant
	for _, f := range listed() {
		src, err := fs.ReadFile(root, f.path)
		if err != nil {
			return nil, err
		}
		found, err := enumerate(f.path, src, f.except)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	order(all, seed)
	return all, nil
}

// checkList compares the list with what is there and returns what is wrong.
func checkList(root fs.FS) ([]string, error) {
	var wrong []string
	known := map[string]bool{}
	for _, d := range dirs {
		known[d.path] = true
		if d.none != "" {
			continue
		}
		problems, err := d.check(root)
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, problems...)
	}
	libs, err := fs.ReadDir(root, "runtime/libs")
	if err != nil {
		return nil, err
	}
	for _, e := range libs {
		if p := "runtime/libs/" + e.Name(); e.IsDir() && !known[p] {
			wrong = append(wrong, p+" is in no list")
		}
	}
	return wrong, nil
}

// check compares one folder's files and functions with the lists.
func (d dir) check(root fs.FS) ([]string, error) {
	var wrong, there, declared []string
	entries, err := fs.ReadDir(root, d.path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".go")
		if !ok || strings.HasSuffix(name, "_test") || strings.HasSuffix(name, "_gen") {
			continue
		}
		there = append(there, name)
		in, out := slices.Contains(d.files, name), d.out[name] != ""
		if in == out {
			wrong = append(wrong, fmt.Sprintf("%s/%s.go: listed %v, left out %v; want one of them", d.path, name, in, out))
		}
		if !in {
			continue
		}
		src, err := fs.ReadFile(root, path.Join(d.path, e.Name()))
		if err != nil {
			return nil, err
		}
		names, err := declarations(src)
		if err != nil {
			return nil, err
		}
		declared = append(declared, names...)
	}
	for name := range d.out {
		if !slices.Contains(there, name) {
			wrong = append(wrong, fmt.Sprintf("%s/%s.go is left out and not there", d.path, name))
		}
	}
	for _, name := range d.files {
		if !slices.Contains(there, name) {
			wrong = append(wrong, fmt.Sprintf("%s/%s.go is listed and not there", d.path, name))
		}
	}
	for fn := range d.fns {
		if !slices.Contains(declared, fn) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is left out and not there", d.path, fn))
		}
	}
	slices.Sort(wrong)
	return wrong, nil
}
