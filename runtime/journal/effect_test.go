package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// load writes effects of the size that an executor writes, and knows what they
// cost: a register of 415 bytes, and a commit of 400 with a receipt of 510,
// evidence of 450, a request of 120, and a response and a log that recur.
type load struct {
	tb  testing.TB
	s   *SQLite
	dir string
	run cid.Hash
	n   int

	registers, commits []cost
}

// cost is what one write took.
type cost struct {
	took time.Duration
	wal  int64 // bytes by which the write-ahead log grew
}

func newLoad(tb testing.TB) *load {
	tb.Helper()
	dir := tb.TempDir()
	s, err := Open(tb.Context(), Options{Dir: dir, Clock: time.Now, Boot: HostBoot()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	// The log's size tells what was written only while nothing starts it over.
	if err := sqlitex.ExecuteTransient(s.writer.tx.conn, "PRAGMA wal_autocheckpoint=0", nil); err != nil {
		tb.Fatal(err)
	}
	return &load{tb: tb, s: s, dir: dir}
}

func (l *load) wal() int64 {
	info, err := os.Stat(filepath.Join(l.dir, "ledger.db-wal"))
	if err != nil {
		l.tb.Fatal(err)
	}
	return info.Size()
}

func (l *load) write(to *[]cost, fn func() error) {
	before, start := l.wal(), time.Now()
	err := fn()
	took := time.Since(start)
	if err != nil {
		l.tb.Fatal(err)
	}
	*to = append(*to, cost{took, l.wal() - before})
}

// effect writes one effect, the next of a run of twenty.
func (l *load) effect() {
	if l.n%20 == 0 {
		l.run = cid.Sum(fmt.Append(nil, "run ", l.n))
	}
	l.n++
	e := l.entries()
	l.write(&l.registers, func() error { return l.s.Register(l.tb.Context(), e.registration) })
	l.write(&l.commits, func() error {
		verdict, err := l.s.Commit(l.tb.Context(), e.commitment)
		if err == nil && verdict != ledger.Applied {
			err = fmt.Errorf("verdict %d", verdict)
		}
		return err
	})
}

// entries is what an executor hands over for one effect.
type entries struct {
	registration ledger.Registration
	commitment   ledger.Commitment
}

func (l *load) entries() (e entries) {
	tool, cap := cid.Sum([]byte("tool")), cid.Sum([]byte("capability"))
	retry := uint8(ledger.Pure)
	key := padded(130, "key", l.n)
	reg := ledger.Register{
		IdemID: ledger.IdemID(tool, key), ToolID: tool, RequestHash: cid.Sum(padded(120, "request", l.n)), IdempotencyKey: key,
		LeaseExpiresAt: 1, TimeObserved: 1, Retry: &retry,
	}
	e.registration = ledger.Registration{Run: l.run, Spend: []ledger.Spend{{CapID: cap, Max: 1 << 30}}, LeaseFor: 1e9}
	id, err := e.registration.Sign(&reg, journaltest.Owner)
	if err != nil {
		l.tb.Fatal(err)
	}
	items := [][]byte{padded(120, "request", l.n), padded(40, "response", 0), padded(450, "evidence", l.n), padded(20, "log", 0)}
	rec := receipt.Receipt{
		ToolID: tool, RequestHash: reg.RequestHash, ResponseHash: cid.Sum(items[1]), IdempotencyKey: key,
		Status: 200, Evidence: []cid.Hash{cid.Sum(items[2])},
	}
	receiptRaw, receiptID, err := sig.Sign(&rec, journaltest.Owner)
	if err != nil {
		l.tb.Fatal(err)
	}
	e.commitment = ledger.Commitment{Run: l.run, Receipt: receiptRaw}
	if _, err := e.commitment.Sign(&ledger.Commit{
		IdemID: reg.IdemID, ToolID: tool, RequestHash: rec.RequestHash, ResponseHash: rec.ResponseHash,
		ReceiptID: receiptID, Status: 200, RegisterID: &id,
	}, journaltest.Owner); err != nil {
		l.tb.Fatal(err)
	}
	for _, b := range items {
		e.commitment.Items = append(e.commitment.Items, ledger.Item{CID: cid.Sum(b), Data: b})
	}
	return e
}

// padded returns n bytes that begin with a name and a number.
func padded(n int, name string, number int) []byte {
	b := fmt.Append(nil, name, number)
	return append(b, make([]byte, n-len(b))...)
}

// TestLogBytes holds the bytes that an effect writes to the write-ahead log below
// a bound: they are the same on every machine.
func TestLogBytes(t *testing.T) {
	l := newLoad(t)
	for range 300 {
		l.effect()
	}
	var registers, commits int64
	for i := range l.registers[100:] {
		registers += l.registers[100+i].wal
		commits += l.commits[100+i].wal
	}
	registers, commits = registers/200, commits/200
	t.Logf("%d bytes for a register, %d for a commit", registers, commits)
	if registers > 9<<10 || commits > 16<<10 {
		t.Errorf("%d bytes for a register, %d for a commit, want at most 9 and 16 KiB", registers, commits)
	}
}

// TestGroupCommit holds the turn until more registers than a batch takes have come:
// all are written, and together they write far less than one by one.
func TestGroupCommit(t *testing.T) {
	l := newLoad(t)
	const callers = maxBatch + 50
	errs := make([]error, callers)
	before := l.wal()
	w := l.s.writer
	w.turn <- struct{}{}
	var wg sync.WaitGroup
	for i := range callers {
		l.n++
		e := l.entries()
		wg.Go(func() { errs[i] = l.s.Register(t.Context(), e.registration) })
	}
	for len(w.queue) < maxBatch {
		runtime.Gosched()
	}
	<-w.turn
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range l.s.Records(t.Context(), ledger.Filter{Kinds: []ledger.Kind{ledger.KindRegister}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != callers {
		t.Errorf("%d registers, want %d", n, callers)
	}
	if each := (l.wal() - before) / callers; each > 3<<10 {
		t.Errorf("%d bytes of log for a register in company, want at most 3 KiB", each)
	}
}

// TestExtendedLeaseLeavesNothing checks that the row of an extended lease goes
// with its lease, however that ends.
func TestExtendedLeaseLeavesNothing(t *testing.T) {
	clock := journaltest.NewClock()
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := func() int64 {
		t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		n, err := queryInt(s.reader, "SELECT count(*) FROM lease")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	extended := func(name string) (*journaltest.Effect, cid.Hash) {
		e := journaltest.NewEffect(t, name, ledger.Pure)
		raw, id := e.Register(ledger.State{}, "request")
		if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
			t.Fatal(err)
		}
		if n := rows(); n != 0 {
			t.Fatalf("%d rows after a register", n)
		}
		if err := s.Extend(t.Context(), e.Idem(), id, 2e6); err != nil || rows() != 1 {
			t.Fatalf("%d rows after an extension, %v", rows(), err)
		}
		return e, id
	}
	e, id := extended("committed")
	if _, err := s.Commit(t.Context(), e.Commit(id, "request", "answer")); err != nil {
		t.Fatal(err)
	}
	e, id = extended("resolved")
	if err := s.Resolve(t.Context(), e.Resolution(id, ledger.OutcomeNotInvoked), cid.Hash{}, false); err != nil {
		t.Fatal(err)
	}
	e, _ = extended("registered again")
	clock.Advance(time.Minute)
	v, err := s.Lookup(t.Context(), e.Idem())
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := e.Register(v.State, "request")
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil || rows() != 0 {
		t.Fatalf("%d rows, %v", rows(), err)
	}
}

// BenchmarkEffect measures one effect after another on a ledger that has a
// thousand already: the medians of what its two writes take, and how much each
// writes to the log.
func BenchmarkEffect(b *testing.B) {
	l := newLoad(b)
	for range 1000 {
		l.effect()
	}
	l.registers, l.commits = nil, nil
	for b.Loop() {
		l.effect()
	}
	for name, costs := range map[string][]cost{"register": l.registers, "commit": l.commits} {
		var wal int64
		took := make([]float64, len(costs))
		for i, c := range costs {
			wal += c.wal
			took[i] = float64(c.took.Microseconds())
		}
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2], "us/"+name)
		b.ReportMetric(float64(wal)/float64(len(costs)), "walB/"+name)
	}
}
