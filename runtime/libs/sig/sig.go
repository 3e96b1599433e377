// Package sig holds agents, signatures and the objects that carry them
// (RFC-MYTHOS-0001 §4). A signature is Ed25519 over the raw 32 bytes of an
// object's id; an id is the SHA-256 of the object's original bytes without its
// id and signature fields. Verification is the strict profile of
// RFC-MYTHOS-0001 §4.1, so that every language gives one verdict. Keys live in
// small text files (RFC-MYTHOS-0001 §4.3); this package parses and formats
// them and never touches a disk.
package sig

import (
	"crypto/ed25519"
	"fmt"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package.
const (
	ErrInvalid fault.Code = "signature_invalid" // a signature that does not verify
	ErrID      fault.Code = "id_mismatch"       // an id field that is not the object's id
	ErrKeyID   fault.Code = "key_id"            // a key_id that is missing, forbidden or of another key
	ErrAlg     fault.Code = "signature_alg"     // a scheme or algorithm other than Ed25519
)

// Ed25519 is the one scheme and algorithm number.
const Ed25519 = 1

// Equal reports whether two agents have the same scheme and key; hints do not
// count.
func (x AgentID) Equal(o AgentID) bool { return x.Scheme == o.Scheme && x.Key == o.Key }

// KeyID returns the SHA-256 of the canonical agent without its hint
// (RFC-MYTHOS-0001 §4.2).
func (x AgentID) KeyID() cid.Hash {
	x.Hint = ""
	return cid.Sum(x.AppendCAN(nil))
}

// Verify checks a signature over an id under the strict profile.
func (x AgentID) Verify(id cid.Hash, s Signature) error {
	if x.Scheme != Ed25519 || s.Alg != Ed25519 {
		return fault.New(ErrAlg, "scheme %d with algorithm %d, want 1 and 1 (Ed25519)", x.Scheme, s.Alg)
	}
	if !VerifyStrict(x.Key[:], id[:], s.SigBytes[:]) {
		return fault.New(ErrInvalid, "the signature of %s does not verify", id)
	}
	return nil
}

// Signer signs ids.
type Signer interface {
	Agent() AgentID
	Sign(id cid.Hash) ([64]byte, error)
}

// Key is an Ed25519 secret key in memory. Its zero value signs nothing.
type Key struct {
	agent  AgentID
	secret ed25519.PrivateKey
}

// NewKey returns the key of a 32-byte seed; hint names it for people.
func NewKey(seed [32]byte, hint string) Key {
	secret := ed25519.NewKeyFromSeed(seed[:])
	agent := AgentID{Scheme: Ed25519, Hint: hint}
	copy(agent.Key[:], secret[32:])
	return Key{agent, secret}
}

// Agent returns the public identity.
func (k Key) Agent() AgentID { return k.agent }

// Format prints the key id, whatever the verb, so that no message or log ever
// holds the secret.
func (k Key) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "key "+k.agent.KeyID().String())
}

// Sign signs an id.
func (k Key) Sign(id cid.Hash) ([64]byte, error) {
	if k.secret == nil {
		return [64]byte{}, fault.New(ErrAlg, "the key is empty")
	}
	return [64]byte(ed25519.Sign(k.secret, id[:])), nil
}

// Seal tells where a signed object keeps its id, signature and signer.
type Seal struct {
	IDField, SigField uint8
	ID                *cid.Hash // nil: the object stores no id
	Signer            *AgentID  // nil: the object names no signer, so its signature has a key_id
	Keyless           bool      // readers accept it without a key_id all the same
	Signature         *Signature
}

// Object is a generated signed struct.
type Object interface {
	AppendCAN(b []byte) []byte
	ReadCAN(r *can.Reader)
	Seal() Seal
}

// Sign fills x's signer, id and signature and returns its canonical bytes and
// id.
func Sign(x Object, by Signer) ([]byte, cid.Hash, error) {
	s := x.Seal()
	*s.Signature = Signature{Alg: Ed25519}
	if s.Signer != nil {
		*s.Signer = by.Agent()
	} else {
		id := by.Agent().KeyID()
		s.Signature.KeyID = &id
	}
	id, err := s.id(x.AppendCAN(nil))
	if err != nil {
		return nil, id, err
	}
	if s.Signature.SigBytes, err = by.Sign(id); err != nil {
		return nil, id, err
	}
	if s.ID != nil {
		*s.ID = id
	}
	return x.AppendCAN(nil), id, nil
}

func (s Seal) id(raw []byte) (cid.Hash, error) {
	if s.ID == nil {
		return cid.Without(raw, s.SigField)
	}
	return cid.Without(raw, s.IDField, s.SigField)
}

// Decode strictly decodes raw into x and checks its id against the original
// bytes and its signature's form; it does NOT verify the signature. It returns
// the id.
func Decode(raw []byte, x Object) (cid.Hash, error) {
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return cid.Hash{}, err
	}
	s := x.Seal()
	id, err := s.id(raw)
	switch {
	case err != nil:
		return id, err
	case s.ID != nil && *s.ID != id:
		return id, fault.New(ErrID, "the object says %s, its bytes say %s", *s.ID, id)
	case s.Signer != nil && s.Signature.KeyID != nil:
		return id, fault.New(ErrKeyID, "a signature whose object names its signer has no key_id")
	case s.Signer == nil && s.Signature.KeyID == nil && !s.Keyless:
		return id, fault.New(ErrKeyID, "a signature whose object names no signer needs a key_id")
	}
	return id, nil
}

// Open is Decode and verifies the signature against the signer that the object
// names. Whether that signer is trusted is the caller's question.
func Open(raw []byte, x Object) (cid.Hash, error) {
	id, err := Decode(raw, x)
	if err != nil {
		return id, err
	}
	s := x.Seal()
	if s.Signer == nil {
		return id, fault.New(ErrKeyID, "the object names no signer")
	}
	return id, s.Signer.Verify(id, *s.Signature)
}

// OpenBy is Decode for an object that names no signer and verifies its
// signature against by, whose key id the signature must carry.
func OpenBy(raw []byte, x Object, by AgentID) (cid.Hash, error) {
	id, err := Decode(raw, x)
	if err != nil {
		return id, err
	}
	s := x.Seal()
	if s.Signature.KeyID == nil || *s.Signature.KeyID != by.KeyID() {
		return id, fault.New(ErrKeyID, "the signature is not by key %s", by.KeyID())
	}
	return id, by.Verify(id, *s.Signature)
}
