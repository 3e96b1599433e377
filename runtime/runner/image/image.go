// Package image runs modules of kind oci-image: programs that bring a whole root
// file system, as an OCI image (RFC-MYTHOS-0006 §12). The image is unpacked by
// digest, then run by an OCI runtime of this machine, gVisor's runsc, crun or
// runc, with a config.json of our own and frames over its pipes.
//
// What an image is here: its layers in order, with OCI's whiteouts, make a tree of
// files, folders and links; that tree is worked out in memory from the verified
// layers (digests of the stored and of the unpacked bytes), then written, then
// compared with what is on the disk by every process that uses it, and mounted
// read-only. Owners, times, extended attributes and modes are not kept, but for
// whether a file can be executed: files have mode 0444 or 0555, folders 0755, and
// setuid, setgid and file capabilities are gone. Devices and pipes are refused, and
// absolute paths, "..", a symbolic or hard link that leads out of the image, a hard
// link to nothing, an entry that stands twice in one layer, and names that are not
// UTF-8. Absolute symbolic links are looked up in the image. There are always
// folders /dev, /proc and /tmp.
//
// What a module finds is what a native one finds (package process): argv is the
// entry, whose first item names a file of the image; the folder is /; /tmp is
// empty; the environment is that of every module. The image's own entry point,
// environment, user, volumes and ports count for nothing. It is the user 1000 (0
// with runc and runsc), the only one there is, and has no capability. A granted path stands
// at the same place, over what the image has there.
//
// The runtime runs as an unprivileged user of its own namespaces, inside the
// module's cgroup, whose limits are the module's and what the runtime takes itself
// (see tools). It ends with the executor, however that ends, and with it all that
// it started: it is process 1 of a pid namespace (package sandbox).
package image

import (
	"context"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/image/layout"
	"github.com/mythos-run/mythos/runtime/runner/process"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// Codes of images that are refused, beside those of package layout, and of
// machines that cannot run any.
const (
	// ErrLimit: too many layers, entries, bytes or links.
	ErrLimit fault.Code = "image_limit"
	// ErrPath: an entry's path is absolute, has "..", or is too long or too deep.
	ErrPath fault.Code = "image_path"
	// ErrLink: a link leads out of the image, or a hard link to nothing.
	ErrLink fault.Code = "image_link"
	// ErrEntry: an entry that no image may have: a device, or one twice.
	ErrEntry fault.Code = "image_entry"
	// ErrStore: the folder of unpacked images cannot be used, or does not hold
	// what it should.
	ErrStore fault.Code = "image_store"
	// ErrRuntime: no OCI runtime of this machine can run a module.
	ErrRuntime fault.Code = "image_runtime"
)

// arch is what this program was built for.
const arch = runtime.GOARCH

// Options configure a Runner.
type Options struct {
	// Sandbox starts the runtimes. The caller closes it, after the Runner.
	Sandbox *sandbox.Host
	// CacheDir is a folder for unpacked images and for sockets, created if missing,
	// absolute and private to the user; of no other runner.
	CacheDir string
	// CacheBytes and CacheImages bound what stays there beside what is in use. 0:
	// 16 GiB, 64 images.
	CacheBytes  int64
	CacheImages int
	// MaxImageBytes bounds one image, unpacked. 0: 4 GiB.
	MaxImageBytes int64
	// Images bounds the images whose tree is kept in memory. 0: 16.
	Images int
	// Runtime is the absolute path of the OCI runtime to use. "": runsc, crun or
	// runc, the first that is found in the usual places and works.
	Runtime string
	// Platform is what images must be for. "": what this program was built for.
	Platform string
	// The rest is as in process.Options.
	Proxy      process.Proxy
	MaxWorkers int
	MaxIdle    int
	IdleTime   time.Duration
	Grace      time.Duration
	MaxPids    int
	Now        func() time.Time
}

// withDefaults replaces zero values by what they stand for.
func (o Options) withDefaults() Options {
	orElse(&o.CacheBytes, 16<<30)
	orElse(&o.CacheImages, 64)
	orElse(&o.MaxImageBytes, maxBytes)
	orElse(&o.Images, 16)
	orElse(&o.Platform, "linux/"+arch)
	orElse(&o.MaxPids, 64)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}

// Runner is a runner.Runner for images.
type Runner struct {
	options Options
	host    *sandbox.Host
	desk    *process.Calls
	images  *images
	picked  picked

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	calls  sync.WaitGroup
	mu     sync.Mutex // guards closed and calls.Add against Close
	closed bool
	done   chan struct{} // closed when Close is through
}

var _ runner.Runner = (*Runner)(nil)

// New returns a Runner. It looks for no runtime yet.
func New(o Options) (*Runner, error) {
	o = o.withDefaults()
	if o.Sandbox == nil || min(o.CacheImages, o.Images, o.MaxPids) < 1 || min(o.CacheBytes, o.MaxImageBytes) < 1 || o.MaxImageBytes > 1<<40 {
		return nil, fault.New(runner.ErrLimits, "an image runner needs a sandbox, and bounds above 0")
	}
	s, err := openStore(&o, o.CacheDir)
	if err != nil {
		return nil, err
	}
	desk, err := process.NewCalls(runner.KindImage, process.Options{
		Sandbox: o.Sandbox, CacheDir: path.Join(o.CacheDir, "calls"), Proxy: o.Proxy,
		MaxWorkers: o.MaxWorkers, MaxIdle: o.MaxIdle, IdleTime: o.IdleTime, Grace: o.Grace, MaxPids: o.MaxPids, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	r := &Runner{options: o, host: o.Sandbox, desk: desk, done: make(chan struct{}), picked: picked{turn: make(chan struct{}, 1)}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.images = newImages(s, &r.options)
	return r, nil
}

// Kind returns runner.KindImage.
func (r *Runner) Kind() uint8 { return runner.KindImage }

// Check loads the image if it must and reports why it would be refused. It writes
// nothing and runs nothing of it.
func (r *Runner) Check(ctx context.Context, m runner.Module) error {
	ctx, leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	e, _, err := r.admit(ctx, m)
	if err != nil {
		return r.orClosed(err)
	}
	r.images.release(e)
	return nil
}

// Run invokes a module once, as runner.Runner says.
func (r *Runner) Run(ctx context.Context, c runner.Call) (runner.Result, error) {
	inner, leave, err := r.enter(ctx)
	if err != nil {
		return runner.Result{}, err
	}
	defer leave()
	if n, limit := uint64(len(c.Request)), c.Module.Limits.MaxRequest; n > limit {
		return runner.Result{}, fault.New(runner.ErrRequestTooLarge, "the request has %d bytes, at most %d", n, limit)
	}
	res, err := r.run(ctx, inner, &c)
	if err != nil && ctx.Err() != nil {
		res.Outcome, res.Detail = runner.NotStarted, "the context ended before the module started: "+ctx.Err().Error()
		return res, nil
	}
	return res, r.orClosed(err)
}

// run prepares under inner, which also ends with the runner, and calls under ctx:
// Close waits for calls.
func (r *Runner) run(ctx, inner context.Context, c *runner.Call) (runner.Result, error) {
	res := runner.Result{Engine: "oci-image", SandboxLevel: r.host.Level()}
	if err := ctx.Err(); err != nil {
		return res, err
	}
	e, on, err := r.admit(inner, c.Module)
	if err != nil {
		return res, err
	}
	defer r.images.release(e)
	if err := r.admitGrants(c); err != nil {
		return res, err
	}
	at, err := r.images.unpacked(inner, e, c.Module.Open)
	if err != nil {
		return res, err
	}
	res.Engine, res.SandboxLevel = "oci-image "+on.Engine(), on.Level
	return again(func() (runner.Result, error) {
		return r.desk.Run(ctx, process.Task{
			Call: c, Result: res,
			Start: func(ctx context.Context, s sandbox.Spec) (*sandbox.Process, error) { return r.start(ctx, s, e, at, on) },
			Hold:  func() { r.images.hold(e) },
			Gone:  func() { r.images.release(e) },
		})
	})
}

// Close refuses further calls, waits for those that run, and ends every process.
func (r *Runner) Close() error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if !first {
		<-r.done
		return nil
	}
	defer close(r.done)
	r.cancel() // loading and unpacking for nobody
	r.calls.Wait()
	err := r.desk.Close()
	r.images.close()
	return err
}

// enter counts a call. The context that it returns ends with ctx or the runner.
func (r *Runner) enter(ctx context.Context) (context.Context, func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, fault.New(runner.ErrClosed, "the oci-image runner was closed")
	}
	r.calls.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		r.calls.Done()
	}, nil
}

// orClosed names what a closing runner did to a call.
func (r *Runner) orClosed(err error) error {
	if err != nil && r.ctx.Err() != nil && fault.CodeOf(err) == "" {
		return fault.New(runner.ErrClosed, "the oci-image runner was closed: %w", err)
	}
	return err
}

// admit returns the module's image, held for the caller, and what will run it.
func (r *Runner) admit(ctx context.Context, m runner.Module) (*entry, *Runtime, error) {
	if m.Kind != runner.KindImage || m.ABI != runner.ABIStdio {
		return nil, nil, fault.New(runner.ErrKind, "kind %d with abi %d is not an oci-image module", m.Kind, m.ABI)
	}
	if err := m.Limits.Check(); err != nil {
		return nil, nil, err
	}
	if m.Limits.MemoryBytes > manifest.MaxMemory {
		return nil, nil, fault.New(runner.ErrLimits, "memory_bytes is %d, at most %d", m.Limits.MemoryBytes, uint64(manifest.MaxMemory))
	}
	if err := r.host.Admit(); err != nil {
		return nil, nil, err
	}
	e, err := r.images.get(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	err = e.accepts(m)
	var on *Runtime
	if err == nil {
		on, err = r.Runtime(ctx)
	}
	if err != nil {
		r.images.release(e)
		return nil, nil, err
	}
	return e, on, nil
}

// admitGrants refuses what cannot be enforced, and a path that would hide the
// module's own program.
func (r *Runner) admitGrants(c *runner.Call) error {
	g := &c.Grants
	if err := r.desk.AdmitGrants(g); err != nil {
		return err
	}
	program := programPath(c.Module.Entry)
	paths := slices.Clone(g.Read)
	for _, w := range g.Write {
		paths = append(paths, w.Path)
	}
	for _, p := range paths {
		if program == p || strings.HasPrefix(program, p+"/") {
			return fault.New(runner.ErrGrant, "the module's program %s is below it", show(program)).About(p)
		}
	}
	return nil
}

// programPath is where an entry's program is in the image.
func programPath(entry []string) string { return path.Clean("/" + entry[0]) }

// environment is what a module is given (RFC-MYTHOS-0006 §12), as a native one.
func environment() []string {
	return []string{"HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
}

// start starts a container for a call.
func (r *Runner) start(ctx context.Context, s sandbox.Spec, e *entry, at *held, on *Runtime) (*sandbox.Process, error) {
	b := box{entry: append([]string{programPath(s.Argv)}, s.Argv[1:]...), env: s.Env, limits: s.Limits, mounts: s.Mounts}
	for _, k := range s.Sockets {
		b.mounts = append(b.mounts, sandbox.Mount{Source: k.Source, Target: k.Target})
	}
	points, err := e.points(b.mounts)
	if err != nil {
		return nil, err
	}
	root := sandbox.Mount{Source: at.path}
	if d, err := process.Detached(at.root); err == nil { // the very folder that was checked
		defer d.Close()
		root = sandbox.Mount{File: d}
	}
	return on.launch(ctx, r.host, &b, root, points, s.Files)
}

// picked is the runtime that this Runner uses.
type picked struct {
	turn chan struct{} // held by whoever looks
	on   *Runtime
}

// Runtime returns the runtime that runs modules here, looking for it if this
// Runner has not yet found one. ErrRuntime says what is missing.
func (r *Runner) Runtime(ctx context.Context) (*Runtime, error) {
	select {
	case r.picked.turn <- struct{}{}:
		defer func() { <-r.picked.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.picked.on != nil {
		return r.picked.on, nil
	}
	found, err := installed(ctx, r.options.Runtime)
	if err != nil {
		return nil, err
	}
	var why []string
	for i := range found {
		if err := found[i].try(ctx, r.host, r.options.CacheDir); err != nil {
			return nil, err
		}
		if found[i].Level > sandbox.LevelNone {
			r.picked.on = &found[i]
			return r.picked.on, nil
		}
		why = append(why, found[i].Path+": "+found[i].Detail)
	}
	if len(why) == 0 {
		why = []string{"none is installed in " + strings.Join(places(), ", ")}
	}
	return nil, fault.New(ErrRuntime, "no OCI runtime runs here (%s); install crun, runsc or runc", strings.Join(why, "; "))
}

// Inspect reports whether an image module is well formed and for a platform,
// "os/arch": what Check asks of its bytes, without a sandbox or a runtime.
func Inspect(ctx context.Context, m runner.Module, platform string) error {
	if err := layoutOnly(m); err != nil {
		return err
	}
	e := &entry{digest: m.Digest}
	if err := e.load(ctx, m, platform, maxBytes); err != nil {
		return err
	}
	return e.accepts(m)
}

func layoutOnly(m runner.Module) error {
	if m.Kind != runner.KindImage {
		return fault.New(runner.ErrKind, "kind %d is not an oci-image module", m.Kind)
	}
	if m.Load == nil || m.Open == nil {
		return fault.New(layout.ErrInvalid, "the image's blobs cannot be opened")
	}
	return nil
}
