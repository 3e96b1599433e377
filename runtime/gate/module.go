package gate

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
)

// ModuleContent gives out what a module consists of, verified as it is read.
type ModuleContent struct {
	// SHA256 is that of the module's own bytes.
	SHA256 cid.Hash
	// Load returns those bytes: a wasm file, an executable, an encoded tree, an
	// image's manifest.
	Load func(context.Context) ([]byte, error)
	// Open streams what they name: a file of the tree, a config or layer of the
	// image. The last byte comes only once size and hash are known to be right.
	Open func(ctx context.Context, sha256 cid.Hash, size uint64) (io.ReadCloser, error)
}

// CheckModule reports whether a runner would accept a module: its imports,
// exports and the like.
type CheckModule func(ctx context.Context, b *manifest.ModuleBinding, m ModuleContent) error

// moduleKind returns the artifact kind of a module kind, and the most bytes that
// such an artifact may have to be loaded whole.
func moduleKind(kind uint8) (artifact uint8, limit uint64) {
	switch kind {
	case manifest.ModuleProcess:
		return manifest.KindTree, manifest.MaxTreeEncoded
	case manifest.ModuleOCI:
		return manifest.KindImage, maxImageManifest
	}
	return manifest.KindModule, MaxModule
}

// maxImageManifest bounds an image's manifest, in bytes; registries refuse more.
const maxImageManifest = 4 << 20

// module returns the content of a binding's module.
func (c content) module(b *manifest.ModuleBinding, artifacts []manifest.Artifact, trees map[cid.Hash]*manifest.Tree) (ModuleContent, error) {
	kind, limit := moduleKind(b.Module.Kind)
	i := slices.IndexFunc(artifacts, func(a manifest.Artifact) bool { return a.CID == b.Module.CID && a.Kind == kind })
	if i < 0 {
		return ModuleContent{}, fault.New(manifest.ErrReference, "%s is no %s artifact of this package", b.Module.CID, manifest.KindName(kind)).About(b.Label())
	}
	own := artifacts[i].ID()
	named := sync.OnceValue(func() map[cid.Hash]blob.ArtifactID { return partsOf(b, artifacts, trees) })
	return ModuleContent{
		SHA256: own.SHA256,
		Load: func(ctx context.Context) ([]byte, error) {
			raw, err := c.load(ctx, own, limit)
			return raw, about(err, "artifact "+own.CID.String())
		},
		Open: func(ctx context.Context, sha256 cid.Hash, size uint64) (io.ReadCloser, error) {
			id, ok := named()[sha256]
			if !ok || id.Size != size {
				return nil, fault.New(ErrArtifactMissing, "%s of %d bytes is no part of the module", sha256, size).About(b.Label())
			}
			return c.open(ctx, id)
		},
	}, nil
}

// partsOf lists what a module's own bytes may name, by SHA-256.
func partsOf(b *manifest.ModuleBinding, artifacts []manifest.Artifact, trees map[cid.Hash]*manifest.Tree) map[cid.Hash]blob.ArtifactID {
	parts := map[cid.Hash]blob.ArtifactID{}
	switch b.Module.Kind {
	case manifest.ModuleProcess:
		if t := trees[b.Module.CID]; t != nil {
			for i := range t.Entries {
				parts[t.Entries[i].SHA256] = t.Entries[i].ID()
			}
		}
	case manifest.ModuleOCI:
		for i := range artifacts {
			if artifacts[i].Kind == manifest.KindImage {
				parts[artifacts[i].SHA256] = artifacts[i].ID()
			}
		}
	}
	return parts
}

// Module returns the content of a binding's module.
func (p *Package) Module(b *manifest.ModuleBinding) (ModuleContent, error) {
	return p.src.module(b, p.Manifest().Artifacts, p.trees)
}

// Admit reports why this node would not run a binding's module: no runner for
// its kind, or a sandbox below what the ring policy demands. What a package holds
// for other hosts does not keep it from running here.
func (p *Package) Admit(b *manifest.ModuleBinding) error {
	return about(admitOn(p.policy, b, p.kinds, p.sandbox), "module "+b.Label())
}

func admitOn(policy *rings.Policy, b *manifest.ModuleBinding, kinds []uint8, sandbox func(uint8) uint8) error {
	if !slices.Contains(kinds, b.Module.Kind) {
		return fault.New(rings.ErrModuleKind, "this executor has no runner for %s modules", manifest.ModuleKindName(b.Module.Kind))
	}
	return policy.AdmitSandbox(sandbox(b.Module.Kind))
}
