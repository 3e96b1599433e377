package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// maxHeld is for how long a commit waits for the next write of its run.
const maxHeld = time.Millisecond

// held is an effect whose response the program has and whose commit is not written
// yet: it goes with the register of the next effect or the seal, or by itself when it
// has waited for long enough. Until it is durable and stands, nothing that the program
// makes of the response leaves the run. A run holds one at most.
type held struct {
	call   *call
	reg    *register
	commit ledger.Commitment
	stop   func() // ends the heartbeat

	timer   *time.Timer   // writes it
	done    chan struct{} // closed when the timer has; verdict and err are there
	verdict ledger.Verdict
	err     error
}

// hold keeps the commit of an effect for the next write.
func (r *run) hold(ctx context.Context, c *call, a *register, commit ledger.Commitment, stop func()) {
	h := &held{call: c, reg: a, commit: commit, stop: stop, done: make(chan struct{})}
	ctx = context.WithoutCancel(ctx)
	h.timer = time.AfterFunc(r.maxHeld, func() {
		defer close(h.done)
		h.write(ctx, r.Ledger)
	})
	r.held = h
	r.step("held")
}

func (h *held) write(ctx context.Context, l ledger.Store) {
	h.verdict, h.err = l.Commit(ctx, h.commit)
	h.stop()
}

// take ends the wait, and reports whether the commit is still to be written.
func (h *held) take() bool {
	if h.timer.Stop() {
		return true
	}
	<-h.done
	return false
}

// flush writes the commit that is held, if one is, whatever has become of ctx: its
// effect happened. An error is an earlier, and nothing may come after it.
func (r *run) flush(ctx context.Context) error {
	h := r.held
	if h == nil {
		return nil
	}
	if h.take() {
		h.write(context.WithoutCancel(ctx), r.Ledger)
	}
	return r.flushed(ctx, h)
}

// follow writes what comes next: together with the commit that is held, or alone if
// none is. It is not written unless that commit stands.
func (r *run) follow(ctx context.Context, alone func() error, together func(context.Context, ledger.Commitment) (ledger.Verdict, error)) error {
	h := r.held
	if h == nil || ctx.Err() != nil || !h.take() {
		if err := r.flush(ctx); err != nil {
			return err
		}
		return alone()
	}
	var err error
	if h.verdict, err = together(context.WithoutCancel(ctx), h.commit); h.verdict == 0 {
		h.write(context.WithoutCancel(ctx), r.Ledger) // it may have failed for what comes next alone
	} else {
		h.stop()
	}
	if lost := r.flushed(ctx, h); lost != nil {
		return lost
	}
	return err
}

// flushed says what became of the commit that was held. Unless it stands the program
// has gone on with a response that is not the effect's outcome, and the run ends.
func (r *run) flushed(ctx context.Context, h *held) error {
	r.held = nil
	err := r.committed(ctx, h.call, h.verdict, h.err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errSuperseded):
		err = aboutEffect(h.call, fault.New(ledger.ErrSuperseded, "its commit does not stand: another register or a resolution came first; the same request says what stands"))
	case !errors.Is(err, ledger.ErrDivergent):
		err = r.release(ctx, h.call, h.reg, err)
	}
	return earlier{describe(h.call, err)}
}

// earlier is the error of an effect whose commit was held, met on the way of the next
// one.
type earlier struct{ error }

func (e earlier) Unwrap() error { return e.error }

func isEarlier(err error) bool {
	var e earlier
	return errors.As(err, &e)
}
