package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mythos-run/mythos/internal/crash/trace"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// syncs counts the durable syncs of the embedded journal: one to begin a run, one for
// the first register, and one for each commit with what comes next; more if a commit
// had to wait for that and was written by itself, and fewer where callers share them.
func (h *harness) syncs(ctx context.Context) error {
	one, _, err := h.countSyncs(ctx, 1, []runName{"pwk-warm", "pwk-one"}, "pwk-one")
	if err != nil {
		return err
	}
	chain, _, err := h.countSyncs(ctx, 1, []runName{"pwk-warm", "chain-one"}, "chain-one")
	if err != nil {
		return err
	}
	h.say("a run of 1 effect: %d syncs; of %d effects: %d; so %d for %d effects more", one, chainLength, chain, chain-one, chainLength-1)
	if more := chain - one; one < 3 || one > 4 || more < chainLength-1 || more >= 2*(chainLength-1) {
		return fmt.Errorf("want 3, and 1 for each effect more; 2 only now and then")
	}
	var runs []runName
	for i := range 320 {
		runs = append(runs, runName(fmt.Sprint("pwk-", i)))
	}
	_, shared, err := h.countSyncs(ctx, 16, runs, "")
	if err != nil {
		return err
	}
	h.say("%d runs of 1 effect by 16 callers: %d syncs, %.2f for each run", len(runs), shared, float64(shared)/float64(len(runs)))
	if shared >= 2*len(runs) {
		return errors.New("callers share no sync: alone, a run has 3")
	}
	return nil
}

// countSyncs returns the syncs of the write-ahead log between the first and the
// last line that is about a run, and in all.
func (h *harness) countSyncs(ctx context.Context, callers int, runs []runName, about runName) (during, all int, err error) {
	w, err := h.world(ctx, false, false)
	if err != nil {
		return 0, 0, err
	}
	dir := w.ledgerDir("syncs")
	events, _, err := h.traced(w, Order{Ledger: dir, Boot: true, NoWait: true, Callers: callers, Runs: runs})
	if err != nil {
		return 0, 0, err
	}
	inside, ended := false, false
	for _, e := range events {
		switch {
		case e.Kind == trace.SyncEnd && strings.HasPrefix(e.Path, filepath.Join(dir, "ledger.db")):
			all++
			if inside {
				during++
			}
		case e.Kind == trace.Said && string(e.Data) == fmt.Sprintf("S %s\n", about):
			inside = true
		case e.Kind == trace.Said && strings.HasPrefix(string(e.Data), fmt.Sprintf("D %s ", about)):
			inside, ended = false, true
		}
	}
	if about != "" && !ended {
		return 0, 0, fmt.Errorf("run %s has not ended", about)
	}
	return during, all, nil
}

// ioFaults fails system calls of the real process: it must stop to acknowledge,
// say why by a stable code, and lose nothing.
func (h *harness) ioFaults(ctx context.Context) error {
	if h.strace == "" {
		return errors.New("strace is not installed")
	}
	var errs []error
	for _, x := range []struct {
		inject string
		code   fault.Code
	}{
		{"fsync:error=EIO:when=12+", journal.ErrUnavailable},
		{"fsync:error=EIO:when=12", journal.ErrUnavailable},
		{"pwrite64:error=EIO:when=150+", journal.ErrUnavailable},
		{"pwrite64:error=ENOSPC:when=150+", journal.ErrFull},
		{"fsync:error=ENOSPC:when=12", journal.ErrUnavailable},
	} {
		for _, callers := range []int{1, 8} {
			said, err := h.fail(ctx, x.inject, x.code, callers)
			if err != nil {
				err = fmt.Errorf("%s, %d callers: %w", x.inject, callers, err)
			}
			errs = append(errs, err)
			h.say("%s, %d callers: %s", x.inject, callers, said)
		}
	}
	return errors.Join(errs...)
}

// fail runs an executor whose calls fail and then looks at the ledger.
func (h *harness) fail(ctx context.Context, inject string, code fault.Code, callers int) (string, error) {
	w, err := h.world(ctx, false, false)
	if err != nil {
		return "", err
	}
	dir := w.ledgerDir("faults")
	p, err := w.start(h.strace, "-f", "-qq", "-o", filepath.Join(w.Dir, "strace.out"),
		"-P", filepath.Join(dir, "ledger.db"), "-P", filepath.Join(dir, "ledger.db-wal"),
		"-e", "trace=fsync,pwrite64", "-e", "inject="+inject)
	if err != nil {
		return "", err
	}
	var runs []runName
	for i := range 60 {
		runs = append(runs, runName(fmt.Sprint("nwd-", i)))
	}
	if err := p.tell(Order{Ledger: dir, Boot: true, NoWait: true, Callers: callers, Runs: runs}); err != nil {
		return "", err
	}
	lines, err := p.finish()
	if err != nil {
		return "", err
	}
	acked, refused, after := map[string]string{}, 0, 0
	for _, line := range lines {
		f := strings.Fields(line)
		switch {
		case f[0] == "C":
			acked[f[1]] = f[2]
			after += min(refused, 1)
		case f[0] == "E" && f[2] == string(code):
			refused++
		case f[0] == "E" && f[1] != "close" && f[2] != "effect_in_doubt":
			err = errors.Join(err, fmt.Errorf("refused with %s, want %s", f[2], code))
		}
	}
	lost, reopen := missing(ctx, dir, acked)
	err = errors.Join(err, reopen)
	said := fmt.Sprintf("%d acknowledged, then %d refused with %s; opened again, %d lost", len(acked), refused, code, lost)
	switch {
	case lost > 0:
		err = errors.Join(err, fmt.Errorf("%d acknowledged commits lost", lost))
	case len(acked) == 0 || refused == 0:
		err = errors.Join(err, errors.New("the fault came too early or never"))
	case callers == 1 && after > 0 && code != journal.ErrFull: // a disk may have room again
		err = errors.Join(err, fmt.Errorf("%d commits acknowledged after the fault", after))
	}
	return said, err
}
