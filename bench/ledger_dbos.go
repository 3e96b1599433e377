package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/runner"
)

const (
	dbConns       = 32
	workflowSteps = 3
	payloadBytes  = 300
)

// workflow runs one workflow of three steps to its durable end; n makes its
// payload one that no other has.
type workflow struct {
	name string
	run  func(ctx context.Context, n int64) error
	part time.Duration // what its turns are divided by

	rate, p50, p99 map[int][]float64    // by callers, for each round: steps per second, nanoseconds of a workflow
	cpu            map[int][][2]float64 // for each step, see cpuSince
	waits          map[string]int       // what its connections were found waiting for at 16 callers, by sample
}

// payload is text that no other workflow has.
func payload(n int64) string {
	return hex.EncodeToString(filler(payloadBytes/2, fmt.Sprint(n), int(n)))
}

const dbosNotes = `
## Workflows: DBOS Transact for Go

Both run the same workflow on the same server: three steps, each of which is given 300 bytes of
text and returns them, the next step taking what the last one returned; each workflow has a
payload of its own. A step's outcome is durable before the next step begins.

- DBOS: dbos.RunWorkflow and GetResult of a workflow that calls RunAsStep three times with a Go
  function; JSON serializer, a pgxpool of %d connections, schema of its own, no conductor, no
  queue, no admin server, logs discarded. It writes the workflow, one row for each step after it
  ran, and the result.
- MYTHOS: executor.Run of a packed program with three effects through the PostgreSQL journal, %d
  connections, checkpoints signed; every run brings one capability chain, which is verified and
  charged. It writes the run record, for each effect a register before and a commit after it
  with receipt, evidence, request and response, and a seal; three signatures for each effect.
  "wasm" runs demo-001's echo as a node does, a Go program compiled to WebAssembly, metered and in
  a fresh instance for each call; "Go function" puts an echo in Go in its place, as DBOS's steps are.

Twenty times a second at 16 callers the server is asked what the connections at work wait for.

Turns of %s at 16 callers and of %s at 1, a third of that for wasm, interleaved, all in one
process; tables and connections stay from round to round.
`

// benchDBOS compares runs of the executor with workflows of DBOS.
func (b *ledgerBench) benchDBOS() (claims []claim, err error) {
	if b.url == "" {
		b.say("dbos: no server, left out")
		return nil, nil
	}
	turns := []struct {
		callers int
		lasts   time.Duration
	}{{16, b.workflows}, {1, b.workflows / 6}}
	fmt.Fprintf(b.w, dbosNotes, dbConns, dbConns, turns[0].lasts, turns[1].lasts)
	all := &closers{}
	defer func() { err = errors.Join(err, all.Close()) }()
	sides, err := b.workflowSides(all)
	if err != nil {
		return nil, err
	}
	for _, t := range turns {
		if b.callers != 0 && b.callers != t.callers {
			continue
		}
		for round := range b.rounds {
			for k := range sides {
				s := sides[(k+round)%len(sides)]
				if err := b.workflowTurn(s, t.callers, t.lasts/s.part); err != nil {
					return nil, err
				}
			}
		}
		b.workflowTable(t.callers, sides)
	}
	b.waitTable(sides)
	if err := b.stepTable(sides[2]); err != nil {
		return nil, err
	}
	if b.callers != 0 {
		return nil, nil
	}
	peer, wasm, native := sides[0], sides[1], sides[2]
	steps := func(x *workflow) spread { return spreadOf(ratios(x.rate[16], peer.rate[16])) }
	p50 := func(x *workflow) spread { return spreadOf(ratios(x.p50[1], peer.p50[1])) }
	return []claim{
		{"steps/s at 16 callers, Go function: DBOS's", atLeast, 3, times, steps(native)},
		{"steps/s at 16 callers, wasm: DBOS's", atLeast, 3, times, steps(wasm)},
		{"p50 of a workflow at 1 caller, Go function: DBOS's", below, 1, times, p50(native)},
		{"p50 of a workflow at 1 caller, wasm: DBOS's", below, 1, times, p50(wasm)},
	}, nil
}

func (b *ledgerBench) workflowSides(all *closers) ([]*workflow, error) {
	peer, err := b.openDBOS(all)
	if err != nil {
		return nil, fmt.Errorf("DBOS: %w", err)
	}
	s, err := newProgram(b.ctx, b.dir, workflowProgram)
	if err != nil {
		return nil, err
	}
	all.later(s.Close)
	sides := []*workflow{peer}
	for _, x := range []struct {
		name string
		on   runner.Runner
	}{{"MYTHOS, wasm", s.engine}, {"MYTHOS, Go function", goEcho{}}} {
		w, err := b.openRuns(all, s, x.name, x.on)
		if err != nil {
			return nil, err
		}
		if x.on == s.engine {
			w.part = 3
		}
		sides = append(sides, w)
	}
	return sides, nil
}

// workflowTurn runs workflows from many callers for a while.
func (b *ledgerBench) workflowTurn(s *workflow, callers int, lasts time.Duration) error {
	if err := b.settle(); err != nil {
		return err
	}
	runtime.GC()
	each, errs := make([][]float64, callers), make([]error, callers)
	stop := func() error { return nil }
	if callers > 1 {
		var err error
		if stop, err = b.sample(s.waits); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	own, server := b.cpuUsed()
	start := time.Now()
	for c := range callers {
		wg.Go(func() {
			for errs[c] == nil && time.Since(start) < lasts {
				from := time.Now()
				errs[c] = s.run(b.ctx, payloads.Add(1))
				each[c] = append(each[c], float64(time.Since(from)))
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if err := errors.Join(append(errs, stop())...); err != nil {
		return fmt.Errorf("%s, %d callers: %w", s.name, callers, err)
	}
	sample := slices.Concat(each...)
	slices.Sort(sample)
	rate := workflowSteps * float64(len(sample)) / took.Seconds()
	s.rate[callers] = append(s.rate[callers], rate)
	s.p50[callers], s.p99[callers] = append(s.p50[callers], quantile(sample, 0.5)), append(s.p99[callers], quantile(sample, 0.99))
	s.cpu[callers] = append(s.cpu[callers], b.cpuSince(own, server, workflowSteps*len(sample)))
	b.say("%3d callers: %s %.0f steps/s", callers, s.name, rate)
	return nil
}

var payloads atomic.Int64

func (b *ledgerBench) workflowTable(callers int, sides []*workflow) {
	var rows [][]string
	for _, s := range sides {
		rate := spreadOf(s.rate[callers])
		rows = append(rows, []string{
			s.name, fmt.Sprintf("%.0f (%.0f .. %.0f)", rate.median, rate.low, rate.high), ratio(spreadOf(ratios(s.rate[callers], sides[0].rate[callers]))),
			duration(spreadOf(s.p50[callers]).median), ratio(spreadOf(ratios(s.p50[callers], sides[0].p50[callers]))), duration(spreadOf(s.p99[callers]).median),
			b.cpuColumn(s.cpu[callers]),
		})
	}
	writeTable(b.w, []string{fmt.Sprintf("callers: %d", callers), "steps/s (p10 .. p90)", "times DBOS", "p50 of a workflow", "times DBOS", "p99", "CPU/step"}, rows)
}

func newWorkflow(name string, run func(context.Context, int64) error) *workflow {
	return &workflow{name, run, 1, map[int][]float64{}, map[int][]float64{}, map[int][]float64{}, map[int][][2]float64{}, map[string]int{}}
}

// openDBOS launches DBOS on the server, with a schema of its own.
func (b *ledgerBench) openDBOS(all *closers) (*workflow, error) {
	config, err := pgxpool.ParseConfig(b.url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = dbConns
	pool, err := pgxpool.NewWithConfig(b.ctx, config)
	if err != nil {
		return nil, err
	}
	all.later(func() error { pool.Close(); return nil })
	ctx, err := dbos.NewContext(b.ctx, dbos.Config{
		AppName: "bench", SystemDBPool: pool, DatabaseSchema: "dbos", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	all.later(func() error { return dbos.Shutdown(ctx, 10*time.Second) })
	dbos.RegisterWorkflow(ctx, threeSteps)
	if err := dbos.Launch(ctx); err != nil {
		return nil, err
	}
	return newWorkflow("DBOS", func(_ context.Context, n int64) error {
		text := payload(n)
		handle, err := dbos.RunWorkflow(ctx, threeSteps, text)
		if err != nil {
			return err
		}
		got, err := handle.GetResult()
		if err == nil && got != text {
			err = errors.New("the workflow returned another text")
		}
		return err
	}), nil
}

func threeSteps(ctx dbos.Context, text string) (string, error) {
	for range workflowSteps {
		var err error
		text, err = dbos.RunAsStep(ctx, func(context.Context) (string, error) { return text, nil })
		if err != nil {
			return "", err
		}
	}
	return text, nil
}

const workflowProgram = `const none = text "none"
tool echo = demo/echo interface 1 (any) -> any

func main(any) -> any {
  effect echo, r0, r1, r2
  effect echo, r1, r3, r4
  effect echo, r3, r5, r6
  ret r5
}

task main = main(none) budget cpu_us=1000000 io=10 writes=0 max_depth=16
`

// openRuns opens an executor on a PostgreSQL journal of its own.
func (b *ledgerBench) openRuns(all *closers, s *scene, name string, on runner.Runner) (*workflow, error) {
	l, err := postgres.Open(b.ctx, postgres.Options{URL: b.url, Schema: newSchema(), Signer: s.key, MaxConns: dbConns})
	if err != nil {
		return nil, err
	}
	all.later(l.Close)
	c, err := s.config(l, on)
	if err != nil {
		return nil, err
	}
	if _, native := on.(goEcho); native {
		c.Step = b.steps.note
	}
	exec, err := executor.New(c)
	if err != nil {
		return nil, err
	}
	proof, err := s.issue(1 << 31)
	if err != nil {
		return nil, err
	}
	return newWorkflow(name, func(ctx context.Context, n int64) error {
		text := payload(n)
		res, err := exec.Run(ctx, s.pkg, executor.Request{
			RunID: fmt.Sprintf("bench-%d", n), Proofs: []*caps.Chain{proof}, Inputs: can.AppendText(can.AppendList(nil, 1), text),
		})
		if err != nil {
			return err
		}
		if res.Outcome.ErrorCode != "" || len(res.Effects) != workflowSteps || string(res.Outcome.Value) != string(can.AppendText(nil, text)) {
			return fmt.Errorf("the run ended with %q after %d effects", res.Outcome.ErrorCode, len(res.Effects))
		}
		return nil
	}), nil
}

// goEcho answers for a wasm module as demo-001's echo does, in Go.
type goEcho struct{}

func (goEcho) Kind() uint8                                { return runner.KindWASM }
func (goEcho) Check(context.Context, runner.Module) error { return nil }
func (goEcho) Close() error                               { return nil }

func (goEcho) Run(_ context.Context, c runner.Call) (runner.Result, error) {
	req, err := abi.DecodeRequest(c.Request)
	if err != nil {
		return runner.Result{}, err
	}
	resp := abi.Response{Status: abi.StatusOK, Payload: req.Payload}
	return runner.Result{Outcome: runner.Answered, Response: resp.AppendCAN(nil), Engine: "go"}, nil
}
