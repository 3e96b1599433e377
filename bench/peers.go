package main

import (
	"github.com/fxamacker/cbor/v2"

	"github.com/mythos-run/mythos/bench/pb"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
)

// The structs of RFC-MYTHOS-0002 for fxamacker/cbor, with the same field
// numbers as integer map keys.
type (
	fxHash struct {
		Alg    uint8    `cbor:"1,keyasint"`
		Digest [32]byte `cbor:"2,keyasint"`
	}
	fxAgent struct {
		Scheme uint8    `cbor:"1,keyasint"`
		Key    [32]byte `cbor:"2,keyasint"`
		Hint   string   `cbor:"3,keyasint,omitempty"`
	}
	fxSignature struct {
		Alg      uint8    `cbor:"1,keyasint"`
		KeyID    *fxHash  `cbor:"2,keyasint,omitempty"`
		SigBytes [64]byte `cbor:"3,keyasint"`
	}
	fxReceipt struct {
		ReceiptID      fxHash      `cbor:"1,keyasint"`
		ToolID         fxHash      `cbor:"2,keyasint"`
		RequestHash    fxHash      `cbor:"3,keyasint"`
		ResponseHash   fxHash      `cbor:"4,keyasint"`
		IdempotencyKey []byte      `cbor:"5,keyasint"`
		Signer         fxAgent     `cbor:"6,keyasint"`
		TimeObserved   int64       `cbor:"7,keyasint"`
		Status         uint16      `cbor:"8,keyasint"`
		Evidence       []fxHash    `cbor:"9,keyasint,omitempty"`
		Notes          string      `cbor:"10,keyasint,omitempty"`
		Signature      fxSignature `cbor:"11,keyasint"`
	}
	fxNode struct {
		Values []fxHash `cbor:"1,keyasint"`
	}
)

// cborModes are Core Deterministic encoding, and decoding as strict as the
// library can be: no duplicate keys, unknown fields, tags or indefinite
// lengths. It does not refuse unsorted keys or long integers.
func cborModes() (cbor.UserBufferEncMode, cbor.DecMode, error) {
	enc, err := cbor.CoreDetEncOptions().UserBufferEncMode()
	if err != nil {
		return nil, nil, err
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TagsMd: cbor.TagsForbidden, IndefLength: cbor.IndefLengthForbidden,
	}.DecMode()
	return enc, dec, err
}

func cborReceipt(x *receipt.Receipt) *fxReceipt {
	return &fxReceipt{
		ReceiptID: cborHash(x.ReceiptID), ToolID: cborHash(x.ToolID),
		RequestHash: cborHash(x.RequestHash), ResponseHash: cborHash(x.ResponseHash),
		IdempotencyKey: x.IdempotencyKey,
		Signer:         fxAgent{Scheme: x.Signer.Scheme, Key: x.Signer.Key, Hint: x.Signer.Hint},
		TimeObserved:   x.TimeObserved, Status: x.Status, Evidence: each(x.Evidence, cborHash), Notes: x.Notes,
		Signature: fxSignature{Alg: x.Signature.Alg, SigBytes: x.Signature.SigBytes},
	}
}

func cborNode(x *merkle.ListLeaf) *fxNode { return &fxNode{Values: each(x.Values, cborHash)} }
func cborHash(h cid.Hash) fxHash          { return fxHash{Alg: 1, Digest: h} }

func pbReceipt(x *receipt.Receipt) *pb.Receipt {
	return &pb.Receipt{
		ReceiptId: pbHash(x.ReceiptID), ToolId: pbHash(x.ToolID),
		RequestHash: pbHash(x.RequestHash), ResponseHash: pbHash(x.ResponseHash),
		IdempotencyKey: x.IdempotencyKey,
		Signer:         &pb.AgentID{Scheme: uint32(x.Signer.Scheme), Key: x.Signer.Key[:], Hint: x.Signer.Hint},
		TimeObserved:   x.TimeObserved, Status: uint32(x.Status), Evidence: each(x.Evidence, pbHash), Notes: x.Notes,
		Signature: &pb.Signature{Alg: uint32(x.Signature.Alg), SigBytes: x.Signature.SigBytes[:]},
	}
}

func pbNode(x *merkle.ListLeaf) *pb.ListLeaf { return &pb.ListLeaf{Values: each(x.Values, pbHash)} }
func pbHash(h cid.Hash) *pb.Hash             { return &pb.Hash{Alg: 1, Digest: h[:]} }

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
