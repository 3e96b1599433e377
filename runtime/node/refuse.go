package node

import (
	"context"
	"errors"
	"slices"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// refuse keeps a record of err in the ledger, if it is a refusal of a run that has
// not opened the ledger yet, and returns err as it is. It makes neither ledger nor
// key and waits for nobody: where there is no ledger, or another process is
// writing it, the refusal is only told (RFC-MYTHOS-0005 §2.1). src may be nil.
func (n *Node) refuse(ctx context.Context, o RunOptions, req executor.Request, src gate.Source, err error) error {
	code := fault.CodeOf(err)
	if code == "" || n.IsRefusal != nil && !n.IsRefusal(code) || !n.HasLedger() {
		return err
	}
	key, _, failed := LoadKey(n.ownPath(sig.Executor))
	if isMissing(failed) {
		return err
	}
	if failed == nil {
		failed = n.recordRefusal(context.WithoutCancel(ctx), key, n.asker(o, req, key), src, err)
	}
	if failed != nil && o.OnUnrecorded != nil {
		o.OnUnrecorded(err, failed)
	}
	return err
}

// recordRefusal writes the record of a refusal, unless it is not known who asked.
func (n *Node) recordRefusal(ctx context.Context, key sig.Key, asker cid.Hash, src gate.Source, refused error) error {
	if asker.IsZero() {
		return nil
	}
	x := executor.RefusalOf(refused)
	x.Time, x.PackageID = n.Clock().UnixMicro(), claimedID(ctx, src)
	store, err := n.Ledger(ctx, LedgerOptions{NoWait: true})
	if err != nil {
		return err
	}
	_, err = executor.WriteRefusal(ctx, store, key, x, asker)
	return errors.Join(err, store.Close())
}

// claimedID returns the id of the package that was refused, as its manifest has
// it; nil if it has none that can be read.
func claimedID(ctx context.Context, src gate.Source) *cid.Hash {
	if src == nil {
		return nil
	}
	raw, err := src.Manifest(ctx, manifest.MaxBytes)
	if err != nil {
		return nil
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		return nil
	}
	id := u.PackageID()
	return &id
}

// asker is who asks for a run: whoever holds the key of the proofs' leaf issuer, if
// an authority of the trust file gave that key power, else nobody, which is zero;
// without proofs this user, by the dev key where that has a part in the run, else
// by the executor's.
func (n *Node) asker(o RunOptions, req executor.Request, own sig.Key) cid.Hash {
	if len(o.Proofs) > 0 {
		return n.holder(o, req.Proofs)
	}
	if !o.NoDevAuthority && o.Ring == 0 {
		if dev, _, err := LoadKey(n.ownPath(sig.Dev)); err == nil {
			return dev.Agent().KeyID()
		}
	}
	return own.Agent().KeyID()
}

// holder returns the leaf issuer of the first proof that is signed and begins with
// an authority of the trust file.
func (n *Node) holder(o RunOptions, proofs []*caps.Chain) cid.Hash {
	if len(proofs) == 0 {
		var err error
		if proofs, err = loadProofs(o.Proofs, o.Key); err != nil {
			return cid.Hash{}
		}
	}
	trust, err := n.Trust()
	if err != nil {
		return cid.Hash{}
	}
	for _, p := range proofs {
		known := slices.ContainsFunc(trust.Entries(), func(e gate.TrustEntry) bool {
			return e.Role == sig.Authority && e.Holds(p.Root()) && e.Current(n.Clock())
		})
		if !known {
			continue
		}
		if _, err := p.Verify(); err == nil {
			return p.Holder().KeyID()
		}
	}
	return cid.Hash{}
}
