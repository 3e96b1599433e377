package conformance

import (
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// sigOps are the ops of RFC-MYTHOS-0001 §4.
func sigOps() map[string]opFunc {
	return map[string]opFunc{
		"sig.verify":  do(sigVerify),
		"object.open": do(objectOpen),
	}
}

// SigInput is the input of sig.verify.
type SigInput struct {
	Key     Hex `json:"key"`
	Message Hex `json:"message"`
	Sig     Hex `json:"sig"`
}

func sigVerify(in SigInput) (struct{}, error) {
	if !sig.VerifyStrict(in.Key, in.Message, in.Sig) {
		return struct{}{}, fault.New(sig.ErrInvalid, "the signature does not verify")
	}
	return struct{}{}, nil
}

// OpenInput is the input of object.open. By is for objects that name no signer.
type OpenInput struct {
	Type string `json:"type"`
	Hex  Hex    `json:"hex"`
	By   *Hex   `json:"by,omitempty"`
}

// Opened is the output of object.open.
type Opened struct {
	ID     cid.Hash `json:"id"`
	Signer cid.Hash `json:"signer"` // key id
}

// objectOpen opens any signed struct, and then holds it to the rules of its
// content.
func objectOpen(in OpenInput) (Opened, error) {
	fresh, ok := codecs()[in.Type]
	if !ok {
		return Opened{}, fault.New(view.ErrStruct, "%.80q is no struct of the schema", in.Type)
	}
	x, ok := fresh().(sig.Object)
	if !ok {
		return Opened{}, badInput("%s is no signed struct", in.Type)
	}
	id, signer, err := open(in, x)
	if err == nil {
		err = content(x, in.Hex)
	}
	return Opened{id, signer.KeyID()}, err
}

func open(in OpenInput, x sig.Object) (id cid.Hash, signer sig.AgentID, err error) {
	if by := x.Seal().Signer; by != nil || in.By == nil {
		id, err = sig.Open(in.Hex, x)
		if err == nil {
			signer = *x.Seal().Signer
		}
		return id, signer, err
	}
	if signer, err = readAgent(*in.By); err != nil {
		return id, signer, badInput("by: %w", err)
	}
	id, err = sig.OpenBy(in.Hex, x, signer)
	return id, signer, err
}

// content applies the rules that the fields of a type have beside their form.
// Where the product keeps them behind a function that opens the object, that
// function is called, on bytes that have opened before.
func content(x sig.Object, raw []byte) error {
	var err error
	switch x := x.(type) {
	case *receipt.Attestation:
		err = x.Check()
	case *ledger.Register:
		_, _, err = ledger.OpenRegister(raw)
	case *ledger.Divergence:
		_, err = ledger.DecodeDivergence(raw)
	case *ledger.Resolution:
		_, err = ledger.OpenResolution(raw)
	case *evidence.RunRecord:
		_, _, err = evidence.OpenRecord(raw)
	case *evidence.RunSeal:
		err = x.Check()
	case *caps.Revocations:
		_, err = caps.OpenRevocations(raw)
	case *rings.Policy:
		err = x.Validate()
	}
	return err
}
