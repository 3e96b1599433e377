package cli

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/watch"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

// lookEvery is how often mythos dev looks for changes.
const lookEvery = 300 * time.Millisecond

type devOptions struct {
	runOptions
	dir   string
	out   string
	watch []string
	once  bool
}

func newDev(a *app) *cobra.Command {
	o := &devOptions{runOptions: runOptions{app: a}}
	cmd := &cobra.Command{
		Use: "dev DIR", Short: "Pack and run a source folder again whenever it changes", GroupID: groupPackages,
		Long: `Pack a source folder and run it, and do both again whenever a file below DIR
changes, until it is interrupted. Every round is a run of its own, with the
capabilities that "mythos run" would issue. What build commands make, hidden
files, node_modules, target and __pycache__ are not looked at; --watch adds sources
that lie elsewhere. A round that fails is reported, and the next change starts another.`,
		Example: "  mythos dev .\n  mythos dev packages/demo-001 --watch tools/echo --input '[]'\n  mythos dev . --once --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.dir = list[0]
			return o.run(cmd.Context(), cmd)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "the `FOLDER` to write packages to (default one in the cache folder)")
	f.StringArrayVar(&o.watch, "watch", nil, "look at this `PATH` too; may be repeated")
	f.BoolVar(&o.once, "once", false, "one round, and end as the run ended")
	f.StringVar(&o.Entrypoint, "entrypoint", "", "the entry point's `NAME` (default the only one, else \"main\")")
	f.StringVar(&o.input, "input", "", "the inputs: a `JSON` array in the JSON view (default the task's own)")
	f.StringArrayVar(&o.Grants, "grant", nil, "hand this `POWER` to the run's modules; may be repeated")
	f.StringArrayVar(&o.Variants, "variant", nil, "`TOOL=VARIANT`: use this variant of a tool; may be repeated")
	f.BoolVar(&o.json, "json", false, "print one JSON object for each run")
	return exits(cmd, 3, 4, 5, 6, 7, 8)
}

func (o *devOptions) run(ctx context.Context, cmd *cobra.Command) error {
	if err := o.readInput(); err != nil {
		return err
	}
	for {
		before, err := o.look(ctx)
		if err != nil {
			return err
		}
		err = o.round(ctx)
		if o.once || ctx.Err() != nil {
			return err
		}
		if err != nil {
			o.report(ctx, cmd, err)
		}
		after, err := o.look(ctx)
		if err != nil {
			return err
		}
		o.note("watching %s for changes; interrupt to end", o.dir)
		path, err := watch.Wait(ctx, lookEvery, before.WithNew(after), func() (watch.Snapshot, error) { return o.look(ctx) })
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		o.note("%s changed", path)
	}
}

// look takes a snapshot of the sources.
func (o *devOptions) look(ctx context.Context) (watch.Snapshot, error) {
	built, err := pack.Outputs(o.dir)
	if err != nil {
		built = nil // the round says what is wrong with the recipe
	}
	for i := range built {
		built[i] = filepath.Join(o.dir, filepath.FromSlash(built[i]))
	}
	out, _ := filepath.Abs(o.out)
	s, err := watch.Take(ctx, append([]string{o.dir}, o.watch...), func(path string) bool {
		name := filepath.Base(path)
		abs, _ := filepath.Abs(path)
		return path != o.dir && strings.HasPrefix(name, ".") || slices.Contains([]string{"node_modules", "target", "__pycache__"}, name) ||
			o.out != "" && abs == out || slices.Contains(built, path)
	})
	if errors.Is(err, watch.ErrTooMany) {
		err = usagef("%w", err)
	}
	return s, err
}

// round packs and runs once.
func (o *devOptions) round(ctx context.Context) error {
	progress := term.NewProgress(o.Err, o.Getenv)
	defer progress.Done()
	progress.Update("packing %s ...", o.dir)
	return o.withNode(func(n *node.Node) error {
		out := o.out
		if out == "" {
			out = filepath.Join(n.Paths.Cache, "dev")
		}
		b, _, err := n.Pack(ctx, node.PackOptions{Dir: o.dir, Out: out})
		if err != nil {
			return err
		}
		o.Package, o.RunID = b.Folder, n.NewRunID()
		o.OnLog = func(tool, variant string, log []byte) {
			progress.Done()
			for line := range strings.Lines(string(log)) {
				o.note("%s %s", toolLabel(tool, variant), strings.TrimSuffix(line, "\n"))
			}
		}
		progress.Update("running %s ...", b.Name)
		r, err := n.Run(ctx, o.RunOptions)
		progress.Done()
		if err != nil {
			return err
		}
		if err := o.print(r); err != nil {
			return err
		}
		return outcome(r.Result)
	})
}
