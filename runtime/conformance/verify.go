package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Options says which vectors are run, and by whom.
type Options struct {
	Suites   []string              // none: all
	Filter   *regexp.Regexp        // of ids; nil: all
	Level    int                   // vectors above it are left out
	Start    Start                 // nil: this implementation
	Workers  int                   // 0: one for each processor
	Progress func(done, total int) // may be nil; called by one goroutine at a time
}

func (o *Options) picks(id, suite string, level int) bool {
	return level <= o.Level &&
		(len(o.Suites) == 0 || slices.Contains(o.Suites, suite)) &&
		(o.Filter == nil || o.Filter.MatchString(id))
}

func (o *Options) progress(done, total int) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// Select returns the vectors that o is about, in the pack's order. A suite that
// the pack does not have, and a choice without any vector, are ErrVector.
func (p *Pack) Select(o Options) ([]*Case, error) {
	for _, s := range o.Suites {
		if !slices.ContainsFunc(p.Manifest.Suites, func(x Suite) bool { return x.Name == s }) {
			return nil, fault.New(ErrVector, "the pack has no suite %.80q", s)
		}
	}
	var picked []*Case
	for _, c := range p.Cases {
		if o.picks(c.ID, c.Suite, c.Level) {
			picked = append(picked, c)
		}
	}
	if len(picked) == 0 {
		return nil, fault.New(ErrVector, "no vector of the pack is of that suite, level and name")
	}
	return picked, nil
}

// Verify runs the selected vectors and judges the answers. An error means that
// nothing could be run, or that ctx ended; vectors that fail are in the report.
func (p *Pack) Verify(ctx context.Context, o Options) (Report, error) {
	if p.Older() {
		return p.verifyOlder(ctx, o)
	}
	cases, err := p.Select(o)
	if err != nil {
		return Report{}, err
	}
	if o.Start == nil {
		o.Start = Local
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	r := &run{o: o, cases: cases, results: make([]Result, len(cases))}
	first, err := r.start(ctx)
	if err != nil {
		return Report{}, err
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.work(ctx, first) })
	for range min(o.Workers, len(cases)) - 1 {
		wg.Go(func() { r.work(ctx, nil) })
	}
	wg.Wait()
	report := Report{Pack: PackSchema, Version: p.Manifest.Version, Impl: first.info, Results: r.results}
	return report, ctx.Err()
}

func (p *Pack) verifyOlder(ctx context.Context, o Options) (Report, error) {
	if o.Start != nil {
		return Report{}, fault.New(ErrImpl, "the vectors of a v0.2 pack name no ops; only this build runs them")
	}
	report, err := p.verifyV02(ctx, o)
	if err == nil && len(report.Results) == 0 {
		err = fault.New(ErrVector, "no vector of the pack is of that suite and name")
	}
	return report, err
}

// maxRestarts is how often an implementation is started again, in all.
const maxRestarts = 5

// run is one Verify: workers take the next case until there is none.
type run struct {
	o        Options
	cases    []*Case
	results  []Result // by index of cases; each is written by one worker
	next     atomic.Int64
	failures atomic.Int64

	mu   sync.Mutex
	done int // guarded by mu
}

// peer is an implementation that has said hello.
type peer struct {
	Impl
	info Info
}

// start makes an implementation and asks for its name and ops.
func (r *run) start(ctx context.Context) (*peer, error) {
	impl, err := r.o.Start(ctx)
	if err != nil {
		return nil, fault.New(ErrImpl, "start: %w", err)
	}
	info, err := impl.Hello(ctx)
	if err != nil {
		_ = impl.Close() // it has failed already
		return nil, fault.New(ErrImpl, "hello: %w", err)
	}
	return &peer{impl, info}, nil
}

// work answers cases until there are none, or ctx ends. p may be nil: it is
// started when it is needed, and again after it broke.
func (r *run) work(ctx context.Context, p *peer) {
	for ctx.Err() == nil {
		i := int(r.next.Add(1)) - 1
		if i >= len(r.cases) {
			break
		}
		c := r.cases[i]
		res := &r.results[i]
		res.ID, res.Suite = c.ID, c.Suite
		var err error
		if p == nil {
			p, err = r.again(ctx)
		}
		if err == nil {
			err = p.answer(ctx, c, res)
		}
		if err != nil {
			res.Checks = []Check{{Name: "answer", Note: err.Error()}}
		}
		var broken *Broken
		if errors.As(err, &broken) {
			_ = p.Close() // it has failed already
			p = nil
			r.failures.Add(1)
		}
		r.tick()
	}
	if p != nil {
		_ = p.Close() // every answer is in
	}
}

// again starts another implementation, unless too many have broken.
func (r *run) again(ctx context.Context) (*peer, error) {
	if r.failures.Load() > maxRestarts {
		return nil, fmt.Errorf("not asked: the implementation broke %d times", r.failures.Load())
	}
	p, err := r.start(ctx)
	if err != nil {
		r.failures.Add(1)
	}
	return p, err
}

// answer asks about one case and judges. An error means that there was no
// answer.
func (p *peer) answer(ctx context.Context, c *Case, res *Result) error {
	if !slices.Contains(p.info.Ops, c.Vector.Op) {
		res.Absent = true
		return nil
	}
	a, err := p.Do(ctx, Request{c.ID, c.Vector.Op, c.Input})
	switch {
	case err != nil:
		return err
	case a.ID != c.ID:
		return &Broken{fmt.Errorf("the answer is to %.80q", a.ID)}
	case a.Unsupported:
		res.Absent = true
		return nil
	}
	wrong := c.Judge(a)
	res.Checks = []Check{{Name: "answer", OK: wrong == "", Note: wrong}}
	return nil
}

func (r *run) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.o.progress(r.done, len(r.cases))
}
