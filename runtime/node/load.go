package node

import (
	"context"
	"errors"
	"strings"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// OpenPackage opens a packed folder, an archive or, given "sha256:...", the
// package whose manifest is stored under that CID. Nothing of it is verified;
// the caller closes it.
func (n *Node) OpenPackage(ctx context.Context, ref string) (pack.Source, error) {
	if !isStored(ref) {
		return pack.Open(ctx, ref, pack.OpenOptions{})
	}
	id, err := cid.Parse(ref)
	if err != nil {
		return nil, err
	}
	store, err := n.Objects()
	if err != nil {
		return nil, err
	}
	// A collection in another process must not take what is about to be read. What is
	// missing or damaged, loading says.
	if _, err := renewClosure(ctx, store, id); err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return pack.FromStore(store, id), nil
}

// isStored reports whether a reference names something in a store.
func isStored(ref string) bool { return strings.HasPrefix(ref, "sha256:") }

// gateOptions describes this node to the gate. It makes nothing: a node without
// a dev key has none to believe.
func (n *Node) gateOptions() (gate.Options, error) {
	trust, err := n.Trust()
	if err != nil {
		return gate.Options{}, err
	}
	opt := gate.Options{
		Host: n.host(), Trust: trust, Local: n.Packed, Now: n.Clock(),
		Kinds: n.kinds(), CheckModule: n.CheckModule, Sandbox: n.sandboxLevel,
	}
	dev, role, err := LoadKey(n.ownPath(sig.Dev))
	switch {
	case isMissing(err):
		return opt, nil
	case err != nil:
		return opt, err
	case role == sig.Dev:
		agent := dev.Agent()
		opt.Dev = &agent
	}
	return opt, nil
}

// host is what this node's executor offers to packages.
func (n *Node) host() manifest.Host {
	return manifest.Host{Version: n.Version, Codebooks: []cid.Hash{codebook.BaselineID()}}
}

// CheckModule reports whether the wasm runner of this node accepts a module. It
// fills the cache of compiled code. What modules of other kinds need of this
// machine is looked at when one is about to run.
func (n *Node) CheckModule(ctx context.Context, b *manifest.ModuleBinding, m gate.ModuleContent) error {
	engine, err := n.Engine()
	if err != nil {
		return err
	}
	return checkWith(engine.Check)(ctx, b, m)
}

// checkWith gives a wasm module to check, its bytes read once.
func checkWith(check func(context.Context, runner.Module) error) gate.CheckModule {
	return func(ctx context.Context, b *manifest.ModuleBinding, m gate.ModuleContent) error {
		if b.Module.Kind != runner.KindWASM {
			return nil
		}
		raw, err := m.Load(ctx)
		if err != nil {
			return err
		}
		m.Load = func(context.Context) ([]byte, error) { return raw, nil }
		return executor.CheckModule(ctx, check, b, executor.Module(b, m, cid.Hash{}))
	}
}

// Verify checks a package without running or writing anything.
func (n *Node) Verify(ctx context.Context, ref string) (*gate.Report, error) {
	opt, err := n.gateOptions()
	if err != nil {
		return nil, err
	}
	src, err := n.OpenPackage(ctx, ref)
	if err != nil {
		return nil, err
	}
	opt.CheckModule = checkWith(wasm.Check)
	report, err := gate.Verify(ctx, src, opt)
	return report, errors.Join(err, src.Close())
}

// Load performs the loading order on an open package for a ring. A node without a
// policy for ring 0 gets the default one, but not before the package has passed:
// until then no key and no policy is written.
func (n *Node) Load(ctx context.Context, src gate.Source, ring uint8) (*gate.Package, error) {
	return n.load(ctx, src, ring, func(*gate.Package) error { return nil })
}

// load is Load with one more check before anything is written.
func (n *Node) load(ctx context.Context, src gate.Source, ring uint8, fits func(*gate.Package) error) (*gate.Package, error) {
	opt, err := n.gateOptions()
	if err != nil {
		return nil, err
	}
	policies := n.judge(ctx, &opt, ring)
	first := opt.Policy == nil && opt.PolicyFault == nil && ring == 0
	if first {
		if err := n.trialPolicy(&opt); err != nil {
			return nil, err
		}
	}
	pkg, err := gate.Load(ctx, src, opt)
	if err == nil {
		err = fits(pkg)
	}
	if err != nil {
		return nil, err
	}
	if !first {
		return pkg, n.accept(ctx, policies, opt.Dev)
	}
	policy, err := n.makePolicy()
	if err != nil {
		return nil, err
	}
	if opt, err = n.gateOptions(); err != nil { // with the dev key, which may be new
		return nil, err
	}
	n.judge(ctx, &opt, ring)
	opt.Policy = policy
	return gate.Load(ctx, src, opt)
}

// Check performs the loading order on a package for a ring, and holds every
// entry point's budget against the policy. Nothing is run.
func (n *Node) Check(ctx context.Context, ref string, ring uint8) (pkg *gate.Package, err error) {
	src, err := n.OpenPackage(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	pkg, err = n.load(ctx, src, ring, func(p *gate.Package) error {
		for _, e := range p.Manifest().Entrypoints {
			if _, err := p.Entry(e.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, about(ref, err)
	}
	return pkg, nil
}

// Keep stores the whole closure of a verified package, and the attestations that lie
// beside its manifest in the node's index, and returns its manifest CID.
func (n *Node) Keep(ctx context.Context, p *gate.Package) (cid.Hash, error) {
	store, err := n.Objects()
	if err == nil {
		err = n.remember(p.ID(), p.Attestations())
	}
	if err != nil {
		return cid.Hash{}, err
	}
	return keepWhole(ctx, store, func() (cid.Hash, error) { return pack.Keep(ctx, store, p) })
}

// Publishers returns the keys whose signatures on packages this node believes:
// those of the trust file's publishers, whatever they may speak for, and the
// local dev key, if there is one.
func (n *Node) Publishers() ([]sig.AgentID, error) {
	opt, err := n.gateOptions()
	if err != nil {
		return nil, err
	}
	var keys []sig.AgentID
	for _, e := range opt.Trust.Entries() {
		if e.Role == sig.Publisher {
			keys = append(keys, e.Keys...)
		}
	}
	if opt.Dev != nil {
		keys = append(keys, *opt.Dev)
	}
	return keys, nil
}
