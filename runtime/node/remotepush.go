package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// ErrNoPublisher is the code of a package none of whose signers' keys is known.
const ErrNoPublisher fault.Code = "publisher_key_unknown"

// PushOptions says what to copy where.
type PushOptions struct {
	RemoteOptions
	Package string // a packed folder, an archive, an OCI layout or a stored manifest CID; required
	To      string // URL; required

	// Publish adds name and version to the remote's index.
	Publish bool
	// Publishers are key files of publishers, beside those that the trust file and this
	// home have.
	Publishers []string

	Transfer transfer.Options
}

// Pushed is what a push left behind.
type Pushed struct {
	transfer.Progress
	Manifest, PackageID cid.Hash
	Artifact            cid.Hash // the digest of the OCI artifact; zero but for an OCI registry
	Name, Version       string
	Attestations        int           // that went with it
	Publishers          []sig.AgentID // that were told to the index; nil without one
}

// Push copies a package with its attestations to a remote. Nothing in it needs to be
// trusted here, but every byte is checked against its hash.
func (n *Node) Push(ctx context.Context, o PushOptions) (p *Pushed, err error) {
	from, err := n.openClosure(ctx, o.Package)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	c := from.manifest.Claims()
	p = &Pushed{Manifest: from.manifest.CID(), PackageID: from.manifest.PackageID(), Name: c.Name, Version: c.Version}
	if o.Publish {
		if p.Publishers, err = n.publishersOf(from.manifest, o.Publishers); err != nil {
			return nil, err
		}
	}
	to, err := n.OpenRemote(ctx, o.To, o.RemoteOptions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if p.Progress, err = transfer.Push(ctx, from.objects, to.Named, p.Manifest, o.Transfer); err != nil {
		return nil, err
	}
	switch {
	case to.oci != nil:
		p.Artifact, err = to.tagOCI(ctx, p.Manifest, p.Version)
	case o.Publish:
		err = to.Index.Publish(ctx, p.Manifest, p.Publishers)
	}
	if err != nil {
		return nil, err
	}
	p.Attestations = len(from.attested)
	return p, to.attest(ctx, p.Manifest, from.attested)
}

// closureSource is a package that is to be copied.
type closureSource struct {
	manifest *manifest.Unverified
	objects  cas.Source
	attested []gate.Statement
	closers  []io.Closer
}

func (c *closureSource) close() error {
	var errs []error
	for _, x := range c.closers {
		errs = append(errs, x.Close())
	}
	return errors.Join(errs...)
}

// openClosure opens a package in any local form as objects.
func (n *Node) openClosure(ctx context.Context, ref string) (c *closureSource, err error) {
	src, err := n.OpenPackage(ctx, ref)
	if err != nil {
		return nil, err
	}
	c = &closureSource{closers: []io.Closer{src}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	raw, err := src.Manifest(ctx, manifest.MaxBytes)
	if err == nil {
		c.manifest, err = manifest.Decode(raw)
	}
	if err != nil {
		return nil, about(ref, err)
	}
	if c.attested, err = n.Attestations(c.manifest.PackageID()); err != nil {
		return nil, err
	}
	if x, ok := src.(gate.Attested); ok {
		beside, err := x.Attestations(ctx)
		if err != nil {
			return nil, err
		}
		c.attested = append(c.attested, beside...)
	}
	slices.SortFunc(c.attested, func(a, b gate.Statement) int { return a.ID.Compare(b.ID) })
	c.attested = slices.CompactFunc(c.attested, func(a, b gate.Statement) bool { return a.ID == b.ID })
	for _, s := range c.attested {
		if _, err := gate.OpenStatement(s, c.manifest.PackageID()); err != nil {
			return nil, err
		}
	}
	dir, _, _ := oci.SplitLayout(ref)
	switch {
	case isStored(ref):
		c.objects, err = n.Objects()
	case oci.IsLayout(dir):
		c.objects = remoteSource{Remote: oci.OpenLayout(dir)}
	default:
		c.objects, err = newPackageMirror(ctx, src)
	}
	return c, err
}

// attest adds attestations about a package that the remote has.
func (r *Remote) attest(ctx context.Context, id cid.Hash, list []gate.Statement) error {
	if len(list) == 0 {
		return nil
	}
	if r.oci != nil {
		to, err := artifactOf(ctx, r.get, id)
		if err != nil {
			return err
		}
		for _, s := range list {
			if err := r.oci.Attest(ctx, to, s.Raw); err != nil {
				return err
			}
		}
		return nil
	}
	for _, s := range list {
		v := bucket.Value{Size: int64(len(s.Raw)), Sum: cid.Sum(s.Raw), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s.Raw)), nil }}
		if err := r.Put(ctx, v); err != nil {
			return err
		}
		if err := r.Index.Attest(ctx, v.Sum); err != nil {
			return err
		}
	}
	return nil
}

// publishersOf returns the agents whose signatures a manifest has, of those that are
// known: of the trust file, of this home, of packages packed here, and of files.
func (n *Node) publishersOf(u *manifest.Unverified, files []string) ([]sig.AgentID, error) {
	known, err := n.Publishers()
	if err != nil {
		return nil, err
	}
	own, err := n.Keys()
	if err != nil {
		return nil, err
	}
	for _, k := range own {
		if k.Err == nil && (k.Role == sig.Publisher || k.Role == sig.Dev) {
			known = append(known, k.Agent)
		}
	}
	for _, f := range files {
		agent, err := loadAgent(f)
		if err != nil {
			return nil, err
		}
		known = append(known, agent)
	}
	var list []sig.AgentID
	for _, s := range u.Claims().Signatures {
		if s.KeyID == nil {
			continue
		}
		i := slices.IndexFunc(known, func(a sig.AgentID) bool { return a.KeyID() == *s.KeyID })
		if i >= 0 {
			list = append(list, known[i])
		} else if agent, _, err := LoadPublic(n.signerPath(*s.KeyID)); err == nil && agent.KeyID() == *s.KeyID {
			list = append(list, agent)
		}
	}
	if len(list) == 0 {
		return nil, fault.New(ErrNoPublisher, "no key that signed it is in the trust file or among this home's keys").About(u.Claims().Name)
	}
	_, _, err = u.Authorise([]manifest.Publisher{{Keys: list, Threshold: len(list), Covers: true}})
	return list, err
}

// loadAgent reads whose key is in a key file, public or secret.
func loadAgent(path string) (sig.AgentID, error) {
	agent, _, err := LoadPublic(path)
	if !errors.Is(err, sig.ErrKeyFile) {
		return agent, err
	}
	key, _, err := LoadKey(path)
	return key.Agent(), err
}

// signerPath is where the public key of a signer of packages is kept, so that
// publish can name the publisher; it grants nothing.
func (n *Node) signerPath(id cid.Hash) string {
	return filepath.Join(n.Paths.Data, "signers", id.Hex())
}

// keepSigner keeps the public key of who signed a package here.
func (n *Node) keepSigner(agent sig.AgentID, role sig.Role) error {
	path := n.signerPath(agent.KeyID())
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return pathError(path, err)
	}
	return pathError(path, atomicfile.Write(path, []byte(sig.FormatPublic(agent, role)), 0o600))
}
