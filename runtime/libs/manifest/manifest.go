// Package manifest holds package manifests and trees (RFC-MYTHOS-0006 §2,
// §5). A manifest is the closed struct
//
//	1 package_id   SHA-256 of the bytes without fields 1, 11 and 12
//	2 schema       "mythos.package"
//	3 format_version 1   4 name   5 version   6 requires
//	7 artifacts    ascending by cid; every reference resolves to one of them
//	8 modules      ascending by tool_id, variant, platform (absent first)
//	9 entrypoints  ascending by name
//	10 policies?   11 signatures? ascending by key_id   12 attestations?
//
// and its CID the SHA-256 of all its bytes. What a manifest says is worth
// nothing until somebody known has signed it, so trust is a type: Decode
// returns an Unverified, whose Claims are for showing and for repair, and
// only Unverified.Verify, given the publishers to believe, makes a Verified.
//
// The package also holds the rule for artifacts (at most 4 MiB: the cid is the
// SHA-256; above: the root of a chunked blob), the rules for paths, and
// semantic versions.
package manifest

import (
	"bytes"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of signatures. Bytes that do not decode have a code of package can, a
// wrong package_id or tool_id is sig.ErrID, a signature that fails
// sig.ErrInvalid.
const (
	ErrUnsigned        fault.Code = "unsigned"         // no signature at all
	ErrSignerUnknown   fault.Code = "signer_unknown"   // none from a key that counts
	ErrSignerThreshold fault.Code = "signer_threshold" // too few keys of one publisher that may speak for the name
)

// FormatVersion is the one format of this build.
const FormatVersion = 1

// MaxBytes bounds a manifest.
const MaxBytes = 4 << 20

// Unverified is a manifest that decodes and whose package_id recomputes.
// Nobody has vouched for it.
type Unverified struct {
	raw    []byte
	claims Manifest
	id     cid.Hash
}

// Decode strictly decodes the manifest raw, which it keeps: the caller must
// not change it. It recomputes package_id from the original bytes, no more.
func Decode(raw []byte) (*Unverified, error) {
	if len(raw) > MaxBytes {
		return nil, fault.New(ErrLimit, "%d bytes, at most %d", len(raw), MaxBytes)
	}
	u := &Unverified{raw: raw}
	r := can.NewReader(raw)
	u.claims.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	id, err := cid.Without(raw, 1, 11, 12)
	switch {
	case err != nil:
		return nil, err
	case id != u.claims.PackageID:
		return nil, fault.New(sig.ErrID, "package_id says %s, the bytes say %s", u.claims.PackageID, id)
	}
	u.id = id
	return u, nil
}

// checkSignatureList wants a key_id on each signature, ascending.
func checkSignatureList(list []sig.Signature) error {
	for i := range list {
		switch {
		case list[i].KeyID == nil:
			return fault.New(sig.ErrKeyID, "signature %d has no key_id", i)
		case i > 0 && list[i-1].KeyID.Compare(*list[i].KeyID) >= 0:
			return fault.New(ErrOrder, "signatures must ascend by key_id, none twice").About(list[i].KeyID.String())
		}
	}
	return nil
}

// Claims returns what the manifest says, for showing and for repair. The
// caller must not change it.
func (u *Unverified) Claims() *Manifest { return &u.claims }

// PackageID returns the recomputed package id.
func (u *Unverified) PackageID() cid.Hash { return u.id }

// CID returns the hash of all bytes, signatures included.
func (u *Unverified) CID() cid.Hash { return cid.Sum(u.raw) }

// Raw returns the manifest's bytes. The caller must not change them.
func (u *Unverified) Raw() []byte { return u.raw }

// Publisher is one answer to "who may sign this package": Threshold distinct
// Keys must have signed it together.
type Publisher struct {
	Keys      []sig.AgentID
	Threshold int  // at least 1; 0 is never met
	Covers    bool // this publisher may speak for the package's name
}

// Verified is a manifest that a trusted publisher has signed, that this build
// can run, and that follows every rule of its format.
type Verified struct {
	u       *Unverified
	signers []sig.AgentID
	by      int
}

// Verify performs steps 3 to 10 of the loading order (RFC-MYTHOS-0006 §9) but
// for manifest.sig, and stops at the first failure: Authorise, then CheckHost,
// then Validate, then CheckAttestations.
func (u *Unverified) Verify(publishers []Publisher, host Host) (*Verified, error) {
	signers, by, err := u.Authorise(publishers)
	if err != nil {
		return nil, err
	}
	if err := u.CheckHost(host); err != nil {
		return nil, err
	}
	if err := u.Validate(); err != nil {
		return nil, err
	}
	if err := u.CheckAttestations(); err != nil {
		return nil, err
	}
	return &Verified{u, signers, by}, nil
}

// Authorise checks the signatures. None at all is ErrUnsigned; none from a key
// of any publisher ErrSignerUnknown; one of such a key that does not verify
// sig.ErrInvalid, even if others suffice; fewer than Threshold keys of every
// publisher that covers the name ErrSignerThreshold. It returns the known keys
// that have signed, in order of key id, and the first publisher that is met.
func (u *Unverified) Authorise(publishers []Publisher) (signers []sig.AgentID, by int, err error) {
	if signers, err = u.knownSigners(publishers); err != nil {
		return nil, -1, err
	}
	by = slices.IndexFunc(publishers, func(p Publisher) bool { return p.met(signers) })
	if by < 0 {
		return nil, -1, fault.New(ErrSignerThreshold, "%d known keys have signed, and no publisher entry whose names cover %s has enough of them", len(signers), quote(u.claims.Name)).About(u.id.String())
	}
	return signers, by, nil
}

// knownSigners returns the publishers' keys that have signed, whatever names
// and thresholds say.
func (u *Unverified) knownSigners(publishers []Publisher) ([]sig.AgentID, error) {
	if len(u.claims.Signatures) == 0 {
		return nil, fault.New(ErrUnsigned, "the package carries no signature").About(u.id.String())
	}
	if err := checkSignatureList(u.claims.Signatures); err != nil {
		return nil, err
	}
	known := map[cid.Hash]sig.AgentID{}
	for _, p := range publishers {
		for _, k := range p.Keys {
			known[k.KeyID()] = k
		}
	}
	var signers []sig.AgentID
	var invalid error
	for _, s := range u.claims.Signatures {
		k, ok := known[*s.KeyID]
		if !ok {
			continue
		}
		if err := k.Verify(u.id, s); err != nil && invalid == nil {
			invalid = fault.New(sig.ErrInvalid, "the signature by %s does not verify over package_id", s.KeyID).About(u.id.String())
		}
		signers = append(signers, k)
	}
	switch {
	case len(signers) == 0:
		return nil, fault.New(ErrSignerUnknown, "signed by %s, which no publisher entry of the trust file holds", u.keyIDs()).About(u.id.String())
	case invalid != nil:
		return nil, invalid
	}
	return signers, nil
}

// keyIDs lists the signatures' key ids for a message.
func (u *Unverified) keyIDs() string {
	text := ""
	for i, s := range u.claims.Signatures {
		if i == 4 {
			return text + " and others"
		}
		if i > 0 {
			text += ", "
		}
		text += s.KeyID.String()
	}
	return text
}

// met reports whether enough of p's keys are among signers.
func (p Publisher) met(signers []sig.AgentID) bool {
	n := 0
	for _, s := range signers {
		if slices.ContainsFunc(p.Keys, s.Equal) {
			n++
		}
	}
	return p.Covers && p.Threshold > 0 && n >= p.Threshold
}

// Manifest returns the verified content. The caller must not change it.
func (v *Verified) Manifest() *Manifest { return &v.u.claims }

// PackageID returns the package id.
func (v *Verified) PackageID() cid.Hash { return v.u.id }

// CID returns the hash of all bytes, signatures included.
func (v *Verified) CID() cid.Hash { return v.u.CID() }

// Raw returns the manifest's bytes. The caller must not change them.
func (v *Verified) Raw() []byte { return v.u.raw }

// Signers returns the known keys that have signed.
func (v *Verified) Signers() []sig.AgentID { return v.signers }

// Publisher returns the index of the first publisher that was met.
func (v *Verified) Publisher() int { return v.by }

// AppendSig appends the content of manifest.sig: field 11 as a LIST, empty if
// there is none.
func (x *Manifest) AppendSig(b []byte) []byte {
	b = can.AppendList(b, len(x.Signatures))
	for i := range x.Signatures {
		b = x.Signatures[i].AppendCAN(b)
	}
	return b
}

// Sign sets m's format version and package_id, drops its signatures, signs it
// with each signer, checks it and returns its bytes. One key signs once.
func Sign(m *Manifest, signers ...sig.Signer) ([]byte, error) {
	m.FormatVersion, m.Signatures = FormatVersion, nil
	id, err := cid.Without(m.AppendCAN(nil), 1, 11, 12)
	if err != nil {
		return nil, err
	}
	m.PackageID = id
	if err := m.Validate(); err != nil {
		return nil, err
	}
	for _, s := range signers {
		if err := m.addSignature(s); err != nil {
			return nil, err
		}
	}
	raw := m.AppendCAN(nil)
	if len(raw) > MaxBytes {
		return nil, fault.New(ErrLimit, "%d bytes, at most %d", len(raw), MaxBytes)
	}
	return raw, nil
}

// AddSignature returns the manifest raw with by's signature added, or replaced
// if by has signed before.
func AddSignature(raw []byte, by sig.Signer) ([]byte, error) {
	u, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	m := u.claims
	m.Signatures = slices.Clone(m.Signatures)
	if err := m.addSignature(by); err != nil {
		return nil, err
	}
	out := m.AppendCAN(nil)
	if id, err := cid.Without(out, 1, 11, 12); err != nil || id != u.id {
		return nil, fault.New(sig.ErrID, "signing changed the package from %s to %s", u.id, id)
	}
	return out, nil
}

func (x *Manifest) addSignature(by sig.Signer) error {
	keyID := by.Agent().KeyID()
	s := sig.Signature{Alg: sig.Ed25519, KeyID: &keyID}
	var err error
	if s.SigBytes, err = by.Sign(x.PackageID); err != nil {
		return err
	}
	i, again := slices.BinarySearchFunc(x.Signatures, keyID, func(s sig.Signature, id cid.Hash) int {
		return bytes.Compare(s.KeyID[:], id[:])
	})
	if again {
		x.Signatures[i] = s
	} else {
		x.Signatures = slices.Insert(x.Signatures, i, s)
	}
	return nil
}
