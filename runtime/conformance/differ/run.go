package differ

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// maxRestarts is how often one implementation is started again, in all.
const maxRestarts = 5

// run is one Run: workers take the next case until there is none.
type run struct {
	g     *Generator
	o     Options
	peers []*peer
	next  atomic.Uint64
	stop  context.CancelCauseFunc

	mu      sync.Mutex // guards what follows
	done    uint64
	classes map[string]*Count
}

// peer is one implementation over all its processes.
type peer struct {
	start conformance.Start
	Peer
	broken int // guarded by run.mu
}

// Run compares the implementations on the generator's cases. Disagreements are
// in the report; an error means that the run could not be finished.
func Run(ctx context.Context, g *Generator, o Options) (Report, error) {
	if len(o.Impls) == 0 {
		return Report{}, fault.New(conformance.ErrImpl, "no implementation is named")
	}
	if o.Local == nil {
		o.Local = conformance.Local
	}
	if o.Workers == 0 {
		o.Workers = 2 * runtime.GOMAXPROCS(0)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{g: g, o: o, stop: stop, classes: map[string]*Count{}}
	for _, c := range g.classes {
		r.classes[c.name] = &Count{Class: c.name, OneSide: c.oneSide}
	}
	for _, start := range o.Impls {
		r.peers = append(r.peers, &peer{start: start})
	}
	first, err := r.openAll(ctx)
	if err != nil {
		return Report{}, err
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.work(ctx, first) })
	for range min(uint64(o.Workers), max(o.Cases, 1)) - 1 {
		wg.Go(func() { r.work(ctx, make([]conformance.Impl, len(r.peers))) })
	}
	wg.Wait()
	report := Report{Seed: g.seed, From: o.From, Cases: r.done}
	for _, p := range r.peers {
		report.Impls = append(report.Impls, p.Peer)
	}
	for _, name := range g.Classes() {
		report.Classes = append(report.Classes, *r.classes[name])
	}
	return report, context.Cause(ctx)
}

// openAll starts one process of each implementation, to know who they are.
func (r *run) openAll(ctx context.Context) ([]conformance.Impl, error) {
	var list []conformance.Impl
	for _, p := range r.peers {
		impl, info, err := open(ctx, p.start)
		if err != nil {
			closeAll(list)
			return nil, err
		}
		p.Info = info
		list = append(list, impl)
	}
	return list, nil
}

func open(ctx context.Context, start conformance.Start) (conformance.Impl, conformance.Info, error) {
	impl, err := start(ctx)
	if err != nil {
		return nil, conformance.Info{}, fault.New(conformance.ErrImpl, "start: %w", err)
	}
	info, err := impl.Hello(ctx)
	if err != nil {
		_ = impl.Close() // it has failed already
		return nil, conformance.Info{}, fault.New(conformance.ErrImpl, "hello: %w", err)
	}
	return impl, info, nil
}

func closeAll(list []conformance.Impl) {
	for _, impl := range list {
		if impl != nil {
			_ = impl.Close() // every answer is in
		}
	}
}

// work answers cases until there are none. impls has a process of each
// implementation, or nil where none is running.
func (r *run) work(ctx context.Context, impls []conformance.Impl) {
	defer closeAll(impls)
	local, err := r.o.Local(ctx)
	if err != nil {
		r.stop(err)
		return
	}
	defer local.Close()
	for ctx.Err() == nil {
		i := r.next.Add(1) - 1
		if i >= r.o.Cases {
			return
		}
		if err := r.compare(ctx, local, impls, r.o.From+i); err != nil {
			r.stop(err)
			return
		}
	}
}

// compare asks everybody about one case. An error ends the run.
func (r *run) compare(ctx context.Context, local conformance.Impl, impls []conformance.Impl, index uint64) error {
	c, err := r.g.Case(index)
	if err != nil {
		return err
	}
	request := conformance.Request{ID: c.ID(), Op: c.Op, Input: c.Input}
	want, err := local.Do(ctx, request)
	if err != nil || want.Unsupported {
		return fault.New(conformance.ErrImpl, "this build has no answer to case %d of seed %d, %s %.300s: %w", index, r.g.seed, c.Op, c.Input, err)
	}
	for i := range r.peers {
		if err := r.ask(ctx, i, impls, request, c, want); err != nil {
			return err
		}
	}
	r.count(c, want)
	return nil
}

func (r *run) count(c Case, want conformance.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if want.OK {
		r.classes[c.Class].Valid++
	} else {
		r.classes[c.Class].Invalid++
	}
	r.done++
	if r.o.Progress != nil {
		r.o.Progress(int(r.done), int(r.o.Cases))
	}
}

// ask asks implementation i and compares. What stays without an answer is a
// disagreement; too many of these end the run.
func (r *run) ask(ctx context.Context, i int, impls []conformance.Impl, request conformance.Request, c Case, want conformance.Answer) error {
	p := r.peers[i]
	if !slices.Contains(p.Info.Ops, request.Op) {
		r.absent(p)
		return nil
	}
	if impls[i] == nil {
		impl, _, err := open(ctx, p.start)
		if err != nil {
			return err
		}
		impls[i] = impl
	}
	got, err := impls[i].Do(ctx, request)
	if err == nil && got.ID != request.ID {
		err = &conformance.Broken{Err: fmt.Errorf("the answer is to %.80q", got.ID)}
	}
	if err != nil {
		return r.noAnswer(ctx, i, impls, &Disagreement{Case: c, Impl: p.Info.Name, Want: want, Why: err.Error()}, err)
	}
	if got.Unsupported {
		r.absent(p)
		return nil
	}
	r.judge(p, &Disagreement{Case: c, Impl: p.Info.Name, Want: want, Got: &got, Why: differs(c, want, got)})
	return nil
}

func (r *run) noAnswer(ctx context.Context, i int, impls []conformance.Impl, d *Disagreement, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := r.peers[i]
	r.judge(p, d)
	var broken *conformance.Broken
	if !errors.As(err, &broken) {
		return nil
	}
	_ = impls[i].Close() // it has failed already
	impls[i] = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.broken++; p.broken > maxRestarts {
		return fault.New(conformance.ErrImpl, "%s broke %d times, the last time at case %d: %s", p.Info.Name, p.broken, d.Case.Index, d.Why)
	}
	return nil
}

func (r *run) absent(p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Absent++
}

// judge counts a comparison, and what is wrong if something is.
func (r *run) judge(p *peer, d *Disagreement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Compared++
	if d.Why == "" {
		return
	}
	p.Disagreed++
	if r.o.Found != nil {
		r.o.Found(d)
	}
}

// differs says how an answer differs from this build's, or "". The rules are
// those of vectors, with this build's answer for what is expected.
func differs(c Case, want, got conformance.Answer) string {
	v := conformance.Case{Vector: conformance.Vector{Op: c.Op}}
	if want.OK {
		v.Result, v.Expect.Output = conformance.Valid, want.Output
	} else {
		v.Result, v.Expect.Error, v.Expect.Offset = conformance.Invalid, want.Error, want.Offset
	}
	return v.Judge(got)
}
