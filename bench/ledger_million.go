package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

const millionNotes = `
## A ledger of %d entries

Registers and commits as above, with their items, and %d run records, under signed
checkpoints. "cold" is a new
process after the kernel was told to forget the file's pages (posix_fadvise on Linux; only what
is on the disk already can be forgotten); "warm" is a new process after that one. Opening is what
a run does before its first write: the lock, the schema's check, the end of the log; the look-up
after it folds one id from the middle of the log. Verifying reads the whole log on one worker;
"hashes" leaves out what entries say of themselves and their signatures ("mythos ledger verify"
checks those too) and "all" does not, over the last tenth of the log; a figure per core divides by the CPU time of the whole process.
`

// benchMillion measures opening and verifying a large ledger.
func (b *ledgerBench) benchMillion() (claims []claim, err error) {
	runs := (b.entries + 2*partPairs) / (2*partPairs + 1)
	fmt.Fprintf(b.w, millionNotes, b.entries, runs)
	dir, err := b.fresh()
	if err != nil {
		return nil, err
	}
	if err := b.fill(dir); err != nil {
		return nil, err
	}
	size, err := sizesIn(dir)
	if err != nil {
		return nil, err
	}
	opened, err := b.openings(dir)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, how := range []string{"cold", "warm"} {
		x := opened[how]
		open, lookup, read := spreadOf(each(x, func(o opening) float64 { return o.Open })), spreadOf(each(x, func(o opening) float64 { return o.Lookup })), spreadOf(each(x, func(o opening) float64 { return o.Read }))
		rows = append(rows, []string{how, duration(open.median), duration(open.high), duration(lookup.median), duration(read.median)})
		ms := spread{open.low / 1e6, open.median / 1e6, open.high / 1e6}
		claims = append(claims, claim{fmt.Sprintf("opening %d entries, %s", b.entries, how), below, 50, milliseconds, ms})
	}
	writeTable(b.w, []string{"process", "open for writing", "p90", "look-up after it", "open for reading"}, rows)
	rate, err := b.verify(dir, size)
	return append(claims, claim{"verified leaves per core-second, signatures apart", atLeast, 500_000, "", rate}), err
}

// fill writes the ledger from many callers, in parts that are signed as they come.
func (b *ledgerBench) fill(dir string) (err error) {
	s, err := journal.Open(b.ctx, journal.Options{Dir: dir, Clock: time.Now, Boot: journal.HostBoot(), Signer: pairKey})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for from, left := 0, b.entries; left >= 3; {
		n := min(partPairs, (left-1)/2)
		all, err := newPairs(from, n)
		if err != nil {
			return err
		}
		run, err := b.beginRun(s, from)
		if err != nil {
			return err
		}
		for i := range all {
			all[i].registration.Run, all[i].commitment.Run = run, run
		}
		if _, _, err := drive(b.ctx, alone(stored{s}), 128, all); err != nil {
			return err
		}
		from, left = from+n, left-2*n-1
		b.written += uint64(2*n + 1)
		b.say("a large ledger: %d of %d entries", b.written, b.entries)
	}
	return nil
}

// partPairs is how many pairs a run of the large ledger has.
const partPairs = 25_000

func (b *ledgerBench) beginRun(s *journal.SQLite, n int) (id cid.Hash, err error) {
	x := evidence.RunRecord{
		RunID: fmt.Sprint("bench-", n), PackageID: cid.Sum([]byte("package")), ManifestCID: cid.Sum([]byte("manifest")),
		Authority: cid.Sum([]byte("authority")), Holder: cid.Sum([]byte("holder")), Executor: pairKey.Agent(), Time: time.Now().UnixMicro(),
	}
	raw, id, err := sig.Sign(&x, pairKey)
	if err == nil {
		_, err = s.BeginRun(b.ctx, ledger.RunStart{Authority: x.Authority, Holder: x.Holder, RunID: x.RunID, Record: raw, RecordID: id})
	}
	return id, err
}

func sizesIn(dir string) (n int64, err error) {
	info, err := os.Stat(filepath.Join(dir, "ledger.db"))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// opening is what a process measures of itself, in nanoseconds.
type opening struct{ Open, Lookup, Read float64 }

// openings opens the ledger in processes of their own.
func (b *ledgerBench) openings(dir string) (map[string][]opening, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out := map[string][]opening{}
	for range max(b.rounds, 5) {
		if err := forget(filepath.Join(dir, "ledger.db")); err != nil {
			return nil, err
		}
		for _, how := range []string{"cold", "warm"} {
			cmd := exec.CommandContext(b.ctx, self, "ledger-open", dir, fmt.Sprint(b.entries/4))
			cmd.Stderr = os.Stderr
			said, err := cmd.Output()
			if err != nil {
				return nil, err
			}
			var x opening
			if err := json.Unmarshal(said, &x); err != nil {
				return nil, err
			}
			out[how] = append(out[how], x)
		}
	}
	return out, nil
}

// openOnce is the command `bench ledger-open DIR PAIR`: it opens a ledger, looks a
// pair up, and prints how long both took.
func openOnce(ctx context.Context, dir, n string) error {
	var at int
	if _, err := fmt.Sscan(n, &at); err != nil {
		return err
	}
	id := ledger.IdemID(pairTool, filler(130, "key", at))
	o := journal.Options{Dir: dir, Clock: time.Now, Boot: journal.HostBoot(), Signer: pairKey}
	var x opening
	start := time.Now()
	s, err := journal.Open(ctx, o)
	if err != nil {
		return err
	}
	x.Open = float64(time.Since(start))
	start = time.Now()
	v, err := s.Lookup(ctx, id)
	x.Lookup = float64(time.Since(start))
	if err == nil && v.Phase != ledger.Committed {
		err = fmt.Errorf("pair %d is %s", at, v.Phase)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	start = time.Now()
	r, err := journal.OpenReadOnly(o)
	if err != nil {
		return err
	}
	x.Read = float64(time.Since(start))
	return errors.Join(r.Close(), json.NewEncoder(os.Stdout).Encode(x))
}

// verify audits the whole log and returns the leaves per core-second of hashes
// alone.
func (b *ledgerBench) verify(dir string, size int64) (rate spread, err error) {
	r, err := journal.OpenReadOnly(journal.Options{Dir: dir, Clock: time.Now, Boot: journal.HostBoot()})
	if err != nil {
		return rate, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	from, err := b.lastTenth(r)
	if err != nil {
		return rate, err
	}
	var rows [][]string
	for _, x := range []struct {
		name   string
		rounds int
		o      audit.Options
	}{
		{"hashes, one worker", b.rounds, audit.Options{HashesOnly: true, Workers: 1}},
		{fmt.Sprintf("all, %d workers", runtime.GOMAXPROCS(0)), 1, audit.Options{From: from}},
	} {
		x.o.Executors = []sig.AgentID{pairKey.Agent()}
		var wall, core []float64
		for range x.rounds {
			took, used, err := b.auditOnce(r, x.o)
			if err != nil {
				return rate, err
			}
			leaves := float64(b.written - x.o.From)
			wall, core = append(wall, leaves/took.Seconds()), append(core, leaves/used.Seconds())
			b.say("verified %s: %.0f leaves/s, %.0f per core", x.name, wall[len(wall)-1], core[len(core)-1])
		}
		if x.o.HashesOnly {
			rate = spreadOf(core)
		}
		rows = append(rows, []string{x.name, fmt.Sprintf("%.0f", spreadOf(wall).median), fmt.Sprintf("%.0f", spreadOf(core).median), fmt.Sprintf("%.0f", float64(size)/float64(b.written))})
	}
	writeTable(b.w, []string{"verify", "leaves/s", "leaves per core-second", "bytes/leaf"}, rows)
	return rate, nil
}

// lastTenth returns the size of the first checkpoint after nine tenths of the log.
func (b *ledgerBench) lastTenth(r *journal.SQLite) (uint64, error) {
	for c, err := range r.Checkpoints(b.ctx, b.written-b.written/10) {
		return c.Size, err
	}
	return 0, errors.New("the log has no checkpoint at its end")
}

func (b *ledgerBench) auditOnce(r *journal.SQLite, o audit.Options) (took, used time.Duration, err error) {
	from, start := processTime(), time.Now()
	rep, err := audit.Run(b.ctx, r, o)
	took, used = time.Since(start), processTime()-from
	switch {
	case err != nil:
		return took, used, err
	case rep.Damage != nil:
		return took, used, rep.Damage.Err()
	case rep.Entries != b.written || rep.Root == (cid.Hash{}):
		return took, used, fmt.Errorf("%d entries were verified", rep.Entries)
	}
	return took, used, nil
}
