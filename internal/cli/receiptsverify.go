package cli

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// Codes of a receipt that does not verify, beside those of its parts.
const (
	ErrReceiptSigner     fault.Code = "receipt_signer_unknown" // signed by a key that is no trusted executor's
	ErrReceiptCommit     fault.Code = "receipt_commit"         // the ledger's commit says something else
	ErrReceiptIncomplete fault.Code = "receipt_incomplete"     // what the receipt names is not all here
)

// maxReceipt bounds a receipt file in bytes.
const maxReceipt = 1 << 20

type receiptsVerifyOptions struct {
	*app
	json bool
}

func newReceiptsVerify(a *app) *cobra.Command {
	o := &receiptsVerifyOptions{app: a}
	cmd := &cobra.Command{
		Use: "verify ID|FILE", Short: "Check a receipt and all that it names", Args: args(cobra.ExactArgs(1)),
		Long: `Check a receipt and all that it names: its bytes and id, its signature, whether the
signer is this node's executor or one that the trust file names, that the ledger's
commit says the same, and that request, response and evidence are here and fit.

ID is sha256:..., or six or more of the first hex digits of it; FILE holds the
canonical bytes of a receipt, "-" is standard input. Write ./NAME for a file whose
name looks like an id. The verdict is

  valid           everything holds
  invalid         something contradicts the receipt
  unknown_signer  nothing does, but nobody here trusts who signed it
  incomplete      a trusted executor signed it, but something it names is not here

and only "valid" ends with exit code 0.`,
		Example: "  mythos receipts verify 5b1f0c\n  mythos receipts verify effect.receipt --json",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.verify(cmd.Context(), list[0]) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// The states of a check, which are also verdicts, from bad to good.
const (
	stateInvalid    = "invalid"
	stateUnknown    = "unknown_signer"
	stateIncomplete = "incomplete"
	stateValid      = "valid"
)

// verificationView is what receipts verify --json prints.
type verificationView struct {
	Schema    string       `json:"schema"`
	OK        bool         `json:"ok"`
	Verdict   string       `json:"verdict"`
	ReceiptID *cid.Hash    `json:"receipt_id"` // null if the bytes are no receipt
	Signer    *signerView  `json:"signer"`     // likewise
	Checks    []checkState `json:"checks"`
}

type checkState struct {
	Check   string      `json:"check"`
	State   string      `json:"state"`
	Code    *fault.Code `json:"code"`    // null if valid
	Message *string     `json:"message"` // likewise
}

func (o *receiptsVerifyOptions) verify(ctx context.Context, arg string) error {
	return o.withRecords(func(n *node.Node, r *records) error {
		known, err := executors(n)
		if err != nil {
			return err
		}
		v := &verificationView{Schema: "mythos.receipt.verification/1", Verdict: stateValid, Checks: []checkState{}}
		raw, bad, err := o.read(ctx, r, arg)
		switch {
		case err != nil:
			return err
		case bad != nil:
			err = v.add("receipt", bad)
		default:
			err = v.checkAll(ctx, r, known, raw)
		}
		if err != nil {
			return err
		}
		v.OK = v.Verdict == stateValid
		if err := o.print(v); err != nil {
			return err
		}
		return v.failure(arg)
	})
}

// read returns the receipt that an argument names, unchecked if it is a file;
// bad says that the ledger holds other bytes under the receipt's id.
func (o *receiptsVerifyOptions) read(ctx context.Context, r *records, arg string) (raw []byte, bad, err error) {
	p, err := parseID(arg)
	if err != nil && !strings.HasPrefix(arg, "sha256:") {
		raw, err = o.readInput(arg, maxReceipt)
		return raw, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	id, err := r.receiptID(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	raw, err = r.receipt(ctx, id)
	if errors.Is(err, ledger.ErrCorrupt) {
		return nil, err, nil
	}
	return raw, nil, err
}

// knownExecutors reports whether a receipt's signer is an executor that this
// node trusts.
type knownExecutors func(sig.AgentID) bool

// executors returns the node's own executor, if it has one, and those of the
// trust file. It makes no key.
func executors(n *node.Node) (knownExecutors, error) {
	trust, err := n.Trust()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(n.KeyDir(), string(sig.Executor)+".key")
	own, role, err := node.LoadKey(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	hasOwn := err == nil && role == sig.Executor
	return func(a sig.AgentID) bool {
		return hasOwn && a.Equal(own.Agent()) || trust.TrustsExecutor(a, n.Clock())
	}, nil
}

// checkAll makes every check that means something. An error says that no
// verdict could be had.
func (v *verificationView) checkAll(ctx context.Context, r *records, known knownExecutors, raw []byte) error {
	x, id, err := receipt.Decode(raw)
	if err != nil {
		return v.add("receipt", err)
	}
	signer := signerOf(x.Signer)
	v.ReceiptID, v.Signer = &id, &signer
	commit, commitErr := r.committed(ctx, &x)
	for _, c := range []struct {
		name string
		err  error
	}{
		{"receipt", nil},
		{"signature", x.Signer.Verify(id, x.Signature)},
		{"signer", checkSigner(&x, known)},
		{"commit", commitErr},
		{"request", r.checkRequest(ctx, &x)},
		{"response", r.checkResponse(ctx, &x)},
		{"evidence", r.checkEvidence(ctx, &x, commit)},
	} {
		if err := v.add(c.name, c.err); err != nil {
			return err
		}
	}
	return nil
}

// add takes the outcome of a check into the verdict. It returns an error that
// says nothing about the receipt: the ledger or store could not be read.
func (v *verificationView) add(check string, err error) error {
	if err == nil {
		v.Checks = append(v.Checks, checkState{Check: check, State: stateValid})
		return nil
	}
	code := fault.CodeOf(err)
	state := stateInvalid
	switch {
	case code == ErrReceiptSigner:
		state = stateUnknown
	case code == ErrReceiptIncomplete:
		state = stateIncomplete
	case unreadable(err):
		return err
	}
	message := gate.FailureOf(err).Message
	v.Checks = append(v.Checks, checkState{check, state, &code, &message})
	for _, s := range []string{stateInvalid, stateUnknown, stateIncomplete} {
		if s == state || s == v.Verdict {
			v.Verdict = s
			break
		}
	}
	return nil
}

// failure is the error that ends a command whose receipt did not verify: the
// check that decided.
func (v *verificationView) failure(arg string) error {
	if v.OK {
		return nil
	}
	failing := slices.DeleteFunc(slices.Clone(v.Checks), func(c checkState) bool { return c.State == stateValid })
	i := slices.IndexFunc(failing, func(c checkState) bool { return c.State == v.Verdict })
	err := fault.New(*failing[i].Code, "%s", *failing[i].Message).About(arg + ": " + failing[i].Check)
	if n := len(failing); n > 1 {
		err.Message += moreFailures(n - 1)
	}
	return &failures{[]error{err}, exitVerification}
}

func checkSigner(x *receipt.Receipt, known knownExecutors) error {
	if known(x.Signer) {
		return nil
	}
	return fault.New(ErrReceiptSigner, "key %s is neither this node's executor nor in the trust file as one", x.Signer.KeyID())
}

// committed holds a receipt against the commit that stands in the ledger, and
// against the register that the commit names.
func (r *records) committed(ctx context.Context, x *receipt.Receipt) (*ledger.Commit, error) {
	idem := ledger.IdemID(x.ToolID, x.IdempotencyKey)
	s, err := r.log.Lookup(ctx, idem)
	switch {
	case err != nil:
		return nil, err
	case s.Phase == ledger.Absent:
		return nil, fault.New(ErrReceiptIncomplete, "this ledger does not know the effect %s", idem)
	case s.Phase == ledger.Divergent:
		return nil, fault.New(ledger.ErrDivergent, "the effect %s has commits that contradict each other", idem)
	case s.Phase != ledger.Committed:
		return nil, fault.New(ErrReceiptIncomplete, "the effect %s is %s, without a commit that stands", idem, s.Phase)
	}
	c := &s.Commit
	owner, err := r.registered(ctx, idem, *c.RegisterID)
	if err != nil {
		return nil, err
	}
	if _, _, err := ledger.OpenCommit(s.CommitRaw, owner); err != nil {
		return nil, err
	}
	switch {
	case c.ReceiptID != x.ReceiptID:
		return nil, fault.New(ErrReceiptCommit, "the ledger committed receipt %s for this effect", c.ReceiptID)
	case !x.Signer.Equal(owner):
		return nil, fault.New(ErrReceiptCommit, "the effect was registered by %s, the receipt is signed by %s", owner.KeyID(), x.Signer.KeyID())
	case c.ToolID != x.ToolID, c.RequestHash != x.RequestHash, c.ResponseHash != x.ResponseHash, c.Status != x.Status:
		return nil, fault.New(ErrReceiptCommit, "the commit has another tool, request, response or status")
	}
	return c, nil
}

// registered returns the owner of a register after verifying it.
func (r *records) registered(ctx context.Context, idem, register cid.Hash) (sig.AgentID, error) {
	entries, err := r.read(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRegister}, Idem: &idem})
	if err != nil {
		return sig.AgentID{}, err
	}
	for _, rec := range entries {
		x, id, err := ledger.OpenRegister(rec.Body)
		if err != nil {
			return sig.AgentID{}, damaged(rec, err)
		}
		if id == register {
			return x.Owner, nil
		}
	}
	return sig.AgentID{}, fault.New(ledger.ErrCorrupt, "the commit names register %s, which is not in the ledger", register)
}

// named returns an object that a receipt names; one that is not here makes the
// receipt incomplete.
func (r *records) named(ctx context.Context, what string, id cid.Hash) ([]byte, error) {
	raw, err := r.object(ctx, id)
	if absent(err) {
		return nil, fault.New(ErrReceiptIncomplete, "the %s %s is not stored here", what, id)
	}
	return raw, err
}

func (r *records) checkRequest(ctx context.Context, x *receipt.Receipt) error {
	raw, err := r.named(ctx, "request", x.RequestHash)
	if err != nil {
		return err
	}
	req, err := abi.DecodeRequest(raw)
	switch {
	case err != nil:
		return err
	case req.ToolID != x.ToolID || req.IdemID != ledger.IdemID(x.ToolID, x.IdempotencyKey):
		return fault.New(receipt.ErrContent, "the request is of another tool or effect")
	}
	return nil
}

func (r *records) checkResponse(ctx context.Context, x *receipt.Receipt) error {
	raw, err := r.named(ctx, "response", x.ResponseHash)
	if err != nil {
		return err
	}
	resp, err := abi.DecodeResponse(raw)
	switch {
	case err != nil:
		return err
	case resp.Status != x.Status:
		return fault.New(receipt.ErrContent, "the response has status %d, the receipt %d", resp.Status, x.Status)
	}
	return nil
}

// checkEvidence checks that the evidence is here and about this effect, as far
// as the commit tells; without one nil is passed.
func (r *records) checkEvidence(ctx context.Context, x *receipt.Receipt, c *ledger.Commit) error {
	if len(x.Evidence) == 0 {
		return fault.New(ErrReceiptIncomplete, "the receipt names no evidence")
	}
	for _, id := range x.Evidence {
		raw, err := r.named(ctx, "evidence", id)
		if err != nil {
			return err
		}
		ev, err := evidence.DecodeEffect(raw)
		switch {
		case err != nil:
			return err
		case c != nil && ev.RegisterID != *c.RegisterID:
			return fault.New(evidence.ErrEffect, "the evidence is of register %s, the commit of %s", ev.RegisterID, c.RegisterID)
		}
	}
	return nil
}

func (o *receiptsVerifyOptions) print(v *verificationView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("verdict", v.Verdict)
	if v.ReceiptID != nil {
		t.Row("receipt_id", v.ReceiptID.String())
		t.Row("signed by", v.Signer.label())
	}
	if err := o.printTable(t); err != nil {
		return err
	}
	checks := term.NewTable("CHECK", "STATE", "MESSAGE")
	for _, c := range v.Checks {
		message := ""
		if c.Message != nil {
			message = *c.Message
		}
		checks.Row(c.Check, c.State, message)
	}
	return errors.Join(o.printf("\n"), o.printTable(checks))
}
