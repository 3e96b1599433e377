package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/conformance/differ"
)

type ctvpFuzzOptions struct {
	*app
	impls       []string
	cases       uint64
	seed, first uint64
	save        string

	progress *term.Progress
	found    int
	err      error // of saving or printing a disagreement
}

func newCTVPFuzz(a *app) *cobra.Command {
	o := &ctvpFuzzOptions{app: a}
	cmd := &cobra.Command{
		Use: "fuzz", Short: "Compare other implementations with this program on generated cases", Args: args(cobra.NoArgs),
		Long: `Compare other implementations with this program on generated cases: values of every
struct and their mutations, signed objects with every bit changed, proofs,
packets, histories and chains. Verdict, code, offset and every member of the
output must agree. CMD is as for "mythos ctvp verify --impl"; each processor gets
two processes of it. Cases whose op CMD does not have are counted, not compared.

A case depends on the seed, its number and this build alone: --first N --cases 1
asks it again. Each disagreement is printed and written to a file of --save, as a
vector that expects what this program answers. Which side is wrong, the
specification says.`,
		Example: `  mythos ctvp fuzz --impl 'node my-impl.js'
  mythos ctvp fuzz --impl 'node my-impl.js' --impl 'python3 -m mythos.conformance' --cases 500000 --seed 2
  mythos ctvp fuzz --impl 'node my-impl.js' --seed 2 --first 4711 --cases 1`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.impls, "impl", nil, "compare the program `CMD`; may be repeated")
	noEnv(f, "impl") // MYTHOS_IMPL is one, of ctvp verify
	f.Uint64Var(&o.cases, "cases", 20_000, "how many cases")
	f.Uint64Var(&o.seed, "seed", 1, "what the cases are made from")
	f.Uint64Var(&o.first, "first", 0, "number of the first case")
	f.StringVar(&o.save, "save", "ctvp-candidates", "write disagreements to the folder `DIR`, which is made if there are any")
	return exits(cmd, 3, 7)
}

// fuzzLimit is for one answer. It is longer than that of vectors: a long run on a
// busy machine compares answers, not times.
const fuzzLimit = time.Minute

// mostCases bounds a run, so that numbers of cases cannot overflow.
const mostCases = 1 << 40

func (o *ctvpFuzzOptions) run(ctx context.Context) error {
	switch {
	case len(o.impls) == 0:
		return usagef("--impl: name a program to compare with")
	case o.cases == 0 || o.cases > mostCases || o.first > mostCases:
		return usagef("--cases %d --first %d: must be 1 to %d cases, and a first one up to that", o.cases, o.first, uint64(mostCases))
	}
	opt := differ.Options{From: o.first, Cases: o.cases}
	for _, line := range o.impls {
		words, err := conformance.SplitCommand(line)
		if err != nil {
			return usagef("--impl: %w", err)
		}
		opt.Impls = append(opt.Impls, conformance.Command{Args: words, Stderr: lineCleaner{o.Err}, Limit: fuzzLimit}.Start())
	}
	g, err := differ.NewGenerator(o.seed)
	if err != nil {
		return err
	}
	o.progress = term.NewProgress(o.Err, o.Getenv)
	defer o.progress.Done()
	opt.Progress = func(done, total int) { o.progress.Update("%d of %d cases, %d disagreements", done, total, o.found) }
	opt.Found = o.disagreement
	r, err := differ.Run(ctx, g, opt)
	o.progress.Done()
	if r.Cases > 0 { // also where it was interrupted
		err = errors.Join(err, o.err, o.print(g, r))
	}
	if err != nil {
		return err
	}
	return r.Err()
}

// mostShown bounds what is printed of an input or an answer.
const mostShown = 400

// disagreement prints and saves one; of many only the first.
func (o *ctvpFuzzOptions) disagreement(d *differ.Disagreement) {
	o.found++
	if o.found > mostDetails || o.err != nil {
		return
	}
	o.progress.Done()
	file := filepath.Join(o.save, d.Case.ID()+"-"+strconv.Itoa(o.found)+".json")
	got := "no answer"
	if d.Got != nil {
		got = shown(d.Got)
	}
	o.err = errors.Join(
		o.saveCandidate(file, d),
		o.printf("DISAGREEMENT seed %d case %d %s %s: %s: %s\n", d.Case.Seed, d.Case.Index, d.Case.Class, d.Case.Op, d.Impl, d.Why),
		o.printf("  input %s\n", cut(string(d.Case.Input))),
		o.printf("  this build %s\n", shown(d.Want)),
		o.printf("  %s %s\n", d.Impl, got),
		o.printf("  saved %s\n", file),
	)
	if o.found == mostDetails {
		o.err = errors.Join(o.err, o.printf("further disagreements are counted, not printed\n"))
	}
}

func (o *ctvpFuzzOptions) saveCandidate(file string, d *differ.Disagreement) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d.Candidate()); err != nil {
		return err
	}
	if err := os.MkdirAll(o.save, 0o755); err != nil {
		return fileError(o.save, err)
	}
	if err := atomicfile.Write(file, b.Bytes(), 0o644); err != nil {
		return fileError(file, err)
	}
	return nil
}

// shown is an answer on one line.
func shown(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		return err.Error()
	}
	return cut(string(b))
}

func cut(s string) string {
	if len(s) > mostShown {
		return s[:mostShown] + fmt.Sprintf("... (%d bytes)", len(s))
	}
	return s
}

// print shows how this program answered each class, who was compared, and the
// count, in the last line.
func (o *ctvpFuzzOptions) print(g *differ.Generator, r differ.Report) error {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	classes := term.NewTable("CLASS", "VALID", "INVALID").Right(1, 2)
	for _, c := range r.Classes {
		if c.Valid+c.Invalid > 0 {
			classes.Row(c.Class, number(c.Valid), number(c.Invalid))
		}
	}
	peers := term.NewTable("IMPLEMENTATION", "COMPARED", "NOT IMPLEMENTED", "DISAGREED").Right(1, 2, 3)
	for _, p := range r.Impls {
		peers.Row(p.Info.Name+" "+p.Info.Version, number(p.Compared), number(p.Absent), number(p.Disagreed))
	}
	errs := []error{o.printTable(classes), o.printTable(peers)}
	if r.From == 0 {
		done, all := g.Bits(r.Cases)
		errs = append(errs, o.printf("%d of the %d bits of sealed objects flipped; %d %% of cases are signed and read to their signature\n", done, all, g.Signed()))
	}
	return errors.Join(append(errs, o.printf("%d cases of seed %d from case %d: %d disagreements\n", r.Cases, r.Seed, r.From, r.Disagreements()))...)
}
