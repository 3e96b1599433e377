package node

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrProofExists is the code of a proof file that would be overwritten.
const ErrProofExists fault.Code = "cap_file_exists"

// CapsDir returns the folder of this user's capability proofs.
func (n *Node) CapsDir() string { return filepath.Join(n.Paths.Config, "caps") }

const proofSuffix = ".cap"

// ParseProof decodes a proof; name is what its errors are about.
func ParseProof(raw []byte, name string) (*caps.Chain, error) {
	p, err := caps.DecodeProof(raw)
	if err != nil {
		return nil, under(name, err)
	}
	return p, nil
}

// LoadProof reads a proof file. Nothing of it is verified.
func LoadProof(path string) (*caps.Chain, error) {
	raw, err := readHead(path, caps.MaxProof+1)
	if err != nil {
		return nil, err
	}
	return ParseProof(raw, path)
}

// SaveProof writes a proof with mode 0600 to path or, if that is empty, to the
// folder of this user's proofs, named after its leaf. It returns where it is, and
// never replaces a file: the proof that a narrower one was made from is still needed.
func (n *Node) SaveProof(path string, p *caps.Chain) (string, error) {
	if path == "" {
		path = filepath.Join(n.CapsDir(), p.LeafID().Hex()[:12]+proofSuffix)
		if err := atomicfile.MkdirAll(n.CapsDir(), 0o700); err != nil {
			return "", pathError(path, err)
		}
	}
	err := atomicfile.WriteNew(path, p.Raw(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", fault.New(ErrProofExists, "the file exists and is not replaced").About(path)
	}
	return path, pathError(path, err)
}

// ProofFile is one file of the folder of this user's proofs.
type ProofFile struct {
	Path  string
	Proof *caps.Chain
	Err   error // why the file holds no proof
}

// Proofs lists the folder of this user's proofs, by name.
func (n *Node) Proofs() ([]ProofFile, error) {
	paths, err := filepath.Glob(filepath.Join(n.CapsDir(), "*"+proofSuffix))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var out []ProofFile
	for _, path := range paths {
		p, err := LoadProof(path)
		out = append(out, ProofFile{path, p, err})
	}
	return out, nil
}

// Situation is where and when a proof is judged. The zero value is now, in ring 0, by
// this node's executor, whatever the package.
type Situation struct {
	Subject *sig.AgentID // the executor; nil: this node's
	Package string       // the package's name; "": an authority for any name counts
	Ring    uint8
	At      time.Time // zero: now
}

// Use returns what this node would judge a use by: the trust file's authorities and
// the revocation lists that it has accepted. The use itself is the caller's to add.
// Unlike a run it makes no key: a node without an executor key has no subject.
func (n *Node) Use(s Situation) (caps.Use, error) {
	u := caps.Use{}
	at := s.At
	if at.IsZero() {
		at = n.Clock()
	}
	u.Now = at.UnixMicro()
	if s.Subject == nil {
		key, err := n.ExecutorKey()
		if err != nil {
			return u, err
		}
		u.Subject = key.Agent()
	} else {
		u.Subject = *s.Subject
	}
	trust, err := n.Trust()
	if err != nil {
		return u, err
	}
	u.Authority = func(a sig.AgentID) bool {
		return slices.ContainsFunc(trust.Entries(), func(e gate.TrustEntry) bool {
			return e.Role == sig.Authority && e.Holds(a) && e.Current(at) && e.Admits(s.Ring) && (s.Package == "" || e.Covers(s.Package))
		})
	}
	lists, err := n.Revocations()
	if err != nil {
		return u, err
	}
	known := map[[32]byte]*caps.RevocationList{}
	for _, l := range lists {
		known[l.Issuer().Key] = l
	}
	u.Revocations = func(a sig.AgentID) *caps.RevocationList { return known[a.Key] }
	return u, nil
}

// Contents is what somebody who writes a capability needs to know of a package.
type Contents struct {
	ID       cid.Hash
	Manifest *manifest.Manifest // as it says; not verified
}

// Contents reads a packed folder, an archive or a stored package. It does not say
// whether the package is sound.
func (n *Node) Contents(ctx context.Context, ref string) (*Contents, error) {
	opt, err := n.gateOptions()
	if err != nil {
		return nil, err
	}
	src, err := n.OpenPackage(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	report, err := gate.Verify(ctx, src, opt)
	if err != nil {
		return nil, err
	}
	if report.Manifest == nil {
		f := report.Failures[0]
		return nil, fault.New(f.Code, "%s", f.Message).About(ref)
	}
	return &Contents{*report.PackageID, report.Manifest}, nil
}

// Spent returns how many of a capability's counted uses this node's ledger has
// spent, and false if there is no ledger yet.
func (n *Node) Spent(ctx context.Context, ids []cid.Hash) (counts []uint32, known bool, err error) {
	if !n.HasLedger() {
		return make([]uint32, len(ids)), false, nil
	}
	log, err := n.ReadLedger()
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	reader, ok := log.(interface {
		Spent(ctx context.Context, capID cid.Hash) (uint32, error)
	})
	if !ok {
		return make([]uint32, len(ids)), false, nil
	}
	for _, id := range ids {
		used, err := reader.Spent(ctx, id)
		if err != nil {
			return nil, false, err
		}
		counts = append(counts, used)
	}
	return counts, true, nil
}

// under puts path before what an error is about.
func under(path string, err error) error {
	if e, ok := err.(*fault.Error); ok && e.Subject != "" {
		return e.About(path + ", " + e.Subject)
	}
	return about(path, err)
}
