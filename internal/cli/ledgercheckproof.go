package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
	"github.com/mythos-run/mythos/runtime/node"
)

// maxProofFile bounds a proof in a file: two checkpoints, an entry and its hashes.
const maxProofFile = 4 << 20

// ErrProofFile is the code of a file that is no proof.
const ErrProofFile fault.Code = "log_proof_format"

// parseProof reads what "ledger prove" writes, strictly.
func parseProof(raw []byte) (p logProof, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fault.New(ErrProofFile, "no proof: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return p, fault.New(ErrProofFile, "more follows the proof")
	}
	switch {
	case p.Schema != proofSchema:
		return p, fault.New(ErrProofFile, "schema %.40q, want %q", p.Schema, proofSchema)
	case p.Kind != proofInclusion && p.Kind != proofConsistency:
		return p, fault.New(ErrProofFile, "unknown kind %.40q", p.Kind)
	case (p.Entry != "") != (p.Kind == proofInclusion) || (p.Old != "") != (p.Kind == proofConsistency):
		return p, fault.New(ErrProofFile, "an inclusion has an entry, a consistency an older checkpoint")
	case len(p.Hashes) > tlog.MaxProof+1:
		return p, fault.New(ErrProofFile, "%d hashes, at most %d", len(p.Hashes), tlog.MaxProof+1)
	}
	return p, nil
}

// proven is what a proof says if it holds and its checkpoints are to be believed.
type proven struct {
	entry ledger.Entry // of an inclusion
	leaf  cid.Hash
}

// check checks a proof against the checkpoints in it, and no signature.
func (p logProof) check() (x proven, err error) {
	now, _, err := tlog.Parse([]byte(p.Checkpoint))
	if err != nil {
		return x, err
	}
	if p.Kind == proofConsistency {
		old, _, err := tlog.Parse([]byte(p.Old))
		switch {
		case err != nil:
			return x, err
		case old.Origin != now.Origin:
			return x, fault.New(tlog.ErrProof, "the checkpoints are of two logs, %s and %s", old.Origin, now.Origin)
		}
		return x, tlog.CheckConsistency(p.Hashes, old.Size, now.Size, old.Root, now.Root)
	}
	raw, err := hex.DecodeString(p.Entry)
	if err != nil {
		return x, fault.New(ErrProofFile, "the entry is not hex")
	}
	r := can.NewReader(raw)
	x.entry.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return x, fault.New(ErrProofFile, "the entry: %w", err)
	}
	x.leaf = ledger.LeafHash(x.entry.Index, ledger.Kind(x.entry.Kind), x.entry.Body)
	return x, tlog.CheckInclusion(p.Hashes, x.entry.Index, now.Size, x.leaf, now.Root)
}

type ledgerCheckProofOptions struct {
	*app
	checkpointKeys
	checkpoint string
	json       bool
}

func newLedgerCheckProof(a *app) *cobra.Command {
	o := &ledgerCheckProofOptions{app: a}
	cmd := &cobra.Command{
		Use: "check-proof FILE", Short: "Check a proof of \"ledger prove\", without the ledger", Args: args(cobra.ExactArgs(1)),
		Long: `Check a proof that "mythos ledger prove" has written, on any machine and without the
ledger: that the hashes lead from the entry to the checkpoint, or from the older
checkpoint to the newer, and that an executor known here has signed the checkpoints.
Known are this node's executor, those of the trust file and those given with --key.

--checkpoint is one that you keep: the proof must be about it. FILE may be "-".`,
		Example: "  mythos ledger check-proof entry.proof --key executor.pub",
		RunE:    func(_ *cobra.Command, list []string) error { return o.run(list[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.checkpoint, "checkpoint", "", "file with the checkpoint that the proof must be about")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	o.bind(cmd)
	return exits(cmd, 3, 4, 6, 7)
}

// provenView is what check-proof --json prints.
type provenView struct {
	Schema     string          `json:"schema"`
	OK         bool            `json:"ok"`
	Kind       string          `json:"kind"`
	Entry      json.RawMessage `json:"entry"` // of an inclusion: the entry with named fields; else null
	Leaf       *cid.Hash       `json:"leaf"`
	Old        *checkpointView `json:"old"` // of a consistency; else null
	Checkpoint checkpointView  `json:"checkpoint"`

	index uint64
	kind  ledger.Kind
}

func (o *ledgerCheckProofOptions) run(path string) error {
	return o.withNode(func(n *node.Node) error {
		known, err := o.load(n)
		if err != nil {
			return err
		}
		raw, err := o.readInput(path, maxProofFile)
		if err != nil {
			return err
		}
		p, err := parseProof(raw)
		if err != nil {
			return aboutInput(path, err)
		}
		v, err := o.check(known, p)
		if err != nil {
			return aboutInput(path, err)
		}
		return o.print(v)
	})
}

func (o *ledgerCheckProofOptions) check(known knownSigners, p logProof) (provenView, error) {
	v := provenView{Schema: "mythos.ledger.proof.check/1", OK: true, Kind: p.Kind, Entry: json.RawMessage("null")}
	x, err := p.check()
	if err != nil {
		return v, err
	}
	now, err := known.open([]byte(p.Checkpoint), "")
	if err != nil {
		return v, err
	}
	v.Checkpoint = newCheckpointView(now)
	have := []tlog.Checkpoint{now.Checkpoint}
	if p.Kind == proofConsistency {
		old, err := known.open([]byte(p.Old), "")
		if err != nil {
			return v, err
		}
		shown := newCheckpointView(old)
		v.Old, have = &shown, append(have, old.Checkpoint)
	} else {
		v.Leaf, v.index, v.kind = &x.leaf, x.entry.Index, ledger.Kind(x.entry.Kind)
		if v.Entry, err = entryJSON(ledger.Record{Index: x.entry.Index, Kind: v.kind, Body: x.entry.Body}); err != nil {
			return v, err
		}
	}
	return v, o.mustBeAbout(known, have)
}

// mustBeAbout checks that the proof is about the checkpoint that the user keeps.
func (o *ledgerCheckProofOptions) mustBeAbout(known knownSigners, have []tlog.Checkpoint) error {
	if o.checkpoint == "" {
		return nil
	}
	mine, err := known.openFile(o.app, o.checkpoint)
	if err != nil {
		return err
	}
	for _, c := range have {
		if c.Text() == mine.Text() {
			return nil
		}
	}
	return fault.New(tlog.ErrProof, "the proof is not about the checkpoint of %s of size %d in %s", mine.Origin, mine.Size, inputName(o.checkpoint))
}

func (o *ledgerCheckProofOptions) print(v provenView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("proves", v.says())
	t.Row("log", v.Checkpoint.Origin)
	t.Row("root", v.Checkpoint.Root.String())
	t.Row("signed by", v.Checkpoint.Key)
	for _, w := range v.Checkpoint.Witnesses {
		t.Row("witness", w.Name+" at "+w.Time)
	}
	return o.printTable(t)
}

// says is what was proved, in words.
func (v provenView) says() string {
	size := strconv.FormatUint(v.Checkpoint.Size, 10)
	if v.Old != nil {
		return "the log of " + size + " entries begins with the log of " + strconv.FormatUint(v.Old.Size, 10)
	}
	return "entry " + strconv.FormatUint(v.index, 10) + ", a " + v.kind.String() + ", is in the log of " + size + " entries"
}
