package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	ringlib "github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// ErrUnexplained is the code of something that no key could have signed.
const ErrUnexplained fault.Code = "trust_subject"

// The verdicts on what is signed (RFC-MYTHOS-0008 §9).
const (
	verdictValid   = "valid"
	verdictInvalid = "invalid"
)

const maxSubject = 4 << 20

type trustExplainOptions struct {
	*app
	subject, role, name string
	ring                uint8
	json                bool
}

func newTrustExplain(a *app) *cobra.Command {
	o := &trustExplainOptions{app: a}
	cmd := &cobra.Command{
		Use: "explain SUBJECT", Short: "Say which entries count for a package, a key or a signed object, and why not", Args: args(cobra.ExactArgs(1)),
		Long: `Say which entries of the trust file count for SUBJECT, and of the others why not.
SUBJECT is a package, as for "mythos verify"; a key, as for "mythos keys show", or a key
id; or the file of a signed object: an attestation, ring policy, promotion record, ring
state, receipt or capability.

The verdict is valid, unsigned, signer_unknown (sound, and by nobody who is trusted in that
role), signer_threshold (by too few) or invalid (something in it does not hold); of a key,
trusted or signer_unknown. Only valid and trusted end with exit code 0.`,
		Example: "  mythos trust explain dist/demo-001-0.1.0 --ring 1\n  mythos trust explain ada.pub --name demo-001\n  mythos trust explain ring1.policy",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.subject = list[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Uint8Var(&o.ring, "ring", 0, "the ring `N` that is asked for")
	f.StringVar(&o.role, "role", "", "of a key: in this `ROLE` (default any)")
	f.StringVar(&o.name, "name", "", "of a key or object: for packages of this `NAME` (default any)")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// explanation is what was found out about a subject.
type explanation struct {
	kind    string // Package, Key, or a struct's name
	verdict string
	id      *cid.Hash
	name    string
	ask     gate.Question
	fault   error // why the verdict is not valid
}

func (o *trustExplainOptions) run(ctx context.Context) error {
	role, err := o.parseRole()
	if err != nil {
		return err
	}
	return o.withNode(func(n *node.Node) error {
		trust, err := n.Trust()
		if err != nil {
			return err
		}
		x, err := o.look(ctx, n, trust, role)
		if err != nil {
			return err
		}
		x.ask.Ring, x.ask.Now = o.ring, n.Clock()
		matches := trust.Explain(x.ask)
		x.judge(matches)
		if err := o.print(x, trust, matches); err != nil {
			return err
		}
		return about(o.subject, x.fault)
	})
}

func (o *trustExplainOptions) parseRole() (sig.Role, error) {
	if o.role == "" {
		return "", nil
	}
	return parseRole(o.role)
}

// look finds out what the subject is.
func (o *trustExplainOptions) look(ctx context.Context, n *node.Node, trust *gate.Trust, role sig.Role) (*explanation, error) {
	if strings.HasPrefix(o.subject, "sha256:") {
		id, err := cid.Parse(o.subject)
		if err != nil {
			return nil, err
		}
		for _, m := range trust.Explain(gate.Question{Signers: []cid.Hash{id}}) {
			if m.Counts {
				return o.aboutKey(id, role), nil
			}
		}
		return o.aboutPackage(ctx, n)
	}
	info, err := os.Stat(o.subject)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		id, err := o.keyID(n, o.subject)
		return o.aboutKey(id, role), err
	case err != nil:
		return nil, inputError(o.subject, err)
	case info.IsDir():
		return o.aboutPackage(ctx, n)
	}
	raw, err := o.readInput(o.subject, maxSubject)
	switch {
	case bytes.HasPrefix(raw, []byte{0x1f, 0x8b}):
		return o.aboutPackage(ctx, n)
	case err != nil:
		return nil, err
	case bytes.HasPrefix(raw, []byte("MYTHOS ")):
		id, err := o.keyID(n, o.subject)
		return o.aboutKey(id, role), err
	}
	return o.aboutObject(raw)
}

func (o *trustExplainOptions) aboutKey(id cid.Hash, role sig.Role) *explanation {
	return &explanation{kind: "Key", id: &id, name: o.name, ask: gate.Question{Role: role, Name: o.name, Signers: []cid.Hash{id}}}
}

func (o *trustExplainOptions) aboutPackage(ctx context.Context, n *node.Node) (*explanation, error) {
	r, err := n.Verify(ctx, o.subject)
	if err != nil {
		return nil, err
	}
	x := &explanation{kind: "Package", id: r.PackageID, ask: gate.Question{Role: sig.Publisher}}
	if r.Manifest != nil {
		x.name, x.ask.Name = r.Manifest.Name, r.Manifest.Name
		for _, s := range r.Manifest.Signatures {
			if s.KeyID != nil {
				x.ask.Signers = append(x.ask.Signers, *s.KeyID)
			}
		}
	}
	x.verdict = verdictValid
	for _, f := range r.Failures {
		// What the trust file says stands last: an invalid package is never called
		// one of a stranger.
		verdict := verdictInvalid
		switch f.Code {
		case manifest.ErrUnsigned, manifest.ErrSignerUnknown, manifest.ErrSignerThreshold:
			verdict = string(f.Code)
		}
		if x.verdict == verdictValid || x.verdict != verdictInvalid && verdict == verdictInvalid {
			x.verdict, x.fault = verdict, fault.New(f.Code, "%s", f.Message).About(o.subject+" "+f.Subject)
		}
	}
	return x, nil
}

// signedObjects are the objects that somebody signs in a role.
func signedObjects() []struct {
	name string
	role sig.Role
	x    sig.Object
} {
	return []struct {
		name string
		role sig.Role
		x    sig.Object
	}{
		{"RingPolicy", sig.Policy, &ringlib.Policy{}},
		{"Attestation", sig.Verifier, &receipt.Attestation{}},
		{"PromotionRecord", sig.Operator, &ringlib.Promotion{}},
		{"RingState", sig.Operator, &ledger.RingState{}},
		{"Receipt", sig.Executor, &receipt.Receipt{}},
		{"Capability", sig.Authority, &caps.Capability{}},
	}
}

func (o *trustExplainOptions) aboutObject(raw []byte) (*explanation, error) {
	for _, k := range signedObjects() {
		id, err := sig.Open(raw, k.x)
		if err != nil && !errors.Is(err, sig.ErrInvalid) && !errors.Is(err, sig.ErrID) {
			continue // of another kind: two kinds never share their bytes
		}
		signer := k.x.Seal().Signer.KeyID()
		x := &explanation{kind: k.name, id: &id, name: o.name, ask: gate.Question{Role: k.role, Name: o.name, Signers: []cid.Hash{signer}}}
		if err != nil {
			x.verdict, x.fault = verdictInvalid, err
		}
		return x, nil
	}
	return nil, fault.New(ErrUnexplained, "it is no package, key or signed object that a trust entry could count for").About(o.subject)
}

// judge completes the verdict on what is sound by itself.
func (x *explanation) judge(matches []gate.Match) {
	counts := false
	for _, m := range matches {
		counts = counts || m.Counts
	}
	switch {
	case x.verdict != "" && x.verdict != verdictValid:
	case counts && x.kind == "Key":
		x.verdict = "trusted"
	case counts || x.kind == "Package" && x.ask.Ring == 0:
		x.verdict = verdictValid // this home's dev key stands in no entry
	default:
		x.verdict = string(manifest.ErrSignerUnknown)
		x.fault = fault.New(manifest.ErrSignerUnknown, "no entry of the trust file counts for it in ring %d", x.ask.Ring)
	}
}

// explainView is what trust explain --json prints.
type explainView struct {
	Schema  string       `json:"schema"`
	Kind    string       `json:"kind"`
	ID      *cid.Hash    `json:"id"` // package_id, key id or the object's id
	Name    *string      `json:"name"`
	Ring    uint8        `json:"ring"`
	Verdict string       `json:"verdict"`
	Signers []cid.Hash   `json:"signers"` // key ids
	Entries []matchView  `json:"entries"`
	Failure *failureView `json:"failure"` // null if valid
}

type matchView struct {
	Entry  int       `json:"entry"` // from 1
	Counts bool      `json:"counts"`
	Why    string    `json:"why"`
	Trust  trustView `json:"trust"`
}

func (o *trustExplainOptions) print(x *explanation, trust *gate.Trust, matches []gate.Match) error {
	v := explainView{
		Schema: "mythos.trust.explain/1", Kind: x.kind, ID: x.id, Name: orNull(x.name), Ring: o.ring,
		Verdict: x.verdict, Signers: append([]cid.Hash{}, x.ask.Signers...), Entries: []matchView{},
	}
	if x.fault != nil {
		f := failureView(gate.FailureOf(x.fault))
		v.Failure = &f
	}
	t := term.NewTable("ENTRY", "ROLE", "KEYS", "NAMES", "COUNTS", "WHY").Right(0)
	for _, m := range matches {
		e := trust.Entries()[m.Entry]
		v.Entries = append(v.Entries, matchView{m.Entry + 1, m.Counts, m.Why, newTrustView(e)})
		t.Row(strconv.Itoa(m.Entry+1), string(e.Role), keyNames(e.Keys), strings.Join(e.Names, " "), yes(m.Counts), m.Why)
	}
	if o.json {
		return o.printJSON(v)
	}
	head := term.NewTable()
	head.Row("kind", v.Kind)
	if v.ID != nil {
		head.Row("id", v.ID.String())
	}
	for _, s := range v.Signers {
		if v.Kind != "Key" {
			head.Row("signed by", s.String())
		}
	}
	head.Row("ring", fmt.Sprint(v.Ring))
	head.Row("verdict", v.Verdict)
	if err := o.printTable(head); err != nil {
		return err
	}
	if t.Len() == 0 {
		o.note("the trust file has no entries")
		return nil
	}
	return errors.Join(o.printf("\n"), o.printTable(t))
}
