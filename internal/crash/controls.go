package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mythos-run/mythos/internal/crash/history"
)

// controlCrashes is how often an executor with a fault is killed.
const controlCrashes = 40

// controls performs what must be found: a harness that finds nothing here would
// find nothing elsewhere.
func (h *harness) controls(ctx context.Context) error {
	var errs []error
	for _, c := range []struct {
		name string
		run  func(context.Context) (found string, err error)
	}{
		{"a disk whose syncs do nothing", h.unsynced},
		{"an executor that invokes before it registers", func(ctx context.Context) (string, error) {
			r, err := h.sabotaged(ctx, "invoke-first", false)
			return foundIf(r.Duplicates["never"], "%d invocations too many of class never"), err
		}},
		{"an executor that retries what is in doubt, whatever the class", func(ctx context.Context) (string, error) {
			r, err := h.sabotaged(ctx, "", true)
			return foundIf(r.Duplicates["never"], "%d invocations too many of class never"), err
		}},
		{"an executor that answers before its commit is durable", func(ctx context.Context) (string, error) {
			r, err := h.sabotaged(ctx, "answer-first", false)
			return foundIf(r.Lost, "%d acknowledged effects lost"), err
		}},
		{"a history with two fresh receipts of one key", twoReceipts},
	} {
		found, err := c.run(ctx)
		if err == nil && found == "" {
			err = errors.New("found nothing")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("negative control %s: %w", c.name, err))
			found = err.Error()
		}
		h.say("negative control %s: found %s", c.name, found)
	}
	return errors.Join(errs...)
}

func foundIf(n int, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

// sabotaged is a short campaign on the embedded journal with a fault in the
// executor; lax makes it treat class never as idempotent.
func (h *harness) sabotaged(ctx context.Context, fault string, lax bool) (Report, error) {
	w, err := h.world(ctx, false, lax)
	if err != nil {
		return Report{}, err
	}
	c := h.campaign(w, "embedded", embedded{w}, controlCrashes)
	c.sabotage = fault
	err = c.run(ctx)
	if err == nil && c.verdict() == nil {
		err = errors.New("the campaign reports nothing wrong")
	}
	return c.report, err
}

// twoReceipts is the negative control of the linearizability check.
func twoReceipts(context.Context) (string, error) {
	ok, known := history.Check([]history.Call{
		{Key: "k", Begun: 1, Ended: 4, How: history.Fresh, Receipt: "a"},
		{Key: "k", Caller: 1, Begun: 2, Ended: 3, How: history.Fresh, Receipt: "b"},
	}, time.Minute)
	if ok || !known {
		return "", nil
	}
	return "that it is not linearizable", nil
}
