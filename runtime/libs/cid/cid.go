// Package cid holds content identifiers. A Hash is the SHA-256 of bytes; on the
// wire it is the closed struct {1: alg u8 = 1, 2: digest 32 bytes}, in text
// "sha256:" and 64 lowercase hex digits (RFC-MYTHOS-0001 §3.1). Any other
// algorithm is refused, so a Hash is a comparable array and the whole encoded
// id is compared when two are.
package cid

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package.
const (
	ErrAlg  fault.Code = "hash_alg"  // a hash algorithm other than SHA-256
	ErrText fault.Code = "hash_text" // text that is not sha256:<64 lowercase hex>
)

// Hash is a SHA-256 digest.
type Hash [32]byte

// Sum returns the hash of b.
func Sum(b []byte) Hash { return sha256.Sum256(b) }

// Without returns the hash of the struct raw with the given fields cut out of
// its original bytes: the one rule by which object ids are made
// (RFC-MYTHOS-0001 §3.2). Fields must ascend.
func Without(raw []byte, fields ...uint8) (Hash, error) {
	pre, err := can.AppendWithout(nil, raw, fields...)
	if err != nil {
		return Hash{}, err
	}
	return Sum(pre), nil
}

// String returns "sha256:<hex>".
func (h Hash) String() string { return "sha256:" + hex.EncodeToString(h[:]) }

// Hex returns the digest in lowercase hex.
func (h Hash) Hex() string { return hex.EncodeToString(h[:]) }

// Compare orders hashes by their digest bytes.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// IsZero reports whether h is 32 zero bytes.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText returns String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText parses what MarshalText returns.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := Parse(string(b))
	*h = v
	return err
}

// Parse reads "sha256:<64 lowercase hex>".
func Parse(s string) (Hash, error) {
	digits, ok := strings.CutPrefix(s, "sha256:")
	var h Hash
	if !ok || len(digits) != 64 || strings.ToLower(digits) != digits {
		return h, fault.New(ErrText, "%q is not sha256:<64 lowercase hex digits>", clip(s))
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return Hash{}, fault.New(ErrText, "%q is not sha256:<64 lowercase hex digits>", clip(s))
	}
	return h, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80]
	}
	return s
}

const head = "\x08\x02\x03\x01\x03\x01\x03\x02\x05\x20"

// AppendCAN appends the wire form, 42 bytes.
func (h *Hash) AppendCAN(b []byte) []byte {
	b = append(b, head...)
	return append(b, h[:]...)
}

// ReadCAN reads the wire form.
func (h *Hash) ReadCAN(r *can.Reader) {
	if p := r.Template(head, len(h)); p != nil {
		*h = Hash(p)
		return
	}
	s := r.Struct()
	s.Exact(1)
	at := r.Pos()
	if alg := r.UintMax(255); r.Err() == nil && alg != 1 {
		r.Fail(ErrAlg, at, "hash algorithm %d, want 1 (SHA-256)", alg)
	}
	s.Exact(2)
	r.Fixed(h[:])
	s.Close()
}
