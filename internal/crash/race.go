package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// race has two and eight executors race for one id at a time, on PostgreSQL.
func (h *harness) race(ctx context.Context) error {
	if h.server == nil {
		return errors.New("there is no PostgreSQL server")
	}
	w, err := h.world(ctx, false, false)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range []int{2, 8} {
		name := fmt.Sprint("race", n)
		team, err := h.team(ctx, w, h.server, name, n, Order{NoWait: true})
		if err != nil {
			return err
		}
		won, refused, err := h.rounds(w, team, name, 200)
		errs = append(errs, err, dismiss(team))
		h.say("%d executors, 200 ids: %d invocations, %d answered with its receipt, %d refused while another's lease stood", n, won, len(team)*200-refused, refused)
	}
	return errors.Join(errs...)
}

// rounds has all executors want one id at once, again and again.
func (h *harness) rounds(w *World, team []*member, name string, rounds int) (invoked, refused int, err error) {
	var errs []error
	for i := range rounds {
		key := fmt.Sprint(name, "-", i)
		answers := make([]reply, len(team))
		var wg sync.WaitGroup
		for j, m := range team {
			wg.Go(func() { answers[j] = m.run(newRun(tool{"never", "http"}, "k", fmt.Sprint(key, ":", j))) })
		}
		wg.Wait()
		receipt := ""
		for _, a := range answers {
			switch {
			case a.code == string(ledger.ErrInProgress):
				refused++
			case a.receipt == "" || receipt != "" && a.receipt != receipt:
				errs = append(errs, fmt.Errorf("id %s: %q beside receipt %s", key, a.text, receipt))
			default:
				receipt = a.receipt
			}
		}
		n, err := h.calls(newRun(tool{"never", "http"}, "k", key))
		if err != nil {
			return invoked, refused, err
		}
		if n != 1 || receipt == "" {
			errs = append(errs, fmt.Errorf("id %s: invoked %d times, receipt %q", key, n, receipt))
		}
		invoked += n
		if len(errs) > 0 {
			break // the rest would only repeat it
		}
	}
	return invoked, refused, errors.Join(errs...)
}

// calls is how often the world has seen a run's effect; it has a caller's key.
func (h *harness) calls(n runName) (int, error) {
	id, err := n.idem(nil)
	if err != nil {
		return 0, err
	}
	return h.counter.of(id), nil
}

const retriers = 8

// retryAll has 8 processes retry one key thousands of times at once.
func (h *harness) retryAll(ctx context.Context) error {
	w, err := h.world(ctx, false, false)
	if err != nil {
		return err
	}
	places := h.places(w)
	var errs []error
	for _, journal := range []string{"embedded", "postgres"} {
		if places[journal] == nil {
			errs = append(errs, errors.New("there is no PostgreSQL server"))
			continue
		}
		if err := h.retry(ctx, w, journal, places[journal]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", journal, err))
		}
	}
	return errors.Join(append(errs, h.refuse(ctx))...)
}

// retry is that on one journal. On the embedded one each of the processes but one
// waits until those before it have let go of the ledger.
func (h *harness) retry(ctx context.Context, w *World, journal string, p place) error {
	started := time.Now()
	team, err := h.team(ctx, w, p, "retries", retriers, Order{})
	if err != nil {
		return err
	}
	key := fmt.Sprint(journal, h.worlds)
	receipts, bytes := map[string]int{}, map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, m := range team {
		all.Go(func() {
			h.retryBy(m, key, i, func(a reply) {
				mu.Lock()
				defer mu.Unlock()
				receipts[a.receipt+a.code]++
				bytes[a.bytes]++
			})
			if journal == "embedded" {
				m.p.in.Close() // the next one's turn
			}
		})
	}
	all.Wait()
	waited := 0
	for _, m := range team {
		waited += min(len(m.waits), 1)
	}
	err = dismiss(team)
	n, count := h.calls(newRun(tool{"never", "http"}, "k", key))
	h.say("%s: %d retries of one key from %d processes (%d waited for the lock): %d invocation, %d receipt, %.1f s", journal,
		h.retries/retriers*retriers, retriers, waited, n, len(receipts), time.Since(started).Seconds())
	switch {
	case err != nil || count != nil:
		return errors.Join(err, count)
	case n != 1 || len(receipts) != 1 || len(bytes) != 1 || receipts[""] > 0:
		return fmt.Errorf("%d invocations, answers %v", n, receipts)
	case journal == "embedded" && waited != retriers-1:
		return fmt.Errorf("%d of %d processes waited for the lock", waited, retriers)
	}
	return nil
}

// retryBy has one executor retry its share, all at once.
func (h *harness) retryBy(m *member, key string, i int, note func(reply)) {
	var runs sync.WaitGroup
	for j := range h.retries / retriers {
		runs.Go(func() {
			note(m.run(newRun(tool{"never", "http"}, "k", fmt.Sprint(key, ":", i, ".", j))))
		})
	}
	runs.Wait()
}

// refuse holds the lock of an embedded ledger: processes that do not wait are
// refused by name and write nothing.
func (h *harness) refuse(ctx context.Context) error {
	w, err := h.world(ctx, false, false)
	if err != nil {
		return err
	}
	p := embedded{w}
	log, err := p.open(ctx, "held", 0)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := sums(w.ledgerDir("held"))
	if err != nil {
		return err
	}
	team, err := h.team(ctx, w, p, "held", retriers, Order{NoLock: true})
	if err != nil {
		return err
	}
	var errs []error
	named := fmt.Sprintf("pid %d since", os.Getpid())
	for _, m := range team {
		<-m.done
		said := strings.Join(m.failed, "; ")
		if !strings.Contains(said, "E open "+string(journal.ErrBusy)) || !strings.Contains(said, named) {
			errs = append(errs, fmt.Errorf("a process was not refused by name: %q", said))
		}
		m.failed = nil
		errs = append(errs, m.dismiss())
	}
	after, err := sums(w.ledgerDir("held"))
	if !bytes.Equal(before, after) {
		errs = append(errs, errors.New("a process that was refused has written"))
	}
	h.say("embedded: %d processes refused with %s, naming %q; the ledger's files are as before", len(team), journal.ErrBusy, named)
	return errors.Join(append(errs, err)...)
}

// sums hashes what is in a folder, names and bytes.
func sums(dir string) ([]byte, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := sha256.New()
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		sum := cid.Sum(raw)
		fmt.Fprintln(all, f.Name(), sum.Hex())
	}
	return all.Sum(nil), nil
}
