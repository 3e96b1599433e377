package conformance

import (
	"context"
	"time"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// ScriptInput is the input of ledger.script: what happens to an empty store
// whose clock stands at Now.
type ScriptInput struct {
	Now   I64          `json:"now"`
	Steps []LedgerStep `json:"steps"`
}

// LedgerStep is one step; which members it has is said in ctvp/README.md.
type LedgerStep struct {
	Do        string    `json:"do"`
	Hex       Hex       `json:"hex,omitempty"`
	Receipt   Hex       `json:"receipt,omitempty"`
	Items     []Kept    `json:"items,omitempty"`
	Lease     I64       `json:"lease,omitzero"`
	Spend     []Charge  `json:"spend,omitempty"`
	Operator  bool      `json:"operator,omitempty"`
	IdemID    *cid.Hash `json:"idem_id,omitempty"`
	Register  cid.Hash  `json:"register_id,omitzero"`
	Request   cid.Hash  `json:"request_hash,omitzero"`
	Retry     uint8     `json:"retry,omitempty"`
	Micros    I64       `json:"micros,omitzero"`
	ID        cid.Hash  `json:"id,omitzero"`
	Authority cid.Hash  `json:"authority,omitzero"`
	Holder    cid.Hash  `json:"holder,omitzero"`
	RunID     string    `json:"run_id,omitempty"`
}

// Kept is an object that is stored with an entry.
type Kept struct {
	CID cid.Hash `json:"cid"`
	Hex Hex      `json:"hex"`
}

// Charge is one link of a capability chain that pays.
type Charge struct {
	CapID cid.Hash `json:"cap_id"`
	Max   uint32   `json:"max"`
}

// ScriptOutput is the output of ledger.script: one state for each step.
type ScriptOutput struct {
	States []StepState `json:"states"`
}

// StepState is what a step gave, and the state of the id that it, or else the
// last step before it with one, names.
type StepState struct {
	Error    string `json:"error,omitempty"`
	Verdict  string `json:"verdict,omitempty"`
	Decision string `json:"decision,omitempty"`
	Hex      Hex    `json:"hex,omitempty"` // the object, receipt or run record that was asked for
	LedgerState
	Live         bool `json:"live"`
	LeaseExpires *I64 `json:"lease_expires,omitempty"`
}

// script is a store at work.
type script struct {
	store *journal.InMemory
	now   int64
	idem  cid.Hash
}

// ledgerScript runs the steps. A step that is refused is part of its state; if
// it is the last one, the script is refused.
func ledgerScript(ctx context.Context, in ScriptInput) (ScriptOutput, error) {
	var out ScriptOutput
	s := &script{now: int64(in.Now)}
	s.store = journal.Memory(func() time.Time { return time.UnixMicro(s.now) })
	for i, step := range in.Steps {
		var state StepState
		err := s.step(ctx, step, &state)
		code := fault.CodeOf(err)
		if err != nil && (code == "" || i == len(in.Steps)-1) {
			return out, err
		}
		state.Error = string(code)
		if err := s.look(ctx, &state); err != nil {
			return out, err
		}
		out.States = append(out.States, state)
	}
	return out, s.store.Close()
}

// look adds the state of the id to a step's.
func (s *script) look(ctx context.Context, state *StepState) error {
	if s.idem.IsZero() {
		state.LedgerState = ledgerState(ledger.State{}) // no step has named an id yet
		return nil
	}
	v, err := s.store.Lookup(ctx, s.idem)
	if err != nil {
		return err
	}
	state.LedgerState, state.Live = ledgerState(v.State), v.Live
	if v.Live {
		state.LeaseExpires = (*I64)(&v.LeaseExpires)
	}
	return nil
}

func (s *script) step(ctx context.Context, x LedgerStep, out *StepState) (err error) {
	if x.IdemID != nil {
		s.idem = *x.IdemID
	}
	switch x.Do {
	case "look":
	case "clock":
		s.now += int64(x.Micros)
	case "crash":
		return s.crash(ctx)
	case "register", "commit", "resolve", "diverge":
		return s.write(ctx, x, out)
	case "extend":
		return s.store.Extend(ctx, s.idem, x.Register, int64(x.Lease))
	case "decide":
		return s.decide(ctx, x, out)
	case "run":
		start := ledger.RunStart{Authority: x.Authority, Holder: x.Holder, RunID: x.RunID, Record: x.Hex, RecordID: x.ID, Items: items(x.Items)}
		out.Hex, err = s.store.BeginRun(ctx, start)
	case "find":
		out.Hex, err = s.store.FindRun(ctx, x.Authority, x.Holder, x.RunID)
	case "object":
		out.Hex, err = s.store.Object(ctx, x.ID)
	case "receipt":
		out.Hex, err = s.store.Receipt(ctx, x.ID)
	default:
		return badInput("no step %.40q", x.Do)
	}
	return err
}

// write appends an entry that was signed before.
func (s *script) write(ctx context.Context, x LedgerStep, out *StepState) (err error) {
	var verdict ledger.Verdict
	switch x.Do {
	case "register":
		r := ledger.Registration{Body: x.Hex, LeaseFor: int64(x.Lease)}
		for _, c := range x.Spend {
			r.Spend = append(r.Spend, ledger.Spend{CapID: c.CapID, Max: c.Max})
		}
		return s.store.Register(ctx, r)
	case "commit":
		verdict, err = s.store.Commit(ctx, ledger.Commitment{Body: x.Hex, Receipt: x.Receipt, Items: items(x.Items)})
	case "resolve":
		return s.store.Resolve(ctx, x.Hex, cid.Hash{}, x.Operator)
	case "diverge":
		verdict, err = s.store.Diverge(ctx, x.Hex, cid.Hash{})
	}
	if err == nil {
		out.Verdict = [...]string{"", "applied", "superseded", "dropped", "diverged"}[verdict]
	}
	return err
}

func items(views []Kept) []ledger.Item {
	var out []ledger.Item
	for _, v := range views {
		out = append(out, ledger.Item{CID: v.CID, Data: v.Hex})
	}
	return out
}

// decide asks what a call may do.
func (s *script) decide(ctx context.Context, x LedgerStep, out *StepState) error {
	v, err := s.store.Lookup(ctx, s.idem)
	if err != nil {
		return err
	}
	d, err := v.Decide(x.Request, v.Live, ledger.Retry(x.Retry))
	if err == nil {
		out.Decision = [...]string{"", "proceed", "replay", "wait"}[d]
	}
	return err
}

// crash is the end of every process that used the store: the log alone must
// give the state that there was.
func (s *script) crash(ctx context.Context) error {
	if s.idem.IsZero() {
		return nil
	}
	var records []ledger.Record
	for rec, err := range s.store.Records(ctx, ledger.Filter{Idem: &s.idem}) {
		if err != nil {
			return err
		}
		records = append(records, rec)
	}
	folded, err := ledger.Fold(records)
	if err != nil {
		return err
	}
	v, err := s.store.Lookup(ctx, s.idem)
	if err == nil && v.Phase != folded.Phase {
		err = fault.New(ledger.ErrCorrupt, "the log says %s, the store %s", folded.Phase, v.Phase)
	}
	return err
}
