package executor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Refusals counts what an executor refused (RFC-MYTHOS-0005 §2.1).
type Refusals struct {
	Stored  uint64 // that are entries of the ledger now
	Dropped uint64 // of which the ledger had one already
	Unnamed uint64 // of somebody without a chain of authority; never stored
	Lost    uint64 // that could not be written
}

// refusals is Refusals while it counts.
type refusals struct{ stored, dropped, unnamed, lost atomic.Uint64 }

// Refusals returns the counts so far.
func (e *Executor) Refusals() Refusals {
	n := &e.refused
	return Refusals{n.stored.Load(), n.dropped.Load(), n.unnamed.Load(), n.lost.Load()}
}

// maxTried bounds the capabilities that a refusal names.
const maxTried = 64

// RefusalOf makes the record of an error that refused something; the caller adds
// what it knows of what that was.
func RefusalOf(err error) ledger.Refusal {
	code := string(fault.CodeOf(err))
	text := strings.TrimSuffix(err.Error(), " ("+code+")")
	for len(text) > ledger.MaxMissing {
		text = text[:ledger.MaxMissing]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return ledger.Refusal{Code: code, Missing: text}
}

// WriteRefusal signs a refusal of what holder asked for and stores it.
func WriteRefusal(ctx context.Context, store ledger.Store, key sig.Signer, x ledger.Refusal, holder cid.Hash) (ledger.Verdict, error) {
	raw, _, err := sig.Sign(&x, key)
	if err != nil {
		return 0, err
	}
	var run cid.Hash
	if x.RunRecord != nil {
		run = *x.RunRecord
	}
	return store.Refuse(ctx, raw, run, holder)
}

// refuse keeps a record of err if it is a refusal, and returns err as it is: what
// becomes of the record changes nothing for the caller. c is the effect that was
// refused, nil for the whole run. If the effect before does not stand, nothing was
// asked for, and the error is that one's.
func (r *run) refuse(ctx context.Context, c *call, err error) error {
	if lost := r.flush(ctx); lost != nil {
		return lost
	}
	code := fault.CodeOf(err)
	if code == "" || r.IsRefusal != nil && !r.IsRefusal(code) {
		return err
	}
	holder := r.asker()
	if holder.IsZero() {
		r.refused.unnamed.Add(1)
		return err
	}
	x := RefusalOf(err)
	x.Time, x.CapIDs = r.now(), r.tried()
	pkg := r.pkg.ID()
	x.PackageID = &pkg
	if !r.recordID.IsZero() {
		x.RunRecord = &r.recordID
	}
	if c != nil {
		x.ToolID = &c.Tool
		if !c.requestHash.IsZero() {
			x.RequestHash = &c.requestHash
		}
		if c.name != "" {
			x.Missing = RefusalOf(describe(c, err)).Missing
		}
	}
	r.step("refuse")
	// It was refused, whether anybody still waits for the answer or not.
	verdict, lost := WriteRefusal(context.WithoutCancel(ctx), r.Ledger, r.Key, x, holder)
	switch {
	case lost != nil:
		r.refused.lost.Add(1)
		if r.OnUnrecorded != nil {
			r.OnUnrecorded(err, lost)
		}
	case verdict == ledger.Dropped:
		r.refused.dropped.Add(1)
	default:
		r.refused.stored.Add(1)
	}
	return err
}

// asker is who asks: the run's holder, or, before that is fixed, the issuer of a
// leaf whose chain is signed and begins with an authority. Anybody can make
// another, so that one names nobody: zero.
func (r *run) asker() cid.Hash {
	if !r.holder.IsZero() || len(r.req.Proofs) == 0 {
		return cmp.Or(r.holder, r.req.Holder)
	}
	for _, p := range r.req.Proofs {
		if _, ok := r.Authority(p.Root(), r.pkg); !ok {
			continue
		}
		if _, err := p.Verify(); err == nil {
			return p.Holder().KeyID()
		}
	}
	return cid.Hash{}
}

// tried lists the leaves at hand, ascending, none twice.
func (r *run) tried() []cid.Hash {
	var ids []cid.Hash
	for _, p := range r.req.Proofs {
		ids = append(ids, p.LeafID())
	}
	slices.SortFunc(ids, cid.Hash.Compare)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), maxTried)]
}
