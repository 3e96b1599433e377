package node

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/image"
	"github.com/mythos-run/mythos/runtime/runner/network"
	"github.com/mythos-run/mythos/runtime/runner/process"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// kinds lists the module kinds that this node has runners for.
func (n *Node) kinds() []uint8 {
	if runtime.GOOS != "linux" {
		return []uint8{runner.KindWASM}
	}
	return []uint8{runner.KindWASM, runner.KindProcess, runner.KindNative, runner.KindImage}
}

// sandboxLevel returns the sandbox level that modules of a kind get here.
func (n *Node) sandboxLevel(kind uint8) uint8 {
	if kind == runner.KindWASM {
		return rings.SandboxOwnKernel
	}
	ctx := context.Background()
	host, err := n.Sandbox(ctx)
	if err != nil {
		return rings.SandboxNone // the runner says why when it is opened
	}
	if kind != runner.KindImage {
		return host.Level()
	}
	on, err := n.container(ctx)
	if err != nil {
		return rings.SandboxNone
	}
	return on.Level
}

// container returns the OCI runtime that images run on here.
func (n *Node) container(ctx context.Context) (*image.Runtime, error) {
	for _, l := range n.processes.runners {
		if l.kind != runner.KindImage {
			continue
		}
		r, err := l.runner(ctx)
		if err != nil {
			return nil, err
		}
		return r.(*image.Runner).Runtime(ctx)
	}
	return nil, image.ErrRuntime
}

// Containers returns the OCI runtimes of this machine, each tried.
func (n *Node) Containers(ctx context.Context) ([]image.Runtime, error) {
	host, err := n.Sandbox(ctx)
	if err != nil {
		return nil, err
	}
	scratch := filepath.Join(n.Paths.Cache, "image")
	if err := atomicfile.MkdirAll(scratch, 0o700); err != nil {
		return nil, pathError(scratch, err)
	}
	return image.Discover(ctx, host, n.Settings.Containers, scratch)
}

// Sandbox probes what this machine can enforce on processes, once.
func (n *Node) Sandbox(ctx context.Context) (*sandbox.Host, error) {
	n.processes.Lock()
	defer n.processes.Unlock()
	if n.processes.host == nil {
		host, err := sandbox.Open(ctx, sandbox.Options{Mode: n.sandboxMode(), Now: n.Clock})
		if err != nil {
			return nil, err
		}
		n.processes.host = host
	}
	return n.processes.host, nil
}

func (n *Node) sandboxMode() sandbox.Mode {
	for _, m := range []sandbox.Mode{sandbox.BestEffort, sandbox.None} {
		if n.Settings.Sandbox == m.String() {
			return m
		}
	}
	return sandbox.Required
}

// processes is what the runners of programs share; they are opened when a module
// needs them, since opening asks the kernel and the interpreters.
type processes struct {
	sync.Mutex
	host    *sandbox.Host
	runners []*late
}

// close ends the runners, then what they stand on.
func (p *processes) close() error {
	var errs []error
	for _, r := range p.runners {
		errs = append(errs, r.Close())
	}
	if p.host != nil {
		errs = append(errs, p.host.Close())
	}
	return errors.Join(errs...)
}

// Runners returns the runners of this node, one for each of its kinds. It is for
// one goroutine.
func (n *Node) Runners() ([]runner.Runner, error) {
	engine, err := n.Engine()
	if err != nil {
		return nil, err
	}
	list := []runner.Runner{engine}
	if n.processes.runners == nil {
		for _, kind := range n.kinds()[1:] {
			n.processes.runners = append(n.processes.runners, &late{kind: kind, open: n.openProcesses})
		}
	}
	for _, r := range n.processes.runners {
		list = append(list, r)
	}
	return list, nil
}

// openProcesses opens the runner of a kind of programs.
func (n *Node) openProcesses(ctx context.Context, kind uint8) (runner.Runner, error) {
	host, err := n.Sandbox(ctx)
	if err != nil {
		return nil, err
	}
	o := process.Options{
		Sandbox: host, CacheDir: filepath.Join(n.Paths.Cache, "process"), Now: n.Clock,
		Proxy: network.New(network.Options{}),
	}
	switch kind {
	case runner.KindNative:
		return process.NewNative(o)
	case runner.KindImage:
		return image.New(image.Options{
			Sandbox: host, CacheDir: filepath.Join(n.Paths.Cache, "image"), Runtime: n.Settings.Containers,
			Now: n.Clock, Proxy: o.Proxy,
		})
	}
	if o.Interpreters, err = n.Interpreters(ctx); err != nil {
		return nil, err
	}
	return process.New(o)
}

// late is a runner that is opened when it is first used.
type late struct {
	kind uint8
	open func(context.Context, uint8) (runner.Runner, error)

	mu     sync.Mutex
	real   runner.Runner
	closed bool
}

var _ runner.Runner = (*late)(nil)

// Kind implements runner.Runner.
func (l *late) Kind() uint8 { return l.kind }

// Check implements runner.Runner.
func (l *late) Check(ctx context.Context, m runner.Module) error {
	r, err := l.runner(ctx)
	if err != nil {
		return err
	}
	return r.Check(ctx, m)
}

// Run implements runner.Runner.
func (l *late) Run(ctx context.Context, c runner.Call) (runner.Result, error) {
	r, err := l.runner(ctx)
	if err != nil {
		return runner.Result{}, err
	}
	return r.Run(ctx, c)
}

// Close implements runner.Runner.
func (l *late) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.real == nil {
		return nil
	}
	return l.real.Close()
}

func (l *late) runner(ctx context.Context) (runner.Runner, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, runner.ErrClosed
	case l.real != nil:
		return l.real, nil
	}
	r, err := l.open(ctx, l.kind)
	if err == nil {
		l.real = r
	}
	return r, err
}
