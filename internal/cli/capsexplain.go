package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/node"
)

// situationFlags say where and when a proof is judged.
type situationFlags struct {
	to, at string
	ring   uint8
	pkg    string
	asJSON bool
}

func (s *situationFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&s.to, "to", "executor", "the executor that acts: a `KEY` file, the name of a key of yours, or the key in hex")
	f.StringVar(&s.pkg, "package", "", "the `PACKAGE` that runs: a folder, an archive or a manifest CID (default any)")
	f.Uint8Var(&s.ring, "ring", 0, "the ring `N` in which it runs")
	f.StringVar(&s.at, "at", "", "the `TIME` of the use, RFC 3339 or a span from now (default now)")
	f.BoolVar(&s.asJSON, "json", false, "print one JSON object")
}

// judged is a proof with what this node thinks of it.
type judged struct {
	proof *caps.Chain
	in    *node.Contents // nil: no package was named
	use   caps.Use       // without the use itself
}

// judge reads a proof and the situation.
func (a *app) judge(ctx context.Context, n *node.Node, file string, s *situationFlags) (*judged, error) {
	p, err := a.readProof(file)
	if err != nil {
		return nil, err
	}
	j := &judged{proof: p}
	where := node.Situation{Ring: s.ring}
	subject, err := a.agentNamed(n, "--to", s.to)
	if err != nil {
		return nil, err
	}
	where.Subject = &subject
	if s.pkg != "" {
		if j.in, err = n.Contents(ctx, s.pkg); err != nil {
			return nil, err
		}
		where.Package = j.in.Manifest.Name
	}
	if s.at != "" {
		if where.At, err = momentOrSpan("--at", s.at, a.Clock()); err != nil {
			return nil, err
		}
	}
	j.use, err = n.Use(where)
	return j, err
}

type capsVerifyOptions struct {
	*app
	situationFlags
}

func newCapsVerify(a *app) *cobra.Command {
	o := &capsVerifyOptions{app: a}
	cmd := &cobra.Command{
		Use: "verify PROOF", Short: "Check whether a capability proof counts here", Args: args(cobra.ExactArgs(1)),
		Long: `Check whether a capability proof counts here and now: signatures, who issued what to
whom from an authority of the trust file to the executor, windows, that no link is wider
than the one before it, revocation, and that something is left to spend on this node's
ledger. Whether it covers a call is what "mythos caps explain" says. PROOF is a file,
"-" is standard input. Nothing is spent.`,
		Example: "  mythos caps verify call.cap\n  mythos caps verify call.cap --package dist/greet-0.1.0 --at 24h --json",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.run(cmd.Context(), list[0]) },
	}
	o.bind(cmd.Flags())
	return exits(cmd, 3, 4, 6, 7)
}

func (o *capsVerifyOptions) run(ctx context.Context, file string) error {
	return o.withNode(func(n *node.Node) error {
		j, err := o.judge(ctx, n, file, &o.situationFlags)
		if err != nil {
			return err
		}
		leaf := j.proof.Leaf().Scope
		j.use.Kind, j.use.Scope = leaf.Kind, leaf.Payload // what it says itself, which it covers if it is sound
		return o.verdict(ctx, n, j, file, o.asJSON)
	})
}

type capsExplainOptions struct {
	*app
	situationFlags
	powerFlags
	payload string
}

func newCapsExplain(a *app) *cobra.Command {
	o := &capsExplainOptions{app: a}
	cmd := &cobra.Command{
		Use: "explain PROOF", Short: "Say whether a capability covers a use, and why not", Args: args(cobra.ExactArgs(1)),
		Long: `Say whether a capability covers a use, and if not, which link refuses it by which rule.
The chain is shown as a table, a row for each link and a column for each step of the
check; the first cell that refuses is named. "-" is a cell that was not looked at.

The use is a call of the tool that the proof is over with --payload, or for a proof of
another kind the power of --grant or --kind, by default all that the proof says. What
binds a call to a place is compared with --package, --module, --request and --on-ledger.
Nothing is spent and nothing runs.`,
		Example: "  mythos caps explain call.cap --payload '{\"to\": \"acme\", \"amount\": 250}'\n" +
			"  mythos caps explain call.cap --tool pay/send --package dist/pay-1.0.0 --payload '{\"amount\": 9}' --ring 1\n" +
			"  mythos caps explain net.cap --grant net=api.example.com,POST",
		RunE: func(cmd *cobra.Command, list []string) error { return o.run(cmd.Context(), list[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.tool, "tool", "", "the tool that is called: its `NAME` in --package, or its id (default the proof's)")
	f.StringVar(&o.payload, "payload", "", "what it is called with: `JSON` in the JSON view")
	f.StringVar(&o.module, "module", "", "the `CID` of the module that would run (default the tool's in --package)")
	f.StringVar(&o.request, "request", "", "the request's `HASH`")
	f.StringVar(&o.ledgerName, "on-ledger", "", "the ledger's `ID`, 64 hex digits (default this node's)")
	o.bindPower(f)
	o.situationFlags.bind(f)
	return exits(cmd, 3, 4, 6, 7)
}

func (o *capsExplainOptions) run(ctx context.Context, file string) error {
	return o.withNode(func(n *node.Node) error {
		j, err := o.judge(ctx, n, file, &o.situationFlags)
		if err != nil {
			return err
		}
		if j.proof.Kind() != caps.KindToolCall || o.grant != "" || o.kind != "" {
			err = o.bare(j)
		} else {
			err = o.call(ctx, n, j)
		}
		if err != nil {
			return err
		}
		return o.verdict(ctx, n, j, file, o.asJSON)
	})
}

// bare describes the use of a power that is no call.
func (o *capsExplainOptions) bare(j *judged) error {
	s := j.proof.Leaf().Scope
	if o.grant != "" || o.kind != "" {
		var err error
		if s, err = o.other(); err != nil {
			return err
		}
	} else if o.tool != "" || o.payload != "" {
		return usagef("the proof is of kind %s, no call of a tool: give the use with --grant or --kind", caps.KindName(s.Kind))
	}
	j.use.Kind, j.use.Scope = s.Kind, s.Payload
	return nil
}

// call describes a call of a tool.
func (o *capsExplainOptions) call(ctx context.Context, n *node.Node, j *judged) error {
	leaf, _ := toolCall(j.proof.Leaf().Scope)
	call := &caps.Call{Tool: leaf.ToolID, Ring: o.ring}
	var err error
	if o.tool != "" {
		if call.Tool, err = toolNamed(o.tool, j.in); err != nil {
			return err
		}
	}
	if j.in != nil {
		call.Package = j.in.ID
		if b := bindingOf(j.in, func(b *manifest.ModuleBinding) bool { return b.ToolID == call.Tool && b.Variant == "" }); b != nil {
			call.Module = b.Module.CID
		}
	}
	for _, x := range []struct {
		flag, text string
		to         *cid.Hash
	}{{"--module", o.module, &call.Module}, {"--request", o.request, &call.RequestHash}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = hashFlag(x.flag, x.text); err != nil {
			return err
		}
	}
	if call.Payload, err = payloadFlag(o.payload); err != nil {
		return err
	}
	if call.Ledger, err = o.ledgerID(ctx, n, j); err != nil {
		return err
	}
	need := caps.ToolCall{ToolID: call.Tool, MaxCalls: 1}
	j.use.Kind, j.use.Scope, j.use.Call = caps.KindToolCall, need.AppendCAN(nil), call
	return nil
}

// ledgerID returns the ledger that the call is held against: none unless the proof
// asks for one.
func (o *capsExplainOptions) ledgerID(ctx context.Context, n *node.Node, j *judged) (cid.Hash, error) {
	if o.ledgerName == "" && (!j.proof.Constrains(caps.ConstraintLedger) || !n.HasLedger()) {
		return cid.Hash{}, nil
	}
	name := o.ledgerName
	if name == "" {
		name = "here"
	}
	return ledgerNamed(ctx, n, name)
}

// verdictView is a verdict in JSON.
type verdictView struct {
	Schema      string        `json:"schema"`
	Allowed     bool          `json:"allowed"`
	Code        *fault.Code   `json:"code"`    // null if allowed, as the members below
	Link        *int          `json:"link"`    // 0 is the root
	Rule        *string       `json:"rule"`    // RFC-MYTHOS-0008 §3
	Field       *string       `json:"field"`   // of the scope, or the constraint
	Message     *string       `json:"message"` // what was found and what was wanted
	Kind        string        `json:"kind"`
	Executor    agentView     `json:"executor"`
	CheckedAt   string        `json:"checked_at"`
	Links       []verdictLink `json:"links"`
	Revocations []listUse     `json:"revocations"` // that were looked at
}

// verdictLink is one row of a verdict. A cell is "ok", "refused" or, if it was not
// looked at, null.
type verdictLink struct {
	CapID       cid.Hash `json:"cap_id"`
	Signature   *string  `json:"signature"`
	Principals  *string  `json:"principals"`
	Time        *string  `json:"time"`
	Scope       *string  `json:"scope"`
	Constraints *string  `json:"constraints"`
	Revocation  *string  `json:"revocation"`
	Spending    *string  `json:"spending"`
	Spent       *uint32  `json:"spent"` // on this node's ledger; null if it is not known
	Max         *uint32  `json:"max"`   // null if nothing is counted

	limit linkView
}

type listUse struct {
	Issuer cid.Hash `json:"issuer"` // key id
	Seq    uint64   `json:"seq"`
	ID     cid.Hash `json:"id"`
}

// column is a column of a verdict, with the rules that it stands for.
type column struct {
	name  string
	rules []string
	of    func(*verdictLink) **string
}

// cells are the columns of a verdict in the order of RFC-MYTHOS-0008 §3.
var cells = [...]column{
	{"SIGNATURE", []string{caps.RuleSignature}, func(l *verdictLink) **string { return &l.Signature }},
	{"PRINCIPALS", []string{caps.RuleRoot, caps.RuleAuthority, caps.RuleParent, caps.RuleIssuer, caps.RuleDelegable, caps.RuleSubject}, func(l *verdictLink) **string { return &l.Principals }},
	{"TIME", []string{caps.RuleWindow, caps.RuleNotBefore, caps.RuleExpiresAt}, func(l *verdictLink) **string { return &l.Time }},
	{"SCOPE", []string{caps.RuleSubset, caps.RuleUse}, func(l *verdictLink) **string { return &l.Scope }},
	{"CONSTRAINTS", []string{caps.RuleConstraintSubset, caps.RuleConstraintUse}, func(l *verdictLink) **string { return &l.Constraints }},
	{"REVOCATION", []string{caps.RuleRevocation, caps.RuleRevoked}, func(l *verdictLink) **string { return &l.Revocation }},
	{"SPENDING", []string{ruleSpending}, func(l *verdictLink) **string { return &l.Spending }},
}

// ruleSpending is step 7, which the ledger decides.
const ruleSpending = "spending"

// verdict checks the use, prints what came of it and returns the refusal.
func (a *app) verdict(ctx context.Context, n *node.Node, j *judged, file string, asJSON bool) error {
	v := verdictView{
		Schema: "mythos.caps.verdict/1", Kind: caps.KindName(j.proof.Kind()), Executor: newAgentView(j.use.Subject),
		CheckedAt: view.Time(j.use.Now), Revocations: []listUse{},
	}
	for i, id := range j.proof.CapIDs() {
		v.Links = append(v.Links, verdictLink{CapID: id, limit: newLinkView(j.proof.Link(i), id)})
	}
	grant, err := j.proof.Check(j.use)
	if err == nil {
		for _, l := range grant.Lists {
			v.Revocations = append(v.Revocations, listUse{l.Issuer, l.Mark.Seq, l.Mark.ID})
		}
	}
	denial := v.fill(err)
	if denial == nil && err != nil {
		return err
	}
	spent, err := v.spending(ctx, n, j)
	if err != nil {
		return err
	}
	if denial == nil {
		denial = v.fill(spent)
	}
	v.Allowed = denial == nil
	if err := a.printVerdict(v, asJSON); err != nil || denial == nil {
		return err
	}
	return fault.New(denial.Code, "%w", denial).About(file)
}

// fill sets the cells that were looked at before a refusal, or all, and what the
// refusal says.
func (v *verdictView) fill(err error) *caps.Denial {
	var d *caps.Denial
	if err != nil && !errors.As(err, &d) {
		return nil
	}
	stop := len(cells) - 1 // spending is filled in by itself
	if d != nil {
		stop = slices.IndexFunc(cells[:], func(c column) bool { return slices.Contains(c.rules, d.Rule) })
		v.Code, v.Link, v.Rule, v.Message = &d.Code, &d.Link, &d.Rule, &d.Message
		if d.Field != "" {
			v.Field = &d.Field
		}
	}
	for i := range v.Links {
		for k := range cells {
			state := "ok"
			switch {
			case d != nil && k == stop && i == d.Link:
				state = "refused"
			case d != nil && !looked(d, k, i, stop), d == nil && k >= stop:
				continue
			}
			*cells[k].of(&v.Links[i]) = &state
		}
	}
	return d
}

// looked reports whether the check came to column k of link i before it ended in
// column stop with d: column by column, but scope and constraints link by link.
func looked(d *caps.Denial, k, i, stop int) bool {
	const scope, constraints = 3, 4
	pair := func(k int) bool { return k == scope || k == constraints }
	switch {
	case pair(k) && pair(stop):
		return i < d.Link || i == d.Link && k < stop
	case k == 0:
		return true // all signatures are looked at, whatever comes of it
	}
	return k < stop || k == stop && i < d.Link
}

// spending looks up what this node's ledger has spent of each link, and returns a
// denial if one has nothing left.
func (v *verdictView) spending(ctx context.Context, n *node.Node, j *judged) (denied, err error) {
	counts, known, err := n.Spent(ctx, j.proof.CapIDs())
	if err != nil || !known {
		return nil, err
	}
	for i := range v.Links {
		call, ok := toolCall(j.proof.Link(i).Scope)
		if !ok {
			continue
		}
		l := &v.Links[i]
		l.Spent, l.Max = &counts[i], &call.MaxCalls
		if denied == nil && *l.Spent >= *l.Max {
			denied = &caps.Denial{
				Code: ledger.ErrExhausted, Link: i, Links: len(v.Links), CapID: l.CapID, Rule: ruleSpending, Field: "max_calls",
				Message: fmt.Sprintf("%d of %s spent on this node's ledger", *l.Spent, times(*l.Max, "call")),
			}
		}
	}
	if denied != nil || !v.complete() {
		return denied, nil
	}
	for i := range v.Links {
		ok := "ok"
		v.Links[i].Spending = &ok
	}
	return nil, nil
}

// complete reports whether every step before spending was passed.
func (v *verdictView) complete() bool { return v.Code == nil }

func (a *app) printVerdict(v verdictView, asJSON bool) error {
	if asJSON {
		return a.printJSON(v)
	}
	header := []string{"LINK", "CAP ID", "FROM", "TO"}
	for _, c := range cells {
		header = append(header, c.name)
	}
	t := term.NewTable(header...)
	for i := range v.Links {
		l := &v.Links[i]
		row := []string{fmt.Sprint(i), l.CapID.Hex()[:12], keyName(l.limit.Issuer), keyName(l.limit.Subject)}
		for k, c := range cells {
			row = append(row, v.cell(k, i, *c.of(l)))
		}
		t.Row(row...)
	}
	if err := a.printTable(t); err != nil {
		return err
	}
	verdict := "allowed"
	if !v.Allowed {
		verdict = fmt.Sprintf("refused by link %d, rule %s: %s", *v.Link, *v.Rule, *v.Message)
	}
	return a.printf("\n%s\n", verdict)
}

// cell is what the table shows of a cell: the rule of the one that refused.
func (v *verdictView) cell(k, i int, state *string) string {
	l := &v.Links[i]
	switch {
	case state == nil:
		return ""
	case *state == "refused":
		text := "REFUSED: " + *v.Rule
		if v.Field != nil {
			text += " " + *v.Field
		}
		return text
	case k == len(cells)-1 && l.Spent != nil:
		return fmt.Sprintf("ok, %d of %d", *l.Spent, *l.Max)
	}
	return *state
}
