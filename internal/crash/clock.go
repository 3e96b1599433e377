package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

const (
	jump = 30 * 365 * 24 * time.Hour // of a wall clock
	past = time.Hour                 // longer than any lease
)

// clocks moves the clocks of executors while an effect holds its lease: it ends
// neither early nor never.
func (h *harness) clocks(ctx context.Context) error {
	w, err := h.world(ctx, false, false)
	if err != nil {
		return err
	}
	errs := []error{h.bootClock(ctx, w)}
	if h.server == nil {
		return errors.Join(append(errs, errors.New("there is no PostgreSQL server"))...)
	}
	return errors.Join(append(errs, h.serverClock(ctx, w))...)
}

// busy has an executor invoke the effect of n, and keeps the tool from answering.
// came says that the tool was invoked; release lets it answer.
func (h *harness) busy(m *member, n runName) (release func(), done chan reply, err error) {
	id, err := n.idem(nil)
	if err != nil {
		return nil, nil, err
	}
	release = h.counter.hold(id)
	done = make(chan reply, 1)
	go func() { done <- m.run(n) }()
	select {
	case <-h.counter.come:
		return release, done, nil
	case r := <-done:
		release()
		return nil, nil, fmt.Errorf("run %s ended before its tool was invoked: %s", n, r.text)
	}
}

// wantCode retries the key of n and wants a refusal.
func wantCode(m *member, n runName, i int, what, code string) error {
	r := m.run(runName(fmt.Sprint(n, ":", i)))
	if r.code != code {
		return fmt.Errorf("%s: a retry got %q, want %s", what, r.text, code)
	}
	return nil
}

// bootClock is the embedded journal: while a boot lasts, its monotonic clock
// decides, and the wall clock may go where it likes.
func (h *harness) bootClock(ctx context.Context, w *World) error {
	team, err := h.team(ctx, w, embedded{w}, "clock", 1, Order{NoWait: true})
	if err != nil {
		return err
	}
	m, n := team[0], runName("nhk-clock-embedded")
	release, done, err := h.busy(m, n)
	if err != nil {
		return errors.Join(err, m.slay())
	}
	progress, doubt := string(ledger.ErrInProgress), string(ledger.ErrInDoubt)
	errs := []error{
		wantCode(m, n, 1, "at the same time", progress),
		m.shift("shift", jump), wantCode(m, n, 2, "wall clock 30 years on", progress),
		m.shift("shift", -jump), wantCode(m, n, 3, "wall clock 30 years back", progress),
		m.shift("boot", past), wantCode(m, n, 4, "wall clock 30 years back, an hour later", doubt),
	}
	release()
	if r := <-done; r.receipt == "" {
		errs = append(errs, fmt.Errorf("the owner's late commit: %s", r.text))
	}
	if r := m.run(n + ":5"); r.receipt == "" || !r.replayed {
		errs = append(errs, fmt.Errorf("after the late commit: %s", r.text))
	}
	err = errors.Join(append(errs, m.dismiss())...)
	if err == nil {
		h.say("embedded: a lease stands with the wall clock 30 years on and back; it is over an hour later on the boot's clock; the owner's late commit stands")
	}
	return err
}

// serverClock is PostgreSQL: the server's clock decides, whatever those of the
// executors say.
func (h *harness) serverClock(ctx context.Context, w *World) error {
	team, err := h.team(ctx, w, h.server, "clock", 2, Order{NoWait: true})
	if err != nil {
		return err
	}
	owner, other, n := team[0], team[1], runName("nhk-clock-postgres")
	release, done, err := h.busy(owner, n)
	if err != nil {
		return errors.Join(err, owner.slay(), other.slay())
	}
	progress, doubt := string(ledger.ErrInProgress), string(ledger.ErrInDoubt)
	errs := []error{
		wantCode(other, n, 1, "at the same time", progress),
		other.shift("shift", jump), wantCode(other, n, 2, "clock 30 years on", progress),
		other.shift("shift", -jump), wantCode(other, n, 3, "clock 30 years back", progress),
		owner.slay(),
		wantCode(other, n, 4, "its owner just killed", progress),
	}
	<-done
	release()
	_, wait := h.server.leaseOver()
	timer := time.NewTimer(wait)
	<-timer.C
	errs = append(errs, wantCode(other, n, 5, "clock 30 years back, when the lease is over", doubt), other.dismiss())
	err = errors.Join(errs...)
	if err == nil {
		h.say("postgres: a lease stands with an executor's clock 30 years on and back, and when its owner was killed; it is over %s later", wait)
	}
	return err
}
