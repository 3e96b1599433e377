// Package wire is the MYTHOS-X packet (RFC-MYTHOS-0001 §5): a frame that carries
// one IR bundle and the signatures of any number of agents over it. Its parts
// stand one after another, integers big-endian, lengths as minimal LEB128:
//
//	magic "MYTH" | version u16 = 2 | flags u16 = 0 | codec u8 | codebook id: 01, 32 bytes
//	sigblock length | sigblock: LIST of {1: signer AgentID, 2: sig_alg u8, 3: sig_bytes}
//	payload length  | payload
//
// The first line, 42 bytes, is the header. Codec 1 is a canonical bundle, codec
// 2 the same as one zstd frame. Each signature is Ed25519 over
//
//	SHA-256(header || payload as on the wire)
//
// and does not cover the sigblock, so entries come and go freely. An entry with
// empty sig_bytes is unsigned and never counts as verified. For example
//
//	4d595448 0002 0000 01 01<32 bytes>  02 0700  02 0800
//
// is a packet without signatures around the empty MAP. Parsing believes
// nothing: it returns an Unverified, whose payload no one may have signed and
// which may be no bundle that an executor accepts.
package wire

import (
	"encoding/binary"
	"errors"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package, in the order in which Parse checks.
const (
	ErrMagic            fault.Code = "wire_magic"             // not a packet
	ErrTruncated        fault.Code = "wire_truncated"         // the input ends inside the header
	ErrVersion          fault.Code = "wire_version"           // a version other than 2
	ErrFlags            fault.Code = "wire_flags"             // a flag bit is set
	ErrCodec            fault.Code = "wire_codec"             // an unknown codec
	ErrCodebook         fault.Code = "wire_codebook"          // an unknown codebook
	ErrSigblockLength   fault.Code = "wire_sigblock_length"   // a sigblock longer than the input
	ErrSigners          fault.Code = "wire_signers"           // too many signature entries
	ErrPayloadLength    fault.Code = "wire_payload_length"    // a payload longer than the input
	ErrTrailing         fault.Code = "wire_trailing"          // bytes after the payload
	ErrCodecUnavailable fault.Code = "wire_codec_unavailable" // no decompressor for the packet's codec
	ErrCompressed       fault.Code = "wire_compressed"        // a payload that is not one sound zstd frame
	ErrTooLarge         fault.Code = "wire_too_large"         // a payload that exceeds its bound when decompressed
)

// Codecs.
const (
	CodecCAN  uint8 = 1
	CodecZstd uint8 = 2
)

// MaxSigners bounds the entries of a sigblock.
const MaxSigners = 256

const (
	magic     = "MYTH"
	version   = 2
	headerLen = 42
	hashAlg   = 1
)

// Unverified is a packet as it was parsed or is being made. Nothing in it is
// authenticated; Verify says which entries are.
type Unverified struct {
	Codec    uint8
	Codebook cid.Hash
	Entries  []SigBlockEntry
	Payload  []byte // as on the wire
}

// New returns an unsigned packet under the baseline codebook. With CodecCAN the
// payload must be one canonical value, with CodecZstd one zstd frame of it.
func New(codec uint8, payload []byte) (*Unverified, error) {
	p := &Unverified{Codec: codec, Codebook: codebook.BaselineID(), Payload: payload}
	switch codec {
	case CodecCAN:
		return p, can.Valid(payload)
	case CodecZstd:
		_, err := scanFrame(payload)
		return p, err
	}
	return nil, fault.New(ErrCodec, "codec %d, want 1 or 2", codec)
}

// Parse reads a packet. Entries and Payload alias raw. A codec 2 payload is
// checked by Bundle.
func Parse(raw []byte) (*Unverified, error) {
	p, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	sigblock, at, err := part(raw, headerLen, ErrSigblockLength, "sigblock")
	if err != nil {
		return nil, err
	}
	if p.Entries, err = parseSigblock(sigblock, at); err != nil {
		return nil, err
	}
	payload, at, err := part(raw, at+len(sigblock), ErrPayloadLength, "payload")
	if err != nil {
		return nil, err
	}
	if end := at + len(payload); end != len(raw) {
		return nil, fault.At(ErrTrailing, end, "%d bytes after the payload", len(raw)-end)
	}
	if p.Codec == CodecCAN {
		if err := can.Valid(payload); err != nil {
			return nil, shift(err, at, "payload")
		}
	}
	p.Payload = payload
	return p, nil
}

func parseHeader(raw []byte) (*Unverified, error) {
	if len(raw) < len(magic) || string(raw[:len(magic)]) != magic {
		return nil, fault.At(ErrMagic, 0, "the input does not begin with %q", magic)
	}
	if len(raw) < headerLen {
		return nil, fault.At(ErrTruncated, len(raw), "a header of %d bytes, want %d", len(raw), headerLen)
	}
	p := &Unverified{Codec: raw[8], Codebook: cid.Hash(raw[10:headerLen])}
	switch v, flags := binary.BigEndian.Uint16(raw[4:]), binary.BigEndian.Uint16(raw[6:]); {
	case v != version:
		return nil, fault.At(ErrVersion, 4, "version %d, want %d", v, version)
	case flags != 0:
		return nil, fault.At(ErrFlags, 6, "flags %#04x, none is defined", flags)
	case p.Codec != CodecCAN && p.Codec != CodecZstd:
		return nil, fault.At(ErrCodec, 8, "codec %d, want 1 or 2", p.Codec)
	case raw[9] != hashAlg:
		return nil, fault.At(ErrCodebook, 9, "codebook id with hash algorithm %d, want 1", raw[9])
	case p.Codebook != codebook.BaselineID():
		return nil, fault.At(ErrCodebook, 9, "codebook %s, want %s", p.Codebook, codebook.BaselineID())
	}
	return p, nil
}

// part returns the bytes behind the length varint at offset at, and their own
// offset.
func part(raw []byte, at int, code fault.Code, name string) ([]byte, int, error) {
	n, size, err := can.Uvarint(raw[at:])
	if err != nil {
		return nil, 0, shift(err, at, name+" length")
	}
	start := at + size
	if n > uint64(len(raw)-start) {
		return nil, 0, fault.At(code, at, "a %s of %d bytes, %d bytes left", name, n, len(raw)-start)
	}
	return raw[start : start+int(n) : start+int(n)], start, nil
}

func parseSigblock(b []byte, at int) ([]SigBlockEntry, error) {
	r := can.NewReader(b)
	n := r.List()
	if n > MaxSigners {
		return nil, fault.At(ErrSigners, at, "%d signature entries, at most %d", n, MaxSigners)
	}
	var entries []SigBlockEntry
	for ; n > 0 && r.OK(); n-- {
		var e SigBlockEntry
		e.ReadCAN(&r)
		entries = append(entries, e)
	}
	r.EndList()
	if err := r.Done(); err != nil {
		return nil, shift(err, at, "sigblock")
	}
	return entries, nil
}

// shift makes the offset of an error in a part one in the packet.
func shift(err error, by int, subject string) error {
	var e *fault.Error
	if !errors.As(err, &e) || e.Offset == fault.NoOffset {
		return err
	}
	e = e.About(subject)
	e.Offset += by
	return e
}

// Append appends the packet's bytes.
func (p *Unverified) Append(b []byte) []byte {
	b = p.appendHeader(b)
	sigblock := can.AppendList(nil, len(p.Entries))
	for i := range p.Entries {
		sigblock = p.Entries[i].AppendCAN(sigblock)
	}
	b = append(binary.AppendUvarint(b, uint64(len(sigblock))), sigblock...)
	return append(binary.AppendUvarint(b, uint64(len(p.Payload))), p.Payload...)
}

func (p *Unverified) appendHeader(b []byte) []byte {
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = append(b, p.Codec, hashAlg)
	return append(b, p.Codebook[:]...)
}
