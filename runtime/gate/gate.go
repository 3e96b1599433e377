// Package gate decides whether a package may run here. It holds the trust file
// and the loading order (RFC-MYTHOS-0006 §9): manifest and package_id, the
// signatures against the trust file, what the package asks of its executor, the
// manifest's rules, attestations, every artifact and tree file against both
// hashes, extra files, bundles, tools, modules, and the node's ring policy. The
// first check that fails decides, nothing is written and nothing is run.
//
// Bytes come from a Source, which is never trusted. Load returns a Package,
// which cannot be had in any other way; whatever a Package hands out later was
// verified then or is verified again as it is read. Verify makes the same
// checks, but for the policy's, and lists everything that is wrong.
package gate

import (
	"context"
	"io"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of this package. The checks of manifests, trees and policies have the
// codes of packages manifest and rings.
const (
	ErrSignatureDiffers  fault.Code = "package_signature_differs" // manifest.sig is not field 11
	ErrArtifactMissing   fault.Code = "artifact_missing"          // content that the source does not have
	ErrArtifactExtra     fault.Code = "artifact_extra"            // content that the package does not name
	ErrCopyDiffers       fault.Code = "artifact_copy_differs"     // a copy for people that is not what it shows
	ErrToolUnbound       fault.Code = "tool_unbound"              // an EFFECT on a tool without a module
	ErrFeatureUndeclared fault.Code = "feature_undeclared"        // a bundle uses a feature that requires.features does not name
	ErrEntrypointTask    fault.Code = "entrypoint_task"           // an entry point on a task that its bundle does not have
	ErrEntryUnknown      fault.Code = "entrypoint_unknown"        // no entry point of that name
	ErrEntryAmbiguous    fault.Code = "entrypoint_ambiguous"      // several, none named and none called main
	ErrVariantUnknown    fault.Code = "variant_unknown"           // no such tool or variant
	ErrPlatform          fault.Code = "module_platform_missing"   // no binding for this platform
	ErrOptions           fault.Code = "gate_options"              // a caller that leaves out what the gate needs
)

// Source is one form of a package: a folder, an archive, objects in a store. It
// is consumed by Load and then by the Package, and closed by its opener.
// Nothing that it yields is trusted. It must be safe for concurrent use.
type Source interface {
	// Manifest returns manifest.bin, or an error if it has more than limit bytes.
	Manifest(ctx context.Context, limit int) ([]byte, error)

	// Signatures returns manifest.sig; ok is false for a form that has none.
	Signatures(ctx context.Context, limit int) (raw []byte, ok bool, err error)

	// Open returns the content that id names. Content that is not there is
	// ErrArtifactMissing. The caller closes.
	Open(ctx context.Context, id blob.ArtifactID) (io.ReadCloser, error)
}

// Lister is a Source that can say what else it holds.
type Lister interface {
	// CheckContents reports what the source holds beside the closure: extra
	// files as ErrArtifactExtra, copies that differ as ErrCopyDiffers, in order
	// of their paths, and no more than limit of them.
	CheckContents(ctx context.Context, c Closure, limit int) []error
}

// Use says what content is in a package; its bits add up.
type Use uint8

// The uses.
const (
	UseIR     Use = 1 << iota // an ir artifact
	UseModule                 // a module artifact or a tree's file
	UseOther                  // anything else
)

// Closure is everything that a package consists of.
type Closure struct {
	Manifest []byte           // manifest.bin
	Objects  map[cid.Hash]Use // by SHA-256: artifacts and files of trees
	Sizes    map[uint64]Use   // by length in bytes: what content of that length is for
}

// Options of Load and Verify.
type Options struct {
	// Host is what this executor offers; its Version and Codebooks are required.
	// The features of the IR interpreter, which is part of the gate, need not be
	// in it.
	Host manifest.Host

	// Trust is the trust file; nil trusts nobody.
	Trust *Trust

	// Dev is this home's dev key, nil if there is none. As a publisher it counts
	// in ring 0 for the packages that Local reports, those packed under this home, and for
	// no other; a nil Local reports none.
	Dev   *sig.AgentID
	Local func(packageID cid.Hash) bool

	// Now is the time at which trust entries must be in their window; required.
	Now time.Time

	// Kinds lists the module kinds that this executor has runners for.
	Kinds []uint8

	// CheckModule is asked about each module of a kind in Kinds; nil accepts all,
	// which is right only where nothing runs.
	CheckModule CheckModule

	// Ring and Policy are the ring asked for and the node's policy for it; Load
	// refuses without a policy, and with PolicyFault, which says why there is none
	// that counts. Verify ignores all three.
	Ring        uint8
	Policy      *rings.Policy
	PolicyFault error

	// Attested returns what this node knows beyond the package itself of attestations
	// about it; nil: nothing.
	Attested func(packageID cid.Hash) ([]Statement, error)

	// Standing returns what the node's ledger says about a name in a ring. Without it
	// no ring above 0 runs anything.
	Standing func(ring uint8, name string) (*rings.Standing, error)

	// Sandbox returns the sandbox level that modules of a kind get; nil is 4 for
	// wasm and 0 for the others.
	Sandbox func(kind uint8) uint8
}

func (o *Options) check() error {
	switch {
	case o.Now.IsZero():
		return fault.New(ErrOptions, "no time given")
	case o.Host.Version == "" || len(o.Host.Codebooks) == 0:
		return fault.New(ErrOptions, "no version or codebook of this executor given")
	}
	return nil
}

// host is Host with the interpreter's features.
func (o *Options) host() manifest.Host {
	h := o.Host
	h.Features = append(ir.Features(), h.Features...)
	return h
}

func (o *Options) trust() *Trust {
	if o.Trust == nil {
		return &Trust{}
	}
	return o.Trust
}

func (o *Options) sandbox(kind uint8) uint8 {
	switch {
	case o.Sandbox != nil:
		return o.Sandbox(kind)
	case kind == manifest.ModuleWasm:
		return rings.SandboxOwnKernel
	}
	return rings.SandboxNone
}
