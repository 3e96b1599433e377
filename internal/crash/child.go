package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Order is what a child is told, one line of JSON, once it says that it is ready.
type Order struct {
	Ledger   string        // folder, or address of the database
	Schema   string        // of the database; "" for a folder
	Shift    time.Duration // of the wall clock; and of the monotonic one, if Boot
	Boot     bool          // Shift moves the clock of the boot, too
	NoWait   bool          // be refused by a lease instead of waiting
	NoLock   bool          // be refused by the ledger's lock instead of waiting
	Natives  bool          // native tools take part
	Callers  int           // runs at a time
	Runs     []runName     // to do first
	New      int           // runs to make up then; below 0: without end
	Prefix   string        // of their names
	Serve    bool          // then do what the next lines say, until there are none
	Step     string        // named point at which to die, "": none
	At       int64         // the how many-th time
	Sabotage string        // negative control: what the executor does wrong
}

// child is an executor process of the harness. What it writes to its standard
// output survives it: one line, one write, in the order in which things happened.
//
//	ready                 it waits for its order
//	open                  it has the ledger
//	wait HOLDER           somebody else has it
//	S RUN                 a run begins
//	R IDEM                its register was acknowledged
//	I IDEM                its module is handed to the runner
//	P IDEM                so is its probe
//	C IDEM RECEIPT        its commit was acknowledged
//	D RUN HASH HOW RECEIPT  the run is done: the SHA-256 of the receipt's bytes, fresh or replayed
//	E RUN CODE TEXT       it failed
//	end                   nothing is left to do
type child struct {
	world *World
	order Order
	node  *node.Node
	clock skewedClock

	objects  cas.Store
	runners  []runner.Runner
	packages map[bool]*gate.Package // by whether they are native
	proofs   map[bool][]*caps.Chain
	exec     *executor.Executor

	mu  sync.Mutex // guards out
	out io.Writer
	die step
}

func runChild(ctx context.Context, dir string) error {
	w, err := openWorld(dir)
	if err != nil {
		return err
	}
	c := &child{world: w, out: os.Stdout, packages: map[bool]*gate.Package{}, proofs: map[bool][]*caps.Chain{}}
	c.node = w.node(c.clock.now)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	c.say("ready")
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &c.order); err != nil {
		return err
	}
	return c.obey(ctx, in)
}

// prepare does all that needs no order.
func (c *child) prepare(ctx context.Context) (err error) {
	if c.objects, err = c.node.Objects(); err != nil {
		return err
	}
	list, err := c.node.Runners()
	if err != nil {
		return err
	}
	for _, r := range list {
		c.runners = append(c.runners, announcing{r, c})
	}
	return c.load(ctx, false)
}

// load takes one of the packages through the gate.
func (c *child) load(ctx context.Context, native bool) error {
	dir := c.world.Light
	if native {
		dir = c.world.Native
	}
	pkg, err := c.world.load(ctx, dir, c.level)
	if err != nil {
		return err
	}
	c.packages[native] = pkg
	c.proofs[native], err = c.world.proofs(pkg)
	return err
}

// level is the sandbox level that modules of a kind get here.
func (c *child) level(kind uint8) uint8 {
	if kind == runner.KindWASM {
		return runner.SandboxOwnKernel
	}
	host, err := c.node.Sandbox(context.Background())
	if err != nil {
		c.say("E sandbox %s %s", code(err), oneLine(err))
		return 0
	}
	return host.Level()
}

func (c *child) obey(ctx context.Context, in *bufio.Reader) error {
	o := c.order
	c.clock.set(o.Shift, o.Boot)
	c.die = step{name: o.Step, left: o.At}
	if o.Natives {
		if err := c.load(ctx, true); err != nil {
			return err
		}
	}
	log, err := c.open(ctx)
	if err != nil {
		c.say("E open %s %s", fault.CodeOf(err), oneLine(err))
		return nil
	}
	c.say("open")
	config := baseConfig()
	config.Ledger, config.Objects, config.Runners, config.Clock = c.spy(log), c.objects, c.runners, c.clock.now
	config.NoWait, config.Step = o.NoWait, c.die.pass
	if c.exec, err = executor.New(config); err != nil {
		return err
	}
	c.work(ctx)
	if o.Serve {
		c.serve(ctx, in)
	}
	if err := log.Close(); err != nil {
		c.say("E close %s %s", fault.CodeOf(err), oneLine(err))
	}
	c.say("end")
	return c.node.Close()
}

func (c *child) open(ctx context.Context) (ledger.Log, error) {
	if c.order.Schema != "" {
		return postgres.Open(ctx, postgres.Options{URL: c.order.Ledger, Schema: c.order.Schema, Signer: keys().executor})
	}
	return journal.Open(ctx, journal.Options{
		Dir: c.order.Ledger, Clock: c.clock.now, Boot: c.clock.boot(), Signer: keys().executor, NoWait: c.order.NoLock,
		OnWait: func(holder string) { c.say("wait %s", holder) },
	})
}

// work does the runs of the order, then makes up others.
func (c *child) work(ctx context.Context) {
	queue := make(chan runName)
	var callers sync.WaitGroup
	for range c.order.Callers {
		callers.Go(func() {
			for n := range queue {
				c.perform(ctx, n)
			}
		})
	}
	for _, n := range c.order.Runs {
		queue <- n
	}
	kinds := tools
	for i := 0; i != c.order.New; i++ {
		t := kinds[i%len(kinds)]
		if t.native() && !c.order.Natives {
			continue
		}
		queue <- newRun(t, "kd"[i%2:][:1], fmt.Sprint(c.order.Prefix, "-", i))
	}
	close(queue)
	callers.Wait()
}

// serve does what is asked for, all at once: "run NAME", "shift DURATION" for the
// wall clock, "boot DURATION" for the monotonic one.
func (c *child) serve(ctx context.Context, in *bufio.Reader) {
	var runs sync.WaitGroup
	defer runs.Wait()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch d, err := time.ParseDuration(rest); {
		case verb == "run":
			runs.Go(func() { c.perform(ctx, runName(rest)) })
			continue
		case err == nil && verb == "shift":
			c.clock.shiftWall(d)
		case err == nil && verb == "boot":
			c.clock.shiftBoot(d)
		}
		c.say("ok")
	}
}

func (c *child) perform(ctx context.Context, n runName) {
	c.say("S %s", n)
	req := n.request(c.world)
	native := n.tool().native() && !n.chain()
	pkg := c.packages[native]
	if pkg == nil {
		c.say("E %s no_package", n)
		return
	}
	req.Proofs = c.proofs[native]
	res, err := c.exec.Run(ctx, pkg, req)
	if err != nil {
		c.say("E %s %s %s", n, code(err), oneLine(err))
		return
	}
	if res.Outcome.ErrorCode != "" || len(res.Effects) == 0 {
		c.say("E %s trap_%s", n, res.Outcome.ErrorCode)
		return
	}
	how := "fresh"
	if res.Effects[0].Replayed {
		how = "replayed"
	}
	c.say("D %s %s %s %s", n, cid.Sum(res.Effects[0].Receipt).Hex(), how, res.Effects[0].ReceiptID.Hex())
}

// code is the error's code; a doubt counts before its cause.
func code(err error) fault.Code {
	if errors.Is(err, ledger.ErrInDoubt) {
		return ledger.ErrInDoubt
	}
	if c := fault.CodeOf(err); c != "" {
		return c
	}
	return "none"
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " | ") }

// say writes one line in one write.
func (c *child) say(format string, args ...any) {
	line := fmt.Appendf(nil, format+"\n", args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.out.Write(line); err != nil {
		os.Exit(1) // the harness is gone
	}
}

// announcing tells of a module before it is handed to its runner.
type announcing struct {
	runner.Runner
	child *child
}

func (a announcing) Run(ctx context.Context, call runner.Call) (runner.Result, error) {
	if x, err := decodeIdem(call.Request); err == nil {
		word := "I"
		if slices.Contains(call.Module.Entry, "probe") {
			word = "P"
		}
		a.child.say("%s %s", word, x.Hex())
	}
	return a.Runner.Run(ctx, call)
}

// step is the named point at which a process ends itself.
type step struct {
	name string
	mu   sync.Mutex
	left int64
}

// pass dies if it is at that point for the last time.
func (s *step) pass(name string) {
	if name != s.name {
		return
	}
	s.mu.Lock()
	s.left--
	last := s.left <= 0
	s.mu.Unlock()
	if last {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			panic(err)
		}
		select {} // the signal is on its way
	}
}

// skewedClock is a wall clock and a monotonic one that can be moved.
type skewedClock struct {
	mu         sync.Mutex
	wall, mono time.Duration
}

func (c *skewedClock) set(by time.Duration, boot bool) {
	c.shiftWall(by)
	if boot {
		c.shiftBoot(by)
	}
}

func (c *skewedClock) shiftWall(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = by
}

func (c *skewedClock) shiftBoot(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mono = by
}

func (c *skewedClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.wall)
}

// boot is this host's boot clock, moved.
func (c *skewedClock) boot() func() (string, int64) {
	host := journal.HostBoot()
	return func() (string, int64) {
		id, now := host()
		c.mu.Lock()
		defer c.mu.Unlock()
		return id, now + c.mono.Microseconds()
	}
}

func (w *World) ledgerDir(name string) string { return filepath.Join(w.Dir, "ledgers", name) }
