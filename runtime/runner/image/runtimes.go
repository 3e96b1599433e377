package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// tool is what is known of one OCI runtime.
type tool struct {
	name        string
	inside      int  // the one user and group inside; runc and runsc want a user 0
	ownKernel   bool // level 4
	passEach    bool // descriptors are handed on by --pass-fd instead of --preserve-fds
	hideCgroups bool // it is not to see cgroup file systems
	memory      int64
	pids        int    // what it takes itself, of the cgroup
	failed      int    // its status when it could not start a container
	failure     string // what such an error begins with
	unborn      string // what it has in it if its first process ended before it had read what to do
	flags       []string
}

// tools are the runtimes, strongest first.
func tools() []tool {
	return []tool{
		{
			name: "runsc", inside: 0, ownKernel: true, passEach: true, memory: 128 << 20, pids: 512, failed: 128,
			flags: []string{"--network=none", "--ignore-cgroups", "--overlay2=none", "--host-uds=open"},
		},
		{
			name: "crun", inside: 1000, hideCgroups: true, memory: 16 << 20, pids: 16, failed: 1,
			flags: []string{"--cgroup-manager=disabled"},
		},
		{
			name: "runc", inside: 0, memory: 48 << 20, pids: 48, failed: 1, failure: "runc run failed: ",
			unborn: "waiting for init preliminary setup: ",
		},
	}
}

// args is the whole command line for a container with so many descriptors.
func (t *tool) args(files int) []string {
	list := append([]string{t.name}, t.flags...)
	list = append(list, "--root="+sandbox.WorkDir+"/state", "--log="+sandbox.ProgramLog(files), "--log-format=json", "run", "--bundle="+sandbox.WorkDir)
	for i := range files {
		if t.passEach {
			list = append(list, fmt.Sprintf("--pass-fd=%d:%[1]d", firstFile+i))
		}
	}
	if files > 0 && !t.passEach {
		list = append(list, "--preserve-fds="+strconv.Itoa(files))
	}
	return append(list, "module")
}

// firstFile is the first descriptor of a module beside its pipes.
const firstFile = 3

// limits are those of the cgroup around runtime and module.
func (t *tool) limits(l sandbox.Limits) sandbox.Limits {
	return sandbox.Limits{Memory: max(l.Memory, sandbox.MinMemory) + t.memory, Pids: l.Pids + t.pids}
}

// Runtime is an OCI runtime of this machine.
type Runtime struct {
	Name    string `json:"name"` // runsc, crun, runc
	Path    string `json:"path"`
	Version string `json:"version"`
	// Level is the sandbox level of modules that it runs; 0: it cannot run any.
	Level uint8 `json:"level"`
	// Detail says why it cannot, or what to know about it.
	Detail string `json:"detail,omitempty"`

	tool tool
}

// places are where runtimes are looked for; PATH is not asked.
func places() []string {
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

// Discover returns the runtimes of this machine, strongest first, each tried with
// a canary: a container that may do what a module may, and that tries what it must
// not. path names the only one to look at; "": all in the usual places. scratch is
// an absolute folder for temporary files. A missing or unusable path is
// ErrRuntime; no runtime at all is an empty list.
func Discover(ctx context.Context, host *sandbox.Host, path, scratch string) ([]Runtime, error) {
	found, err := installed(ctx, path)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if err := found[i].try(ctx, host, scratch); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// installed finds runtimes without trying them.
func installed(ctx context.Context, path string) ([]Runtime, error) {
	if path != "" {
		r, err := inspect(ctx, path)
		if err != nil {
			return nil, err
		}
		return []Runtime{r}, nil
	}
	var out []Runtime
	for _, t := range tools() {
		for _, dir := range places() {
			if r, err := inspect(ctx, filepath.Join(dir, t.name)); err == nil {
				out = append(out, r)
				break
			}
		}
	}
	return out, ctx.Err()
}

var versionLine = regexp.MustCompile(`^(crun|runc|runsc)(?: \(.*\))? version ([0-9A-Za-z.+~_-]{1,80})`)

// inspect asks a runtime what it is.
func inspect(ctx context.Context, path string) (Runtime, error) {
	bad := func(format string, args ...any) (Runtime, error) {
		return Runtime{}, fault.New(ErrRuntime, format, args...).About(path)
	}
	if !filepath.IsAbs(path) {
		return bad("a runtime is named by its absolute path")
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return bad("%w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return bad("is no program")
	case info.Mode()&0o002 != 0:
		return bad("anybody may write to it: chmod o-w")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout = &capped{w: &out, left: 4 << 10}
	if err := cmd.Run(); err != nil {
		return bad("--version: %w", err)
	}
	said := versionLine.FindStringSubmatch(out.String())
	if said == nil {
		return bad("does not say that it is runsc, crun or runc: %.80q", out.String())
	}
	r := Runtime{Name: said[1], Path: path, Version: said[2]}
	r.tool = tools()[slices.IndexFunc(tools(), func(t tool) bool { return t.name == r.Name })]
	if r.Name == "runc" && oldRunc(r.Version) {
		r.Detail = "older than 1.2.8 and 1.3.3, which fixed CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881: update it, or install crun"
	}
	return r, nil
}

// capped keeps the first bytes that are written to it.
type capped struct {
	w    io.Writer
	left int
}

// Write never fails.
func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	_, _ = c.w.Write(p[:n])
	return len(p), nil
}

// oldRunc reports whether a runc has known ways out (fixed in 1.2.8 and 1.3.3).
func oldRunc(version string) bool {
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return true
	}
	switch {
	case major != 1:
		return major < 1
	case minor == 2:
		return patch < 8
	case minor == 3:
		return patch < 3
	}
	return minor < 2
}

// Engine names the runtime in evidence, as in crun/v1.8.1.
func (r *Runtime) Engine() string { return r.Name + "/v" + strings.TrimPrefix(r.Version, "v") }

// canaryAt is the canary's program in its image.
const canaryAt = "/canary"

// try runs a canary and sets Level. An error is the host's: what the runtime
// cannot do is in Detail.
func (r *Runtime) try(ctx context.Context, host *sandbox.Host, scratch string) error {
	if err := host.Admit(); err != nil {
		r.Level, r.Detail = sandbox.LevelNone, err.Error()
		return nil
	}
	why, err := r.canary(ctx, host, scratch)
	switch {
	case err != nil:
		return err
	case why != "":
		r.Level, r.Detail = sandbox.LevelNone, why
	case !grouped(host): // a kernel of its own bounds neither memory nor processes of this machine
		r.Level = sandbox.LevelNamespaces
	case r.tool.ownKernel:
		r.Level = runner.SandboxOwnKernel
	default:
		r.Level = sandbox.LevelFull
	}
	return nil
}

// grouped reports whether a cgroup bounds and ends what is run.
func grouped(host *sandbox.Host) bool {
	have := map[sandbox.Feature]bool{}
	for _, s := range host.Report().Features {
		have[s.Name] = s.OK
	}
	return have[sandbox.FeatureKill] && have[sandbox.FeatureMemory] && have[sandbox.FeaturePids]
}

// canary runs one container and says what is wrong with how it ran.
func (r *Runtime) canary(ctx context.Context, host *sandbox.Host, scratch string) (string, error) {
	code := sandbox.CanaryProgram()
	if code == nil {
		return "no canary for this architecture", nil
	}
	dir, err := os.MkdirTemp(scratch, ".canary-*")
	if err != nil {
		return "", fault.New(ErrStore, "%w", err).About(scratch)
	}
	defer os.RemoveAll(dir)
	if err := canaryTree(dir, code); err != nil {
		return "", fault.New(ErrStore, "%w", err).About(dir)
	}
	b := box{entry: []string{canaryAt}, env: environment(), limits: sandbox.Limits{Memory: 64 << 20, Pids: 32}}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	p, err := r.launch(ctx, host, &b, sandbox.Mount{Source: dir}, nil, nil)
	if err != nil {
		return err.Error(), ctx.Err()
	}
	stop := context.AfterFunc(ctx, p.Kill)
	var said bytes.Buffer
	_ = p.Stdin.Close()
	_, _ = io.Copy(&capped{w: &said, left: 4 << 10}, p.Stderr)
	exit := p.Wait()
	stop()
	if err := errors.Join(p.Close(), ctx.Err()); err != nil {
		return "", fmt.Errorf("canary of %s: %w", r.Path, err)
	}
	switch {
	case exit.Setup != nil:
		return exit.Setup.Error(), nil
	case exit.Code != sandbox.CanaryStatus && !(r.tool.ownKernel && exit.Code == 1): // no filter there, and no network either
		return fmt.Sprintf("its canary ended with status %d, signal %d, want status %d (1: sockets were not denied): %.300q",
			exit.Code, exit.Signal, sandbox.CanaryStatus, said.String()), nil
	}
	return "", nil
}

// canaryTree makes the canary's image.
func canaryTree(dir string, code []byte) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for _, name := range mountPoints() {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o755), os.Chmod(filepath.Join(dir, name), 0o755)); err != nil {
			return err
		}
	}
	at := filepath.Join(dir, filepath.FromSlash(canaryAt))
	return errors.Join(os.WriteFile(at, code, 0o555), os.Chmod(at, 0o555))
}

// launch starts a container: b without tool, groups and arch, which are filled in.
func (r *Runtime) launch(ctx context.Context, host *sandbox.Host, b *box, root sandbox.Mount, points []sandbox.Point, files []*os.File) (*sandbox.Process, error) {
	b.tool, b.groups, b.arch = r.tool, grouped(host), arch
	raw, err := b.encode()
	if err != nil {
		return nil, fault.New(sandbox.ErrSetup, "config.json: %w", err)
	}
	log, err := logFile()
	if err != nil {
		return nil, fault.New(sandbox.ErrSetup, "%w", err)
	}
	p, err := host.Launch(ctx, sandbox.Program{
		Path: r.Path, Argv: r.tool.args(len(files)), Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "XDG_RUNTIME_DIR=" + sandbox.WorkDir + "/state"},
		Config: raw, Root: root, Points: points, Mounts: b.mounts, HideCgroups: r.tool.hideCgroups,
		Files: files, Log: log, Limits: r.tool.limits(b.limits),
		Ended: func(e sandbox.Exit) sandbox.Exit {
			defer log.Close()
			return r.tool.ended(e, log)
		},
	})
	if err != nil {
		_ = log.Close() // Ended may have done so before
		return nil, fmt.Errorf("start %s: %w", r.Path, err)
	}
	return p, nil
}

// errUnborn is in the error of a container of which nothing has run. runc loses its first
// process now and then, once in some thousand starts, and the next one works.
var errUnborn = errors.New("its first process ended before it had read what to do")

// again runs a call once more if its container was unborn.
func again(run func() (runner.Result, error)) (runner.Result, error) {
	res, err := run()
	if errors.Is(err, errUnborn) {
		return run()
	}
	return res, err
}

// ended reads a runtime's end as the module's. A runtime reports a module that a
// signal ended as 128 and the signal; a module that exits with such a status
// cannot be told from it.
func (t *tool) ended(e sandbox.Exit, log io.ReaderAt) sandbox.Exit {
	if e.Setup != nil || e.Signal != 0 {
		return e
	}
	if e.Code == t.failed {
		if why := t.why(io.NewSectionReader(log, 0, 256<<10)); why != "" {
			e.Setup = fault.New(sandbox.ErrSetup, "%s: %s", t.name, why)
			if t.unborn != "" && strings.Contains(why, t.unborn) {
				e.Setup = fmt.Errorf("%w (%w)", e.Setup, errUnborn)
			}
			return e
		}
	}
	if e.Code > 128 && e.Code <= 128+64 {
		e.Signal, e.Code = e.Code-128, -1
	}
	return e
}

// why returns the error with which a runtime gave up, if its log has one, and what
// its log has beside it: runc's first process reports its end in a line of its own.
func (t *tool) why(log io.Reader) string {
	why, beside := "", ""
	for d := json.NewDecoder(log); ; {
		var line struct {
			Level string `json:"level"`
			Msg   string `json:"msg"`
		}
		if d.Decode(&line) != nil {
			break
		}
		switch {
		case line.Level != "error" && line.Level != "fatal":
		case strings.HasPrefix(line.Msg, t.failure):
			why = fmt.Sprintf("%.500s", line.Msg)
		default:
			beside = fmt.Sprintf(": %.200s", line.Msg)
		}
	}
	if why == "" {
		return ""
	}
	return why + beside
}
