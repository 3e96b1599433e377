package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

func newLedger(a *app) *cobra.Command {
	return a.bindLedger(group(&cobra.Command{
		Use: "ledger", Short: "Read the effect ledger, and resolve doubt", GroupID: groupRecords,
		Long: `Read the effect ledger (RFC-MYTHOS-0005): what was registered before each effect,
what was committed after it, and the beginning and end of every run. Reading never
waits for a run that is writing.`,
		Example: "  mythos ledger list --run nightly-1\n  mythos ledger show 5b1f0c\n  mythos ledger list --state in-doubt",
	}, newLedgerList(a), newLedgerShow(a), newLedgerResolve(a), newLedgerVerify(a), newLedgerCheckpoint(a), newLedgerProve(a), newLedgerCheckProof(a), newLedgerCopy(a), newLedgerBackup(a), newLedgerRestore(a)))
}

type ledgerListOptions struct {
	*app
	run   string
	kinds []string
	// onlyRefused lists what was refused, and why.
	onlyRefused bool
	state       string // list effects of this state
	json        bool
}

func newLedgerList(a *app) *cobra.Command {
	o := &ledgerListOptions{app: a}
	cmd := &cobra.Command{
		Use: "list", Short: "List the ledger's entries", Args: args(cobra.NoArgs),
		Long: `List the ledger's entries in log order. ID is the effect's idempotency id, of which
"mythos ledger show" tells all; times are this machine's clock when it appended.
With --refused list what was refused before it could have an effect, with the code
of each refusal and what was missing.

With --state list effects instead, one line for each: in-doubt (nobody knows whether
it happened), open (it runs), free (it did not happen), committed, settled (it
happened, its answer is lost) or divergent (two answers contradict each other), with
what to type next. No line and exit code 0 say that there is none.`,
		Example: "  mythos ledger list\n  mythos ledger list --run nightly-1 --kind commit --kind divergence --json\n" +
			"  mythos ledger list --refused\n  mythos ledger list --state in-doubt --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.state != "" {
				if len(o.kinds) > 0 || o.onlyRefused {
					return usagef("--state lists effects, not entries: leave out --kind and --refused")
				}
				return o.byState(cmd.Context())
			}
			if !o.onlyRefused {
				return o.list(cmd.Context())
			}
			if len(o.kinds) > 0 {
				return usagef("--refused lists entries of kind refusal: leave out --kind")
			}
			return o.refused(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.run, "run", "", "only entries of the runs with this run id")
	f.StringArrayVar(&o.kinds, "kind", nil, "only entries of this kind: "+strings.Join(kindNames(), ", ")+"; may be repeated")
	f.StringVar(&o.state, "state", "", "effects instead, in this `STATE`: "+strings.Join(stateNames(), ", "))
	f.BoolVar(&o.onlyRefused, "refused", false, "only what was refused, and what was missing")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

// listedEntry is an entry in the JSON of a list.
type listedEntry struct {
	Index uint64 `json:"index"`
	Time  string `json:"time"` // when it was appended
	entryView
	RunRecord *cid.Hash `json:"run_record"` // null for none
	Info      string    `json:"info"`       // what it says, in words
}

func (o *ledgerListOptions) list(ctx context.Context) error {
	kinds, err := parseKinds(o.kinds)
	if err != nil {
		return err
	}
	return o.withRecords(func(_ *node.Node, r *records) error {
		found, err := r.of(ctx, o.run, kinds...)
		if err != nil {
			return err
		}
		entries, bad := []listedEntry{}, []error(nil)
		t := term.NewTable("INDEX", "TIME", "KIND", "ID", "INFO").Right(0)
		for _, rec := range found {
			info, err := entryInfo(rec)
			if err != nil {
				info, bad = "damaged", append(bad, damaged(rec, err))
			}
			entries = append(entries, listedEntry{rec.Index, view.Time(rec.Time), newEntryView(rec), orNone(rec.Run), info})
			id := ""
			if !rec.Idem.IsZero() {
				id = short(rec.Idem)
			}
			t.Row(strconv.FormatUint(rec.Index, 10), moment(rec.Time), rec.Kind.String(), id, info)
		}
		if err := o.print(r, entries, t); err != nil || len(bad) == 0 {
			return err
		}
		return &failures{errs: bad}
	})
}

func (o *ledgerListOptions) print(r *records, entries []listedEntry, t *term.Table) error {
	if o.json {
		return o.printJSON(struct {
			Schema  string        `json:"schema"`
			Entries []listedEntry `json:"entries"`
		}{"mythos.ledger/1", entries})
	}
	return o.printList(r, t, "entries")
}

// printList writes the table of a list, or says why there is none.
func (a *app) printList(r *records, t *term.Table, what string) error {
	switch {
	case !r.exists:
		a.note("there is no ledger yet; the first run makes it")
	case t.Len() == 0:
		a.note("the ledger has no such %s", what)
	default:
		return a.printTable(t)
	}
	return nil
}

// kindNames lists the words for the kinds of entries.
func kindNames() []string {
	var names []string
	for k := ledger.KindRegister; k <= ledger.KindRingState; k++ {
		names = append(names, k.String())
	}
	return names
}

func parseKinds(names []string) ([]ledger.Kind, error) {
	var kinds []ledger.Kind
	for _, name := range names {
		i := slices.Index(kindNames(), name)
		if i < 0 {
			return nil, usagef("--kind: %q is no kind of entry: give one of %s", name, strings.Join(kindNames(), ", "))
		}
		kinds = append(kinds, ledger.KindRegister+ledger.Kind(i))
	}
	return kinds, nil
}

// entryInfo says in words what an entry tells beside its id.
func entryInfo(rec ledger.Record) (string, error) {
	switch rec.Kind {
	case ledger.KindRegister:
		var x ledger.Register
		_, err := sig.Decode(rec.Body, &x)
		number := uint64(1)
		if x.Attempt != nil {
			number += uint64(*x.Attempt)
		}
		return fmt.Sprintf("attempt %d, retry %s", number, retryName(x.RetryClass())), err
	case ledger.KindCommit:
		x, _, err := ledger.DecodeCommit(rec.Body)
		return fmt.Sprintf("status %d, receipt %s", x.Status, short(x.ReceiptID)), err
	case ledger.KindDivergence:
		x, err := ledger.DecodeDivergence(rec.Body)
		return nameOf(x.ReasonCode, "request conflict", "response conflict", "multiple commits"), err
	case ledger.KindResolution:
		var x ledger.Resolution
		_, err := sig.Decode(rec.Body, &x)
		info := nameOf(x.Outcome, "committed", "not invoked", "in doubt")
		if x.Reason != "" {
			info += ": " + x.Reason
		}
		return info, err
	case ledger.KindRefusal:
		var x ledger.Refusal
		_, err := sig.Decode(rec.Body, &x)
		info := x.Code
		if x.Missing != "" {
			info += ": " + x.Missing
		}
		return info, err
	case ledger.KindRingState:
		var x ledger.RingState
		_, err := sig.Decode(rec.Body, &x)
		info := fmt.Sprintf("ring %d, seq %d: %s", x.Ring, x.Seq, x.Name)
		if x.PackageID == nil {
			return info + " demoted", err
		}
		return info + " runs " + short(*x.PackageID), err
	case ledger.KindRunRecord:
		var x evidence.RunRecord
		_, err := sig.Decode(rec.Body, &x)
		return "run " + x.RunID, err
	case ledger.KindRunSeal:
		var x evidence.RunSeal
		_, err := sig.Decode(rec.Body, &x)
		info := fmt.Sprintf("receipts: %d", x.ReceiptCount)
		if x.ErrorCode != "" {
			info += ", " + x.ErrorCode
		}
		return info, err
	}
	return "", nil
}

// nameOf returns the name of a number that counts from 1.
func nameOf(n uint8, names ...string) string {
	if n == 0 || int(n) > len(names) {
		return strconv.Itoa(int(n))
	}
	return names[n-1]
}

func retryName(r ledger.Retry) string {
	return nameOf(uint8(r)+1, "never", "idempotent", "pure", "reconcile")
}

type ledgerShowOptions struct {
	*app
	json bool
}

func newLedgerShow(a *app) *cobra.Command {
	o := &ledgerShowOptions{app: a}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show where an effect stands, and its entries", Args: args(cobra.ExactArgs(1)),
		Long: `Show where an effect stands, and all its entries. ID is its idempotency id, the id
of one of its registers, or that of its receipt: sha256:..., or six or more of the
first hex digits of it.`,
		Example: "  mythos ledger show 5b1f0c\n  mythos ledger show sha256:... --json",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.show(cmd.Context(), list[0]) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

// effectView is what ledger show --json prints.
type effectView struct {
	Schema         string       `json:"schema"`
	IdemID         cid.Hash     `json:"idem_id"`
	Phase          string       `json:"phase"`            // absent, open, free, in_doubt, committed, divergent or settled
	Live           bool         `json:"live"`             // of an open effect: its lease stands; if not, it is in doubt
	LeaseExpiresAt *string      `json:"lease_expires_at"` // null unless it stands
	ToolID         cid.Hash     `json:"tool_id"`
	RequestHash    cid.Hash     `json:"request_hash"`
	Attempts       uint32       `json:"attempts"`
	RegisterID     cid.Hash     `json:"register_id"` // the latest
	Owner          signerView   `json:"owner"`       // of the latest register
	Retry          string       `json:"retry"`
	Commit         *commitView  `json:"commit"`   // the one that stands, or stood; null if none ever did
	Conflict       bool         `json:"conflict"` // another request came with the same id
	Tool           *string      `json:"tool"`     // its name; null if its package is not at hand
	RunID          *string      `json:"run_id"`   // of the latest register
	Since          string       `json:"since"`    // when its last entry was appended
	Why            *string      `json:"why"`      // of an effect in doubt or divergent, in words
	Next           *string      `json:"next"`     // what to do; null: nothing
	Entries        []shownEntry `json:"entries"`
}

type commitView struct {
	ReceiptID    cid.Hash `json:"receipt_id"`
	ResponseHash cid.Hash `json:"response_hash"`
	Status       uint16   `json:"status"`
}

type shownEntry struct {
	Kind      string          `json:"kind"`
	Time      string          `json:"time"`
	RunRecord *cid.Hash       `json:"run_record"`
	By        *cid.Hash       `json:"by"`    // key id of who said it; null if the entry does not name it
	Info      string          `json:"info"`  // what it says, in words
	Entry     json.RawMessage `json:"entry"` // named view of the LedgerEntry
}

func (o *ledgerShowOptions) show(ctx context.Context, arg string) error {
	p, err := parseID(arg)
	if err != nil {
		return err
	}
	return o.withRecords(func(n *node.Node, r *records) error {
		id, err := r.idem(ctx, p)
		if err != nil {
			return err
		}
		v, err := newEffectView(ctx, r, id)
		if err == nil {
			err = o.tell(ctx, n, r, &v)
		}
		if err != nil {
			return err
		}
		return o.print(v)
	})
}

func newEffectView(ctx context.Context, r *records, id cid.Hash) (effectView, error) {
	s, err := r.log.Lookup(ctx, id)
	if err != nil {
		return effectView{}, err
	}
	v := effectView{
		Schema: "mythos.effect/1", IdemID: id, Phase: s.Phase.String(), Live: s.Live, ToolID: s.ToolID,
		RequestHash: s.RequestHash, Attempts: s.Attempt, RegisterID: s.RegisterID,
		Owner: signerOf(s.Owner), Retry: retryName(s.Retry), Conflict: s.Marked,
	}
	if s.Live {
		until := view.Time(s.LeaseExpires)
		v.LeaseExpiresAt = &until
	}
	if s.CommitRaw != nil {
		v.Commit = &commitView{s.Commit.ReceiptID, s.Commit.ResponseHash, s.Commit.Status}
	}
	found, err := r.read(ctx, ledger.Filter{Idem: &id})
	if err != nil {
		return v, err
	}
	for _, rec := range found {
		text, err := entryJSON(rec)
		if err != nil {
			return v, damaged(rec, err)
		}
		by, info, err := said(rec)
		if err != nil {
			return v, damaged(rec, err)
		}
		v.Entries = append(v.Entries, shownEntry{rec.Kind.String(), view.Time(rec.Time), orNone(rec.Run), by, info, text})
	}
	return v, nil
}

func (o *ledgerShowOptions) print(v effectView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("idem_id", v.IdemID.String())
	t.Row("tool", orDash(v.Tool))
	t.Row("run", orDash(v.RunID))
	t.Row("phase", v.phase())
	t.Row("since", v.Since)
	if v.Why != nil {
		t.Row("why", *v.Why)
	}
	if v.Next != nil {
		t.Row("next", *v.Next)
	}
	t.Row("tool_id", v.ToolID.String())
	t.Row("request_hash", v.RequestHash.String())
	if v.Commit != nil {
		t.Row("status", strconv.Itoa(int(v.Commit.Status)))
		t.Row("receipt_id", v.Commit.ReceiptID.String())
		t.Row("response_hash", v.Commit.ResponseHash.String())
	}
	t.Row("attempts", strconv.FormatUint(uint64(v.Attempts), 10))
	t.Row("retry", v.Retry)
	t.Row("register_id", v.RegisterID.String())
	t.Row("owner", v.Owner.label())
	t.Row("conflict", yes(v.Conflict))
	history := term.NewTable("TIME", "ENTRY", "BY", "SAYS")
	for _, e := range v.Entries {
		by := "-"
		if e.By != nil {
			by = short(*e.By)
		}
		history.Row(e.Time, e.Kind, by, e.Info)
	}
	if err := errors.Join(o.printTable(t), o.printf("\n"), o.printTable(history)); err != nil {
		return err
	}
	for _, e := range v.Entries {
		var entry struct {
			Index string          `json:"index"`
			Body  json.RawMessage `json:"body_view"`
		}
		if err := json.Unmarshal(e.Entry, &entry); err != nil {
			return err
		}
		if err := o.printf("\nentry %s: %s at %s\n", entry.Index, e.Kind, e.Time); err != nil {
			return err
		}
		if err := o.printView(entry.Body); err != nil {
			return err
		}
	}
	return nil
}

// phase says what the phase and the lease mean together.
func (v effectView) phase() string {
	switch {
	case v.Live:
		return "open, runs until " + *v.LeaseExpiresAt + " at the latest"
	case v.Phase == ledger.Open.String():
		return "open, its lease has ended: in doubt"
	}
	return v.Phase
}
