package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// ErrTrustRole is the code of a key that is to be trusted in another role than
// its file names.
const ErrTrustRole fault.Code = "trust_role"

func newTrust(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "trust", Short: "Say whose signatures count here", GroupID: groupTrust,
		Long: `Say whose signatures count here. The trust file holds entries of a role, keys, how
many of them must sign together, and the package names for which they count. No other
command ever adds to it.`,
		Example: "  mythos trust add publisher release.pub --name 'demo-*'\n  mythos trust list\n  mythos trust explain dist/demo-001-0.1.0",
	}, newTrustAdd(a), newTrustRemove(a), newTrustList(a), newTrustExplain(a))
}

type trustAddOptions struct {
	*app
	role                string
	files               []string
	names               []string
	threshold           int
	notBefore, notAfter string
	ringMax             int
	rotates             string
	json                bool
}

func newTrustAdd(a *app) *cobra.Command {
	o := &trustAddOptions{app: a}
	cmd := &cobra.Command{
		Use: "add ROLE PUBLICFILE...", Short: "Trust keys in a role, as one entry",
		Long: `Trust the keys of public key files in a role, together, as one new entry. A package
needs --threshold distinct keys of one publisher entry whose names cover it. In a name
glob * is any run of characters within one segment and ** any run across segments.

--rotates adds the keys to the entry that holds an older one instead, which keeps its
names, window and identity; take the old key out with "mythos trust remove" once nothing
depends on it.`,
		Example: "  mythos trust add publisher release.pub --name 'demo-*'\n  mythos trust add publisher a.pub b.pub c.pub --threshold 2 --name 'billing/**'\n  mythos trust add authority 2027.pub --rotates 2026.pub",
		Args:    args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.role, o.files = list[0], list[1:]
			for _, f := range []string{"name", "threshold", "not-before", "not-after", "ring-max"} {
				if o.rotates != "" && cmd.Flags().Changed(f) {
					return usagef("--%s is a matter of the entry, which --rotates keeps as it is", f)
				}
			}
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().StringArrayVar(&o.names, "name", []string{"**"}, "glob of package names; may be repeated")
	cmd.Flags().IntVar(&o.threshold, "threshold", 1, "how many of the keys must have signed")
	cmd.Flags().StringVar(&o.notBefore, "not-before", "", "first moment at which the entry counts, RFC 3339 in UTC")
	cmd.Flags().StringVar(&o.notAfter, "not-after", "", "moment from which it no longer counts, RFC 3339 in UTC")
	cmd.Flags().IntVar(&o.ringMax, "ring-max", -1, "highest ring for which the entry counts; -1 is any")
	cmd.Flags().StringVar(&o.rotates, "rotates", "", "add to the entry that holds this `KEY`: a public key file, a key's name or a key id")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

func (o *trustAddOptions) run(ctx context.Context) error {
	entry, err := o.entry()
	if err != nil {
		return err
	}
	return o.withNode(func(n *node.Node) error {
		if o.rotates != "" {
			of, err := o.keyID(n, o.rotates)
			if err == nil {
				entry, err = n.RotateTrust(ctx, entry.Role, of, entry.Keys)
			}
			if err != nil {
				return err
			}
			return o.printTrust([]gate.TrustEntry{entry}, o.json)
		}
		// The entry alone first: its faults are the command line's.
		if _, err := gate.NewTrust([]gate.TrustEntry{entry}); err != nil {
			return usagef("%s", strings.TrimPrefix(gate.FailureOf(err).Message, "entry 1: "))
		}
		stands, there, err := n.AddTrust(ctx, entry)
		if err != nil {
			return err
		}
		if there {
			o.note("it is there already: nothing was added")
		}
		return o.printTrust([]gate.TrustEntry{stands}, o.json)
	})
}

func (o *trustAddOptions) entry() (gate.TrustEntry, error) {
	role, err := parseRole(o.role)
	if err != nil {
		return gate.TrustEntry{}, err
	}
	if o.threshold < 1 {
		return gate.TrustEntry{}, usagef("--threshold is at least 1, got %d", o.threshold)
	}
	e := gate.TrustEntry{Role: role, Threshold: o.threshold, Names: o.names}
	for _, f := range o.files {
		agent, got, err := node.LoadPublic(f)
		switch {
		case err != nil:
			return e, err
		case got != role:
			return e, fault.New(ErrTrustRole, "the key was made for role %s, not %s", got, role).About(f)
		}
		e.Keys = append(e.Keys, agent)
	}
	if e.NotBefore, err = momentFlag("--not-before", o.notBefore); err != nil {
		return e, err
	}
	if e.NotAfter, err = momentFlag("--not-after", o.notAfter); err != nil {
		return e, err
	}
	if o.ringMax > 255 || o.ringMax < -1 {
		return e, usagef("--ring-max is -1 to 255, got %d", o.ringMax)
	}
	if o.ringMax >= 0 {
		ring := uint8(o.ringMax)
		e.RingMax = &ring
	}
	return e, nil
}

func momentFlag(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("%s: %q is no time such as 2026-01-31T00:00:00Z", name, text)
	}
	return t.UTC(), nil
}

type trustListOptions struct {
	*app
	json bool
}

func newTrustList(a *app) *cobra.Command {
	o := &trustListOptions{app: a}
	cmd := &cobra.Command{
		Use: "list", Short: "List the trust file's entries", Args: args(cobra.NoArgs),
		Long:    "List the trust file's entries. The local dev key and the executor's own key are trusted without standing there.",
		Example: "  mythos trust list --json",
		RunE:    func(*cobra.Command, []string) error { return o.run() },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 7)
}

func (o *trustListOptions) run() error {
	return o.withNode(func(n *node.Node) error {
		trust, err := n.Trust()
		if err != nil {
			return err
		}
		if len(trust.Entries()) == 0 && !o.json {
			o.note("%s trusts nobody yet; \"mythos trust add\" makes an entry", n.TrustPath())
			return nil
		}
		return o.printTrust(trust.Entries(), o.json)
	})
}

// trustView is one entry in JSON.
type trustView struct {
	Role      sig.Role   `json:"role"`
	Origin    cid.Hash   `json:"origin"`
	Keys      []trustKey `json:"keys"`
	Threshold int        `json:"threshold"`
	Names     []string   `json:"names"`
	NotBefore *time.Time `json:"not_before"`
	NotAfter  *time.Time `json:"not_after"`
	RingMax   *uint8     `json:"ring_max"`
}

type trustKey struct {
	KeyID cid.Hash `json:"key_id"`
	Key   string   `json:"key"`
	Hint  *string  `json:"hint"`
}

func newTrustKey(k sig.AgentID) trustKey {
	return trustKey{k.KeyID(), cid.Hash(k.Key).Hex(), orNull(k.Hint)}
}

func newTrustView(e gate.TrustEntry) trustView {
	v := trustView{Role: e.Role, Origin: e.Origin, Threshold: e.Threshold, Names: e.Names, RingMax: e.RingMax}
	for _, k := range e.Keys {
		v.Keys = append(v.Keys, newTrustKey(k))
	}
	for _, m := range []struct {
		at time.Time
		to **time.Time
	}{{e.NotBefore, &v.NotBefore}, {e.NotAfter, &v.NotAfter}} {
		if !m.at.IsZero() {
			*m.to = &m.at
		}
	}
	return v
}

func (a *app) printTrust(entries []gate.TrustEntry, json bool) error {
	views := []trustView{}
	t := term.NewTable("ROLE", "KEYS", "NEEDED", "NAMES", "RINGS", "COUNTS")
	for _, e := range entries {
		v := newTrustView(e)
		views = append(views, v)
		t.Row(string(e.Role), keyNames(e.Keys), fmt.Sprintf("%d of %d", e.Threshold, len(e.Keys)),
			strings.Join(e.Names, " "), rings(e.RingMax), window(e))
	}
	if json {
		return a.printJSON(struct {
			Schema  string      `json:"schema"`
			Entries []trustView `json:"entries"`
		}{"mythos.trust.list/1", views})
	}
	return a.printTable(t)
}

func keyNames(keys []sig.AgentID) string {
	var names []string
	for _, k := range keys {
		name := k.KeyID().Hex()[:12]
		if k.Hint != "" {
			name += " (" + k.Hint + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func rings(limit *uint8) string {
	if limit == nil {
		return "all"
	}
	return "0-" + strconv.Itoa(int(*limit))
}

func window(e gate.TrustEntry) string {
	from, to := "always", ""
	if !e.NotBefore.IsZero() {
		from = "from " + e.NotBefore.Format(time.RFC3339)
	}
	if !e.NotAfter.IsZero() {
		to = " until " + e.NotAfter.Format(time.RFC3339)
	}
	return from + to
}
