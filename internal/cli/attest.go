package cli

import (
	"context"
	"encoding/hex"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	ringlib "github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/node"
)

type attestOptions struct {
	*app
	node.AttestOptions
	claim, result string
	json          bool
}

func newAttest(a *app) *cobra.Command {
	o := &attestOptions{app: a}
	cmd := &cobra.Command{
		Use: "attest PACKAGE --claim CLAIM --key KEY", Short: "Say as a verifier what you found out about a package", GroupID: groupTrust,
		Args: args(cobra.ExactArgs(1)),
		Long: `Say as a verifier what you found out about a package. The attestation is put beside the
manifest of a packed folder or archive, so that it travels with the package, and into
this node's index. It changes neither package_id nor manifest CID.

CLAIM is contract (it keeps its contracts), eval (it passed an evaluation), metric (it
reached a figure) or signoff (you answer for it). --result is pass or fail, for metric a
number up to 10000. Of several by one key the latest counts: take a claim back with
--result fail. Files given with --evidence are stored, and named by CID.`,
		Example: "  mythos attest dist/demo-001-0.1.0 --claim eval --evidence report.json --key ada.key\n" +
			"  mythos attest demo.mythos.tgz --claim metric --result 9250 --evidence sha256:... --key ada.key\n" +
			"  mythos attest sha256:... --claim eval --result fail --notes 'leaks the prompt' --key ada.key",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.Package = list[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.claim, "claim", "", "contract, eval, metric or signoff (required)")
	f.StringVar(&o.result, "result", "", "pass, fail, or the figure of a metric (default pass)")
	f.StringArrayVar(&o.Evidence, "evidence", nil, "a `FILE` to store, or the CID of a stored object; may be repeated")
	f.StringVar(&o.Notes, "notes", "", "a remark for people")
	f.StringVar(&o.Key, "key", "", "a secret key of role verifier: a key `FILE`, env:NAME or fd:N (required)")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// attestView is what attest --json prints.
type attestView struct {
	Schema        string     `json:"schema"`
	AttestationID cid.Hash   `json:"attestation_id"`
	PackageID     cid.Hash   `json:"package_id"`
	Name          string     `json:"name"`
	Claim         string     `json:"claim"`
	Result        uint16     `json:"result"`
	Evidence      []cid.Hash `json:"evidence"`
	Verifier      cid.Hash   `json:"verifier"` // key id
	Bytes         string     `json:"bytes"`    // the canonical attestation in hex
}

func (o *attestOptions) run(ctx context.Context) error {
	if err := o.readClaim(); err != nil {
		return err
	}
	if o.Key == "" {
		return usagef("--key is required: a secret key of role verifier")
	}
	return o.withNode(func(n *node.Node) error {
		a, err := n.Attest(ctx, o.AttestOptions)
		if err != nil {
			return err
		}
		v := attestView{
			Schema: "mythos.attest/1", AttestationID: a.AttestationID, PackageID: a.SubjectHash, Name: a.Name, Claim: o.claim,
			Result: a.Result, Evidence: a.Evidence, Verifier: a.Signer.KeyID(), Bytes: hex.EncodeToString(a.Raw),
		}
		if o.json {
			if v.Evidence == nil {
				v.Evidence = []cid.Hash{}
			}
			return o.printJSON(v)
		}
		t := term.NewTable()
		t.Row("attestation", v.AttestationID.String())
		t.Row("package", v.Name+" "+v.PackageID.String())
		t.Row("claim", v.Claim+" "+resultText(a.ClaimType, a.Result))
		for _, e := range v.Evidence {
			t.Row("evidence", e.String())
		}
		t.Row("verifier", v.Verifier.String())
		return o.printTable(t)
	})
}

// readClaim reads --claim and --result.
func (o *attestOptions) readClaim() error {
	kind, ok := ringlib.ClaimOf(o.claim)
	if !ok {
		return usagef("--claim is contract, eval, metric or signoff, got %q", o.claim)
	}
	o.Claim, o.Result = kind, 1
	if kind == receipt.EvalMetric {
		num, err := strconv.ParseUint(o.result, 10, 16)
		if err != nil || num > receipt.MaxMetric {
			return usagef("--result of a metric is a number from 0 to %d, got %q", receipt.MaxMetric, o.result)
		}
		o.Result = uint16(num)
		return nil
	}
	switch o.result {
	case "", "pass":
	case "fail":
		o.Result = 0
	default:
		return usagef("--result is pass or fail, got %q", o.result)
	}
	return nil
}

func resultText(kind uint8, result uint16) string {
	switch {
	case kind == receipt.EvalMetric:
		return strconv.Itoa(int(result))
	case result == 0:
		return "fail"
	}
	return "pass"
}
