package node

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// RunOptions says what to run and how.
type RunOptions struct {
	Package    string   // a packed folder, an archive, a manifest CID, NAME@VERSION or oci://HOST/REPOSITORY:TAG; required
	Entrypoint string   // "": the only one, else "main"
	RunID      string   // required, unless Resume is given
	Resume     string   // id of a run that was begun: its record gives RunID, Entrypoint, Inputs, Variants and, if it is in the store, Package
	Ring       uint8    // the ring to run in
	RingGiven  bool     // Ring was asked for, and is no default
	Inputs     []byte   // canonical LIST; nil: the task's own
	Variants   []string // picks as TOOL=VARIANT
	Proofs     []string // CapProof files; none: the local dev authority may stand in
	Key        string   // secret key of the proofs' leaf issuer; required with Proofs
	Grants     []string // powers that the local dev authority hands to this run, as ParseGrant reads them

	// NeedPackageRun refuses the run unless one of Proofs is of kind PackageRun and
	// covers the package in the ring.
	NeedPackageRun bool

	// NoDevAuthority keeps the local dev authority from issuing anything: without
	// Proofs the run has no capabilities.
	NoDevAuthority bool

	// Pull says where a package that is not here is fetched from, and what may be
	// fetched.
	Pull PullOptions

	NoWait       bool // do not wait for the ledger or for a lease
	OnLedgerWait func(holder string)
	OnBegun      func(runID string)       // told that the run's record stands: Resume can go on with it
	OnUnrecorded func(refused, why error) // told of a refusal that is not in the ledger, and why
	OnLeaseWait  func(tool string, until time.Time)
	OnLog        func(tool, variant string, log []byte)
}

// RunReport is what a run left behind.
type RunReport struct {
	PackageID, ManifestCID cid.Hash
	Result                 *executor.Result
	Entries                []ledger.Record // of the run's effects, in log order
	DevUntil               time.Time       // when the capabilities that the local dev key issued expire; zero: it issued none
}

// Run verifies a package and runs one of its tasks. What can be refused is refused
// before the ledger is opened or made.
func (n *Node) Run(ctx context.Context, o RunOptions) (report *RunReport, err error) {
	var before *begun // of a run that goes on
	if o.Resume != "" {
		if before, err = n.resume(ctx, &o); err != nil {
			return nil, err
		}
	}
	if before == nil || len(o.Pull.From) > 0 || len(n.Settings.Remotes) > 0 {
		if o.Package, err = n.Obtain(ctx, o.Package, o.Pull); err != nil {
			return nil, err
		}
	}
	src, err := n.OpenPackage(ctx, o.Package)
	if err != nil {
		return nil, n.refuse(ctx, o, executor.Request{}, nil, err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	j, err := n.judged(ctx, src, &o, before, nil)
	if err != nil {
		return nil, n.refuse(ctx, o, j.req, src, err)
	}
	if j.pkg.Publisher() != nil {
		if err := n.ran(ctx, j.pkg.Manifest(), j.pkg.Signers()); err != nil {
			return nil, err
		}
	}
	waited := false
	store, err := n.Ledger(ctx, LedgerOptions{NoWait: o.NoWait, OnWait: func(holder string) {
		waited = true
		if o.OnLedgerWait != nil {
			o.OnLedgerWait(holder)
		}
	}})
	if err != nil {
		return nil, err
	}
	if waited { // whoever had the ledger may have demoted the package
		if j, err = n.judged(ctx, src, &o, before, j.req.Proofs); err != nil {
			return nil, n.refuse(ctx, o, j.req, src, errors.Join(err, store.Close()))
		}
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	pkg, req, config := j.pkg, j.req, j.config
	config.Ledger = store
	config.LedgerID = func(ctx context.Context) (cid.Hash, error) { return LedgerID(ctx, store) }
	exec, err := executor.New(config)
	if err != nil {
		return nil, err
	}
	result, err := exec.Run(ctx, pkg, req)
	if err != nil {
		return nil, err
	}
	entries, err := entriesOf(context.WithoutCancel(ctx), store, result)
	return &RunReport{pkg.ID(), pkg.ManifestCID(), result, entries, j.until}, err
}

// judged is a package that may run, and how.
type judged struct {
	pkg    *gate.Package
	req    executor.Request
	config executor.Config // short of the ledger
	until  time.Time       // when what the dev authority issued ends
}

// judged verifies a package and decides all that is decided about a run before its
// ledger is open, by the trust, policies and attestations of now. proofs are those that
// o names, if they were loaded before. The request comes back with an error too, as far
// as it was made.
func (n *Node) judged(ctx context.Context, src gate.Source, o *RunOptions, before *begun, proofs []*caps.Chain) (j judged, err error) {
	j.req = executor.Request{Entrypoint: o.Entrypoint, RunID: o.RunID, Resume: before != nil, Inputs: o.Inputs, Variants: o.Variants}
	runners, err := n.Runners()
	if err != nil {
		return j, err
	}
	j.pkg, err = n.load(ctx, src, o.Ring, func(p *gate.Package) (err error) {
		if before != nil {
			if o.Entrypoint, err = before.entryOf(p); err != nil {
				return err
			}
			j.req.Entrypoint = o.Entrypoint
		}
		if err := executor.Check(executor.Config{Platform: platform, Runners: runners}, p, j.req); err != nil || len(o.Proofs) == 0 {
			return err
		}
		switch {
		case before != nil:
			j.req.Proofs = before.proofs
		case proofs != nil:
			j.req.Proofs = proofs
		default:
			j.req.Proofs, err = loadProofs(o.Proofs, o.Key)
		}
		return err
	})
	if err != nil && before != nil {
		err = before.missing(*o, err)
	}
	if err != nil {
		return j, about(o.Package, err)
	}
	if j.config, j.until, err = n.config(&j.req, j.pkg, *o); err == nil {
		err = n.elsewhere(executor.Check(j.config, j.pkg, j.req), j.req.Proofs, j.pkg)
	}
	return j, err
}

// config completes a request with what stands behind it, and returns the executor
// for it, short of the ledger. until is when what the dev authority issued ends.
func (n *Node) config(req *executor.Request, pkg *gate.Package, o RunOptions) (c executor.Config, until time.Time, err error) {
	key, err := n.ExecutorKey()
	if err != nil {
		return c, until, err
	}
	dev, until, err := n.authorise(req, pkg, key.Agent(), o)
	if err != nil {
		return c, until, err
	}
	objects, err := n.Objects()
	if err != nil {
		return c, until, err
	}
	runners, err := n.Runners()
	if err != nil {
		return c, until, err
	}
	trust, err := n.Trust()
	if err != nil {
		return c, until, err
	}
	implicit := []sig.AgentID{key.Agent()}
	if dev != nil {
		implicit = append(implicit, *dev)
	}
	return executor.Config{
		Objects: objects, Runners: runners, Key: key, Secret: n.Secret, Clock: n.Clock,
		Platform: platform, Revocations: (&revocationReader{node: n}).view, TrustEpoch: trust.Epoch(implicit...),
		Authority: func(a sig.AgentID, pkg *gate.Package) (cid.Hash, bool) {
			return n.authority(trust, dev, a, pkg)
		},
		TrustedExecutor: func(a sig.AgentID) bool {
			return a.Equal(key.Agent()) || trust.TrustsExecutor(a, n.Clock())
		},
		NeedPackageRun: o.NeedPackageRun, NoWait: o.NoWait, OnWait: o.OnLeaseWait, OnBegun: o.OnBegun, OnLog: o.OnLog,
		IsRefusal: n.IsRefusal, OnUnrecorded: o.OnUnrecorded,
	}, until, nil
}

// authority returns the origin of the entry under which a may grant power to
// pkg: an authority entry of the trust file, or the dev key if it takes part in
// this run.
func (n *Node) authority(trust *gate.Trust, dev *sig.AgentID, a sig.AgentID, pkg *gate.Package) (cid.Hash, bool) {
	if dev != nil && a.Equal(*dev) {
		return dev.KeyID(), true
	}
	for _, e := range trust.Match(sig.Authority, pkg.Manifest().Name, pkg.Policy().Ring, n.Clock()) {
		if e.Holds(a) {
			return e.Origin, true
		}
	}
	return cid.Hash{}, false
}

// authorise completes a request without proofs: with what the local dev authority
// issues, if it takes part, which lasts until the time returned. dev is its key
// then, and nil otherwise: once a proof is given, what the dev key has signed is no
// power (RFC-MYTHOS-0008 §8).
func (n *Node) authorise(req *executor.Request, pkg *gate.Package, subject sig.AgentID, o RunOptions) (dev *sig.AgentID, until time.Time, err error) {
	if len(req.Proofs) > 0 {
		return nil, until, nil
	}
	if o.NoDevAuthority || pkg.Policy().Ring != 0 || pkg.Publisher() == nil && !n.Packed(pkg.ID()) {
		req.Authority, req.Holder = subject.KeyID(), subject.KeyID()
		return nil, until, nil
	}
	key, err := n.DevKey()
	if err != nil {
		return nil, until, err
	}
	entry, err := pkg.Entry(o.Entrypoint)
	if err != nil {
		return nil, until, err
	}
	agent := key.Agent()
	req.Authority, req.Holder = agent.KeyID(), agent.KeyID()
	var grants []caps.Scope
	for _, text := range o.Grants {
		s, err := ParseGrant(text)
		if err != nil {
			return nil, until, err
		}
		grants = append(grants, s)
	}
	now := n.Clock()
	base := caps.Capability{Subject: subject, NotBefore: now.UnixMicro(), ExpiresAt: now.Add(devWindow).UnixMicro()}
	if req.Proofs, err = n.issue(key, pkg, entry, grants, base); len(req.Proofs) > 0 {
		until = time.UnixMicro(base.ExpiresAt)
	}
	return &agent, until, err
}

func loadProofs(files []string, keyFile string) ([]*caps.Chain, error) {
	if keyFile == "" {
		return nil, fault.New(ErrNotHolder, "a proof needs the key of its leaf's issuer: give it with --key")
	}
	key, _, err := LoadKey(keyFile)
	if err != nil {
		return nil, err
	}
	var proofs []*caps.Chain
	for _, f := range files {
		p, err := LoadProof(f)
		if err != nil {
			return nil, err
		}
		if !p.Holder().Equal(key.Agent()) {
			return nil, fault.New(ErrNotHolder, "its leaf was issued by %s, the key given is %s", p.Holder().KeyID(), key.Agent().KeyID()).About(f)
		}
		proofs = append(proofs, p)
	}
	return proofs, nil
}

// platform is what module bindings are chosen for.
const platform = runtime.GOOS + "/" + runtime.GOARCH

// devWindow is how long a capability of the dev authority lasts.
const devWindow = time.Hour

// issue makes the dev authority's capabilities (RFC-MYTHOS-0008 §8): those that the
// user grants, and for each tool whose modules ask for no more than that, one
// ToolCall bound to this package and ring 0.
func (n *Node) issue(dev sig.Key, pkg *gate.Package, entry *gate.Entry, grants []caps.Scope, base caps.Capability) ([]*caps.Chain, error) {
	if entry.Task.Budget.IOCount == 0 {
		return nil, nil
	}
	scopes := slices.Clone(grants)
	for _, tool := range grantedTools(pkg, grants) {
		scopes = append(scopes, caps.ScopeOf(&caps.ToolCall{
			ToolID: tool, MaxCalls: callsOf(pkg, tool, entry.Task.Budget.IOCount),
			Constraints: map[string]string{caps.ConstraintPackage: pkg.ID().String(), caps.ConstraintRingMax: "0"},
		}))
	}
	var proofs []*caps.Chain
	for _, s := range scopes {
		base.Scope = s
		raw, _, err := caps.Issue(base, dev)
		if err != nil {
			return nil, err
		}
		p, err := caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, p)
	}
	return proofs, nil
}

// callsOf returns how many calls of a tool a run may need: one for each io, and for a
// tool with a probe one more, which may come before each.
func callsOf(pkg *gate.Package, tool cid.Hash, io uint32) uint32 {
	probes := slices.ContainsFunc(pkg.Manifest().Modules, func(b manifest.ModuleBinding) bool {
		return b.ToolID == tool && len(b.Module.Probe) > 0
	})
	if !probes {
		return io
	}
	return uint32(min(2*uint64(io), math.MaxUint32))
}

// entriesOf returns the ledger entries of a run's effects in log order.
func entriesOf(ctx context.Context, store ledger.Store, res *executor.Result) ([]ledger.Record, error) {
	seen := map[cid.Hash]bool{}
	var out []ledger.Record
	for _, e := range res.Effects {
		if seen[e.IdemID] {
			continue
		}
		seen[e.IdemID] = true
		for rec, err := range store.Records(ctx, ledger.Filter{Idem: &e.IdemID}) {
			if err != nil {
				return nil, err
			}
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b ledger.Record) int { return int(a.Index) - int(b.Index) })
	return out, nil
}
