package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// own is damage of an entry that shows without the tree.
func own(rec ledger.Record, sort Sort, format string, args ...any) *Damage {
	rec.Body = slices.Clone(rec.Body)
	return &Damage{Index: rec.Index, To: rec.Index + 1, Sort: sort, Entry: &rec, What: fmt.Sprintf(format, args...)}
}

// pool checks entries on several goroutines: nearly all the time goes into
// signatures.
type pool struct {
	batch []ledger.Record
	jobs  chan []ledger.Record
	wait  sync.WaitGroup

	mu  sync.Mutex
	bad *Damage // the first found so far
	err error   // of reading; after close

	unknown *Damage // the first that is only signed by nobody known
}

const batchSize = 128

func newPool(ctx context.Context, log ledger.Log, o Options) *pool {
	p := &pool{jobs: make(chan []ledger.Record, o.Workers)}
	for range o.Workers {
		c := &checker{ctx: ctx, log: log, from: o.From, operators: o.Operators, runs: map[cid.Hash]bool{}}
		p.wait.Go(func() {
			for batch := range p.jobs {
				p.check(c, batch)
			}
		})
	}
	return p
}

func (p *pool) check(c *checker, batch []ledger.Record) {
	for _, rec := range batch {
		if bad := p.worst(); bad != nil && bad.Index <= rec.Index || p.failed() {
			return
		}
		d, err := c.entry(rec)
		p.mu.Lock()
		if err != nil && p.err == nil {
			p.err = err
		}
		switch {
		case d == nil:
		case d.Sort.Unknown():
			p.unknown = earlier(p.unknown, d)
		default:
			p.bad = earlier(p.bad, d)
		}
		p.mu.Unlock()
	}
}

func (p *pool) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// worst returns the first damage found so far.
func (p *pool) worst() *Damage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bad
}

func (p *pool) add(rec ledger.Record) {
	rec.Body = slices.Clone(rec.Body)
	if p.batch = append(p.batch, rec); len(p.batch) == batchSize {
		p.jobs <- p.batch
		p.batch = nil
	}
}

// close waits for what was added and returns the first damage.
func (p *pool) close() *Damage {
	if len(p.batch) > 0 {
		p.jobs <- p.batch
	}
	close(p.jobs)
	p.wait.Wait()
	return p.bad
}

// checker holds entries against themselves and against their id's.
type checker struct {
	ctx  context.Context
	log  ledger.Log
	from uint64
	runs map[cid.Hash]bool // run records that were found

	operators func(sig.AgentID, time.Time) bool // as in Options
}

// maxRuns bounds what a checker remembers.
const maxRuns = 4096

// entry returns what is wrong with an entry, or with one of its id.
func (c *checker) entry(rec ledger.Record) (*Damage, error) {
	idem, run, err := open(rec)
	if err != nil {
		return own(rec, Unsound, "%s", err), nil
	}
	switch {
	case rec.Idem != idem:
		return own(rec, Beside, "it stands under id %s, it is of %s", rec.Idem, idem), nil
	case !run.IsZero() && rec.Run != run:
		return own(rec, Beside, "it stands under run %s, it is of %s", rec.Run, run), nil
	}
	if d, err := c.run(rec); d != nil || err != nil {
		return d, err
	}
	if idem.IsZero() {
		return nil, nil
	}
	d, err := c.fold(rec)
	if err != nil || d != nil && !d.Sort.Unknown() || rec.Kind != ledger.KindCommit {
		return d, err
	}
	if bad, err := c.receipt(rec); bad != nil || err != nil {
		return bad, err
	}
	return d, nil
}

// open decodes an entry and verifies the signature that it must have: of a commit
// the fold does it, and a mark names no signer. It returns the id and the run that
// the entry itself names.
func open(rec ledger.Record) (idem, run cid.Hash, err error) {
	switch rec.Kind {
	case ledger.KindRegister:
		x, _, err := ledger.OpenRegister(rec.Body)
		return x.IdemID, run, err
	case ledger.KindCommit:
		x, _, err := ledger.DecodeCommit(rec.Body)
		return x.IdemID, run, err
	case ledger.KindDivergence:
		x, err := ledger.DecodeDivergence(rec.Body)
		return x.IdemID, run, err
	case ledger.KindResolution:
		x, err := ledger.OpenResolution(rec.Body)
		return x.IdemID, run, err
	case ledger.KindRefusal:
		x, err := ledger.OpenRefusal(rec.Body)
		if x.RunRecord != nil {
			run = *x.RunRecord
		}
		return idem, run, err
	case ledger.KindRingState:
		_, err := ledger.OpenRingState(rec.Body)
		return idem, run, err
	case ledger.KindRunRecord:
		_, id, err := evidence.OpenRecord(rec.Body)
		return idem, id, err
	case ledger.KindRunSeal:
		x, _, err := evidence.OpenSeal(rec.Body)
		return idem, x.RunRecord, err
	}
	return idem, run, fault.New(ledger.ErrEntry, "an entry of kind %d", rec.Kind)
}

// run checks that the log has the record of the run that an entry stands under.
func (c *checker) run(rec ledger.Record) (*Damage, error) {
	if rec.Run.IsZero() || rec.Kind == ledger.KindRunRecord || c.runs[rec.Run] {
		return nil, nil
	}
	f := ledger.Filter{Run: &rec.Run, Kinds: []ledger.Kind{ledger.KindRunRecord}}
	for begin, err := range c.log.Records(c.ctx, f) {
		switch {
		case err != nil:
			return nil, err
		case begin.Index > rec.Index:
			return own(rec, Beside, "its run %s begins after it", rec.Run), nil
		case len(c.runs) >= maxRuns:
			clear(c.runs)
		}
		c.runs[rec.Run] = true
		return nil, nil
	}
	return own(rec, Beside, "the log has no run %s", rec.Run), nil
}

// receipt checks that a commit's receipt is beside the log, and its response, if
// that is, what it says. A large response is in the object store.
func (c *checker) receipt(rec ledger.Record) (*Damage, error) {
	x, _, err := ledger.DecodeCommit(rec.Body)
	if err != nil {
		return nil, err
	}
	raw, err := c.log.Receipt(c.ctx, x.ReceiptID)
	if err == nil {
		if _, _, err := receipt.Open(raw); err != nil {
			return own(rec, Beside, "its receipt: %s", err), nil
		}
		_, err = c.log.Object(c.ctx, x.ResponseHash)
		if errors.Is(err, ledger.ErrNoItem) {
			err = nil
		}
	}
	if errors.Is(err, ledger.ErrNoItem) || errors.Is(err, ledger.ErrCorrupt) {
		return own(rec, Beside, "%s", err), nil
	}
	return nil, err
}

// fold folds the entries of an id when it meets the first of them.
func (c *checker) fold(rec ledger.Record) (*Damage, error) {
	var s ledger.State
	var last []byte // the latest register
	var unknown *Damage
	first := true
	for each, err := range c.log.Records(c.ctx, ledger.Filter{Idem: &rec.Idem}) {
		if err != nil {
			return nil, err
		}
		if first && each.Index != rec.Index && each.Index >= c.from {
			return nil, nil // folded when that one was met
		}
		first = false
		bad, err := c.follows(&s, each, &last)
		if err != nil {
			return nil, err
		}
		if errors.Is(bad, ErrStranger) {
			unknown = earlier(unknown, own(each, UnknownOperator, "%s", gist(bad)))
			continue
		}
		if bad != nil {
			var e *fault.Error
			if errors.As(bad, &e) && e.Code == ledger.ErrCorrupt && e.Cause != nil {
				bad = e.Cause
			}
			return own(each, Unsound, "it does not follow from the entries of its id before it: %s", bad), nil
		}
	}
	return unknown, nil
}

// follows folds one entry.
func (c *checker) follows(s *ledger.State, rec ledger.Record, last *[]byte) (bad, err error) {
	switch rec.Kind {
	case ledger.KindRegister:
		*last = rec.Body
	case ledger.KindResolution:
		return c.resolution(s, rec, *last)
	}
	return s.Apply(rec), nil
}
