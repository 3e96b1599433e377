package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mythos-run/mythos/internal/crash/history"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

const (
	historyKeys    = 40
	historyCallers = 12
	historyCalls   = 40 // by each caller
	historyKills   = 4
	historyLimit   = 2 * time.Minute
)

// linear checks the histories of concurrent callers, whose executors are killed
// in between, on both journals.
func (h *harness) linear(ctx context.Context) error {
	w, err := h.world(ctx, false, false)
	if err != nil {
		return err
	}
	places, teams := h.places(w), map[string]int{"embedded": 1, "postgres": 3}
	var errs []error
	for _, journal := range []string{"embedded", "postgres"} {
		if places[journal] == nil {
			errs = append(errs, errors.New("there is no PostgreSQL server"))
			continue
		}
		r := &recorder{harness: h, world: w, place: places[journal], journal: journal, start: time.Now()}
		if err := r.record(ctx, teams[journal]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", journal, err))
			continue
		}
		ok, known := history.Check(r.calls, historyLimit)
		h.say("%s: %d calls of %d keys by %d callers, %d executors killed meanwhile (%s): linearizable: %t", journal,
			len(r.calls), historyKeys, historyCallers, historyKills, r.ends(), ok)
		if !ok || !known {
			errs = append(errs, fmt.Errorf("%s: the history is not linearizable (decided: %t)", journal, known))
		}
	}
	return errors.Join(errs...)
}

// recorder is what callers saw.
type recorder struct {
	*harness
	world   *World
	place   place
	journal string
	start   time.Time

	mu    sync.Mutex
	team  []*member
	shift time.Duration
	calls []history.Call
	fault error
	kills int
}

// record lets callers call and kills executors at even distances.
func (r *recorder) record(ctx context.Context, executors int) error {
	for i := range executors {
		if err := r.replace(i); err != nil {
			return err
		}
	}
	var callers sync.WaitGroup
	for c := range historyCallers {
		callers.Go(func() {
			for i := range historyCalls {
				r.call(c, i)
				if c == 0 && i%(historyCalls/historyKills) == historyCalls/historyKills-1 {
					r.kill()
				}
			}
		})
	}
	callers.Wait()
	return errors.Join(r.fault, dismiss(r.team))
}

// replace gives place i a new executor, for which older leases are over if this
// journal's clock can be moved.
func (r *recorder) replace(i int) error {
	shift, _ := r.place.leaseOver()
	r.shift += shift
	o := Order{Boot: true, NoWait: true, Shift: r.shift}
	r.place.fill(&o, "history")
	m, err := r.world.hire(o)
	if err != nil {
		return err
	}
	if i == len(r.team) {
		r.team = append(r.team, m)
	} else {
		r.team[i] = m
	}
	return m.ready()
}

func (r *recorder) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.kills % len(r.team)
	r.kills++
	r.fault = errors.Join(r.fault, r.team[i].slay(), r.replace(i))
}

// call is one call: each caller goes through all keys, a little ahead of or behind
// the others.
func (r *recorder) call(caller, i int) {
	key := fmt.Sprint("h", r.worlds, "-", (i+caller%3)%historyKeys)
	r.mu.Lock()
	m := r.team[caller%len(r.team)]
	r.mu.Unlock()
	c := history.Call{Key: key, Caller: caller, Begun: int64(time.Since(r.start))}
	a := m.run(newRun(tool{"never", "http"}, "k", fmt.Sprint(key, ":", caller, ".", i)))
	c.Ended = int64(time.Since(r.start))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case a.receipt != "":
		c.How, c.Receipt = history.Fresh, a.receipt
		if a.replayed {
			c.How = history.Replayed
		}
	case a.code == string(ledger.ErrInProgress):
		c.How = history.InProgress
	case a.code == string(ledger.ErrInDoubt):
		c.How = history.InDoubt
	case a.code != "":
		r.fault = errors.Join(r.fault, fmt.Errorf("a call ended with %s", a.text))
		return
	}
	r.calls = append(r.calls, c)
}

// ends counts how calls ended.
func (r *recorder) ends() string {
	n := map[history.How]int{}
	for _, c := range r.calls {
		n[c.How]++
	}
	return fmt.Sprintf("%d fresh, %d replayed, %d in progress, %d in doubt, %d died",
		n[history.Fresh], n[history.Replayed], n[history.InProgress], n[history.InDoubt], n[history.Died])
}
