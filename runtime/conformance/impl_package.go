package conformance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// packageOps are the ops of RFC-MYTHOS-0006 §2, RFC-MYTHOS-0006 §5,
// RFC-MYTHOS-0006 §6 and RFC-MYTHOS-0006 §9.
func packageOps() map[string]opFunc {
	return map[string]opFunc{
		"path.check":     do(pathCheck),
		"tree.open":      do(treeOpen),
		"manifest.open":  do(manifestOpen),
		"archive.open":   doContext(archiveOpen),
		"archive.verify": doContext(archiveVerify),
	}
}

// PathsInput is the input of path.check: the paths of one tree.
type PathsInput struct {
	Paths []string `json:"paths"`
}

func pathCheck(in PathsInput) (struct{}, error) {
	for _, p := range in.Paths {
		if err := manifest.CheckPath(p); err != nil {
			return struct{}{}, err
		}
	}
	return struct{}{}, manifest.CheckPaths(in.Paths)
}

// TreeView is the output of tree.open.
type TreeView struct {
	Paths []string `json:"paths"`
}

func treeOpen(in Bytes) (TreeView, error) {
	t, err := manifest.DecodeTree(in.Hex)
	if err != nil {
		return TreeView{}, err
	}
	var out TreeView
	for i := range t.Entries {
		out.Paths = append(out.Paths, t.Entries[i].Path)
	}
	return out, nil
}

// PackageInput is the input of manifest.open and archive.verify: who may sign
// packages, and what the executor offers.
type PackageInput struct {
	Hex        Hex             `json:"hex"`
	Publishers []PublisherView `json:"publishers"`
	Host       HostView        `json:"host"`
}

// PublisherView is a publisher entry of a trust file.
type PublisherView struct {
	Keys      []Hex    `json:"keys"` // AgentIDs
	Threshold int      `json:"threshold"`
	Names     []string `json:"names"` // globs
}

// HostView is what an executor offers.
type HostView struct {
	Version   string     `json:"version"`
	Codebooks []cid.Hash `json:"codebooks"`
	Features  []string   `json:"features"`
	CTVPs     []cid.Hash `json:"ctvps"`
}

// PackageView is the output of manifest.open and archive.verify.
type PackageView struct {
	PackageID   cid.Hash   `json:"package_id"`
	ManifestCID cid.Hash   `json:"manifest_cid"`
	Signers     []cid.Hash `json:"signers"` // key ids of the known keys that have signed
}

func (in *PackageInput) host() manifest.Host {
	return manifest.Host{Version: in.Host.Version, Codebooks: in.Host.Codebooks, Features: in.Host.Features, CTVPs: in.Host.CTVPs}
}

// trust makes a trust file of the publishers.
func (in *PackageInput) trust() (*gate.Trust, error) {
	var entries []gate.TrustEntry
	for _, p := range in.Publishers {
		e := gate.TrustEntry{Role: sig.Publisher, Threshold: p.Threshold, Names: p.Names}
		for _, raw := range p.Keys {
			a, err := readAgent(raw)
			if err != nil {
				return nil, badInput("publishers: %w", err)
			}
			e.Keys = append(e.Keys, a)
		}
		entries = append(entries, e)
	}
	t, err := gate.NewTrust(entries)
	if err != nil {
		return nil, badInput("publishers: %w", err)
	}
	return t, nil
}

func keyIDs(agents []sig.AgentID) []cid.Hash {
	ids := []cid.Hash{}
	for _, a := range agents {
		ids = append(ids, a.KeyID())
	}
	return ids
}

func manifestOpen(in PackageInput) (PackageView, error) {
	trust, err := in.trust()
	if err != nil {
		return PackageView{}, err
	}
	u, err := manifest.Decode(in.Hex)
	if err != nil {
		return PackageView{}, err
	}
	var publishers []manifest.Publisher
	for _, e := range trust.Entries() {
		publishers = append(publishers, manifest.Publisher{Keys: e.Keys, Threshold: e.Threshold, Covers: e.Covers(u.Claims().Name)})
	}
	v, err := u.Verify(publishers, in.host())
	if err != nil {
		return PackageView{}, err
	}
	return PackageView{v.PackageID(), v.CID(), keyIDs(v.Signers())}, nil
}

// FilesView is the output of archive.open.
type FilesView struct {
	Files []FileView `json:"files"` // ascending by path
}

// FileView is one file of an archive.
type FileView struct {
	Path string   `json:"path"`
	Size U64      `json:"size"`
	Hash cid.Hash `json:"hash"`
}

// ArchiveInput is the input of archive.open; without a bound it is that of
// readers.
type ArchiveInput struct {
	Hex        Hex  `json:"hex"`
	MaxBytes   *I64 `json:"max_bytes,omitempty"`
	MaxEntries *int `json:"max_entries,omitempty"`
}

func archiveOpen(ctx context.Context, in ArchiveInput) (FilesView, error) {
	var limits archive.Limits
	if in.MaxBytes != nil {
		limits.MaxBytes = int64(*in.MaxBytes)
	}
	if in.MaxEntries != nil {
		limits.MaxEntries = *in.MaxEntries
	}
	a, err := archive.Open(ctx, bytes.NewReader(in.Hex), int64(len(in.Hex)), limits)
	if err != nil {
		return FilesView{}, err
	}
	out := FilesView{Files: []FileView{}}
	for _, e := range a.Entries() {
		b, err := fileIn(a, e.Path)
		if err != nil {
			return FilesView{}, err
		}
		out.Files = append(out.Files, FileView{e.Path, U64(e.Size), cid.Sum(b)})
	}
	return out, nil
}

func fileIn(a *archive.Archive, path string) ([]byte, error) {
	r, ok := a.File(path)
	if !ok {
		return nil, fault.New(gate.ErrArtifactMissing, "%s is not there", path)
	}
	return io.ReadAll(r)
}

// archiveVerify performs the loading order up to step 13 on an archive, with the
// modules' code taken for loadable.
func archiveVerify(ctx context.Context, in PackageInput) (PackageView, error) {
	trust, err := in.trust()
	if err != nil {
		return PackageView{}, err
	}
	dir, err := os.MkdirTemp("", "mythos-ctvp-")
	if err != nil {
		return PackageView{}, err
	}
	r, err := verifyIn(ctx, dir, in, trust)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return PackageView{}, err
	}
	if !r.OK() {
		f := r.Failures[0]
		return PackageView{}, &fault.Error{Code: f.Code, Message: f.Message, Subject: f.Subject, Offset: fault.NoOffset}
	}
	return PackageView{*r.PackageID, *r.ManifestCID, keyIDs(r.Signers)}, nil
}

// verifyIn opens the archive as a file in dir, as everybody does who has one.
func verifyIn(ctx context.Context, dir string, in PackageInput, trust *gate.Trust) (*gate.Report, error) {
	file := filepath.Join(dir, "package.mythos.tgz")
	if err := os.WriteFile(file, in.Hex, 0o600); err != nil {
		return nil, err
	}
	src, err := pack.Open(ctx, file, pack.OpenOptions{})
	if err != nil {
		return nil, err
	}
	r, err := gate.Verify(ctx, src, gate.Options{Host: in.host(), Trust: trust, Now: time.Unix(0, 0)})
	return r, errors.Join(err, src.Close())
}
