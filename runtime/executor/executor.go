// Package executor runs tasks of verified packages (RFC-MYTHOS-0006 §14). It is
// the only dispatcher: package ir asks it for every effect, and it answers from
// one pipeline that reads top to bottom: resolve the tool, check the capability
// proof, consult the ledger, register, invoke, receipt, commit, hand back. Two
// of these are durable, register and commit; a crash between any two leaves an
// id that the next run finds committed, in doubt, or free.
//
// A commit waits for what comes next, and is one durable write with it: the next
// effect's register or the run's seal. The program has the response meanwhile, and
// nothing that it makes of it leaves the run before the commit stands: no module is
// invoked, nothing is looked up, refused, sealed or returned (RFC-MYTHOS-0005 §1).
//
// What a run computes is a function of the package, the task, the inputs and
// the responses of its effects. Whatever depends on time, authority or luck (a
// denied capability, a lease held elsewhere, an effect in doubt, a timeout) is
// a fault: the run stops, nothing is sealed, and starting it again continues it.
package executor

import (
	"context"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Codes of this package.
const (
	ErrConfig         fault.Code = "executor_config"     // an executor built without what it needs
	ErrCapMissing     fault.Code = "cap_missing"         // no proof covers the effect
	ErrAuthorityMixed fault.Code = "run_authority_mixed" // proofs of several authorities or holders in one run
	ErrTimeout        fault.Code = "module_timeout"      // the module's wall clock limit; not counted as invoked
	ErrNotStarted     fault.Code = "module_start_failed" // the module could not be started
	ErrKilled         fault.Code = "module_killed"       // the host ended the module
	ErrEnded          fault.Code = "module_ended"        // the module ended without an answer after it may have touched the world
	ErrRunDivergent   fault.Code = "run_divergent"       // a replay disagrees with the run's seal
	ErrDeadline       fault.Code = "deadline_exceeded"   // the attempt's deadline passed
)

// The error codes in responses that the executor makes for a module.
const (
	CodeBadResponse   fault.Code = "bad_response"
	CodeModuleTrap    fault.Code = "module_trap"
	CodeModuleExit    fault.Code = "module_exit"
	CodeModuleMemory  fault.Code = "module_memory_exceeded"
	CodeFuelExhausted fault.Code = "module_fuel_exhausted"
)

// leaseMargin is added to a module's timeout for the first lease.
const leaseMargin = 10 * time.Second

// Config is what an executor works with. Every field is required unless it
// says otherwise.
type Config struct {
	Ledger  ledger.Store
	Objects cas.Store
	Runners []runner.Runner // at most one per kind
	Key     sig.Signer      // the executor's identity
	Clock   func() time.Time

	// Platform is what module bindings are chosen for, as "linux/amd64".
	Platform string
	// LedgerID returns what a "ledger" constraint must name, zero if the ledger has no
	// id yet. It is asked once its first entry is there. nil: it has none.
	LedgerID func(context.Context) (cid.Hash, error)

	// Authority returns the origin of the trust entry that lets a root issuer
	// grant power to a package in its ring, and whether there is one now.
	Authority func(issuer sig.AgentID, pkg *gate.Package) (origin cid.Hash, ok bool)
	// TrustEpoch changes whenever what Authority rests on does; zero if that is only
	// the clock. It is a part of what verified chains are kept under.
	TrustEpoch cid.Hash
	// Revocations returns the revocation lists as they are now, for one use: a
	// function from an issuer to its list that was accepted last, nil if it has none.
	// An error of it refuses the use. nil: no list is known.
	Revocations func() func(issuer sig.AgentID) (*caps.RevocationList, error)
	// NeedPackageRun refuses a run that no PackageRun capability covers.
	NeedPackageRun bool
	// TrustedExecutor reports whether receipts signed by an agent are believed.
	TrustedExecutor func(sig.AgentID) bool

	// Secret returns the value of a named secret of this node, to be given to a
	// module that holds a capability for it; nil: the node has none.
	Secret func(name string) ([]byte, error)

	// NoWait fails with effect_in_progress instead of waiting for a lease.
	NoWait bool
	// OnWait is told when an effect waits for a lease, and again when that was
	// extended; may be nil.
	OnWait func(tool string, until time.Time)
	// OnBegun is told that a run's record stands, so that it can be resumed; may be nil.
	OnBegun func(runID string)
	// OnLog receives what a module logged; variant is "" for the default. It is
	// called by as many goroutines as there are runs. May be nil.
	OnLog func(tool, variant string, log []byte)
	// IsRefusal reports whether a code says that something was refused, and not that
	// this host failed: what is refused before it has an effect is recorded in the
	// ledger. nil: every code does.
	IsRefusal func(fault.Code) bool
	// OnUnrecorded is told of a refusal that could not be recorded, and why; may be
	// nil.
	OnUnrecorded func(refused, why error)
	// Step is called before every step of the pipeline with its name, for tests
	// that end the process there; may be nil.
	Step func(name string)
}

// Executor runs tasks. It is safe for concurrent use.
type Executor struct {
	Config
	runners map[uint8]runner.Runner
	maxHeld time.Duration
	refused refusals
	chains  chainCache
	named   ledgerName
}

// New checks the configuration.
func New(c Config) (*Executor, error) {
	switch {
	case c.Ledger == nil, c.Objects == nil, c.Key == nil, c.Clock == nil, c.Authority == nil, c.TrustedExecutor == nil:
		return nil, fault.New(ErrConfig, "ledger, objects, key, clock, authority and trusted executors are required")
	}
	e := &Executor{Config: c, runners: map[uint8]runner.Runner{}, maxHeld: maxHeld}
	for _, r := range c.Runners {
		if e.runners[r.Kind()] != nil {
			return nil, fault.New(ErrConfig, "two runners for modules of kind %d", r.Kind())
		}
		e.runners[r.Kind()] = r
	}
	return e, nil
}

// Check reports why a run would be refused before anything of it is written. It
// needs neither Ledger nor Objects of c, and without proofs in req no more than
// Platform and Runners, so that a caller can ask before it opens a ledger.
func Check(c Config, pkg *gate.Package, req Request) error {
	e := &Executor{Config: c, runners: map[uint8]runner.Runner{}}
	for _, x := range c.Runners {
		e.runners[x.Kind()] = x
	}
	r := &run{Executor: e, pkg: pkg, req: req}
	if err := r.prepare(); err != nil {
		return err
	}
	_, err := r.program.Inputs(r.entry.Task.TaskID, req.Inputs)
	return err
}

// Request names a task to run.
type Request struct {
	Entrypoint string        // "": the only one, else "main"
	RunID      string        // required
	Resume     bool          // only go on with a run that was begun; nothing is written if there is none
	Inputs     []byte        // canonical LIST; nil: the task's own arguments
	Variants   []string      // picks as TOOL=VARIANT; a tool without one gets its default
	Proofs     []*caps.Chain // candidate capability chains; the caller has shown the key of their leaves' issuer
	// Authority and Holder stand for a run without proofs; with proofs they come
	// from them.
	Authority, Holder cid.Hash
}

// Effect is one effect of a run.
type Effect struct {
	Ordinal   uint64
	Tool      string
	Variant   string
	IdemID    cid.Hash
	Receipt   []byte // canonical
	ReceiptID cid.Hash
	Status    uint16
	ErrorCode string
	CallerKey []byte // canonical value of an explicit key; nil if derived
	Replayed  bool
}

// Result is a sealed run.
type Result struct {
	Entrypoint  string
	RunID       string
	RunRecordID cid.Hash
	Outcome     ir.Result
	Effects     []Effect
	Seal        cid.Hash // CID of the RunSeal
}

func (e *Executor) step(name string) {
	if e.Step != nil {
		e.Step(name)
	}
}

func (e *Executor) now() int64 { return e.Clock().UnixMicro() }
