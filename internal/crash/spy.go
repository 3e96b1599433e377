package main

import (
	"context"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// spied is a ledger that tells what it acknowledges, and dies before or after any
// of its writes if it is told to.
type spied struct {
	ledger.Log
	child  *child
	probes *sync.Map // ids of probes, which are effects of their own
}

// spy wraps the ledger, once more with a fault if the order names one.
func (c *child) spy(log ledger.Log) ledger.Store {
	switch c.order.Sabotage {
	case "invoke-first":
		log = &lazyRegister{Log: log, held: map[cid.Hash]ledger.Registration{}}
	case "answer-first":
		log = &earlyCommit{Log: log}
	}
	return spied{log, c, &sync.Map{}}
}

// journalSteps are the points around each durable write, beside those of
// executor.Config.Step.
var journalSteps = []string{
	"journal begin", "journal begun", "journal register", "journal registered",
	"journal commit", "journal committed", "journal resolve", "journal resolved", "journal seal", "journal sealed",
	"journal commit and register", "journal committed and registered", "journal commit and seal", "journal committed and sealed",
}

// executorSteps are the points that the executor names.
var executorSteps = []string{
	"begin", "authorise", "consult", "register", "registered", "invoke", "receipt", "commit", "held", "committed",
	"release", "replay", "mark", "seal", "reconcile",
}

func (s spied) BeginRun(ctx context.Context, start ledger.RunStart) ([]byte, error) {
	s.child.die.pass("journal begin")
	raw, err := s.Log.BeginRun(ctx, start)
	s.child.die.pass("journal begun")
	return raw, err
}

func (s spied) Register(ctx context.Context, r ledger.Registration) error {
	s.child.die.pass("journal register")
	err := s.Log.Register(ctx, r)
	s.child.die.pass("journal registered")
	if err == nil {
		err = s.registered(r)
	}
	return err
}

// registered tells of a register that is durable.
func (s spied) registered(r ledger.Registration) error {
	x, _, err := r.Open()
	if err != nil {
		return err
	}
	if isProbe(x) {
		s.probes.Store(x.IdemID, true)
		return nil
	}
	s.child.say("R %s", x.IdemID.Hex())
	return nil
}

func (s spied) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	s.child.die.pass("journal commit")
	verdict, err := s.Log.Commit(ctx, c)
	s.child.die.pass("journal committed")
	if err == nil {
		err = s.committed(c, verdict)
	}
	return verdict, err
}

// committed tells of a commit that is durable and stands.
func (s spied) committed(c ledger.Commitment, verdict ledger.Verdict) error {
	if verdict != ledger.Applied {
		return nil
	}
	x, _, err := ledger.DecodeCommit(c.Body)
	if err != nil {
		return err
	}
	if _, probe := s.probes.Load(x.IdemID); !probe {
		s.child.say("C %s %s", x.IdemID.Hex(), x.ReceiptID.Hex())
	}
	return nil
}

func (s spied) CommitAndRegister(ctx context.Context, c ledger.Commitment, r ledger.Registration) (ledger.Verdict, error) {
	s.child.die.pass("journal commit and register")
	verdict, err := s.Log.CommitAndRegister(ctx, c, r)
	s.child.die.pass("journal committed and registered")
	if lost := s.committed(c, verdict); lost != nil {
		return verdict, lost
	}
	if err == nil {
		err = s.registered(r)
	}
	return verdict, err
}

func (s spied) CommitAndSeal(ctx context.Context, c ledger.Commitment, body []byte, run cid.Hash) (ledger.Verdict, error) {
	s.child.die.pass("journal commit and seal")
	verdict, err := s.Log.CommitAndSeal(ctx, c, body, run)
	s.child.die.pass("journal committed and sealed")
	if lost := s.committed(c, verdict); lost != nil {
		return verdict, lost
	}
	return verdict, err
}

func (s spied) Resolve(ctx context.Context, body []byte, run cid.Hash, byOperator bool) error {
	s.child.die.pass("journal resolve")
	err := s.Log.Resolve(ctx, body, run, byOperator)
	s.child.die.pass("journal resolved")
	return err
}

func (s spied) Seal(ctx context.Context, body []byte, run cid.Hash) error {
	s.child.die.pass("journal seal")
	err := s.Log.Seal(ctx, body, run)
	s.child.die.pass("journal sealed")
	return err
}

// isProbe reports whether a register is of a probe.
func isProbe(x ledger.Register) bool {
	var k ledger.IdempotencyKey
	in := can.NewReader(x.IdempotencyKey)
	k.ReadCAN(&in)
	return in.Done() == nil && k.Origin == ledger.OriginProbe
}

func decodeIdem(request []byte) (cid.Hash, error) {
	x, err := abi.DecodeRequest(request)
	return x.IdemID, err
}

// lazyRegister is a negative control: it acknowledges a register and writes it
// only with its commit, so that the module runs before anything is durable.
type lazyRegister struct {
	ledger.Log
	mu   sync.Mutex
	held map[cid.Hash]ledger.Registration
}

func (l *lazyRegister) Register(_ context.Context, r ledger.Registration) error {
	x, _, err := r.Open()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[x.IdemID] = r
	return nil
}

func (l *lazyRegister) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	x, _, err := ledger.DecodeCommit(c.Body)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	r, ok := l.held[x.IdemID]
	delete(l.held, x.IdemID)
	l.mu.Unlock()
	if ok {
		if err := l.Log.Register(ctx, r); err != nil {
			return 0, err
		}
	}
	return l.Log.Commit(ctx, c)
}

func (l *lazyRegister) CommitAndRegister(ctx context.Context, c ledger.Commitment, r ledger.Registration) (ledger.Verdict, error) {
	verdict, err := l.Commit(ctx, c)
	if err == nil {
		err = l.Register(ctx, r)
	}
	return verdict, err
}

func (l *lazyRegister) CommitAndSeal(ctx context.Context, c ledger.Commitment, body []byte, run cid.Hash) (ledger.Verdict, error) {
	verdict, err := l.Commit(ctx, c)
	if err == nil {
		err = l.Seal(ctx, body, run)
	}
	return verdict, err
}

// earlyCommit is a negative control: it acknowledges a commit before it writes it.
type earlyCommit struct {
	ledger.Log
	pending sync.WaitGroup
}

func (e *earlyCommit) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	e.pending.Go(func() { _, _ = e.Log.Commit(ctx, c) }) // nobody hears of it
	return ledger.Applied, nil
}

func (e *earlyCommit) CommitAndRegister(ctx context.Context, c ledger.Commitment, r ledger.Registration) (ledger.Verdict, error) {
	verdict, err := e.Commit(ctx, c)
	if err == nil {
		err = e.Register(ctx, r)
	}
	return verdict, err
}

func (e *earlyCommit) CommitAndSeal(ctx context.Context, c ledger.Commitment, body []byte, run cid.Hash) (ledger.Verdict, error) {
	e.pending.Go(func() { _, _ = e.Log.CommitAndSeal(ctx, c, body, run) })
	return ledger.Applied, nil
}

func (e *earlyCommit) Close() error {
	e.pending.Wait()
	return e.Log.Close()
}
