package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// settle takes up everything that is not settled once more, in an executor that
// lives, when every lease is over; then it holds the ledger against what is known
// from outside.
func (p *part) settle(ctx context.Context) error {
	shift, wait := p.place.leaseOver()
	p.shift += 2 * shift
	timer := time.NewTimer(wait)
	<-timer.C
	before := len(p.book.faults)
	if err := p.finish(); err != nil {
		return err
	}
	for _, e := range p.book.order {
		if e.code == string(ledger.ErrInProgress) {
			p.book.fault("run %s: its lease is over and does not end", e.run)
		}
	}
	if p.sabotage == "answer-first" {
		p.book.faults = p.book.faults[:before] // what is counted is what is lost
	}
	log, err := p.place.open(ctx, p.name, p.shift)
	if err != nil {
		return err
	}
	err = p.check(ctx, log)
	return errors.Join(err, log.Close())
}

// finish runs what is open, what is in doubt and some of what was acknowledged.
func (p *part) finish() error {
	s := started{}
	if s.p, s.err = p.world.start(); s.err != nil {
		return s.err
	}
	o := Order{Shift: p.shift, Boot: true, NoWait: true, Natives: p.native != nil, Callers: 16}
	p.place.fill(&o, p.name)
	acked := 0
	for _, e := range p.book.order {
		if e.receipt != "" && e.bytes != "" {
			acked++
		}
	}
	for _, e := range p.book.order {
		open := e.receipt == "" || e.bytes == ""
		if open || p.random.IntN(max(acked, 1)) < finalAcked {
			o.Runs = append(o.Runs, e.run)
			e.code = ""
		}
	}
	if err := s.p.tell(o); err != nil {
		return err
	}
	lines, err := s.p.finish()
	for _, line := range lines {
		p.book.note(line)
	}
	return err
}

// check compares the ledger with the book.
func (p *part) check(ctx context.Context, log ledger.Log) error {
	if err := p.verify(ctx, log); err != nil {
		return err
	}
	states, probes, err := fold(ctx, log)
	if err != nil {
		return err
	}
	listed, err := inDoubt(ctx, log, states)
	if err != nil {
		return err
	}
	native, err := countedIn(p.world.counts())
	if err != nil {
		return err
	}
	for _, e := range p.book.order {
		p.probes += e.probed
		calls := e.entered
		switch e.run.tool().kind {
		case "http", "trip":
			calls = p.counter.of(e.idem)
		case "native":
			calls = native[e.idem]
		}
		s := states[e.idem]
		if s != nil {
			p.report.Effects++
		}
		p.judge(ctx, log, e, s, calls, listed[e.idem])
		delete(listed, e.idem)
		p.judgeFollower(e, s, states[e.follower])
	}
	for id := range listed {
		if probes[id] { // of an executor that died in it
			continue
		}
		p.book.fault("id %s is listed as in doubt, and no run has it", id)
	}
	return nil
}

// judge counts what is wrong with one effect.
func (p *part) judge(ctx context.Context, log ledger.Log, e *effect, s *ledger.State, calls int, listed bool) {
	class := e.run.class()
	p.report.Duplicates[class] += max(0, calls-1)
	if calls > 1 && class == "never" {
		p.book.fault("run %s was invoked %d times", e.run, calls)
	}
	committed := s != nil && s.Phase == ledger.Committed
	switch {
	case e.receipt != "":
		if err := kept(ctx, log, e, s); err != nil {
			p.report.Lost++
			p.book.fault("run %s was acknowledged: %v", e.run, err)
		}
	case e.registered && s == nil:
		p.report.Lost++
		p.book.fault("run %s: its register was acknowledged and is not there", e.run)
	}
	if committed && calls == 0 {
		p.book.fault("run %s has a receipt, and its tool was never invoked", e.run)
	}
	// In doubt is what was begun and has no receipt: what a caller is told, or what
	// the world has seen, whatever the ledger says of it.
	settled := s != nil && s.Phase == ledger.Settled // its probe saw that it happened
	doubt := e.code == string(ledger.ErrInDoubt) || !committed && !settled && calls > 0
	if doubt {
		p.report.InDoubt++
		if listed {
			p.report.InDoubtListed++
		} else {
			p.book.fault("run %s is in doubt (%d invocations) and not listed", e.run, calls)
		}
	} else if listed {
		p.book.fault("run %s is listed as in doubt, and it is not", e.run)
	}
}

// judgeFollower looks at the effect that follows e: it is begun after e has its
// outcome, and is kept like any other.
func (p *part) judgeFollower(e *effect, s, next *ledger.State) {
	switch {
	case e.followed != "" && (next == nil || next.Phase != ledger.Committed || next.Commit.ReceiptID.Hex() != e.followed):
		p.report.Lost++
		p.book.fault("run %s: what follows its effect was acknowledged and does not stand", e.run)
	case next != nil && (s == nil || s.Phase != ledger.Committed):
		p.book.fault("run %s: what follows its effect is registered, and it is not committed", e.run)
	}
}

// kept reports whether the receipt that was acknowledged stands.
func kept(ctx context.Context, log ledger.Log, e *effect, s *ledger.State) error {
	switch {
	case s == nil:
		return errors.New("no entry of it is there")
	case s.Phase != ledger.Committed:
		return fmt.Errorf("it is %s", s.Phase)
	case s.Commit.ReceiptID.Hex() != e.receipt:
		return fmt.Errorf("receipt %s, now %s", e.receipt, s.Commit.ReceiptID.Hex())
	}
	raw, err := log.Receipt(ctx, s.Commit.ReceiptID)
	if err != nil {
		return err
	}
	if e.bytes != "" && cid.Sum(raw).Hex() != e.bytes {
		return errors.New("its receipt has other bytes")
	}
	_, err = log.Object(ctx, s.Commit.ResponseHash)
	return err
}

// verify holds the log against its checkpoints.
func (p *part) verify(ctx context.Context, log ledger.Log) error {
	r, err := audit.Run(ctx, log, audit.Options{Executors: []sig.AgentID{keys().executor.Agent()}})
	if err != nil {
		return err
	}
	if r.Damage != nil {
		p.book.fault("the log does not verify: %v", r.Damage.Err())
	}
	return nil
}

// fold returns the state of every id in the log, and which ids are of probes.
func fold(ctx context.Context, log ledger.Store) (states map[cid.Hash]*ledger.State, probes map[cid.Hash]bool, err error) {
	probes = map[cid.Hash]bool{}
	records := map[cid.Hash][]ledger.Record{}
	for rec, err := range log.Records(ctx, ledger.Filter{}) {
		if err != nil {
			return nil, nil, err
		}
		if rec.Idem.IsZero() {
			continue
		}
		records[rec.Idem] = append(records[rec.Idem], rec)
		if rec.Kind == ledger.KindRegister {
			x, _, err := ledger.OpenRegister(rec.Body)
			if err != nil {
				return nil, nil, err
			}
			probes[rec.Idem] = isProbe(x)
		}
	}
	states = map[cid.Hash]*ledger.State{}
	for id, all := range records {
		s, err := ledger.Fold(all)
		if err != nil {
			return nil, nil, err
		}
		states[id] = &s
	}
	return states, probes, nil
}

// inDoubt lists what "mythos ledger list --state in-doubt" does: ids whose owner
// said so, and ids whose lease ended without a commit.
func inDoubt(ctx context.Context, log ledger.Store, states map[cid.Hash]*ledger.State) (map[cid.Hash]bool, error) {
	listed := map[cid.Hash]bool{}
	for id, s := range states {
		if s.Phase != ledger.Open && s.Phase != ledger.Doubt {
			continue
		}
		v, err := log.Lookup(ctx, id)
		if err != nil {
			return nil, err
		}
		listed[id] = v.Phase == ledger.Doubt || v.Phase == ledger.Open && !v.Live
		if !listed[id] {
			delete(listed, id)
		}
	}
	return listed, nil
}
