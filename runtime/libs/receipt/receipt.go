// Package receipt holds the two signed statements about work done: a Receipt
// says that one effect had one outcome (RFC-MYTHOS-0002 §2.8), an Attestation
// is a verifier's claim about a subject (RFC-MYTHOS-0002 §2.9). Both are open
// structs:
//
//	Receipt {1: receipt_id, 2: tool_id, 3: request_hash, 4: response_hash,
//	  5: idempotency_key bytes, 6: signer, 7: time_observed, 8: status u16,
//	  9?: evidence LIST of Hash, 10?: notes, 11: signature}
//	Attestation {1: attestation_id, 2: subject_hash, 3: claim_type u8,
//	  4: result u16, 5?: evidence, 6: signer, 7: time_observed, 8: signature,
//	  9?: notes}
//
// An id is the SHA-256 of the original bytes without the id and signature
// fields (1 and 11, 1 and 8), and the signature is the signer's over that id,
// without a key_id. Decode checks the id and says nothing about the signature;
// Open verifies it too. Whether the signer is trusted is never known here.
package receipt

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of this package.
const (
	ErrClaim   fault.Code = "attestation_claim" // an unknown claim type, or a result that it does not have
	ErrContent fault.Code = "receipt_content"   // a request or response that is not the receipt's
)

// Claim types of an Attestation.
const (
	ContractPass uint8 = 1 + iota
	EvalPass
	EvalMetric
	QuorumSignoff
)

// MaxMetric is the largest result of an EvalMetric.
const MaxMetric = 10000

// Decode decodes a receipt and checks its id, NOT its signature. Byte fields
// alias raw.
func Decode(raw []byte) (Receipt, cid.Hash, error) {
	var x Receipt
	id, err := sig.Decode(raw, &x)
	return x, id, err
}

// Open is Decode and verifies the signature by the signer that the receipt
// names.
func Open(raw []byte) (Receipt, cid.Hash, error) {
	var x Receipt
	id, err := sig.Open(raw, &x)
	return x, id, err
}

// CheckContent checks that request and response are the bytes that the receipt
// is about.
func (x *Receipt) CheckContent(request, response []byte) error {
	if got := cid.Sum(request); got != x.RequestHash {
		return fault.New(ErrContent, "the request is %s, the receipt is about %s", got, x.RequestHash).About(x.ReceiptID.String())
	}
	if got := cid.Sum(response); got != x.ResponseHash {
		return fault.New(ErrContent, "the response is %s, the receipt is about %s", got, x.ResponseHash).About(x.ReceiptID.String())
	}
	return nil
}

// DecodeAttestation decodes an attestation and checks its id and claim, NOT
// its signature.
func DecodeAttestation(raw []byte) (Attestation, cid.Hash, error) {
	var x Attestation
	id, err := sig.Decode(raw, &x)
	if err != nil {
		return x, id, err
	}
	return x, id, x.Check()
}

// OpenAttestation is DecodeAttestation and verifies the signature by the
// signer that the attestation names.
func OpenAttestation(raw []byte) (Attestation, cid.Hash, error) {
	var x Attestation
	id, err := sig.Open(raw, &x)
	if err != nil {
		return x, id, err
	}
	return x, id, x.Check()
}

// Check checks the claim type and that the result is one it can have: 0 or 1,
// or up to MaxMetric for an EvalMetric.
func (x *Attestation) Check() error {
	limit := uint16(1)
	switch x.ClaimType {
	case ContractPass, EvalPass, QuorumSignoff:
	case EvalMetric:
		limit = MaxMetric
	default:
		return fault.New(ErrClaim, "unknown claim type %d", x.ClaimType)
	}
	if x.Result > limit {
		return fault.New(ErrClaim, "result %d, at most %d for claim type %d", x.Result, limit, x.ClaimType)
	}
	return nil
}
