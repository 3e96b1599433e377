package cli

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
	"github.com/mythos-run/mythos/runtime/node"
)

// withLog opens this user's ledger for fn, as a log with checkpoints.
func (a *app) withLog(fn func(*node.Node, ledger.Log) error) error {
	return a.withNode(func(n *node.Node) error {
		if !n.HasLedger() {
			return fault.New(ledger.ErrNoCheckpoint, "there is no ledger yet; the first run makes it")
		}
		log, err := n.ReadLedger()
		if err != nil {
			return err
		}
		return errors.Join(fn(n, log), log.Close())
	})
}

// checkpointKeys are the flags that say whose checkpoints and cosignatures count.
type checkpointKeys struct {
	keys, witnesses []string
}

func (k *checkpointKeys) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&k.keys, "key", nil, "public key file of a further executor whose checkpoints count; may be repeated")
	noEnv(f, "key") // MYTHOS_KEY is a secret key
	f.StringArrayVar(&k.witnesses, "witness", nil, "key of a witness whose cosignatures are verified, NAME+ID+BASE64; may be repeated")
}

// knownSigners is who may sign checkpoints, and who may cosign them.
type knownSigners struct {
	executors []sig.AgentID
	witnesses []tlog.Key
}

// load returns the node's own executor, if it has one, those of the trust file and
// those of the flags. It makes no key.
func (k *checkpointKeys) load(n *node.Node) (s knownSigners, err error) {
	trust, err := n.Trust()
	if err != nil {
		return s, err
	}
	own, role, err := node.LoadKey(filepath.Join(n.KeyDir(), string(sig.Executor)+".key"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err == nil && role == sig.Executor {
		s.executors = append(s.executors, own.Agent())
	}
	for _, e := range trust.Entries() {
		if e.Role == sig.Executor && e.Current(n.Clock()) {
			s.executors = append(s.executors, e.Keys...)
		}
	}
	for _, path := range k.keys {
		agent, _, err := node.LoadPublic(path)
		if err != nil {
			return s, err
		}
		s.executors = append(s.executors, agent)
	}
	for _, text := range k.witnesses {
		key, err := tlog.ParseKey(text)
		if err != nil {
			return s, usagef("--witness: %w", err)
		}
		s.witnesses = append(s.witnesses, key)
	}
	return s, nil
}

func (s knownSigners) open(raw []byte, subject string) (tlog.Verified, error) {
	v, err := tlog.Open(raw, s.executors, s.witnesses)
	return v, about(subject, err)
}

// openFile verifies a checkpoint in a file.
func (s knownSigners) openFile(a *app, path string) (tlog.Verified, error) {
	raw, err := a.readInput(path, tlog.MaxNote)
	if err != nil {
		return tlog.Verified{}, err
	}
	return s.open(raw, inputName(path))
}

// checkpointView is a verified checkpoint in JSON.
type checkpointView struct {
	Origin    string        `json:"origin"`
	Size      uint64        `json:"size"`
	Root      cid.Hash      `json:"root"`
	Key       string        `json:"key"`       // that signed it, as witnesses are told of it
	Witnesses []witnessView `json:"witnesses"` // that are known and cosigned it
}

type witnessView struct {
	Name string `json:"name"`
	Time string `json:"time"` // when it saw the checkpoint
}

func newCheckpointView(v tlog.Verified) checkpointView {
	c := checkpointView{Origin: v.Origin, Size: v.Size, Root: v.Root, Key: v.By.String(), Witnesses: []witnessView{}}
	for _, w := range v.Witnesses {
		c.Witnesses = append(c.Witnesses, witnessView{w.Key.Name, view.Time(time.Unix(w.Seconds, 0).UnixMicro())})
	}
	return c
}

type ledgerCheckpointOptions struct {
	*app
	checkpointKeys
	out  string
	size uint64
	json bool
}

func newLedgerCheckpoint(a *app) *cobra.Command {
	o := &ledgerCheckpointOptions{app: a}
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "Print the newest signed checkpoint", Args: args(cobra.NoArgs),
		Long: `Print the newest signed checkpoint of the ledger: how many entries it covers, and the
root of the tree over them, signed by this node's executor. Keep it where whoever can
write the ledger cannot: "mythos ledger verify --checkpoint" then shows whether
anything that it covers was altered, removed or cut off since. What is cut off after
it cannot be shown by anybody.

The format is C2SP tlog-checkpoint, which witnesses can cosign; --json tells the key
to configure them with.`,
		Example: "  mythos ledger checkpoint -o monday.checkpoint\n  mythos ledger checkpoint --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "output", "o", "", "file to write instead of standard output")
	f.Uint64Var(&o.size, "size", 0, "print the checkpoint of this size instead of the newest")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	o.bind(cmd)
	return exits(cmd, 3, 4, 6, 7)
}

func (o *ledgerCheckpointOptions) run(ctx context.Context) error {
	return o.withLog(func(n *node.Node, log ledger.Log) error {
		known, err := o.load(n)
		if err != nil {
			return err
		}
		c, err := checkpointOf(ctx, log, o.size)
		if err != nil {
			return err
		}
		v, err := known.open(c.Note, "the ledger's checkpoint")
		if err != nil {
			return err
		}
		for range log.Entries(ctx, c.Size) {
			if o.size == 0 {
				o.note("the ledger has entries that it does not cover yet; the end of the next run signs another")
			}
			break
		}
		if o.json {
			return o.printJSON(struct {
				Schema string `json:"schema"`
				checkpointView
				Note string `json:"note"`
			}{"mythos.ledger.checkpoint/1", newCheckpointView(v), string(c.Note)})
		}
		return o.writeOutput(o.out, c.Note, false)
	})
}

// checkpointOf returns the kept checkpoint of a size; of 0 the newest.
func checkpointOf(ctx context.Context, log ledger.Log, size uint64) (ledger.Checkpoint, error) {
	if size == 0 {
		return log.Newest(ctx)
	}
	var near []uint64
	for c, err := range log.Checkpoints(ctx, size) {
		if err != nil {
			return c, err
		}
		if c.Size == size {
			return c, nil
		}
		if near = append(near, c.Size); len(near) == 3 {
			break
		}
	}
	err := fault.New(ledger.ErrNoCheckpoint, "the ledger has no checkpoint of size %d", size)
	if len(near) > 0 {
		slices.Sort(near)
		err = fault.New(ledger.ErrNoCheckpoint, "the ledger has no checkpoint of size %d; the next ones are of %d", size, near)
	}
	return ledger.Checkpoint{}, err
}
