package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// benchEntries is how many entries the benchmark's ledger has;
// MYTHOS_BENCH_ENTRIES=1000000 is the figure that is published.
func benchEntries(b *testing.B) int {
	n := 20_000
	if text := os.Getenv("MYTHOS_BENCH_ENTRIES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	return n
}

// pairs registers and commits effects from many callers at once.
func pairs(b *testing.B, s *journal.SQLite, n int) {
	const callers = 64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				e := journaltest.NewEffect(b, fmt.Sprint("bench ", i), ledger.Pure)
				raw, register := e.Register(ledger.State{}, "request")
				if err := s.Register(b.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
					b.Error(err)
					return
				}
				if _, err := s.Commit(b.Context(), e.Commit(register, "request", fmt.Sprint("answer ", i))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// size is what a ledger takes of the disk once the write-ahead log is in it.
func size(b *testing.B, dir string) int64 {
	conn, err := sqlite.OpenConn(filepath.Join(dir, "ledger.db"), sqlite.OpenReadWrite)
	must(b, err)
	defer conn.Close()
	must(b, sqlitex.ExecuteTransient(conn, "PRAGMA wal_checkpoint(TRUNCATE)", nil))
	info, err := os.Stat(filepath.Join(dir, "ledger.db"))
	must(b, err)
	return info.Size()
}

// cpu is the processor time that this process has used, in seconds.
func cpu(b *testing.B) float64 {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkVerify verifies a log of registers and commits, with and without what
// entries say of themselves. Bytes per leaf are those of the whole database, and
// what the tree adds to it.
func BenchmarkVerify(b *testing.B) {
	n := benchEntries(b)
	dir := b.TempDir()
	s := open(b, dir, nil)
	pairs(b, s, n/2)
	must(b, s.Close())
	before := size(b, dir)
	s = open(b, dir, journaltest.Owner)
	must(b, s.Close()) // signs, as a first checkpoint over all of them
	tree := size(b, dir) - before
	r, err := journal.OpenReadOnly(options(dir, nil))
	must(b, err)
	defer r.Close()
	for name, o := range map[string]audit.Options{
		"hashes": {HashesOnly: true, Workers: 1},
		"all":    {},
	} {
		b.Run(name, func(b *testing.B) {
			o.Executors = []sig.AgentID{journaltest.Owner.Agent()}
			from := cpu(b)
			for b.Loop() {
				rep, err := audit.Run(b.Context(), r, o)
				if err != nil || rep.Damage != nil || rep.Entries != uint64(n) {
					b.Fatalf("%+v, %v", rep, err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
			b.ReportMetric(float64(n)*float64(b.N)/(cpu(b)-from), "leaves/core-s")
			b.ReportMetric(float64(before+tree)/float64(n), "bytes/leaf")
			b.ReportMetric(float64(tree)/float64(n), "tree-bytes/leaf")
		})
	}
}
