// Package dataset holds deterministic datasets (RFC-MYTHOS-0003): a definition
// chooses episodes out of corpora, and everybody who evaluates it over the same
// corpora gets the same manifest, to the byte.
//
// An EpisodeRef {1: episode_id, 2: {1: trace_blob, 2: receipt_ids}, 3:
// context_hash, 4: outcome_hash, 5: time_observed} stands for one episode; its id
// is the SHA-256 of its bytes without field 1. A corpus is a MerkleList of
// episode ids. A DatasetDef {1: dataset_def_id, 2: corpus_roots, 3: {1: query_id,
// 2: predicate}, 4: {1: mode, 2?: n, 3: seed}, 5?: {1: key_path, 2:
// per_bucket_n, 3: seed}} says
//
//	which   the episodes for which predicate is true, each once
//	strata  of those with the same value at key_path, the per_bucket_n of
//	        lowest rank under SHA-256(seed || that value)
//	sample  1 ALL of what is left, 2 the FIRST_N, or 3 the n of lowest rank
//
// where the rank of an episode under a seed is the first 8 bytes of SHA-256(seed
// digest || episode id digest), big-endian, ties by id. The corpora are visited in
// ascending order of their roots, each in its own order, and FIRST means that. The
// manifest is the MerkleList of the chosen ids, ascending; that of no ids is absent.
//
// For example, with the seed SHA-256("seed") and the episodes SHA-256("a") to
// SHA-256("c"), HASH_N with n = 2 chooses b and c:
//
//	a  sha256:ca97...48bb  rank d13469ab31452f16
//	b  sha256:3e23...009d  rank a0cd36df43ee1655
//	c  sha256:2e7d...efc6  rank 491ddaf52c78f2fa
//
// and its manifest, the MerkleList of c and b in that order, is
// sha256:779c0369a0fa7d4ad2531e0f40c8a134c691a5503fe2b874275c2bd0553f36b6.
//
// Nothing here does I/O: what a selection reads comes from a Source and is verified
// here. Memory grows with what is kept, at most MaxKept ids, never with the corpora.
package dataset

import (
	"bytes"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// Codes of this package.
const (
	ErrDefinition fault.Code = "dataset_definition" // a definition that breaks its own rules
	ErrPredicate  fault.Code = "dataset_predicate"  // an expression that is none, or refers to what a dataset does not have
	ErrEpisode    fault.Code = "dataset_episode"    // bytes that are not the episode or receipt that was asked for
	ErrTooLarge   fault.Code = "dataset_too_large"  // more ids to keep than MaxKept
)

// Sampling modes.
const (
	ModeAll    uint8 = 1
	ModeFirstN uint8 = 2
	ModeHashN  uint8 = 3
)

// Bounds (RFC-MYTHOS-0003 §3 and RFC-MYTHOS-0003 §2).
const (
	MaxDefinition = 1 << 20 // bytes
	MaxEpisode    = 1 << 18 // bytes
	MaxReceipt    = 1 << 20 // bytes
	MaxCorpora    = 1024
	MaxCount      = 1 << 40 // of n and per_bucket_n
	MaxKept       = 1 << 20 // ids
)

// Definition is an opened DatasetDef. It is immutable and safe for concurrent use.
type Definition struct {
	def       Def
	id        cid.Hash
	predicate *expr
}

// Seal fills query_id and dataset_def_id of d, whose rules it checks, and returns
// its canonical bytes and id.
func Seal(d Def) (raw []byte, id cid.Hash, err error) {
	query, err := cid.Without(d.Query.AppendCAN(nil), 1)
	if err != nil {
		return nil, id, err
	}
	d.Query.QueryID = query
	if id, err = cid.Without(d.AppendCAN(nil), 1); err != nil {
		return nil, id, err
	}
	d.DatasetDefID = id
	raw = d.AppendCAN(nil)
	_, err = Open(raw)
	return raw, id, err
}

// Open decodes a definition and checks its ids and rules. Unknown fields are
// refused, here alone: who overlooks one selects another dataset.
func Open(raw []byte) (*Definition, error) {
	if len(raw) > MaxDefinition {
		return nil, fault.New(ErrDefinition, "a definition of %d bytes, at most %d", len(raw), MaxDefinition)
	}
	d := &Definition{}
	r := can.NewReader(raw)
	d.def.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	if !bytes.Equal(d.def.AppendCAN(nil), raw) {
		return nil, fault.New(ErrDefinition, "it has a field that this build does not know")
	}
	query, err := cid.Without(d.def.Query.AppendCAN(nil), 1)
	if err != nil {
		return nil, err
	}
	if d.id, err = cid.Without(raw, 1); err != nil {
		return nil, err
	}
	switch {
	case query != d.def.Query.QueryID:
		return nil, fault.New(ErrDefinition, "query_id is %s, the query's is %s", d.def.Query.QueryID, query)
	case d.id != d.def.DatasetDefID:
		return nil, fault.New(ErrDefinition, "dataset_def_id is %s, the definition's is %s", d.def.DatasetDefID, d.id)
	}
	if err := d.def.check(); err != nil {
		return nil, err
	}
	d.predicate, err = compile(&d.def.Query.Predicate)
	return d, err
}

// ID returns the dataset_def_id.
func (d *Definition) ID() cid.Hash { return d.id }

func (x *Def) check() error {
	if len(x.CorpusRoots) > MaxCorpora {
		return fault.New(ErrDefinition, "%d corpora, at most %d", len(x.CorpusRoots), MaxCorpora)
	}
	s := &x.Sampling
	switch {
	case s.Mode < ModeAll || s.Mode > ModeHashN:
		return fault.New(ErrDefinition, "sampling mode %d is unknown", s.Mode)
	case (s.Mode == ModeAll) != (s.N == nil):
		return fault.New(ErrDefinition, "n belongs to modes %d and %d, and to no other", ModeFirstN, ModeHashN)
	case s.N != nil && *s.N > MaxCount:
		return fault.New(ErrDefinition, "n is %d, at most %d", *s.N, uint64(MaxCount))
	case x.Stratify == nil:
		return nil
	case x.Stratify.PerBucketN > MaxCount:
		return fault.New(ErrDefinition, "per_bucket_n is %d, at most %d", x.Stratify.PerBucketN, uint64(MaxCount))
	}
	p := &x.Stratify.KeyPath
	if p.Root != ir.RootEpisode || len(p.Segments) > maxSegments {
		return fault.New(ErrDefinition, "key_path has root %d and %d segments, want %d and at most %d", p.Root, len(p.Segments), ir.RootEpisode, maxSegments)
	}
	return nil
}
