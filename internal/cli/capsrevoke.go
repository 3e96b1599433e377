package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

type capsRevokeOptions struct {
	*app
	targets    []string
	key        string
	link       int
	nextUpdate string
	from       string
	out        string
	json       bool
}

// listWindow is how long a revocation list stays fresh unless its issuer says so.
const listWindow = 7 * 24 * time.Hour

func newCapsRevoke(a *app) *cobra.Command {
	o := &capsRevokeOptions{app: a}
	cmd := &cobra.Command{
		Use: "revoke [PROOF|CAP_ID...] --key KEY", Short: "Revoke capabilities, or renew a revocation list",
		Long: `Revoke capabilities: sign the next revocation list of --key, with all that its last list
held. The list is accepted by this node at once and, with -o, written to a file for
others, who take it with "mythos caps revocations add". A key may revoke what it issued
and everything below that. Without a PROOF the list is only renewed, for capabilities
that count only while a fresh list is at hand.

Of a PROOF its last link is revoked unless --link says which; a CAP_ID is sha256:....
The last list is the one that this node accepted, or --from: give that if the key's
lists were made elsewhere, or nodes that know a newer one will refuse this one.`,
		Example: "  mythos caps revoke call.cap --key authority.key -o authority.revocations\n" +
			"  mythos caps revoke sha256:... --key alice.key --next-update 24h\n" +
			"  mythos caps revoke --key authority.key -o authority.revocations",
		Args: args(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.targets = list
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "the issuer's `KEY`: a key file, the name of a key of yours, env:NAME or fd:N (required)")
	f.IntVar(&o.link, "link", -1, "which link of a PROOF, `N` from 0; -1 is the last")
	f.StringVar(&o.nextUpdate, "next-update", "", "until when the list is fresh: a span as 24h or 7d, or a time in RFC 3339 (default 7d)")
	f.StringVar(&o.from, "from", "", "the key's last list, a `FILE` (default what this node accepted)")
	f.StringVarP(&o.out, "output", "o", "", "`FILE` to write as well, \"-\" for standard output; it is replaced")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 5, 6, 7)
}

func (o *capsRevokeOptions) run(ctx context.Context) error {
	if o.out == "-" && o.json {
		return usagef("-o - sends the list to standard output, where --json would follow it; give a file")
	}
	return o.withNode(func(n *node.Node) error {
		key, err := o.secretNamed(n, o.key, "whoever issued what is revoked")
		if err != nil {
			return err
		}
		last, err := o.last(n, key.Agent())
		if err != nil {
			return err
		}
		next, err := o.next(last, key.Agent())
		if err != nil {
			return err
		}
		raw, _, err := caps.SignRevocations(next, key)
		if err != nil {
			return err
		}
		list, _, err := n.AddRevocations(ctx, raw)
		if err != nil {
			return err
		}
		switch o.out {
		case "":
		case "-":
			return o.printBinary(raw)
		default:
			if err := fileError(o.out, atomicfile.Write(o.out, raw, 0o600)); err != nil {
				return err
			}
		}
		return o.printLists([]*caps.RevocationList{list}, o.json)
	})
}

// last returns the key's last list, nil if there is none: of two the newer.
func (o *capsRevokeOptions) last(n *node.Node, issuer sig.AgentID) (*caps.RevocationList, error) {
	known, err := n.RevocationsOf(issuer)
	if err != nil || o.from == "" {
		return known, err
	}
	raw, err := o.readInput(o.from, caps.MaxRevocationList)
	if err != nil {
		return nil, err
	}
	given, err := caps.OpenRevocations(raw)
	switch {
	case err != nil:
		return nil, about(o.from, err)
	case !given.Issuer().Equal(issuer):
		return nil, usagef("--from %s is a list of key %s, --key is %s", o.from, given.Issuer().KeyID(), issuer.KeyID())
	case known != nil && known.Mark().Seq > given.Mark().Seq:
		return known, nil
	}
	return given, nil
}

// next returns the list that follows last.
func (o *capsRevokeOptions) next(last *caps.RevocationList, by sig.AgentID) (caps.Revocations, error) {
	x := caps.Revocations{Seq: 1, Issued: o.Clock().UnixMicro()}
	if last != nil {
		if last.Mark().Seq == 1<<64-1 {
			return x, fault.New(caps.ErrRevocationSeq, "the last list has the highest seq there is: make a new key")
		}
		x.Seq, x.Revoked = last.Mark().Seq+1, slices.Clone(last.Revoked())
	}
	for _, t := range o.targets {
		id, err := o.target(t, by)
		if err != nil {
			return x, err
		}
		x.Revoked = append(x.Revoked, id)
	}
	slices.SortFunc(x.Revoked, cid.Hash.Compare)
	x.Revoked = slices.Compact(x.Revoked)
	until, err := o.Clock().Add(listWindow), error(nil)
	if o.nextUpdate != "" {
		until, err = momentOrSpan("--next-update", o.nextUpdate, o.Clock())
	}
	x.NextUpdate = until.UnixMicro()
	if err == nil && x.NextUpdate <= x.Issued {
		err = usagef("--next-update is %s, which is over", until.Format(time.RFC3339))
	}
	return x, err
}

// target returns the cap_id that an argument names.
func (o *capsRevokeOptions) target(text string, by sig.AgentID) (cid.Hash, error) {
	if strings.HasPrefix(text, "sha256:") {
		return hashFlag("a CAP_ID", text)
	}
	p, err := o.readProof(text)
	if err != nil {
		return cid.Hash{}, err
	}
	at := o.link
	if at == -1 {
		at = p.Len() - 1
	}
	if at < 0 || at >= p.Len() {
		return cid.Hash{}, usagef("--link %d: %s has links 0 to %d", o.link, text, p.Len()-1)
	}
	for i := range at + 1 {
		if p.Link(i).Issuer.Equal(by) {
			return p.CapIDs()[at], nil
		}
	}
	return cid.Hash{}, fault.New(node.ErrNotHolder, "key %s issued neither link %d nor one above it, so its word against that link counts for nobody", by.KeyID(), at).About(text)
}

func newCapsRevocations(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "revocations", Short: "Accept the revocation lists of others",
		Long: `Accept the revocation lists of others. A node keeps the newest list of each issuer and
looks at it whenever a capability is used; it fetches none by itself.`,
		Example: "  mythos caps revocations add authority.revocations",
	}, newCapsRevocationsAdd(a))
}

type capsRevocationsAddOptions struct {
	*app
	json bool
}

func newCapsRevocationsAdd(a *app) *cobra.Command {
	o := &capsRevocationsAddOptions{app: a}
	cmd := &cobra.Command{
		Use: "add FILE...", Short: "Accept revocation lists", Args: args(cobra.MinimumNArgs(1)),
		Long: `Accept revocation lists from files, "-" for standard input. A list must be signed by the
issuer that it names and be newer than the one of that issuer that was accepted last;
the same list again changes nothing. Nobody needs to be trusted for it: a list speaks
only about what its own issuer has issued, and what is below that.`,
		Example: "  mythos caps revocations add authority.revocations\n  fetch-the-list | mythos caps revocations add -",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.run(cmd.Context(), list) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 5, 7)
}

func (o *capsRevocationsAddOptions) run(ctx context.Context, files []string) error {
	return o.withNode(func(n *node.Node) error {
		var added []*caps.RevocationList
		for _, f := range files {
			raw, err := o.readInput(f, caps.MaxRevocationList)
			if err != nil {
				return err
			}
			l, fresh, err := n.AddRevocations(ctx, raw)
			if err != nil {
				return aboutInput(f, err)
			}
			if !fresh {
				o.note("%s: this list was accepted before", inputName(f))
			}
			added = append(added, l)
		}
		return o.printLists(added, o.json)
	})
}

// listView is a revocation list in JSON.
type listView struct {
	Issuer     agentView  `json:"issuer"`
	Seq        uint64     `json:"seq"`
	ID         cid.Hash   `json:"id"`
	Issued     string     `json:"issued"`
	NextUpdate string     `json:"next_update"`
	Fresh      bool       `json:"fresh"`
	Revoked    []cid.Hash `json:"revoked"`
}

func (a *app) listViews(lists []*caps.RevocationList) []listView {
	views := []listView{}
	for _, l := range lists {
		issued, next := l.Window()
		views = append(views, listView{
			newAgentView(l.Issuer()), l.Mark().Seq, l.Mark().ID, view.Time(issued), view.Time(next),
			l.Fresh(a.Clock().UnixMicro()), list(l.Revoked()),
		})
	}
	return views
}

func (a *app) printLists(lists []*caps.RevocationList, json bool) error {
	views := a.listViews(lists)
	if json {
		return a.printJSON(struct {
			Schema string     `json:"schema"`
			Lists  []listView `json:"lists"`
		}{"mythos.caps.revocations/1", views})
	}
	return a.printTable(listTable(views))
}

func listTable(views []listView) *term.Table {
	t := term.NewTable("ISSUER", "SEQ", "REVOKED", "ISSUED", "NEXT UPDATE", "FRESH").Right(1, 2)
	for _, v := range views {
		t.Row(keyName(v.Issuer), strconv.FormatUint(v.Seq, 10), strconv.Itoa(len(v.Revoked)), seconds(v.Issued), seconds(v.NextUpdate), yes(v.Fresh))
	}
	return t
}

// seconds cuts a time to its seconds.
func seconds(text string) string {
	if i := strings.IndexByte(text, '.'); i >= 0 {
		return text[:i] + "Z"
	}
	return text
}
