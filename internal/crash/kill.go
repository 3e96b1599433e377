package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Report is the outcome of a campaign of crashes, one line of JSON.
type Report struct {
	Journal       string         `json:"journal"`
	Crashes       int            `json:"crashes"`
	Effects       int            `json:"effects"`
	Duplicates    map[string]int `json:"duplicates"`
	Lost          int            `json:"lost"`
	InDoubt       int            `json:"in_doubt"`
	InDoubtListed int            `json:"in_doubt_listed"`
}

// sound reports whether nothing is in the report that must not be.
func (r Report) sound() bool {
	return r.Duplicates["never"] == 0 && r.Lost == 0 && r.InDoubt == r.InDoubtListed
}

const (
	callers    = 24   // effects in flight
	perLedger  = 1000 // crashes before a ledger is checked and a new one begun
	perServer  = 400  // crashes of executors for one of the database server
	maxRetries = 24   // earlier runs that an executor is told to take up again
	finalAcked = 2000
)

// campaign kills executors and looks at what is left.
type campaign struct {
	world    *World
	counter  *counter
	place    place
	journal  string
	tag      string // before the names of its ledgers
	crashes  int
	sabotage string
	strace   string // path; "": no deaths inside system calls
	random   *rand.Rand
	log      io.Writer

	light, native *gate.Package
	report        Report
	kinds         map[string]int // deaths by where
	probes, waits int            // probes asked; locks waited for
	faults        []string
	started       time.Time
}

// run performs the whole campaign.
func (c *campaign) run(ctx context.Context) error {
	c.started, c.kinds = time.Now(), map[string]int{}
	c.report = Report{Journal: c.journal, Duplicates: map[string]int{}}
	for _, class := range classes {
		c.report.Duplicates[class] = 0
	}
	var err error
	if c.light, err = c.world.load(ctx, c.world.Light, nil); err != nil {
		return err
	}
	if c.world.Native != "" {
		c.native, err = c.world.load(ctx, c.world.Native, func(uint8) uint8 { return runner.SandboxOwnKernel })
		if err != nil {
			return err
		}
	}
	for n := 0; c.report.Crashes < c.crashes; n++ {
		p := &part{campaign: c, name: fmt.Sprint(c.tag, "l", n), book: newBook(c.light, c.native)}
		if err := p.run(ctx, min(perLedger, c.crashes-c.report.Crashes)); err != nil {
			return err
		}
		c.faults, c.waits = append(c.faults, p.book.faults...), c.waits+p.book.waits
		spent := time.Since(c.started)
		fmt.Fprintf(c.log, "%s: %d crashes, %d effects, %d in doubt, %.0f s, %.0f ms for each crash\n", c.journal,
			c.report.Crashes, c.report.Effects, c.report.InDoubt, spent.Seconds(), spent.Seconds()*1000/float64(c.report.Crashes))
		if len(c.faults) > 0 {
			break // the rest would only repeat it
		}
	}
	return nil
}

// deaths tells where executors died.
func (c *campaign) deaths() string {
	var out []string
	for _, where := range slices.Sorted(maps.Keys(c.kinds)) {
		out = append(out, fmt.Sprintf("%s %d", where, c.kinds[where]))
	}
	return fmt.Sprintf("died %s; %d probes asked, %d locks waited for", strings.Join(out, ", "), c.probes, c.waits)
}

// maxShown bounds the faults that are printed.
const maxShown = 20

// verdict is an error if anything is wrong, with the first faults.
func (c *campaign) verdict() error {
	if len(c.faults) == 0 && c.report.sound() {
		return nil
	}
	shown := c.faults[:min(len(c.faults), maxShown)]
	return fmt.Errorf("%d faults on the %s journal: %s", len(c.faults), c.journal, strings.Join(shown, "; "))
}

// part is the part of a campaign that has one ledger.
type part struct {
	*campaign
	name    string
	book    *book
	shift   time.Duration
	pending []*effect // not acknowledged, to be retried
	next    chan started
}

type started struct {
	p   *process
	err error
}

func (p *part) run(ctx context.Context, crashes int) error {
	p.counter.reset()
	if err := os.Truncate(p.world.counts(), 0); err != nil {
		return err
	}
	p.next = make(chan started, 1)
	p.prepare(0)
	for i := range crashes {
		if err := p.cycle(i, i+1 < crashes); err != nil {
			return err
		}
		if i%perServer == perServer-1 {
			if did, err := p.place.crash(); err != nil {
				return err
			} else if did {
				p.report.Crashes++
				p.kinds["with its server"]++
			}
		}
	}
	return p.settle(ctx)
}

// prepare starts the next executor while this one runs: what it does before it has
// its order touches no ledger.
func (p *part) prepare(i int) {
	var wrap []string
	if p.dissected(i) {
		wrap = p.syscallDeath()
	}
	go func() {
		q, err := p.world.start(wrap...)
		p.next <- started{q, err}
	}()
}

// dissected reports whether executor i is to end in a system call.
func (p *part) dissected(i int) bool { return p.strace != "" && i%25 == 24 }

// syscallDeath has the next executor end at a system call on its ledger: the how
// many-th write or sync of a thread.
func (p *part) syscallDeath() []string {
	call, when := "pwrite64", 1+p.random.IntN(60)
	if p.random.IntN(2) == 0 {
		call, when = "fsync", 1+p.random.IntN(6)
	}
	return []string{
		p.strace, "-f", "-qq", "-o", filepath.Join(p.world.Dir, "strace.out"),
		"-P", filepath.Join(p.world.ledgerDir(p.name), "ledger.db"), "-P", filepath.Join(p.world.ledgerDir(p.name), "ledger.db-wal"),
		"-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, when),
	}
}

// cycle lets one executor work until it dies.
func (p *part) cycle(i int, more bool) error {
	s := <-p.next
	if s.err != nil {
		return s.err
	}
	if more {
		p.prepare(i + 1)
	}
	shift, wait := p.place.leaseOver()
	if p.random.IntN(10) > 0 { // else leases of the dead still stand
		p.shift += shift
	}
	o := Order{
		Shift: p.shift, Boot: true, NoWait: true, Natives: p.native != nil && i%8 == 7,
		Callers: callers, New: -1, Prefix: fmt.Sprint(i), Sabotage: p.sabotage,
	}
	p.place.fill(&o, p.name)
	o.Runs = p.retries(o.Natives)
	end := p.plan(&o)
	if p.dissected(i) {
		o.Step, end = "", plan{where: "in a write or sync of the journal", lines: 600}
	}
	before := len(p.book.order)
	if err := s.p.tell(o); err != nil {
		return errors.Join(err, s.p.fault)
	}
	if n := p.watch(s.p, end); p.dissected(i) && n > end.lines {
		end.where = "at a random moment" // it made fewer such calls
	}
	killed, err := s.p.wait()
	if err != nil || !killed {
		return errors.Join(err, fmt.Errorf("crash %d (%s): the executor ended by itself: %s", i, end.where, strings.Join(p.book.faults, "; ")))
	}
	p.report.Crashes++
	p.kinds[end.where]++
	p.pending = append(p.pending, p.book.order[before:]...)
	for _, e := range p.pending {
		if e.due.IsZero() {
			e.due = time.Now().Add(wait)
		}
	}
	return nil
}

// stuck is after how long an executor that has not died yet is taken to hang.
const stuck = 2 * time.Minute

// watch takes down what an executor says until it is dead, and kills it when its
// plan says so. It returns how many lines there were.
func (p *part) watch(q *process, end plan) (n int) {
	started, left := time.Now(), stuck
	if end.where == beforeOpen {
		left = end.after
	}
	death := time.AfterFunc(left, q.kill)
	defer death.Stop()
	for line := range q.lines {
		if n == end.lines && end.where != beforeOpen { // the first line says that it has its ledger
			death.Reset(end.after)
		}
		n++
		p.book.note(line)
	}
	if time.Since(started) >= stuck {
		p.book.fault("an executor that was to die %s did nothing more after %d lines", end.where, n)
	}
	return n
}

// upTo is a random span.
func (p *part) upTo(d time.Duration) time.Duration { return time.Duration(p.random.Int64N(int64(d))) }

const beforeOpen = "before it has opened the ledger"

// plan is how an executor ends.
type plan struct {
	where string
	lines int           // that it says, and then
	after time.Duration // it is killed
}

// plan chooses it: at a named point, or at a random moment.
func (p *part) plan(o *Order) plan {
	switch n := p.random.IntN(100); {
	case n < 30:
		o.Step = executorSteps[p.random.IntN(len(executorSteps))]
	case n < 60:
		o.Step = journalSteps[p.random.IntN(len(journalSteps))]
	case n < 63:
		return plan{where: beforeOpen, after: p.upTo(8 * time.Millisecond)}
	default:
		return plan{where: "at a random moment", lines: 1 + p.random.IntN(120), after: p.upTo(4 * time.Millisecond)}
	}
	o.At = 1 + p.random.Int64N(40)
	if rare[o.Step] {
		o.At = 1 + p.random.Int64N(4)
	}
	return plan{where: o.Step, after: time.Second}
}

// rare are the points that few effects pass.
var rare = map[string]bool{
	"release": true, "replay": true, "mark": true, "reconcile": true, "journal resolve": true, "journal resolved": true,
	"journal commit": true, "journal committed": true, "journal seal": true, "journal sealed": true,
}

// retries chooses earlier runs to take up again: most of those that died, some
// that were acknowledged, and one that misuses a key.
func (p *part) retries(natives bool) []runName {
	var out []runName
	kept := p.pending[:0]
	for _, e := range p.pending {
		ready := !time.Now().Before(e.due) && (natives || !e.run.tool().native())
		switch {
		case e.receipt != "" && e.bytes != "", e.code == string(ledger.ErrSettled), e.code == string(ledger.ErrInDoubt): // the end of the part looks again
		case ready && len(out) < maxRetries:
			out = append(out, e.run)
			e.due = time.Time{}
			kept = append(kept, e)
		default:
			kept = append(kept, e)
		}
	}
	p.pending = kept
	for range 6 {
		if len(p.book.order) == 0 {
			return out
		}
		e := p.book.order[p.random.IntN(len(p.book.order))]
		if e.receipt == "" || !natives && e.run.tool().native() {
			continue
		}
		out = append(out, e.run)
		if e.run.mode() == 'k' && !e.run.tool().native() {
			out = append(out, e.run.conflicting())
		}
	}
	return out
}
