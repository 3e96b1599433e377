package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
)

// attestedDir is the node's index of attestations about a package: a file for each,
// named after its id.
func (n *Node) attestedDir(packageID cid.Hash) string {
	return filepath.Join(n.Paths.Data, "attestations", packageID.Hex())
}

// Attestations returns what the node's index holds about a package, by id. A file
// that is no attestation about it is refused like one beside a manifest.
func (n *Node) Attestations(packageID cid.Hash) ([]gate.Statement, error) {
	dir := n.attestedDir(packageID)
	entries, err := os.ReadDir(dir)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError(dir, err)
	}
	var list []gate.Statement
	for _, e := range entries {
		id, err := cid.Parse("sha256:" + e.Name())
		if err != nil {
			continue // a temporary file
		}
		path := filepath.Join(dir, e.Name())
		raw, err := readFile(path, gate.MaxAttestation)
		if err != nil {
			return nil, err
		}
		s := gate.Statement{ID: id, Raw: raw}
		if _, err := gate.OpenStatement(s, packageID); err != nil {
			return nil, fault.New(manifest.ErrAttestation, "%w", err).About(path)
		}
		list = append(list, s)
	}
	return list, nil
}

// remember puts attestations that were verified into the node's index. If that is
// full, those of keys that are no verifiers here give way, and none of them comes in:
// nobody can keep a verifier from taking a claim back.
func (n *Node) remember(packageID cid.Hash, list []gate.Statement) error {
	if len(list) == 0 {
		return nil
	}
	have, err := n.Attestations(packageID)
	if err != nil {
		return err
	}
	verifies, err := n.verifiers()
	if err != nil {
		return err
	}
	strange := func(s gate.Statement) bool {
		a, err := gate.OpenStatement(s, packageID)
		return err != nil || !verifies(a.Signer)
	}
	dir := n.attestedDir(packageID)
	for _, s := range list {
		if slices.ContainsFunc(have, func(x gate.Statement) bool { return x.ID == s.ID }) {
			continue
		}
		if len(have) >= gate.MaxAttestations {
			if strange(s) {
				continue
			}
			i := slices.IndexFunc(have, strange)
			if i < 0 {
				return fault.New(manifest.ErrAttestation, "the node knows %d attestations about it, and keeps no more", len(have)).About(packageID.String())
			}
			if err := os.Remove(filepath.Join(dir, have[i].ID.Hex())); err != nil {
				return pathError(dir, err)
			}
			have = slices.Delete(have, i, i+1)
		}
		if err := atomicfile.MkdirAll(dir, 0o700); err != nil {
			return pathError(dir, err)
		}
		path := filepath.Join(dir, s.ID.Hex())
		if err := atomicfile.Write(path, s.Raw, 0o600); err != nil {
			return pathError(path, err)
		}
		have = append(have, s)
	}
	return nil
}

// verifiers returns who is a verifier here: by an entry of the trust file, whenever it
// counts, or by a claim of a policy.
func (n *Node) verifiers() (func(sig.AgentID) bool, error) {
	trust, err := n.Trust()
	if err != nil {
		return nil, err
	}
	have, err := n.PolicyRings()
	if err != nil {
		return nil, err
	}
	var claims []rings.Claim
	for _, ring := range have {
		if p, err := n.Policy(ring); err == nil && p != nil { // one that cannot be read admits nothing anyway
			claims = append(claims, p.Claims...)
		}
	}
	return func(a sig.AgentID) bool {
		return slices.ContainsFunc(trust.Entries(), func(e gate.TrustEntry) bool { return e.Role == sig.Verifier && e.Holds(a) }) ||
			slices.ContainsFunc(claims, func(c rings.Claim) bool { return slices.ContainsFunc(c.Verifiers, a.Equal) })
	}, nil
}

// AttestOptions says what a verifier claims.
type AttestOptions struct {
	Package  string   // a packed folder, an archive or a stored manifest CID; required
	Claim    uint8    // claim type; required
	Result   uint16   // 1 pass, 0 fail; a figure for a metric
	Evidence []string // files to be stored, or CIDs
	Notes    string
	Key      string // secret key of role verifier; required
}

// Attested is an attestation that was made.
type Attested struct {
	receipt.Attestation
	Name string // of the package
	Raw  []byte
}

// Attest makes an attestation about a package and keeps it: beside the manifest of a
// folder or archive, and in this node's index. The package must be sound, but this
// node need not trust whoever published it.
func (n *Node) Attest(ctx context.Context, o AttestOptions) (*Attested, error) {
	key, err := loadRole(o.Key, sig.Verifier)
	if err != nil {
		return nil, err
	}
	about, room, err := n.soundPackage(ctx, o.Package)
	if err != nil {
		return nil, err
	}
	a := receipt.Attestation{
		SubjectHash: about.PackageID(), ClaimType: o.Claim, Result: o.Result,
		TimeObserved: n.Clock().UnixMicro(), Notes: o.Notes,
	}
	if err := a.Check(); err != nil {
		return nil, err
	}
	if a.Evidence, err = n.evidence(ctx, o.Evidence); err != nil {
		return nil, err
	}
	raw, id, err := sig.Sign(&a, key)
	switch {
	case err != nil:
		return nil, err
	case len(raw) > gate.MaxAttestation:
		return nil, fault.New(manifest.ErrAttestation, "%d bytes, at most %d: shorten the notes or name less evidence", len(raw), gate.MaxAttestation)
	case room == 0:
		return nil, fault.New(manifest.ErrAttestation, "it has %d attestations beside its manifest, and no room for more", gate.MaxAttestations).About(o.Package)
	}
	s := gate.Statement{ID: id, Raw: raw}
	if err := n.remember(about.PackageID(), []gate.Statement{s}); err != nil {
		return nil, err
	}
	if !isStored(o.Package) {
		err = pack.Attach(ctx, o.Package, s)
	}
	return &Attested{a, about.Claims().Name, raw}, err
}

// soundPackage decodes a package's manifest and checks everything that does not
// depend on trust, and how many attestations may still be put beside it.
func (n *Node) soundPackage(ctx context.Context, ref string) (u *manifest.Unverified, room int, err error) {
	report, err := n.Verify(ctx, ref)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range report.Failures {
		switch f.Code {
		case manifest.ErrSignerUnknown, manifest.ErrSignerThreshold:
		default:
			return nil, 0, fault.New(f.Code, "%s", f.Message).About(ref + ": " + f.Subject)
		}
	}
	src, err := n.OpenPackage(ctx, ref)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	raw, err := src.Manifest(ctx, manifest.MaxBytes)
	if err != nil {
		return nil, 0, err
	}
	if u, err = manifest.Decode(raw); err != nil {
		return nil, 0, err
	}
	room = gate.MaxAttestations
	if x, ok := src.(gate.Attested); ok {
		list, err := x.Attestations(ctx)
		if err != nil {
			return nil, 0, err
		}
		room -= len(list)
	}
	return u, room, nil
}

// evidence stores files and returns their CIDs and those that were given as such, in
// that order.
func (n *Node) evidence(ctx context.Context, list []string) ([]cid.Hash, error) {
	var ids []cid.Hash
	for _, e := range list {
		id, err := n.oneEvidence(ctx, e)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (n *Node) oneEvidence(ctx context.Context, e string) (cid.Hash, error) {
	if isStored(e) {
		return cid.Parse(e)
	}
	store, err := n.Objects()
	if err != nil {
		return cid.Hash{}, err
	}
	f, err := os.Open(e)
	if err != nil {
		return cid.Hash{}, pathError(e, err)
	}
	id, err := cas.PutBlob(ctx, store, f)
	return id.CID, errors.Join(err, f.Close())
}

// loadRole reads a secret key of a role.
func loadRole(from string, want sig.Role) (sig.Key, error) {
	key, role, err := LoadKey(from)
	if err == nil && role != want {
		err = fault.New(ErrKeyRole, "a key of role %s, want %s", role, want).About(from)
	}
	return key, err
}
