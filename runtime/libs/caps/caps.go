// Package caps holds capabilities and the chains that prove them
// (RFC-MYTHOS-0008). A Capability says who (issuer) lets whom (subject) use
// what power (scope: a kind and the canonical struct of that kind), from when
// until when, and whether the subject may pass it on.
//
// A proof is the canonical LIST of BYTES, root first; each item is one
// complete canonical Capability. It has 1 to 8 links and at most 16,384 bytes.
// A proof of a root A that lets the holder H delegate to the executor E is
//
//	07 02                               LIST of 2
//	   05 <len> {issuer A, subject H, delegable true, ...}
//	   05 <len> {issuer H, subject E, parent = cap_id of the first, ...}
//
// DecodeProof checks form only and yields a Chain. (*Chain).Check decides
// about one use: every signature, then principals, then time, then scope, then
// revocation; a refusal is a *Denial that names the link and the rule. The
// power of a chain is the meet of its links: each one must be a subset of the
// one before (Covers), and each one is also evaluated against the concrete
// use: a Call of a tool, a Request of any other kind, or a bare scope. Counting
// is the ledger's part: a Grant says what to spend.
//
// Nothing here reads a clock, resolves a name or fetches a list: time, addresses
// and revocation lists are handed in, so one input has one verdict.
package caps

import (
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// The codes of a refused proof, in the order in which they are decided
// (RFC-MYTHOS-0008 §3).
const (
	ErrTooLong     fault.Code = "cap_chain_too_long"      // no link, more than MaxLinks, or more than MaxProof bytes
	ErrKind        fault.Code = "cap_kind_unknown"        // a scope of a kind that this build does not know
	ErrSignature   fault.Code = "cap_signature"           // a link whose id or signature does not verify
	ErrBroken      fault.Code = "cap_chain_broken"        // a link that does not continue the one before it
	ErrUntrusted   fault.Code = "cap_issuer_untrusted"    // a root issuer that is no authority here
	ErrDelegable   fault.Code = "cap_not_delegable"       // a link that passes on what may not be passed on
	ErrSubject     fault.Code = "cap_subject"             // a leaf for another executor
	ErrWindow      fault.Code = "cap_window"              // an empty window, or one wider than the parent's
	ErrNotYetValid fault.Code = "cap_not_yet_valid"       // now is before not_before
	ErrExpired     fault.Code = "cap_expired"             // now is expires_at or later
	ErrScope       fault.Code = "cap_scope"               // a scope that is wider than its parent's or does not cover the use
	ErrConstraint  fault.Code = "cap_constraint"          // a constraint that is malformed, loosened or does not hold
	ErrRevocation  fault.Code = "cap_revocation_required" // a link that counts only with a fresh revocation list
	ErrRevoked     fault.Code = "cap_revoked"             // a link that its issuer, or one above, has revoked
)

// Bounds of a proof (RFC-MYTHOS-0008 §2) and of a ToolCall scope
// (RFC-MYTHOS-0008 §4).
const (
	MaxLinks       = 8
	MaxProof       = 16384
	MaxConstraints = 64
)

// The capability kinds.
const (
	KindBlobRead       = 1
	KindBlobWrite      = 2
	KindBlobPin        = 3
	KindBlobDelete     = 4
	KindToolCall       = 5
	KindTrainRun       = 6
	KindEvalRun        = 7
	KindDeployPromote  = 8
	KindComputeSpawn   = 9
	KindCellRead       = 10
	KindCellWrite      = 11
	KindNetConnect     = 32
	KindFsRead         = 33
	KindFsWrite        = 34
	KindClock          = 35
	KindRandom         = 36
	KindSecretRead     = 37
	KindPackageRun     = 38
	KindPackagePublish = 39
)

// KindName returns the name of a kind, or "kind N" for one that is not known.
func KindName(kind uint8) string {
	if r, ok := ruleOf(kind); ok {
		return r.name
	}
	return fmt.Sprintf("kind %d", kind)
}

// Kinds returns every known kind, ascending.
func Kinds() []uint8 {
	out := make([]uint8, len(rules))
	for i, r := range rules {
		out[i] = r.kind
	}
	return out
}

// KindOf returns the kind with a name, and whether there is one.
func KindOf(name string) (uint8, bool) {
	for _, r := range rules {
		if r.name == name {
			return r.kind, true
		}
	}
	return 0, false
}
