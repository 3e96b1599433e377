package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// openVectors reads a pack whose vectors have ops.
func (o *ctvpChoice) openVectors() (*conformance.Pack, error) {
	pack, err := o.open()
	if err == nil && pack.Older() {
		err = fault.New(conformance.ErrPack, "a v0.2 pack, whose vectors have no ops to show").About(o.pack)
	}
	return pack, err
}

type ctvpListOptions struct {
	ctvpChoice
	json bool
}

func newCTVPList(a *app) *cobra.Command {
	o := &ctvpListOptions{ctvpChoice: ctvpChoice{app: a}}
	cmd := &cobra.Command{
		Use: "list", Short: "List the vectors", Args: args(cobra.NoArgs),
		Long:    `List the vectors: id, level, what must be answered, op and what it is about.`,
		Example: "  mythos ctvp list --suite can\n  mythos ctvp list --filter small-order --json",
		RunE:    func(*cobra.Command, []string) error { return o.run() },
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6)
}

// ctvpListView is what ctvp list --json prints.
type ctvpListView struct {
	Schema  string     `json:"schema"`
	Vectors []ctvpView `json:"vectors"`
}

// ctvpView is one vector in lists.
type ctvpView struct {
	ID     string   `json:"id"`
	Suite  string   `json:"suite"`
	Spec   string   `json:"spec"`
	Level  int      `json:"level"`
	Result string   `json:"result"`
	Error  *string  `json:"error"` // null unless the result needs one
	Flags  []string `json:"flags"`
	Op     string   `json:"op"`
	Doc    string   `json:"doc"`
}

func newCTVPView(c *conformance.Case) ctvpView {
	return ctvpView{
		ID: c.ID, Suite: c.Suite, Spec: c.Spec, Level: c.Level, Result: c.Result, Error: orNull(c.Error),
		Flags: append([]string{}, c.Flags...), Op: c.Vector.Op, Doc: c.Vector.Doc,
	}
}

func (o *ctvpListOptions) run() error {
	opt, err := o.options()
	if err != nil {
		return err
	}
	pack, err := o.openVectors()
	if err != nil {
		return err
	}
	cases, err := pack.Select(opt)
	if err != nil {
		return err
	}
	v := ctvpListView{Schema: "mythos.ctvp.list/1"}
	t := term.NewTable("ID", "LEVEL", "MUST BE", "OP", "ABOUT")
	for _, c := range cases {
		v.Vectors = append(v.Vectors, newCTVPView(c))
		t.Row(c.ID, strconv.Itoa(c.Level), mustAnswer(c), c.Vector.Op, c.Vector.Doc)
	}
	if o.json {
		return o.printJSON(v)
	}
	return o.printTable(t)
}

// mustAnswer says in a word what a vector demands.
func mustAnswer(c *conformance.Case) string {
	switch c.Result {
	case conformance.Valid:
		return "accepted"
	case conformance.Invalid:
		return c.Error
	}
	return "accepted or " + c.Error
}

type ctvpShowOptions struct {
	ctvpChoice
	json bool
}

func newCTVPShow(a *app) *cobra.Command {
	o := &ctvpShowOptions{ctvpChoice: ctvpChoice{app: a}}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one vector", Args: args(cobra.ExactArgs(1)),
		Long: `Show one vector: what it is about, why it exists, its input and what must be
answered. Inputs that stand in files of their own are shown in hex.`,
		Example: "  mythos ctvp show can-varint-not-minimal-001\n  mythos ctvp show sig-mixed-r-001 --json",
		RunE:    func(_ *cobra.Command, list []string) error { return o.run(list[0]) },
	}
	cmd.Flags().StringVar(&o.pack, "pack", "", "read the pack in the folder `DIR` instead of this program's")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6)
}

// ctvpShowView is what ctvp show --json prints.
type ctvpShowView struct {
	Schema string `json:"schema"`
	ctvpView
	Input  json.RawMessage    `json:"input"`
	Expect conformance.Expect `json:"expect"`
}

func (o *ctvpShowOptions) run(id string) error {
	pack, err := o.openVectors()
	if err != nil {
		return err
	}
	c, err := pack.Case(id)
	if err != nil {
		return err
	}
	if o.json {
		return o.printJSON(ctvpShowView{"mythos.ctvp.vector/1", newCTVPView(c), c.Input, c.Expect})
	}
	t := term.NewTable()
	t.Row("id", c.ID)
	t.Row("about", c.Vector.Doc)
	t.Row("spec", c.Spec)
	t.Row("level", strconv.Itoa(c.Level))
	for _, f := range c.Flags {
		t.Row("why", f+": "+pack.Flags[f])
	}
	t.Row("op", c.Vector.Op)
	t.Row("must be", mustAnswer(c))
	return errors.Join(o.printTable(t), o.printDocument("input", c.Input), o.printDocument("expect", c.Expect))
}

// printDocument prints a JSON value over several lines.
func (o *ctvpShowOptions) printDocument(name string, x any) error {
	raw, err := json.Marshal(x)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	return o.printText("\n" + name + " " + string(escapeJSON(b.Bytes())) + "\n")
}

func newCTVPExport(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "export DIR", Short: "Write the pack to a folder", Args: args(cobra.ExactArgs(1)),
		Long: `Write the pack that this program carries to a folder, which must be empty or not be
there: vectors, keys, schemas, and README.md, which says how to join.`,
		Example: "  mythos ctvp export mythos-ctvp\n  mythos ctvp verify --pack mythos-ctvp",
		RunE:    func(_ *cobra.Command, list []string) error { return a.exportCTVP(list[0]) },
	}
	return exits(cmd)
}

func (a *app) exportCTVP(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return usagef("%s is not empty", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fileError(dir, err)
	}
	if err := os.CopyFS(dir, ctvp.Files()); err != nil {
		return fileError(dir, err)
	}
	t := term.NewTable()
	t.Row("folder", dir)
	return a.printTable(t)
}
