package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

func newCaps(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "caps", Short: "Issue, narrow, check and revoke capabilities", GroupID: groupTrust,
		Long: `Issue, narrow, check and revoke capabilities (RFC-MYTHOS-0008). A capability says who
may do what, how often and until when. A proof is a chain of them: an authority that a
node trusts issues the root, each holder may pass on less than it has, without asking
anybody, and the last link names the executor that acts. "mythos run --cap" takes it.`,
		Example: "  mythos caps issue --key authority.key --to alice.pub --tool greet/hello --in dist/greet-0.1.0 --calls 10 --expires 24h --delegable -o alice.cap\n" +
			"  mythos caps attenuate alice.cap --key alice.key --to executor.pub --calls 2 -o call.cap\n" +
			"  mythos caps explain call.cap --payload '{\"amount\": 250}'",
	}, newCapsIssue(a), newCapsAttenuate(a), newCapsInspect(a), newCapsVerify(a), newCapsExplain(a),
		newCapsRevoke(a), newCapsRevocations(a), newCapsList(a))
}

// readProof reads a proof from a file or, given "-", from standard input.
func (a *app) readProof(path string) (*caps.Chain, error) {
	if path != "-" {
		return node.LoadProof(path)
	}
	raw, err := a.readInput(path, caps.MaxProof+1)
	if err != nil {
		return nil, err
	}
	return node.ParseProof(raw, inputName(path))
}

// writeProof writes a proof where -o says, and then what it is: a table or JSON, on
// standard output unless the proof itself goes there.
func (a *app) writeProof(n *node.Node, p *caps.Chain, out string, json bool) error {
	if out == "-" {
		if json {
			return usagef("-o - sends the proof to standard output, where --json would follow it; give a file")
		}
		return a.printBinary(p.Raw())
	}
	path, err := n.SaveProof(out, p)
	if err != nil {
		return err
	}
	return a.printProof(newProofView(path, p), json)
}

// agentView is a key in JSON.
type agentView struct {
	KeyID cid.Hash `json:"key_id"`
	Key   string   `json:"key"` // the public key in hex
	Hint  *string  `json:"hint"`
}

func newAgentView(a sig.AgentID) agentView {
	return agentView{a.KeyID(), cid.Hash(a.Key).Hex(), orNull(a.Hint)}
}

// proofView is a proof in JSON. What it says is a claim: only the signatures were
// looked at.
type proofView struct {
	Schema string     `json:"schema"`
	File   *string    `json:"file"`
	SHA256 cid.Hash   `json:"sha256"`
	Size   int        `json:"size"`
	Kind   string     `json:"kind"`   // of the leaf
	Holder agentView  `json:"holder"` // whose key starts a run with it
	Links  []linkView `json:"links"`
}

// linkView is one link in JSON.
type linkView struct {
	CapID              cid.Hash        `json:"cap_id"`
	Issuer             agentView       `json:"issuer"`
	Subject            agentView       `json:"subject"`
	Kind               string          `json:"kind"`
	Scope              json.RawMessage `json:"scope"`
	Constraints        []string        `json:"constraints"` // as --where and the like take them
	NotBefore          string          `json:"not_before"`
	ExpiresAt          string          `json:"expires_at"`
	Delegable          bool            `json:"delegable"`
	RevocationRequired bool            `json:"revocation_required"`
	Signature          string          `json:"signature"` // "valid" or "invalid"

	power string
}

func newProofView(file string, p *caps.Chain) proofView {
	v := proofView{
		Schema: "mythos.caps.proof/1", File: orNull(file), SHA256: cid.Sum(p.Raw()), Size: len(p.Raw()),
		Kind: caps.KindName(p.Kind()), Holder: newAgentView(p.Holder()),
	}
	for i, id := range p.CapIDs() {
		v.Links = append(v.Links, newLinkView(p.Link(i), id))
	}
	return v
}

func newLinkView(c caps.Capability, id cid.Hash) linkView {
	v := linkView{
		CapID: id, Issuer: newAgentView(c.Issuer), Subject: newAgentView(c.Subject), Kind: caps.KindName(c.Scope.Kind),
		NotBefore: view.Time(c.NotBefore), ExpiresAt: view.Time(c.ExpiresAt), Delegable: c.Delegable,
		RevocationRequired: c.RevocationRequired, Signature: "valid", Constraints: []string{},
	}
	if c.CapID != id || c.Issuer.Verify(id, c.Signature) != nil {
		v.Signature = "invalid"
	}
	if text, err := view.JSON(v.Kind+"Scope", c.Scope.Payload); err == nil {
		v.Scope = text
	}
	v.power = powerText(c.Scope, v.Scope)
	if call, ok := toolCall(c.Scope); ok {
		for _, k := range slices.Sorted(maps.Keys(call.Constraints)) {
			v.Constraints = append(v.Constraints, caps.FormatConstraint(k, call.Constraints[k]))
		}
	}
	return v
}

// toolCall returns the scope of a call of a tool, and whether it is one.
func toolCall(s caps.Scope) (caps.ToolCall, bool) {
	var x caps.ToolCall
	if s.Kind != caps.KindToolCall {
		return x, false
	}
	r := can.NewReader(s.Payload)
	x.ReadCAN(&r)
	return x, r.Done() == nil
}

// powerText says in words what a scope is over, constraints apart.
func powerText(s caps.Scope, fields json.RawMessage) string {
	r := can.NewReader(s.Payload)
	switch s.Kind {
	case caps.KindToolCall:
		call, _ := toolCall(s)
		return fmt.Sprintf("tool %s, %s", call.ToolID.Hex()[:12], times(call.MaxCalls, "call"))
	case caps.KindNetConnect:
		var x caps.NetConnect
		x.ReadCAN(&r)
		ports := strings.Trim(fmt.Sprint(x.Ports), "[]")
		return strings.TrimSpace(fmt.Sprintf("%s port %s %s", strings.Join(x.Hosts, " "), ports, strings.Join(x.Methods, " ")))
	case caps.KindFsRead:
		var x caps.FsRead
		x.ReadCAN(&r)
		return x.Path
	case caps.KindFsWrite:
		var x caps.FsWrite
		x.ReadCAN(&r)
		return fmt.Sprintf("%s, %d bytes", x.Path, x.MaxBytes)
	case caps.KindSecretRead:
		var x caps.SecretRead
		x.ReadCAN(&r)
		return x.Name
	case caps.KindPackageRun:
		var x caps.PackageRun
		x.ReadCAN(&r)
		return fmt.Sprintf("package %s, rings up to %d", x.PackageID.Hex()[:12], x.Ring)
	case caps.KindPackagePublish:
		var x caps.PackagePublish
		x.ReadCAN(&r)
		return "names " + x.NamePrefix + "..."
	case caps.KindClock, caps.KindRandom:
		return ""
	}
	return string(fields)
}

// times counts things in words.
func times(n uint32, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printProof shows a proof, a row for each link.
func (a *app) printProof(v proofView, json bool) error {
	if json {
		return a.printJSON(v)
	}
	head := term.NewTable()
	if v.File != nil {
		head.Row("file", *v.File)
	}
	head.Row("kind", v.Kind)
	head.Row("holder", keyName(v.Holder))
	if err := a.printTable(head); err != nil {
		return err
	}
	t := term.NewTable("LINK", "CAP ID", "FROM", "TO", "POWER", "UNTIL", "PASSED ON", "SIGNATURE")
	for i, l := range v.Links {
		signature := l.Signature
		if l.RevocationRequired {
			signature += ", needs a fresh revocation list"
		}
		t.Row(fmt.Sprint(i), l.CapID.Hex()[:12], keyName(l.Issuer), keyName(l.Subject),
			l.text(), until(l.ExpiresAt), yes(l.Delegable), signature)
	}
	if err := a.printf("\n"); err != nil {
		return err
	}
	return a.printTable(t)
}

// text says in one line what a link is over; hashes are cut, JSON has them whole.
func (l *linkView) text() string {
	words := []string{l.power}
	for _, c := range l.Constraints {
		words = append(words, wholeHash.ReplaceAllString(c, "$1"))
	}
	return strings.Join(words, " ")
}

var wholeHash = regexp.MustCompile(`(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}`)

// keyName is a key as tables show it.
func keyName(v agentView) string {
	name := v.KeyID.Hex()[:12]
	if v.Hint != nil {
		name += " (" + *v.Hint + ")"
	}
	return name
}

// until is a time without its microseconds if they are none.
func until(text string) string { return strings.Replace(text, ".000000Z", "Z", 1) }

// agentNamed reads the public half of the key that a flag names: a key file, the name
// of a key of this user (executor is made if it is not there yet), or 64 hex digits.
func (a *app) agentNamed(n *node.Node, flag, name string) (sig.AgentID, error) {
	if name == "" {
		return sig.AgentID{}, usagef("%s is required: a public key file, the name of a key of yours such as executor, or a public key in hex", flag)
	}
	if h, err := cid.Parse("sha256:" + name); err == nil {
		return sig.AgentID{Scheme: sig.Ed25519, Key: [32]byte(h)}, nil
	}
	if name == string(sig.Executor) {
		if k, err := n.ExecutorKey(); err == nil {
			return k.Agent(), nil
		}
	}
	_, agent, _, err := a.findKey(n, name)
	return agent, err
}

// secretNamed reads the secret key that --key names: a key file, env:NAME, fd:N or the
// name of a key of this user.
func (a *app) secretNamed(n *node.Node, name, whose string) (sig.Key, error) {
	if name == "" {
		return sig.Key{}, usagef("--key is required: the key of %s, a key file, env:NAME or fd:N", whose)
	}
	path, _, role, err := a.findKey(n, name)
	if err != nil {
		return sig.Key{}, err
	}
	key, _, err := node.LoadKey(path)
	if err == nil && role == sig.Dev {
		err = usagef("%s is the local dev key, whose capabilities count only inside \"mythos run\"; \"mythos keys generate --role authority\" makes one that others can trust", name)
	}
	return key, err
}

// momentOrSpan reads a time as RFC 3339, or a span from another time as 90m, 24h or 7d.
func momentOrSpan(flag, text string, from time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if d, err := time.ParseDuration(days + "h"); err == nil {
			return from.Add(24 * d), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return from.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("%s %q is neither a span such as 90m, 24h or 7d nor a time such as 2026-01-31T00:00:00Z", flag, text)
	}
	return t.UTC(), nil
}
