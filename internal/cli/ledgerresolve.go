package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// ErrDecided is the code of a resolution of an effect that has nothing to resolve.
const ErrDecided fault.Code = "effect_decided"

type ledgerResolveOptions struct {
	*app
	id, receipt           string
	committed, notInvoked bool
	reason, key           string
	noWait, json          bool

	wait *waiting
}

func newLedgerResolve(a *app) *cobra.Command {
	o := &ledgerResolveOptions{app: a}
	cmd := &cobra.Command{
		Use: "resolve ID (--committed [RECEIPT] | --not-invoked) --reason TEXT", Short: "Say what became of an effect in doubt",
		Long: `Say what became of an effect of which the ledger does not know it: one that is in
doubt, or whose answers contradict each other. Look first: at the ledger ("mythos
ledger show ID") and at the service that the tool works on. ID is as for "mythos
ledger show".

--not-invoked says that it did not happen: the next call of it, or "mythos run
--resume", invokes the tool. --committed says that it happened. If an answer stood
before (RECEIPT names it), that is the answer again; else the effect is settled: it
is never invoked again, and calls of it fail with effect_settled.

What is said is signed by an operator's key, appended to the ledger and kept for
ever. The first time, make that key and trust it:

  mythos keys generate --role operator
  mythos keys export --public operator > operator.pub
  mythos trust add operator operator.pub

While the effect still runs the command waits for its end; with --no-wait it fails.`,
		Example: "  mythos ledger list --state in-doubt\n" +
			"  mythos ledger resolve 26d6fe3fb923 --not-invoked --reason 'no such payment at the bank'\n" +
			"  mythos ledger resolve 26d6fe3fb923 --committed --reason 'invoice 4711 is paid' --json\n" +
			"  mythos ledger resolve 26d6fe3fb923 --committed 5b1f0c2d9e44 --reason 'the first answer is right'",
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.id = list[0]
			if len(list) > 1 {
				o.receipt = list[1]
			}
			if err := o.check(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.committed, "committed", false, "it happened; RECEIPT, the id of the answer that stood, is optional")
	f.BoolVar(&o.notInvoked, "not-invoked", false, "it did not happen")
	f.StringVar(&o.reason, "reason", "", "what this rests on, in words: `TEXT` of 1 to 1000 bytes (required)")
	f.StringVar(&o.key, "key", "", "the operator's key: a key `FILE`, env:NAME or fd:N (default operator.key of this user's keys)")
	f.BoolVar(&o.noWait, "no-wait", false, "fail instead of waiting for the ledger or for the effect's end")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 5, 6, 7)
}

// maxReason bounds the reason of a resolution, in bytes.
const maxReason = 1000

func (o *ledgerResolveOptions) check() error {
	switch {
	case o.committed == o.notInvoked:
		return usagef("give one of --committed and --not-invoked")
	case o.receipt != "" && !o.committed:
		return usagef("a RECEIPT goes with --committed")
	case strings.TrimSpace(o.reason) == "":
		return usagef("--reason is required: say what this rests on")
	case len(o.reason) > maxReason:
		return usagef("--reason has %d bytes, at most %d", len(o.reason), maxReason)
	}
	return nil
}

// resolutionView is what ledger resolve --json prints.
type resolutionView struct {
	Schema       string     `json:"schema"`
	IdemID       cid.Hash   `json:"idem_id"`
	Before       string     `json:"before"` // states, as "ledger list --state" takes them
	After        string     `json:"after"`
	ResolutionID cid.Hash   `json:"resolution_id"`
	RegisterID   cid.Hash   `json:"register_id"`
	Outcome      string     `json:"outcome"`    // committed or not_invoked
	ReceiptID    *cid.Hash  `json:"receipt_id"` // that was named; null: none
	Reason       string     `json:"reason"`
	Signer       signerView `json:"signer"`
	Time         string     `json:"time"`
	RunID        *string    `json:"run_id"` // of the register; null if the ledger does not have it
	Next         *string    `json:"next"`   // what to do; null: nothing
}

func (o *ledgerResolveOptions) run(ctx context.Context) error {
	p, err := parseID(o.id)
	if err != nil {
		return err
	}
	o.wait = o.newWaiting()
	defer o.wait.done()
	return o.withNode(func(n *node.Node) (err error) {
		if !n.HasLedger() {
			return fault.New(ledger.ErrNoItem, "there is no ledger yet").About(o.id)
		}
		key, err := n.OperatorKey(o.key)
		if err != nil {
			return err
		}
		objects, err := n.Objects()
		if err != nil {
			return err
		}
		store, err := n.Ledger(ctx, node.LedgerOptions{NoWait: o.noWait, OnWait: o.wait.ledger})
		if err != nil {
			return err
		}
		v, err := o.resolve(ctx, store, objects, key, n.Clock, p)
		o.wait.done()
		if err = errors.Join(err, store.Close()); err != nil {
			return err
		}
		return o.print(v)
	})
}

func (o *ledgerResolveOptions) resolve(ctx context.Context, store ledger.Store, objects cas.Store, key sig.Key, clock func() time.Time, p idPrefix) (v resolutionView, err error) {
	r := &records{log: store, objects: objects, exists: true}
	id, err := r.idem(ctx, p)
	if err != nil {
		return v, err
	}
	before, err := o.ended(ctx, store, id)
	if err != nil {
		return v, err
	}
	x := ledger.Resolution{
		IdemID: id, RegisterID: before.RegisterID, Outcome: ledger.OutcomeNotInvoked, Reason: o.reason, Time: clock().UnixMicro(),
	}
	v = resolutionView{Schema: "mythos.ledger.resolution.result/1", IdemID: id, Before: stateOf(before), RegisterID: x.RegisterID, Outcome: "not_invoked"}
	if o.committed {
		x.Outcome, v.Outcome = ledger.OutcomeCommitted, "committed"
		if x.ReceiptID, err = o.receiptID(ctx, r, before); err != nil {
			return v, err
		}
	}
	l := &stateList{app: o.app, r: r, names: names{records: r}, state: v.Before}
	row, err := l.row(ctx, before)
	if err != nil {
		return v, err
	}
	var run cid.Hash
	if row.RunRecord != nil {
		run = *row.RunRecord
	}
	raw, resolution, err := sig.Sign(&x, key)
	if err == nil {
		err = store.Resolve(ctx, raw, run, true)
	}
	if err != nil {
		return v, about("id "+id.String(), err)
	}
	after, err := store.Lookup(context.WithoutCancel(ctx), id)
	if err != nil {
		return v, err
	}
	v.After, v.ResolutionID, v.ReceiptID, v.Reason = stateOf(after), resolution, x.ReceiptID, o.reason
	v.Signer, v.Time, v.RunID = signerOf(key.Agent()), view.Time(x.Time), row.RunID
	if row.RunID != nil && (after.Phase == ledger.Free || after.Phase == ledger.Committed) {
		next := "mythos run --resume " + *row.RunID
		v.Next = &next
	}
	return v, nil
}

// ended returns where an effect stands once no lease of it does, and refuses one
// that has nothing to resolve.
func (o *ledgerResolveOptions) ended(ctx context.Context, store ledger.Store, id cid.Hash) (ledger.View, error) {
	told := int64(0)
	for {
		v, err := store.Lookup(ctx, id)
		switch {
		case err != nil:
			return v, err
		case v.Phase == ledger.Committed, v.Phase == ledger.Settled, v.Phase == ledger.Absent:
			return v, fault.New(ErrDecided, "it is %s: there is nothing to resolve", stateOf(v)).About("id " + id.String())
		case !v.Live:
			return v, nil
		case o.noWait:
			return v, fault.New(ledger.ErrInProgress, "it may still run: register %s holds a lease until %s", v.RegisterID, moment(v.LeaseExpires)).About("id " + id.String())
		}
		if told != v.LeaseExpires {
			told = v.LeaseExpires
			o.wait.effect("the effect", time.UnixMicro(told))
		}
		if err := leasePause(ctx); err != nil {
			return v, err
		}
	}
}

// leasePause waits a little before a lease is looked at again.
func leasePause(ctx context.Context) error {
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receiptID returns the receipt that the command names, which must be of a commit of
// this effect; nil if it names none.
func (o *ledgerResolveOptions) receiptID(ctx context.Context, r *records, v ledger.View) (*cid.Hash, error) {
	if o.receipt == "" {
		return nil, nil
	}
	p, err := parseID(o.receipt)
	if err != nil {
		return nil, err
	}
	var m matches
	for rec, err := range r.log.Records(ctx, ledger.Filter{Idem: &v.IdemID, Kinds: []ledger.Kind{ledger.KindCommit}}) {
		if err != nil {
			return nil, err
		}
		x, _, err := ledger.DecodeCommit(rec.Body)
		if err != nil {
			return nil, damaged(rec, err)
		}
		m.offer(p, x.ReceiptID, x.ReceiptID)
	}
	id, err := m.one(p, ledger.ErrNoItem, "no commit of this effect has a receipt of this id; leave it out to say only that it happened")
	return &id, err
}

func (o *ledgerResolveOptions) print(v resolutionView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("idem_id", v.IdemID.String())
	t.Row("before", v.Before)
	t.Row("after", v.After)
	t.Row("resolution", v.ResolutionID.String())
	t.Row("signer", v.Signer.label())
	t.Row("reason", v.Reason)
	if v.Next != nil {
		t.Row("next", *v.Next)
	}
	if err := o.printTable(t); err != nil {
		return err
	}
	if v.After == ledger.Settled.String() {
		o.note("the effect is settled: calls of it fail with effect_settled, since its answer is not known; another effect needs another key")
	}
	return nil
}
