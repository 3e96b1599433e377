// Package differ compares other implementations of MYTHOS with this build on
// generated requests of the conformance contract (ctvp/README.md): whether a
// request is accepted, every member of the output, and the code and offset of a
// refusal must be those of this build.
//
// A Generator makes the cases. Case number i of a seed depends on the seed, i and
// the build alone, so that any case can be asked again. The cases are of classes,
// named after what they change, which are mixed in fixed shares:
//
//	struct/...   every struct of the schema: as it is, and after each mutation of
//	             its tree (a field dropped, unknown, of another type, ...) or bytes
//	can/, json/  values without a schema and their JSON views
//	hash/        ids, and the texts that name things
//	object/      signed structs: signed after a change, signed wrongly, taken for
//	             another; object/flip is every single bit of one of each kind and
//	             of a packet, a manifest, a receipt with content and a chain
//	rule/        objects, manifests, trees and messages of good form, signed, whose
//	             content may break a rule
//	sig/         signatures at the edges on which libraries disagree
//	merkle/, blob/, proof/   roots, streams, proofs; proof/relinked changes a node
//	             and all hashes above it, so that the shape decides
//	wire/, ledger/, caps/    packets, histories of an effect, chains and scopes
//	pack/...     inputs of published vectors after a change
//
// Nothing here reads a clock or a file: processes are started by the caller's
// conformance.Start.
package differ

import (
	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrDisagreed is the code of a run in which an implementation had another answer
// than this build, or none to any case.
const ErrDisagreed fault.Code = "ctvp_disagreed"

// Options says how a run goes.
type Options struct {
	From, Cases uint64                // the first case, and how many
	Impls       []conformance.Start   // who is compared with this build
	Local       conformance.Start     // nil: this build
	Workers     int                   // each with a process of every implementation; 0: two for each processor
	Progress    func(done, all int)   // may be nil; called by one goroutine at a time
	Found       func(d *Disagreement) // may be nil; called by one goroutine at a time
}

// Disagreement is one case to which an implementation has another answer than
// this build.
type Disagreement struct {
	Case Case
	Impl string             // its name
	Want conformance.Answer // of this build
	Got  *conformance.Answer
	Why  string // what differs, or why there is no answer
}

// Report is the outcome of a run.
type Report struct {
	Seed, From, Cases uint64
	Impls             []Peer
	Classes           []Count
}

// Peer is what came of one implementation.
type Peer struct {
	Info      conformance.Info
	Compared  uint64 // answers that were compared
	Absent    uint64 // cases that it does not claim to do
	Disagreed uint64
}

// Count is how this build answered the cases of a class.
type Count struct {
	Class          string
	Valid, Invalid uint64
	OneSide        bool // by the nature of the class there is mostly one verdict
}

// Err is ErrDisagreed if there were disagreements, or if an implementation was
// never compared; otherwise nil.
func (r *Report) Err() error {
	if n := r.Disagreements(); n > 0 {
		return fault.New(ErrDisagreed, "%d disagreements in %d cases of seed %d", n, r.Cases, r.Seed)
	}
	for _, p := range r.Impls {
		if p.Compared == 0 {
			return fault.New(ErrDisagreed, "%s implements none of the %d cases", p.Info.Name, r.Cases)
		}
	}
	return nil
}

// Disagreements returns how many there were in all.
func (r *Report) Disagreements() uint64 {
	n := uint64(0)
	for _, p := range r.Impls {
		n += p.Disagreed
	}
	return n
}

// Candidate is the disagreement as a vector, as ctvp/README.md has them: the
// answer of this build is what it expects, which the specification must confirm.
func (d *Disagreement) Candidate() conformance.Vector {
	v := conformance.Vector{
		ID: d.Case.ID(), Suite: "diff", Op: d.Case.Op, Input: d.Case.Input,
		Doc: "class " + d.Case.Class + ": " + d.Impl + " disagrees: " + d.Why,
	}
	if d.Want.OK {
		v.Expect.Output = d.Want.Output
	} else {
		v.Expect.Error, v.Expect.Offset = d.Want.Error, d.Want.Offset
	}
	return v
}
