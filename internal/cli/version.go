package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
)

type versionOptions struct {
	*app
	json bool
}

func newVersion(a *app) *cobra.Command {
	o := &versionOptions{app: a}
	cmd := &cobra.Command{
		Use: "version", Short: "Show the version of this program", GroupID: groupMachine,
		Long: `Show the version of this program.

The version is what a package's executor_min_version is held against; build names
the commit or the builder, if the builder said so.`,
		Example: "  " + a.name + " version --json",
		Args:    args(cobra.NoArgs),
		RunE:    func(*cobra.Command, []string) error { return o.run() },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd)
}

// versionView is the object that version --json prints.
type versionView struct {
	Schema   string   `json:"schema"`
	Program  string   `json:"program"`
	Version  string   `json:"version"`
	Build    *string  `json:"build"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Codebook cid.Hash `json:"codebook_id"`
}

func (o *versionOptions) run() error {
	v := versionView{
		Schema: "mythos.version/1", Program: o.name, Version: Release, Build: orNull(o.Build), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Codebook: codebook.BaselineID(),
	}
	if o.json {
		return o.printJSON(v)
	}
	build := ""
	if v.Build != nil {
		build = " (" + *v.Build + ")"
	}
	return o.printf("%s %s%s, %s, %s\n", v.Program, v.Version, build, v.Go, v.Platform)
}
