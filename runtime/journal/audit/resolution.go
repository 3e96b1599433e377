package audit

import (
	"errors"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// resolution folds a resolution, and holds against it who signed it and, if the
// owner did for what a probe showed, the probe's receipt (RFC-MYTHOS-0005 §5). last
// is the latest register before it. The reason why it does not fit is bad; err is
// why that could not be found out.
func (c *checker) resolution(s *ledger.State, rec ledger.Record, last []byte) (bad, err error) {
	if c.operators == nil {
		return s.Apply(rec), nil
	}
	var x ledger.Resolution
	if _, bad := sig.Decode(rec.Body, &x); bad != nil {
		return bad, nil
	}
	operator := c.operators(x.Signer, time.UnixMicro(rec.Time))
	if bad := s.AddResolution(x, operator); bad != nil {
		if !operator && !x.Signer.Equal(s.Owner) && s.AddResolution(x, true) == nil {
			return fault.New(ErrStranger, "%s resolved it, neither an operator who is known here nor the register's owner", signer(x.Signer)), nil
		}
		return fault.New(ledger.ErrEntry, "%w (it is signed by %s)", bad, x.Signer.KeyID()), nil
	}
	if operator || x.ReceiptID == nil {
		return nil, nil
	}
	return c.probe(x, last)
}

// signer names a key as people look for it.
func signer(a sig.AgentID) string {
	if a.Hint != "" {
		return a.KeyID().String() + " (" + a.Hint + ")"
	}
	return a.KeyID().String()
}

// probe checks that a resolution names the receipt of a probe of its register.
func (c *checker) probe(x ledger.Resolution, last []byte) (bad, err error) {
	raw, err := c.log.Receipt(c.ctx, *x.ReceiptID)
	if errors.Is(err, ledger.ErrNoItem) || errors.Is(err, ledger.ErrCorrupt) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	shown, _, bad := receipt.Open(raw)
	if bad != nil {
		return bad, nil
	}
	var reg ledger.Register
	if _, bad := sig.Decode(last, &reg); bad != nil {
		return bad, nil
	}
	key, bad := probeKey(reg, x.RegisterID)
	switch {
	case bad != nil:
		return bad, nil
	case !shown.Signer.Equal(x.Signer), shown.ToolID != reg.ToolID, shown.RequestHash != reg.RequestHash, string(shown.IdempotencyKey) != string(key):
		return fault.New(ledger.ErrEntry, "receipt %s is not of a probe of register %s", *x.ReceiptID, x.RegisterID), nil
	}
	return nil, nil
}

// probeKey returns the idempotency key of the probe of a register.
func probeKey(reg ledger.Register, id cid.Hash) ([]byte, error) {
	var k ledger.IdempotencyKey
	r := can.NewReader(reg.IdempotencyKey)
	k.ReadCAN(&r)
	return ledger.ProbeKey(k.Authority, k.Holder, id), r.Done()
}
