package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func newCTVP(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "ctvp", Short: "Run and show the conformance vectors", GroupID: groupBytes,
		Long: `Run and show the conformance vectors: inputs, and what every implementation of MYTHOS
must answer. This program carries them; --pack names a folder that holds others.`,
		Example: "  mythos ctvp verify\n  mythos ctvp verify --impl 'python3 -m mythos.conformance'\n  mythos ctvp show can-varint-not-minimal-001",
	}, newCTVPVerify(a), newCTVPFuzz(a), newCTVPList(a), newCTVPShow(a), newCTVPExport(a))
}

// ctvpChoice says which pack is read, and which of its vectors.
type ctvpChoice struct {
	*app
	pack   string
	suites []string
	filter string
	level  uint8
}

// bind adds the flags of a choice.
func (o *ctvpChoice) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.pack, "pack", "", "read the pack in the folder `DIR` instead of this program's")
	f.StringArrayVar(&o.suites, "suite", nil, "only vectors of this suite; may be repeated")
	f.StringVar(&o.filter, "filter", "", "only vectors whose id matches this regular expression")
	f.Uint8Var(&o.level, "level", conformance.MaxLevel, "only vectors up to this level: 0 is for everyone, 1 optional features, 2 scripts")
}

// open reads the pack.
func (o *ctvpChoice) open() (*conformance.Pack, error) {
	if o.pack == "" {
		return conformance.Embedded()
	}
	return conformance.Open(o.pack)
}

// options returns the choice as the runner takes it.
func (o *ctvpChoice) options() (conformance.Options, error) {
	opt := conformance.Options{Suites: o.suites, Level: int(o.level)}
	if o.level > conformance.MaxLevel {
		return opt, usagef("--level %d: must be 0 to %d", o.level, conformance.MaxLevel)
	}
	if o.filter != "" {
		re, err := regexp.Compile(o.filter)
		if err != nil {
			return opt, usagef("--filter: %w", err)
		}
		opt.Filter = re
	}
	return opt, nil
}

type ctvpVerifyOptions struct {
	ctvpChoice
	report string
	impl   string
}

func newCTVPVerify(a *app) *cobra.Command {
	o := &ctvpVerifyOptions{ctvpChoice: ctvpChoice{app: a}}
	cmd := &cobra.Command{
		Use: "verify", Short: "Hold an implementation to the vectors", Args: args(cobra.NoArgs),
		Long: `Hold an implementation to the vectors: this program or, with --impl, any other one.
First the pack itself is checked, every file against both of its digests. Each
suite then has a line with what passed, failed and is not implemented; what is
not implemented never counts as passed.

CMD is a program and its arguments; words with spaces stand in quotes, and no
shell runs. It reads one JSON request a line and answers each with one line, as
README.md of the pack says ("mythos ctvp export DIR" writes it). One process is
started for each processor.`,
		Example: `  mythos ctvp verify
  mythos ctvp verify --suite can --suite sig --level 0
  mythos ctvp verify --impl 'node my-impl.js' --report junit > ctvp.xml
  mythos ctvp verify --pack mythos-v0.2 --filter '^CAN_'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.bind(cmd)
	cmd.Flags().StringVar(&o.impl, "impl", "", "judge the program `CMD` instead of this one")
	cmd.Flags().StringVar(&o.report, "report", "text", "how the outcome is printed: text, json or junit")
	return exits(cmd, 3, 6, 7)
}

func (o *ctvpVerifyOptions) run(ctx context.Context) error {
	opt, err := o.options()
	if err != nil {
		return err
	}
	if o.report != "text" && o.report != "json" && o.report != "junit" {
		return usagef("--report %q: must be text, json or junit", o.report)
	}
	if opt.Start, err = o.start(); err != nil {
		return err
	}
	progress := term.NewProgress(o.Err, o.Getenv)
	defer progress.Done()
	opt.Progress = func(done, total int) { progress.Update("%d of %d vectors", done, total) }
	pack, err := o.open()
	if err != nil {
		return err
	}
	r, err := pack.Verify(ctx, opt)
	progress.Done()
	if err != nil {
		return err
	}
	if o.impl == "" {
		r.Impl.Version = Release
	}
	if err := o.print(r); err != nil {
		return err
	}
	return ctvpFailure(r)
}

// start returns how --impl is started, nil for this program.
func (o *ctvpVerifyOptions) start() (conformance.Start, error) {
	if o.impl == "" {
		return nil, nil
	}
	words, err := conformance.SplitCommand(o.impl)
	if err != nil {
		return nil, usagef("--impl: %w", err)
	}
	return conformance.Command{Args: words, Stderr: lineCleaner{o.Err}}.Start(), nil
}

// lineCleaner passes text on with what a terminal would obey made harmless.
type lineCleaner struct{ w io.Writer }

func (c lineCleaner) Write(b []byte) (int, error) {
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		lines[i] = term.Clean(line)
	}
	if _, err := io.WriteString(c.w, strings.Join(lines, "\n")); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ctvpFailure is the error that ends a run with vectors that failed, or with none
// that passed.
func ctvpFailure(r conformance.Report) error {
	if r.OK() {
		return nil
	}
	failed, first := 0, ""
	for _, x := range r.Results {
		if x.Failed() {
			failed++
			if first == "" {
				first = fmt.Sprintf("%s: %s", x.ID, x.Failure())
			}
		}
	}
	err := fault.New(conformance.ErrFailed, "%d of %d vectors failed, the first is %s", failed, len(r.Results), first)
	if failed == 0 {
		err = fault.New(conformance.ErrFailed, "%s implements none of the %d vectors", r.Impl.Name, len(r.Results))
	}
	return &failures{[]error{err}, exitVerification}
}

func (o *ctvpVerifyOptions) print(r conformance.Report) error {
	switch o.report {
	case "json":
		return o.printJSON(newCTVPReport(r))
	case "junit":
		return r.WriteJUnit(o.Out)
	}
	t := term.NewTable("SUITE", "PASSED", "FAILED", "NOT IMPLEMENTED", "TOTAL", "PER CENT").Right(1, 2, 3, 4, 5)
	all := conformance.Summary{Suite: "all"}
	for _, s := range r.Suites() {
		summaryRow(t, s)
		all.Passed, all.Failed, all.Absent, all.Total = all.Passed+s.Passed, all.Failed+s.Failed, all.Absent+s.Absent, all.Total+s.Total
	}
	summaryRow(t, all)
	return errors.Join(o.printTable(t), o.printDetails(r))
}

func summaryRow(t *term.Table, s conformance.Summary) {
	perCent := ""
	if n := s.PerCent(); n >= 0 {
		perCent = strconv.Itoa(n)
	}
	t.Row(s.Suite, strconv.Itoa(s.Passed), strconv.Itoa(s.Failed), strconv.Itoa(s.Absent), strconv.Itoa(s.Total), perCent)
}

// mostDetails bounds the failures that are listed for people.
const mostDetails = 20

// printDetails names what failed, what is not implemented, and what vectors that
// passed do not show.
func (o *ctvpVerifyOptions) printDetails(r conformance.Report) error {
	var errs []error
	listed := 0
	for _, x := range r.Results {
		if !x.Failed() {
			continue
		}
		if listed++; listed > mostDetails {
			errs = append(errs, o.printf("... and more; --report json lists all\n"))
			break
		}
		errs = append(errs, o.printf("FAILED %s: %s\n", x.ID, x.Failure()))
	}
	var absent []string
	for _, s := range r.Suites() {
		if s.Absent == s.Total {
			absent = append(absent, s.Suite)
		} else if s.Absent > 0 {
			absent = append(absent, s.Suite+" (in part)")
		}
	}
	if len(absent) > 0 {
		errs = append(errs, o.printf("%s does not implement: %s\n", r.Impl.Name, strings.Join(absent, ", ")))
	}
	for _, x := range r.Results {
		for _, c := range x.Checks {
			if c.OK && c.Note != "" {
				errs = append(errs, o.printf("note on %s: %s: %s\n", x.ID, c.Name, c.Note))
			}
		}
	}
	return errors.Join(errs...)
}

// ctvpReport is what ctvp verify --report json prints.
type ctvpReport struct {
	Schema  string       `json:"schema"`
	OK      bool         `json:"ok"`
	Pack    string       `json:"pack"`
	Version string       `json:"version"`
	Impl    ctvpImpl     `json:"impl"`
	Suites  []ctvpSuite  `json:"suites"`
	Results []ctvpResult `json:"results"`
}

type ctvpImpl struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type ctvpSuite struct {
	conformance.Summary
	PerCent *int `json:"per_cent"` // of those that ran; null if none did
}

type ctvpResult struct {
	ID      string   `json:"id"`
	Suite   string   `json:"suite"`
	Outcome string   `json:"outcome"` // passed, failed or not_implemented
	Failure *string  `json:"failure"` // null unless failed
	Notes   []string `json:"notes"`   // what a vector that passed does not show
}

func newCTVPReport(r conformance.Report) ctvpReport {
	v := ctvpReport{
		Schema: "mythos.ctvp.report/1", OK: r.OK(), Pack: r.Pack, Version: r.Version,
		Impl: ctvpImpl{r.Impl.Name, r.Impl.Version}, Suites: []ctvpSuite{}, Results: []ctvpResult{},
	}
	for _, s := range r.Suites() {
		suite := ctvpSuite{Summary: s}
		if n := s.PerCent(); n >= 0 {
			suite.PerCent = &n
		}
		v.Suites = append(v.Suites, suite)
	}
	for _, x := range r.Results {
		v.Results = append(v.Results, newCTVPResult(x))
	}
	return v
}

func newCTVPResult(x conformance.Result) ctvpResult {
	out := ctvpResult{ID: x.ID, Suite: x.Suite, Outcome: "passed", Notes: []string{}}
	switch {
	case x.Absent:
		out.Outcome = "not_implemented"
	case x.Failed():
		out.Outcome, out.Failure = "failed", orNull(x.Failure())
	}
	for _, c := range x.Checks {
		if c.OK && c.Note != "" {
			out.Notes = append(out.Notes, c.Name+": "+c.Note)
		}
	}
	return out
}
