package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mythos-run/mythos/runtime/cas"
	closures "github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// Codes of pulling.
const (
	ErrPackageRef fault.Code = "pull_reference"     // no reference of a package
	ErrIncomplete fault.Code = "package_incomplete" // a stored package of which objects are missing
)

// Reference names a package that may be elsewhere: by CID, by name, or by a tag or
// digest in an OCI registry.
type Reference struct {
	CID     cid.Hash
	Name    string
	Version string // "": the newest
	OCI     string // the URL
}

// ParseReference reads sha256:HEX, NAME@VERSION, NAME or oci://HOST/REPOSITORY:TAG.
func ParseReference(text string) (r Reference, err error) {
	if isStored(text) {
		r.CID, err = cid.Parse(text)
		return r, err
	}
	if strings.HasPrefix(text, "oci://") {
		ref, err := oci.ParseReference(text)
		if err == nil && ref.Name == "" {
			err = fault.New(oci.ErrReference, "it names no package: give :TAG or @sha256:HEX").About(text)
		}
		return Reference{OCI: text}, err
	}
	name, version, versioned := strings.Cut(text, "@")
	if versioned {
		_, err = manifest.ParseVersion(version)
	}
	if err != nil || !manifest.CheckName(name) {
		return r, fault.New(ErrPackageRef, "%.200q is neither sha256:HEX, NAME, NAME@VERSION nor oci://HOST/REPOSITORY:TAG", text)
	}
	return Reference{Name: name, Version: version}, nil
}

// PullOptions says where to pull from, and how.
type PullOptions struct {
	RemoteOptions
	// From are the URLs of remotes, which are tried in their order; none: those of the
	// settings.
	From []string
	// AllowDowngrade takes a version that is older than one that was pulled or run.
	AllowDowngrade bool
	Transfer       transfer.Options
}

// Pulled is what a pull left behind.
type Pulled struct {
	transfer.Progress
	Manifest, PackageID cid.Hash
	Name, Version       string
	Attestations        int // that the remotes have about it, and that are right
}

// Pull copies a package with its attestations to the store. It adds no trust: what
// came is what its hash says, and no more.
func (n *Node) Pull(ctx context.Context, ref string, o PullOptions) (p *Pulled, err error) {
	what, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	urls := o.From
	if len(urls) == 0 {
		urls = n.Settings.Remotes
	}
	if what.OCI != "" {
		urls = append([]string{what.OCI}, urls...)
	}
	if len(urls) == 0 {
		return nil, fault.New(ErrNoRemotes, "nothing says where to pull it from").About(ref)
	}
	from, err := n.openRemotes(ctx, urls, o.RemoteOptions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll(from)) }()
	x := &pull{node: n, ref: what, from: from, options: o}
	return x.run(ctx)
}

// pull is a pull under way.
type pull struct {
	node    *Node
	ref     Reference
	from    []*Remote
	options PullOptions

	manifest *manifest.Unverified
	signed   signedBy
}

func (p *pull) run(ctx context.Context) (*Pulled, error) {
	id, err := p.resolve(ctx)
	if err != nil {
		return nil, err
	}
	store, err := p.node.Objects()
	if err != nil {
		return nil, err
	}
	from := make([]transfer.Named, len(p.from))
	for i, r := range p.from {
		from[i] = r.Named
	}
	o := p.options.Transfer
	o.Scratch = filepath.Join(p.node.Paths.Cache, "pull")
	progress, err := transfer.Pull(ctx, from, store, id, o)
	if err != nil {
		return nil, err
	}
	raw, err := store.Get(ctx, id, manifest.MaxBytes)
	if err != nil {
		return nil, err
	}
	if p.manifest, err = manifest.Decode(raw); err != nil {
		return nil, err
	}
	c := p.manifest.Claims()
	count, err := p.attestations(ctx)
	if err == nil && p.ref.Name != "" {
		err = p.node.pulled(ctx, p.manifest, p.signed)
	}
	return &Pulled{progress, id, p.manifest.PackageID(), c.Name, c.Version, count}, err
}

// timely gives one remote the time of size bytes.
func (p *pull) timely(ctx context.Context, size int64, do func(context.Context) error) error {
	return bucket.Timely(ctx, p.options.Transfer.Patience, size, do)
}

// fetch reads a verified object of one remote.
func (p *pull) fetch(ctx context.Context, r *Remote, id cid.Hash, limit int64) (raw []byte, err error) {
	err = p.timely(ctx, limit, func(ctx context.Context) error {
		raw, err = remote.Fetch(ctx, r, id, limit)
		return err
	})
	return raw, err
}

// failed tells of a remote that failed or lied.
func (p *pull) failed(r *Remote, err error) {
	if p.options.Transfer.OnFailure != nil {
		p.options.Transfer.OnFailure(r.Name, err)
	}
}

// resolve returns the manifest that the reference means: that of the first remote
// which knows it, if its name and version are those that were asked for.
func (p *pull) resolve(ctx context.Context) (cid.Hash, error) {
	if p.ref.OCI != "" {
		id, _, err := p.from[0].oci.Resolve(ctx, p.from[0].tag)
		return id, err
	}
	if p.ref.Name == "" {
		return p.ref.CID, nil
	}
	var failures []error
	absent := true
	for _, r := range p.from {
		id, err := p.ask(ctx, r)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrDowngrade) {
			return id, err
		}
		if !errors.Is(err, remote.ErrNoVersion) {
			absent = false
			p.failed(r, err)
		}
		failures = append(failures, fmt.Errorf("%s: %w", r.Name, err))
	}
	if absent {
		return cid.Hash{}, fault.New(remote.ErrNoVersion, "none of %d remotes has it", len(p.from)).About(p.name())
	}
	return cid.Hash{}, transfer.Failed(failures).About(p.name())
}

func (p *pull) name() string {
	if p.ref.Version == "" {
		return p.ref.Name
	}
	return p.ref.Name + "@" + p.ref.Version
}

// ask asks one remote for the name, and checks what the answer leads to.
func (p *pull) ask(ctx context.Context, r *Remote) (id cid.Hash, err error) {
	err = p.timely(ctx, 0, func(ctx context.Context) error {
		id, err = r.resolve(ctx, p.ref.Name, p.ref.Version)
		return err
	})
	if err != nil {
		return id, err
	}
	raw, err := p.fetch(ctx, r, id, manifest.MaxBytes)
	if err != nil {
		return id, err
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		return id, err
	}
	c := u.Claims()
	if c.Name != p.ref.Name || p.ref.Version != "" && c.Version != p.ref.Version {
		return id, fault.New(remote.ErrLies, "its answer is a package %s@%s", c.Name, c.Version).About(p.name())
	}
	if p.signed, err = p.node.signedBy(u); err != nil {
		return id, err
	}
	known, err := p.node.named(c.Name)
	if err != nil || p.options.AllowDowngrade {
		return id, err
	}
	return id, known.downgrade(c.Version, p.signed)
}

// resolve returns the manifest of a name. A tag of an OCI repository is a version;
// that it is one of the package asked for, its manifest says.
func (r *Remote) resolve(ctx context.Context, name, version string) (cid.Hash, error) {
	if r.oci == nil {
		return r.Index.Resolve(ctx, name, version)
	}
	tag := oci.TagOf(version)
	if version == "" {
		tag = r.tag
	}
	if tag == "" {
		return cid.Hash{}, fault.New(remote.ErrUnsupported, "an OCI repository does not say which version is the newest; name one").About(r.Name)
	}
	id, _, err := r.oci.Resolve(ctx, tag)
	if errors.Is(err, cas.ErrNotFound) {
		err = fault.New(remote.ErrNoVersion, "%s@%s is not published here", name, version)
	}
	return id, err
}

// attestations adds what the remotes have of attestations about the package to this
// node's index, and returns how many there are. A remote that has none, or wrong ones,
// is none the less a remote of objects.
func (p *pull) attestations(ctx context.Context) (int, error) {
	about := p.manifest.PackageID()
	seen := map[cid.Hash]bool{}
	for _, r := range p.from {
		var list []gate.Statement
		err := p.timely(ctx, gate.MaxAttestations*gate.MaxAttestation, func(ctx context.Context) (err error) {
			list, err = p.attestationsAt(ctx, r, seen)
			return err
		})
		if err != nil {
			if ctx.Err() != nil {
				return 0, err
			}
			p.failed(r, err)
		}
		if err := p.node.remember(about, list); err != nil {
			return 0, err
		}
	}
	return len(seen), nil
}

// attestationsAt fetches the attestations of one remote that no other had, but those
// that are listed and not there.
func (p *pull) attestationsAt(ctx context.Context, r *Remote, seen map[cid.Hash]bool) (list []gate.Statement, err error) {
	var ids []cid.Hash
	err = p.timely(ctx, 0, func(ctx context.Context) (err error) {
		ids, err = p.listAttestations(ctx, r)
		return err
	})
	for _, id := range ids {
		if seen[id] || len(seen) == gate.MaxAttestations {
			continue
		}
		raw, err := p.fetch(ctx, r, id, gate.MaxAttestation)
		if errors.Is(err, cas.ErrNotFound) || errors.Is(err, cas.ErrTooLarge) {
			continue
		}
		if err != nil {
			return list, err
		}
		a, statement, err := receipt.OpenAttestation(raw)
		if err != nil {
			return list, err
		}
		if a.SubjectHash != p.manifest.PackageID() {
			return list, fault.New(remote.ErrLies, "it is about another package").About("attestation " + statement.String())
		}
		seen[id] = true
		list = append(list, gate.Statement{ID: statement, Raw: raw})
	}
	return list, err
}

func (p *pull) listAttestations(ctx context.Context, r *Remote) (ids []cid.Hash, err error) {
	if r.oci != nil {
		store, err := p.node.Objects()
		if err != nil {
			return nil, err
		}
		of, err := artifactOf(ctx, store.Get, p.manifest.CID())
		if err != nil {
			return nil, err
		}
		ids, err = r.oci.Attestations(ctx, of)
		if errors.Is(err, cas.ErrNotFound) {
			return nil, nil
		}
		return ids[:min(len(ids), gate.MaxAttestations)], err
	}
	for id, err := range r.Index.Attestations(ctx, p.manifest.PackageID()) {
		if err != nil {
			return ids, err
		}
		if ids = append(ids, id); len(ids) == gate.MaxAttestations {
			break
		}
	}
	return ids, nil
}

// Obtain returns what to open for a reference that is to be run: a path as it is,
// else the CID of a stored package whose closure is there. What is not, it pulls if
// something says from where.
func (n *Node) Obtain(ctx context.Context, ref string, o PullOptions) (string, error) {
	if !isStored(ref) && !strings.HasPrefix(ref, "oci://") {
		if _, err := os.Stat(ref); err == nil || !strings.Contains(ref, "@") {
			return ref, nil
		}
	}
	what, err := ParseReference(ref)
	if errors.Is(err, ErrPackageRef) {
		return ref, nil // a path, of which opening says what is wrong
	}
	if err != nil {
		return ref, err
	}
	if what.Name != "" {
		known, err := n.named(what.Name)
		if err != nil {
			return ref, err
		}
		what.CID = known.Pulled[what.Version]
	}
	lack := fault.New(pack.ErrNotFound, "it was not pulled here")
	if !what.CID.IsZero() {
		if lack, err = n.lacks(ctx, what.CID); lack == nil || err != nil {
			return what.CID.String(), err
		}
	}
	if what.OCI == "" && len(o.From) == 0 && len(n.Settings.Remotes) == 0 {
		lack.Message += "; no remote is configured: type \"mythos pull " + ref + " --from URL\", or set MYTHOS_REMOTES"
		return ref, lack.About(ref)
	}
	p, err := n.Pull(ctx, ref, o)
	if err != nil {
		return ref, err
	}
	return p.Manifest.String(), nil
}

// lacks says which objects of a package the store lacks; nil: none. A package that is
// damaged in another way lacks nothing: loading it says what is wrong.
func (n *Node) lacks(ctx context.Context, id cid.Hash) (*fault.Error, error) {
	store, err := n.Objects()
	if err != nil {
		return nil, err
	}
	there, err := store.Has(ctx, id)
	if err != nil {
		return nil, err
	}
	if !there {
		return fault.New(pack.ErrNotFound, "its manifest is not in the store"), nil
	}
	var missing []cid.Hash
	objects := 0
	err = closures.Walk(ctx, store.Get, id, func(x closures.Object) error {
		objects++
		there, err := store.Has(ctx, x.CID)
		if err == nil && !there {
			missing = append(missing, x.CID)
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, cas.ErrNotFound): // a node or a tree: what it names is not known
		return fault.New(ErrIncomplete, "a part of it is not in the store: %w", err), nil
	case len(missing) > 0:
		return fault.New(ErrIncomplete, "%d of its %d objects are not in the store, the first %s", len(missing), objects, missing[0]), nil
	}
	return nil, nil
}
