package cli

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner/image"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// runtimeView is one runtime of this machine that modules may ask for.
type runtimeView struct {
	Name    string   `json:"name"` // "node" or "python3"
	Version string   `json:"version"`
	Path    string   `json:"path"`
	SHA256  cid.Hash `json:"sha256"`
}

// sandbox probes what this machine can enforce on modules that are programs.
func (x *examination) sandbox(ctx context.Context) (checkup, *sandbox.Report) {
	host, err := x.Sandbox(ctx)
	if err != nil {
		return broken("sandbox", err), nil
	}
	r := host.Report()
	detail := strings.TrimPrefix(r.String(), "sandbox: ")
	var fixes []string
	for _, f := range r.Features {
		if !f.OK {
			fixes = append(fixes, fmt.Sprintf("%s: %s", f.Name, f.Fix))
		}
	}
	switch {
	case host.Admit() != nil:
		return ill("sandbox", statusWarn, detail+"; modules of kind process and native are refused", strings.Join(fixes, "; ")), &r
	case r.Level < sandbox.LevelNamespaces:
		return ill("sandbox", statusWarn, detail+"; MYTHOS_SANDBOX="+r.Mode+" lets modules run all the same", "Unset MYTHOS_SANDBOX."), &r
	case len(fixes) > 0:
		return ill("sandbox", statusOK, detail, strings.Join(fixes, "; ")), &r
	}
	return healthy("sandbox", detail), &r
}

// runtimes lists the interpreters that process modules can use. One that is not
// there is no fault: only packages that ask for it need it.
func (x *examination) runtimes(ctx context.Context) ([]checkup, []runtimeView) {
	found, err := x.Interpreters(ctx)
	views := []runtimeView{}
	checks := []checkup{}
	for _, i := range found {
		views = append(views, runtimeView{i.Name, i.Version, i.Path, i.SHA256})
		checks = append(checks, healthy("runtime "+i.Name, i.Version+" at "+i.Path))
	}
	for _, name := range []string{"node", "python3"} {
		if !hasRuntime(views, name) {
			checks = append(checks, healthy("runtime "+name, "is not there; packages that ask for it are refused"))
		}
	}
	if err != nil {
		checks = append(checks, broken("configured runtimes", err))
	}
	return checks, views
}

// containers lists the OCI runtimes that images can use.
func (x *examination) containers(ctx context.Context) ([]checkup, []image.Runtime) {
	if runtime.GOOS != "linux" {
		return []checkup{healthy("OCI runtimes", "images run on Linux only")}, []image.Runtime{}
	}
	found, err := x.Containers(ctx)
	if err != nil {
		return []checkup{broken("OCI runtimes", err)}, []image.Runtime{}
	}
	if len(found) == 0 {
		return []checkup{healthy("OCI runtimes", "there is none; install runsc, crun or runc to run oci-image modules")}, []image.Runtime{}
	}
	var out []checkup
	for _, r := range found {
		detail := fmt.Sprintf("%s at %s, level %d", r.Version, r.Path, r.Level)
		if r.Detail != "" {
			detail += ": " + r.Detail
		}
		out = append(out, healthy("OCI runtime "+r.Name, detail))
	}
	return out, found
}

func hasRuntime(list []runtimeView, name string) bool {
	for _, v := range list {
		if v.Name == name {
			return true
		}
	}
	return false
}
