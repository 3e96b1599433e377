package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// A lane is a campaign beside others of the same journal: a harness of its own, with
// its own counter, worlds, server and random numbers, that shares nothing with the
// others but the machine. What they found is added up.

// killAll is the campaign on each journal, in lanes.
func (h *harness) killAll(ctx context.Context) (err error) {
	h.out = &wholeLines{w: h.out}
	lanes := []*harness{h}
	defer func() {
		for _, lane := range lanes[1:] {
			err = errors.Join(err, lane.close())
		}
	}()
	for n := 1; n < h.lanes; n++ {
		lane, err := h.lane(n)
		if err != nil {
			return err
		}
		lanes = append(lanes, lane)
	}
	var errs []error
	for _, journal := range []string{"embedded", "postgres"} {
		total, err := killIn(ctx, lanes, journal)
		h.reports = append(h.reports, total.report)
		h.say("%s: %s", journal, total.deaths())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", journal, err))
			h.say("FAILED: %v", err)
		}
	}
	return errors.Join(errs...)
}

// lane makes a harness beside h.
func (h *harness) lane(n int) (lane *harness, err error) {
	lane = &harness{crashes: h.crashes, seed: h.seed + uint64(n)<<32, tool: h.tool, script: h.script, strace: h.strace, out: h.out}
	lane.dir = filepath.Join(h.dir, fmt.Sprint("lane", n))
	if err := os.Mkdir(lane.dir, 0o700); err != nil {
		return nil, err
	}
	if lane.counter, err = newCounter(); err != nil {
		return nil, err
	}
	if h.server != nil {
		if lane.server, err = startServer(h.script); err != nil {
			return nil, errors.Join(err, lane.counter.close())
		}
	}
	return lane, nil
}

func (h *harness) close() error {
	err := h.counter.close()
	if h.server != nil {
		err = errors.Join(err, h.server.close())
	}
	return err
}

// wholeLines lets several write.
type wholeLines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *wholeLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// killIn shares the crashes of one journal among lanes, and adds up what they found.
func killIn(ctx context.Context, lanes []*harness, journal string) (total *campaign, err error) {
	all, errs := make([]*campaign, len(lanes)), make([]error, len(lanes))
	var wg sync.WaitGroup
	left := lanes[0].crashes
	for i, lane := range lanes {
		share := left / (len(lanes) - i)
		left -= share
		wg.Go(func() { all[i], errs[i] = lane.kill(ctx, journal, share) })
	}
	wg.Wait()
	total = &campaign{journal: journal, report: Report{Journal: journal, Duplicates: map[string]int{}}, kinds: map[string]int{}}
	for _, c := range all {
		if c != nil {
			total.add(c)
		}
	}
	return total, errors.Join(errs...)
}

// kill is one campaign.
func (h *harness) kill(ctx context.Context, journal string, crashes int) (*campaign, error) {
	w, err := h.world(ctx, true, false)
	if err != nil {
		return nil, err
	}
	place := h.places(w)[journal]
	if place == nil {
		return nil, fmt.Errorf("no %s journal to kill", journal)
	}
	c := h.campaign(w, journal, place, crashes)
	if journal == "embedded" {
		c.strace = h.strace
	}
	return c, errors.Join(c.run(ctx), c.verdict())
}

// add counts what another campaign of the same journal found.
func (c *campaign) add(o *campaign) {
	r := &c.report
	r.Crashes += o.report.Crashes
	r.Effects += o.report.Effects
	r.Lost += o.report.Lost
	r.InDoubt += o.report.InDoubt
	r.InDoubtListed += o.report.InDoubtListed
	for class, n := range o.report.Duplicates {
		r.Duplicates[class] += n
	}
	for where, n := range o.kinds {
		c.kinds[where] += n
	}
	c.probes += o.probes
	c.waits += o.waits
}
