package journal

import (
	"cmp"
	"context"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// registering is Register for commitAnd. A register that does not open is refused when
// its turn comes: the commit before it is written all the same.
func registering(r ledger.Registration) func(rules.Tx) error {
	opened, err := rules.OpenRegistration(r)
	return func(t rules.Tx) error {
		if err != nil {
			return err
		}
		return rules.Register(t, opened)
	}
}

// then runs the rule that comes after a commit, if that stands.
func then(t rules.Tx, v ledger.Verdict, next func(rules.Tx) error) error {
	if err := rules.Stands(v); err != nil {
		return err
	}
	return next(t)
}

// CommitAndRegister implements ledger.Store.
func (s *SQLite) CommitAndRegister(ctx context.Context, c ledger.Commitment, r ledger.Registration) (ledger.Verdict, error) {
	return s.commitAnd(ctx, c, registering(r))
}

// CommitAndSeal implements ledger.Store.
func (s *SQLite) CommitAndSeal(ctx context.Context, c ledger.Commitment, body []byte, run cid.Hash) (ledger.Verdict, error) {
	return s.commitAnd(ctx, c, func(t rules.Tx) error { return s.seal(t, body, run) })
}

// commitAnd queues a commit and what comes next as two operations of one transaction,
// so that each may be refused by itself.
func (s *SQLite) commitAnd(ctx context.Context, c ledger.Commitment, next func(rules.Tx) error) (ledger.Verdict, error) {
	opened, err := rules.OpenCommitment(c)
	if err != nil {
		return 0, err
	}
	if s.writer == nil {
		return 0, readOnly()
	}
	var verdict ledger.Verdict
	commit := newOperation(func(t rules.Tx) (err error) {
		verdict, err = rules.Commit(t, opened)
		return err
	})
	commit.next = newOperation(func(t rules.Tx) error {
		if commit.err != nil {
			return commit.err
		}
		return then(t, verdict, next)
	})
	if err := s.writer.do(ctx, commit); err != nil {
		return 0, err
	}
	return verdict, commit.next.err
}

// CommitAndRegister implements ledger.Store.
func (m *InMemory) CommitAndRegister(ctx context.Context, c ledger.Commitment, r ledger.Registration) (ledger.Verdict, error) {
	return m.commitAnd(ctx, c, registering(r))
}

// CommitAndSeal implements ledger.Store.
func (m *InMemory) CommitAndSeal(ctx context.Context, c ledger.Commitment, body []byte, run cid.Hash) (ledger.Verdict, error) {
	return m.commitAnd(ctx, c, func(t rules.Tx) error { return rules.Seal(t, body, run) })
}

func (m *InMemory) commitAnd(ctx context.Context, c ledger.Commitment, next func(rules.Tx) error) (ledger.Verdict, error) {
	opened, err := rules.OpenCommitment(c)
	if err != nil {
		return 0, err
	}
	var refused error
	verdict, err := result(m.do, ctx, func(t rules.Tx) (ledger.Verdict, error) {
		v, err := rules.Commit(t, opened)
		if err == nil {
			refused = then(t, v, next)
		}
		return v, err
	})
	return verdict, cmp.Or(err, refused)
}
