package cli

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/scaffold"
	"github.com/mythos-run/mythos/runtime/node"
)

type initOptions struct {
	*app
	scaffold.Options
	json bool
}

func newInit(a *app) *cobra.Command {
	o := &initOptions{app: a}
	cmd := &cobra.Command{
		Use: "init --lang LANG NAME [DIR]", Short: "Write the source folder of a new package", GroupID: groupPackages,
		Long: `Write the source folder of a new package: one small tool with a test, a program
that calls it, the manifest source, a README, and a copy of the SDK, so that the
folder depends on nothing but the language's own compiler. It packs and runs with
the commands that are printed.

NAME is the package's name, such as "greet" or "acme/greet"; DIR is made and is
NAME's last segment by default. LANG is one of

  go, rust, c, as   the tool is WebAssembly
  ts, python        the tool is a process, on the Node or Python of the machine

What packing or running needs and this machine lacks is said on standard error.`,
		Example: "  mythos init --lang go greet\n  mythos init --lang python acme/greet src/greet",
		Args:    args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.Name, o.Dir = list[0], scaffold.DefaultDir(list[0])
			if len(list) == 2 {
				o.Dir = list[1]
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Lang, "lang", "", "the tool's `LANGUAGE`: "+strings.Join(scaffold.Langs(), ", ")+" (required)")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 7)
}

// initView is the object that init --json prints.
type initView struct {
	Schema   string        `json:"schema"`
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Lang     string        `json:"lang"`
	Tool     string        `json:"tool"`
	Folder   string        `json:"folder"`
	Files    []string      `json:"files"`    // below folder, with slashes
	Commands []string      `json:"commands"` // for a POSIX shell, in this order
	Missing  []missingView `json:"missing"`
}

// missingView is something that packing or running takes and is not here.
type missingView struct {
	What    string `json:"what"`
	Install string `json:"install"`
}

func (o *initOptions) run(ctx context.Context) error {
	if o.Lang == "" {
		return usagef("say which language the tool is in with --lang %s", strings.Join(scaffold.Langs(), "|"))
	}
	if err := scaffold.CheckLang(o.Lang); err != nil {
		return usagef("--lang: %w", err)
	}
	if err := scaffold.CheckName(o.Name); err != nil {
		return usagef("%w", err)
	}
	if o.Dir == "" {
		return usagef("DIR is empty; leave it out if the name's last segment is meant")
	}
	w, err := scaffold.Write(o.Options)
	if err != nil {
		return err
	}
	v := initView{
		Schema: "mythos.init.result/1", Name: o.Name, Version: scaffold.Version, Lang: o.Lang, Tool: w.Tool,
		Folder: o.Dir, Files: w.Files, Missing: o.missing(ctx),
		Commands: []string{
			"cd " + shellWord(o.Dir),
			"mythos pack . -o dist",
			"mythos run dist/" + w.Packed + ` --input '["Ada"]'`,
			"mythos dev .",
		},
	}
	for _, m := range v.Missing {
		o.note("%s was not found: %s", m.What, m.Install)
	}
	return o.print(v)
}

// missing lists what packing and running the new package will ask for in vain.
func (o *initOptions) missing(ctx context.Context) []missingView {
	list := []missingView{}
	for _, n := range scaffold.Missing(ctx, o.Lang) {
		list = append(list, missingView(n))
	}
	name := scaffold.Runtime(o.Lang)
	if name == "" || slices.ContainsFunc(list, func(m missingView) bool { return m.What == name }) {
		return list
	}
	found := false
	err := o.withNode(func(n *node.Node) error {
		all, err := n.Interpreters(ctx)
		for _, i := range all {
			found = found || i.Name == name
		}
		return err
	})
	if err != nil || !found {
		list = append(list, missingView{
			"the runtime " + name,
			"install it in /usr/bin or /usr/local/bin, or name it with MYTHOS_" + strings.ToUpper(name) + `; "mythos doctor" says more`,
		})
	}
	return list
}

// shellWord writes a path as one word of a command line.
func shellWord(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "." + string(filepath.Separator) + path
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./_-+,@%=:", r)
	}
	if !strings.ContainsFunc(path, func(r rune) bool { return !plain(r) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func (o *initOptions) print(v initView) error {
	if o.json {
		return o.printJSON(v)
	}
	if err := o.printf("%s holds a package with the tool %s\n", v.Folder, v.Tool); err != nil {
		return err
	}
	for _, name := range v.Files {
		if err := o.printf("  %s\n", name); err != nil {
			return err
		}
	}
	if err := o.printf("\nnext\n"); err != nil {
		return err
	}
	for _, line := range v.Commands {
		if err := o.printf("  %s\n", line); err != nil {
			return err
		}
	}
	return nil
}
