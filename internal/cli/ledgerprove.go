package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
	"github.com/mythos-run/mythos/runtime/node"
)

// proofSchema names the form of logProof.
const proofSchema = "mythos.ledger.proof/1"

// The kinds of a logProof.
const (
	proofInclusion   = "inclusion"
	proofConsistency = "consistency"
)

// logProof is a proof in a file: that an entry is under a checkpoint, or that one
// checkpoint's log goes on from another's (RFC-MYTHOS-0005 §10.3).
type logProof struct {
	Schema     string     `json:"schema"`
	Kind       string     `json:"kind"`
	Entry      string     `json:"entry,omitempty"` // of an inclusion: the canonical LedgerEntry in hex
	Old        string     `json:"old,omitempty"`   // of a consistency: the older checkpoint
	Checkpoint string     `json:"checkpoint"`      // the signed note
	Hashes     []cid.Hash `json:"hashes"`          // of the tree, as RFC 6962 orders them
}

type ledgerProveOptions struct {
	*app
	from, to uint64
	out      string
}

func newLedgerProve(a *app) *cobra.Command {
	o := &ledgerProveOptions{app: a}
	cmd := &cobra.Command{
		Use: "prove [INDEX|ID]", Short: "Prove that an entry is in the log, or that the log only grew",
		Args: args(cobra.MaximumNArgs(1)),
		Long: `Prove that an entry is in the log, or, with --from and without an entry, that the log
under a newer checkpoint begins with the log under an older one. The proof is one JSON
object with the checkpoints in it: "mythos ledger check-proof" verifies it anywhere,
without this ledger.

INDEX is an entry's number in "mythos ledger list". ID is the id of an entry (of a
register, a commit, a run record, ...) or of a receipt, whose commit is meant:
sha256:..., or six or more of its first hex digits; digits alone are an index.`,
		Example: "  mythos ledger prove 17 -o entry.proof\n  mythos ledger prove sha256:5b1f0c\n  mythos ledger prove --from 120 --to 4711",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.run(cmd.Context(), list) },
	}
	f := cmd.Flags()
	f.Uint64Var(&o.from, "from", 0, "size of the older checkpoint")
	f.Uint64Var(&o.to, "to", 0, "size of the checkpoint to prove against (default: the newest)")
	f.StringVarP(&o.out, "output", "o", "", "file to write instead of standard output")
	return exits(cmd, 3, 6, 7)
}

func (o *ledgerProveOptions) run(ctx context.Context, list []string) error {
	if (len(list) == 0) == (o.from == 0) {
		return usagef("give an entry, or --from for a proof between two checkpoints")
	}
	return o.withLog(func(_ *node.Node, log ledger.Log) error {
		to, err := checkpointOf(ctx, log, o.to)
		if err != nil {
			return err
		}
		var p logProof
		if len(list) == 1 {
			p, err = proveEntry(ctx, log, list[0], to)
		} else {
			p, err = proveGrowth(ctx, log, o.from, to)
		}
		if err != nil {
			return err
		}
		if _, err := p.check(); err != nil {
			return fault.New(audit.ErrDamaged, "the ledger's entries and hashes do not prove it; mythos ledger verify says more: %w", err)
		}
		b, err := json.Marshal(p)
		if err != nil {
			return err
		}
		return o.writeOutput(o.out, append(b, '\n'), false)
	})
}

func proveEntry(ctx context.Context, log ledger.Log, arg string, to ledger.Checkpoint) (p logProof, err error) {
	index, err := entryIndex(ctx, log, arg)
	if err != nil {
		return p, err
	}
	p = logProof{Schema: proofSchema, Kind: proofInclusion, Checkpoint: string(to.Note)}
	if p.Hashes, err = tlog.ProveInclusion(logtree.Of(ctx, log), index, to.Size); err != nil {
		return p, err
	}
	for rec, err := range log.Entries(ctx, index) {
		if err != nil {
			return p, err
		}
		e := ledger.Entry{Index: rec.Index, Kind: uint8(rec.Kind), Body: rec.Body}
		p.Entry = hex.EncodeToString(e.AppendCAN(nil))
		break
	}
	return p, nil
}

func proveGrowth(ctx context.Context, log ledger.Log, from uint64, to ledger.Checkpoint) (p logProof, err error) {
	old, err := checkpointOf(ctx, log, from)
	if err != nil {
		return p, err
	}
	p = logProof{Schema: proofSchema, Kind: proofConsistency, Old: string(old.Note), Checkpoint: string(to.Note)}
	p.Hashes, err = tlog.ProveConsistency(logtree.Of(ctx, log), from, to.Size)
	return p, err
}

// entryIndex finds an entry by its index, its id or its receipt's.
func entryIndex(ctx context.Context, log ledger.Log, arg string) (uint64, error) {
	if strings.Trim(arg, "0123456789") == "" {
		index, err := strconv.ParseUint(arg, 10, 63)
		if err != nil {
			return 0, usagef("%.40q is no index", arg)
		}
		return index, nil
	}
	p, err := parseID(arg)
	if err != nil {
		return 0, err
	}
	var m matches
	at := map[cid.Hash]uint64{}
	for rec, err := range log.Entries(ctx, 0) {
		if err != nil {
			return 0, err
		}
		for _, id := range entryIDs(rec) {
			if _, seen := at[id]; p.fits(id) && !seen {
				at[id] = rec.Index
				m.offer(p, id, id)
			}
		}
	}
	id, err := m.one(p, ledger.ErrNoItem, "no entry or receipt has this id")
	return at[id], err
}

// entryIDs are what an entry may be called: by its own id, and a commit by its
// receipt's. One that does not decode has none.
func entryIDs(rec ledger.Record) (ids []cid.Hash) {
	if id, err := entryID(rec); err == nil {
		ids = append(ids, id)
	}
	if x, _, err := ledger.DecodeCommit(rec.Body); rec.Kind == ledger.KindCommit && err == nil {
		ids = append(ids, x.ReceiptID)
	}
	return ids
}

// entryID returns the id of what an entry holds.
func entryID(rec ledger.Record) (cid.Hash, error) {
	var x sig.Object
	switch rec.Kind {
	case ledger.KindRegister:
		x = &ledger.Register{}
	case ledger.KindCommit:
		x = &ledger.Commit{}
	case ledger.KindDivergence:
		x = &ledger.Divergence{}
	case ledger.KindResolution:
		x = &ledger.Resolution{}
	case ledger.KindRefusal:
		x = &ledger.Refusal{}
	case ledger.KindRingState:
		x = &ledger.RingState{}
	case ledger.KindRunRecord:
		x = &evidence.RunRecord{}
	case ledger.KindRunSeal:
		x = &evidence.RunSeal{}
	default:
		return cid.Hash{}, fmt.Errorf("no decoder for entries of kind %d", rec.Kind)
	}
	return sig.Decode(slices.Clone(rec.Body), x)
}
