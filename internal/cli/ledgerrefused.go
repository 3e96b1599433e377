package cli

import (
	"context"
	"strconv"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// isRefusal reports whether a code says that something was refused: what does not
// verify and what is not allowed, and neither a wrong command nor a host that
// failed.
func isRefusal(code fault.Code) bool {
	entry, err := lookUp(code)
	return err == nil && (entry.Exit == exitInvalid || entry.Exit == exitUnauthorised)
}

const (
	exitInvalid      = 3
	exitUnauthorised = 4
)

// refusedEntry is a refusal in the JSON of a list.
type refusedEntry struct {
	Index       uint64     `json:"index"`
	Time        string     `json:"time"` // when it was appended
	ID          cid.Hash   `json:"id"`
	Code        string     `json:"code"`
	Missing     string     `json:"missing"`      // what would have sufficed, in words
	PackageID   *cid.Hash  `json:"package_id"`   // null where it could not be read
	ToolID      *cid.Hash  `json:"tool_id"`      // null for a whole run
	RequestHash *cid.Hash  `json:"request_hash"` // null where there was none yet
	RunRecord   *cid.Hash  `json:"run_record"`   // null before the run began
	CapIDs      []cid.Hash `json:"cap_ids"`      // the leaves at hand
	Signer      signerView `json:"signer"`       // the executor that refused
}

func newRefusedEntry(rec ledger.Record) (refusedEntry, error) {
	var x ledger.Refusal
	id, err := sig.Decode(rec.Body, &x)
	if err != nil {
		return refusedEntry{}, damaged(rec, err)
	}
	return refusedEntry{
		rec.Index, view.Time(rec.Time), id, x.Code, x.Missing, x.PackageID, x.ToolID, x.RequestHash, x.RunRecord,
		append([]cid.Hash{}, x.CapIDs...), signerOf(x.Signer),
	}, nil
}

// refused lists what was refused.
func (o *ledgerListOptions) refused(ctx context.Context) error {
	return o.withRecords(func(_ *node.Node, r *records) error {
		found, err := r.of(ctx, o.run, ledger.KindRefusal)
		if err != nil {
			return err
		}
		entries, bad := []refusedEntry{}, []error(nil)
		t := term.NewTable("INDEX", "TIME", "CODE", "PACKAGE", "REQUEST", "MISSING").Right(0)
		for _, rec := range found {
			e, err := newRefusedEntry(rec)
			if err != nil {
				bad = append(bad, err)
				t.Row(strconv.FormatUint(rec.Index, 10), moment(rec.Time), "damaged", "", "", "")
				continue
			}
			entries = append(entries, e)
			t.Row(strconv.FormatUint(rec.Index, 10), moment(rec.Time), e.Code, shortOr(e.PackageID, "-"), shortOr(e.RequestHash, "-"), e.Missing)
		}
		if err := o.printRefused(r, entries, t); err != nil || len(bad) == 0 {
			return err
		}
		return &failures{errs: bad}
	})
}

func (o *ledgerListOptions) printRefused(r *records, entries []refusedEntry, t *term.Table) error {
	if o.json {
		return o.printJSON(struct {
			Schema   string         `json:"schema"`
			Refusals []refusedEntry `json:"refusals"`
		}{"mythos.refusals/1", entries})
	}
	return o.printList(r, t, "refusals")
}

// shortOr is an id in a table, or a word if there is none.
func shortOr(id *cid.Hash, none string) string {
	if id == nil {
		return none
	}
	return short(*id)
}
