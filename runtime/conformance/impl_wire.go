package conformance

import (
	"bytes"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/wire"
)

// wireOps are the ops of RFC-MYTHOS-0001 §5.
func wireOps() map[string]opFunc {
	return map[string]opFunc{
		"wire.parse":  do(wireParse),
		"wire.bundle": do(wireBundle),
	}
}

// PacketInput is the input of wire.parse. Need holds the key ids whose
// signatures the recipient needs.
type PacketInput struct {
	Hex  Hex        `json:"hex"`
	Need []cid.Hash `json:"need,omitempty"`
}

// Packet is the output of wire.parse.
type Packet struct {
	Codec      uint8        `json:"codec"`
	Codebook   cid.Hash     `json:"codebook"`
	PayloadSum cid.Hash     `json:"payload_sha256"` // as on the wire
	Digest     cid.Hash     `json:"digest"`         // what is signed
	Signatures []SignedView `json:"signatures"`
}

// SignedView is one signature entry of a packet.
type SignedView struct {
	Signer  cid.Hash `json:"signer"`  // key id
	Verdict string   `json:"verdict"` // verified, unsigned or invalid
}

func wireParse(in PacketInput) (Packet, error) {
	p, err := wire.Parse(in.Hex)
	if err != nil {
		return Packet{}, err
	}
	out := Packet{p.Codec, p.Codebook, cid.Sum(p.Payload), p.Digest(), []SignedView{}}
	verdicts := p.Verify()
	for _, v := range verdicts {
		out.Signatures = append(out.Signatures, SignedView{v.Signer.KeyID(), v.State.String()})
	}
	signers := verdicts.Signers()
	for _, id := range in.Need {
		if !slices.ContainsFunc(signers, func(a sig.AgentID) bool { return a.KeyID() == id }) {
			return out, fault.New(sig.ErrInvalid, "no verified signature by key %s", id)
		}
	}
	return out, nil
}

// BundleInput is the input of wire.bundle. Max bounds the decompressed bytes; 0
// is 64 MiB.
type BundleInput struct {
	Hex Hex `json:"hex"`
	Max U64 `json:"max,omitzero"`
}

// BundleSum is the output of wire.bundle.
type BundleSum struct {
	Bundle cid.Hash `json:"bundle"`
}

func wireBundle(in BundleInput) (BundleSum, error) {
	p, err := wire.Parse(in.Hex)
	if err != nil {
		return BundleSum{}, err
	}
	b, err := p.Bundle(wire.Options{Decompress: unzstd, MaxBundle: int64(in.Max)})
	return BundleSum{cid.Sum(b)}, err
}

// unzstd decompresses a zstd frame in bounded memory; wire bounds what it reads.
func unzstd(frame []byte) (io.ReadCloser, error) {
	d, err := zstd.NewReader(bytes.NewReader(frame), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdMemory))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// zstdMemory bounds the window of a frame that is decompressed.
const zstdMemory = 128 << 20
