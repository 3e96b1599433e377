package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// blobOps are the ops of RFC-MYTHOS-0004 §3 to RFC-MYTHOS-0004 §6, of
// references (RFC-MYTHOS-0002 §2.7) and artifacts (RFC-MYTHOS-0002 §6).
func blobOps() map[string]opFunc {
	return map[string]opFunc{
		"blob.root":     do(blobRoot),
		"blob.write":    do(blobWrite),
		"blob.verify":   do(blobVerify),
		"blob.range":    do(blobRange),
		"blob.stream":   do(blobStream),
		"blob.ref":      do(blobRef),
		"blob.artifact": do(blobArtifact),
	}
}

// PayloadFormula stands for size bytes: the SHA-256 of seed and j as eight
// big-endian bytes, for j = 0, 1, 2 and so on, one after another, cut to size.
type PayloadFormula struct {
	Size U64 `json:"size"`
	Seed Hex `json:"seed"`
}

// Reader yields the bytes.
func (f PayloadFormula) Reader() io.Reader {
	return io.LimitReader(&stream{seed: f.Seed}, int64(f.Size))
}

// stream yields the bytes of a PayloadFormula without end.
type stream struct {
	seed []byte
	next uint64
	rest []byte
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if len(s.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(s.seed[:len(s.seed):len(s.seed)], s.next))
			s.rest = sum[:]
			s.next++
		}
		done := copy(p[n:], s.rest)
		s.rest = s.rest[done:]
		n += done
	}
	return len(p), nil
}

// Payload is bytes, given or by formula: exactly one member.
type Payload struct {
	Hex     *Hex            `json:"hex,omitempty"`
	Formula *PayloadFormula `json:"formula,omitempty"`
}

func (p Payload) reader() (io.Reader, error) {
	switch {
	case (p.Hex == nil) == (p.Formula == nil):
		return nil, badInput("want hex or a formula")
	case p.Hex != nil:
		return bytes.NewReader(*p.Hex), nil
	case p.Formula.Size > 64<<20:
		return nil, badInput("a formula of %d bytes", p.Formula.Size)
	}
	return p.Formula.Reader(), nil
}

// BlobInput is the input of blob.root and blob.write.
type BlobInput struct {
	Payload
	ChunkSize uint32 `json:"chunk_size"`
}

// BlobRoot is the output of blob.root and blob.write.
type BlobRoot struct {
	Root   *cid.Hash `json:"root,omitempty"` // nil: the blob is empty
	Chunks U64       `json:"chunks"`
	Flat   cid.Hash  `json:"flat"` // SHA-256 of all bytes
}

func blobRoot(in BlobInput) (BlobRoot, error) {
	return build(in, func(r io.Reader) (blob.Tree, error) { return blob.TreeOf(r, in.ChunkSize) })
}

func blobWrite(in BlobInput) (BlobRoot, error) {
	return build(in, func(r io.Reader) (blob.Tree, error) {
		return blob.Write(r, blob.Options{ChunkSize: in.ChunkSize}, nil)
	})
}

func build(in BlobInput, tree func(io.Reader) (blob.Tree, error)) (BlobRoot, error) {
	r, err := in.reader()
	if err != nil {
		return BlobRoot{}, err
	}
	sum := sha256.New()
	t, err := tree(io.TeeReader(r, sum))
	return BlobRoot{t.Root, U64(t.Chunks), cid.Hash(sum.Sum(nil))}, err
}

// BlobProof is the input of blob.verify.
type BlobProof struct {
	ProofInput
	Chunk *Hex `json:"chunk,omitempty"` // the chunk's bytes, to be checked as well
}

// ChunkView is one chunk.
type ChunkView struct {
	Hash cid.Hash `json:"hash"`
	Len  uint32   `json:"len"`
}

// BlobChunk is the output of blob.verify.
type BlobChunk struct {
	Chunk     ChunkView `json:"chunk"`
	Index     U64       `json:"index"`
	Size      U64       `json:"size"`
	ChunkSize uint32    `json:"chunk_size"`
}

func blobVerify(in BlobProof) (BlobChunk, error) {
	x, err := blob.Check(in.Root, in.Proof)
	if err == nil && in.Chunk != nil {
		err = x.Chunk.Check(*in.Chunk)
	}
	return BlobChunk{ChunkView(x.Chunk), U64(x.Index), U64(x.Size), x.ChunkSize}, err
}

// BlobRangeProof is the input of blob.range.
type BlobRangeProof struct {
	ProofInput
	Offset U64 `json:"offset"`
	Length U64 `json:"length"`
}

// BlobSlice is the output of blob.range.
type BlobSlice struct {
	Chunks    []ChunkView `json:"chunks"`
	First     U64         `json:"first"`
	Size      U64         `json:"size"`
	ChunkSize uint32      `json:"chunk_size"`
}

func blobRange(in BlobRangeProof) (BlobSlice, error) {
	x, err := blob.CheckRange(in.Root, uint64(in.Offset), uint64(in.Length), in.Proof)
	if err != nil {
		return BlobSlice{}, err
	}
	out := BlobSlice{First: U64(x.First), Size: U64(x.Size), ChunkSize: x.ChunkSize}
	for _, c := range x.Chunks {
		out.Chunks = append(out.Chunks, ChunkView(c))
	}
	return out, nil
}

// StreamInput is the input of blob.stream. Without a length the whole blob is
// due.
type StreamInput struct {
	Root   cid.Hash `json:"root"`
	Offset U64      `json:"offset"`
	Length *U64     `json:"length,omitempty"`
	Parts  []Hex    `json:"parts"` // nodes and chunks, depth first
}

// Streamed is the output of blob.stream.
type Streamed struct {
	Bytes Hex `json:"bytes"` // of the range
}

func blobStream(in StreamInput) (Streamed, error) {
	v := blob.NewVerifier(in.Root)
	var got []byte
	start := uint64(0)
	for i, part := range in.Parts {
		w, due := v.Want()
		if err := v.Give(part); err != nil {
			return Streamed{}, err
		}
		if due && !w.Node {
			got = append(got, part...)
		}
		if i > 0 || in.Length == nil {
			continue
		}
		if err := v.Seek(uint64(in.Offset), uint64(*in.Length)); err != nil {
			return Streamed{}, err
		}
		start = uint64(in.Offset) % uint64(v.ChunkSize())
	}
	if w, due := v.Want(); due {
		return Streamed{}, fault.New(merkle.ErrProof, "the stream ends before %s", w.ID)
	}
	if in.Length != nil {
		got = got[start : start+uint64(*in.Length)]
	}
	return Streamed{got}, nil
}

// RefInput is the input of blob.ref. With Parts the blob is read as well.
type RefInput struct {
	Hex   Hex   `json:"hex"`             // canonical BlobRef
	Parts []Hex `json:"parts,omitempty"` // what the source answers, in the order in which it is asked
}

// RefView is the output of blob.ref.
type RefView struct {
	CID    cid.Hash `json:"cid"`
	Size   U64      `json:"size"`
	Codec  uint8    `json:"codec"`
	Chunks uint32   `json:"chunks"`
	Bytes  *Hex     `json:"bytes,omitempty"` // what was read
}

func blobRef(in RefInput) (RefView, error) {
	x, err := blob.DecodeRef(in.Hex)
	out := RefView{CID: x.CID, Size: U64(x.Size), Codec: x.Codec, Chunks: x.Chunks}
	if err != nil || in.Parts == nil {
		return out, err
	}
	r, err := x.Open(answers(in.Parts))
	if err != nil {
		return out, err
	}
	b, err := io.ReadAll(r)
	out.Bytes = (*Hex)(&b)
	return out, err
}

// answers is a source that answers with one part after another, whatever it is
// asked for.
func answers(parts []Hex) merkle.Get {
	return func(id cid.Hash, _ int64) ([]byte, error) {
		if len(parts) == 0 {
			return nil, fault.New(merkle.ErrProof, "the source ends before %s", id)
		}
		p := parts[0]
		parts = parts[1:]
		return p, nil
	}
}

// ArtifactInput is the input of blob.artifact: a payload, or parts, of which Is
// says what they must be.
type ArtifactInput struct {
	Payload
	Parts []Hex         `json:"parts,omitempty"` // what the source answers, in the order in which it is asked
	Is    *ArtifactView `json:"is,omitempty"`    // what it must be
}

// ArtifactView is the output of blob.artifact.
type ArtifactView struct {
	CID    cid.Hash `json:"cid"`
	Size   U64      `json:"size"`
	SHA256 cid.Hash `json:"sha256"`
}

func blobArtifact(in ArtifactInput) (ArtifactView, error) {
	if in.Is != nil && in.Parts != nil {
		return *in.Is, in.Is.read(in.Parts)
	}
	r, err := in.reader()
	if err != nil {
		return ArtifactView{}, err
	}
	if in.Is != nil {
		return *in.Is, in.Is.id().Check(r)
	}
	x, err := blob.WriteArtifact(r, nil)
	return ArtifactView{x.CID, U64(x.Size), x.SHA256}, err
}

func (v ArtifactView) id() blob.ArtifactID {
	return blob.ArtifactID{CID: v.CID, Size: uint64(v.Size), SHA256: v.SHA256}
}

// read reads the artifact to its end.
func (v ArtifactView) read(parts []Hex) error {
	r, err := v.id().Open(answers(parts))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	return err
}
