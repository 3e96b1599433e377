package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// pair is what an executor hands over for one effect, signed: a register of 415
// bytes, and a commit of 400 with a receipt of 510, evidence of 450, a request of
// 120, and a response and a log that recur.
type pair struct {
	registration ledger.Registration
	commitment   ledger.Commitment
	idem         cid.Hash
	kept         []byte // what a log must keep beside the commit
}

var (
	pairKey  = sig.NewKey([32]byte{1}, "bench")
	pairTool = cid.Sum([]byte("tool"))
)

func newPair(n int) (p pair, err error) {
	run, retry := cid.Sum(fmt.Append(nil, "run ", n/20)), uint8(ledger.Pure)
	key := filler(130, "key", n)
	items := [][]byte{filler(120, "request", n), filler(40, "response", 0), filler(450, "evidence", n), filler(20, "log", 0)}
	reg := ledger.Register{
		IdemID: ledger.IdemID(pairTool, key), ToolID: pairTool, RequestHash: cid.Sum(items[0]), IdempotencyKey: key,
		LeaseExpiresAt: 1, TimeObserved: 1, Retry: &retry,
	}
	p.idem = reg.IdemID
	p.registration = ledger.Registration{Run: run, Spend: []ledger.Spend{{CapID: cid.Sum([]byte("capability")), Max: 1 << 31}}, LeaseFor: 1e9}
	id, err := p.registration.Sign(&reg, pairKey)
	if err != nil {
		return p, err
	}
	rec := receipt.Receipt{
		ToolID: pairTool, RequestHash: reg.RequestHash, ResponseHash: cid.Sum(items[1]), IdempotencyKey: key,
		Status: 200, Evidence: []cid.Hash{cid.Sum(items[2])},
	}
	raw, receiptID, err := sig.Sign(&rec, pairKey)
	if err != nil {
		return p, err
	}
	p.commitment = ledger.Commitment{Run: run, Receipt: raw}
	for _, it := range items {
		p.commitment.Items = append(p.commitment.Items, ledger.Item{CID: cid.Sum(it), Data: it})
	}
	x := ledger.Commit{
		IdemID: reg.IdemID, ToolID: pairTool, RequestHash: reg.RequestHash, ResponseHash: rec.ResponseHash,
		ReceiptID: receiptID, Status: 200, RegisterID: &id,
	}
	p.kept = slices.Concat(raw, items[0], items[2]) // the others recur
	_, err = p.commitment.Sign(&x, pairKey)
	return p, err
}

func filler(n int, what string, i int) []byte {
	b := fmt.Appendf(nil, "%s %d ", what, i)
	for x := uint32(i)*2654435761 + 1; len(b) < n; x = x*1664525 + 1013904223 {
		b = append(b, byte(x>>24))
	}
	return b[:n]
}

// newPairs signs n pairs on every processor.
func newPairs(from, n int) ([]pair, error) {
	all, errs := make([]pair, n), make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				all[i], errs[i] = newPair(from + i)
			}
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// keeper makes pairs durable. Each of its methods returns when what it was given
// would survive power loss.
type keeper interface {
	Register(context.Context, *pair) error
	Commit(context.Context, *pair) error
	// Close ends it, with everything where it stays.
	Close() error
}

// follower is a keeper that can write a commit and the next register at once.
type follower interface {
	CommitAndRegister(ctx context.Context, done, next *pair) error
}

// runLength is how many pairs a caller writes as one run, where it does.
const runLength = 20

// side is one of those that are compared.
type side struct {
	name string
	runs bool // a commit goes with the next register of its run
	open func() (k keeper, size func() (int64, error), err error)

	rate, p50, p99 []float64    // for each round: pairs per second, nanoseconds
	cpu            [][2]float64 // for each pair, see cpuSince
	bytes          float64      // of the disk, for each pair
}

type callerCount struct{ callers, pairs int }

// callerCounts are the numbers of callers at which pairs are measured, with how
// many pairs a turn writes.
var callerCounts = []callerCount{{1, 2500}, {16, 10_000}, {128, 20_000}}

func (b *ledgerBench) callerCounts() []callerCount {
	return slices.DeleteFunc(slices.Clone(callerCounts), func(c callerCount) bool { return b.callers != 0 && c.callers != b.callers })
}

// comparePairs measures the sides in turns, and returns them as they came.
func (b *ledgerBench) comparePairs(callers int, all []pair, sides []*side) error {
	for round := range b.rounds {
		for k := range sides {
			s := sides[(k+round)%len(sides)]
			runtime.GC()
			if err := b.turn(s, callers, all); err != nil {
				return fmt.Errorf("%s, %d callers: %w", s.name, callers, err)
			}
		}
	}
	for _, s := range sides {
		b.say("%3d callers: %s %.0f pairs/s", callers, s.name, spreadOf(s.rate).median)
	}
	return nil
}

// turn writes all pairs to a fresh keeper.
func (b *ledgerBench) turn(s *side, callers int, all []pair) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	k, size, err := s.open()
	if err != nil {
		return err
	}
	warm := min(len(all)/10, 500) // connections, plans, the first growth of files
	if _, _, err := drive(b.ctx, s.writer(k), callers, all[:warm]); err != nil {
		return errors.Join(err, k.Close())
	}
	own, server := b.cpuUsed()
	took, each, err := drive(b.ctx, s.writer(k), callers, all[warm:])
	cpu := b.cpuSince(own, server, len(all)-warm)
	if err = errors.Join(err, k.Close()); err != nil {
		return err
	}
	n, err := size()
	if err != nil {
		return err
	}
	slices.Sort(each)
	s.rate = append(s.rate, float64(len(each))/took.Seconds())
	s.p50, s.p99 = append(s.p50, quantile(each, 0.5)), append(s.p99, quantile(each, 0.99))
	s.cpu = append(s.cpu, cpu)
	s.bytes = float64(n) / float64(len(all))
	return nil
}

// pairWriter makes pairs durable for one caller. It calls done with the number of each
// that is.
type pairWriter func(ctx context.Context, all []pair, take func() (int, bool), done func(int)) error

// writer returns how a caller of the side writes to a keeper.
func (s *side) writer(k keeper) pairWriter {
	if s.runs {
		return inRuns(k, k.(follower))
	}
	return alone(k)
}

// alone writes each register and each commit by itself.
func alone(k keeper) pairWriter {
	return func(ctx context.Context, all []pair, take func() (int, bool), done func(int)) error {
		for i, ok := take(); ok; i, ok = take() {
			if err := k.Register(ctx, &all[i]); err != nil {
				return err
			}
			if err := k.Commit(ctx, &all[i]); err != nil {
				return err
			}
			done(i)
		}
		return nil
	}
}

// inRuns writes a commit with the next register, but for the last of a run.
func inRuns(k keeper, f follower) pairWriter {
	return func(ctx context.Context, all []pair, take func() (int, bool), done func(int)) error {
		last, length := -1, 0
		finish := func() error {
			if last < 0 {
				return nil
			}
			defer func() { last, length = -1, 0 }()
			err := k.Commit(ctx, &all[last])
			done(last)
			return err
		}
		for i, ok := take(); ok; i, ok = take() {
			var err error
			if last < 0 {
				err = k.Register(ctx, &all[i])
			} else if err = f.CommitAndRegister(ctx, &all[last], &all[i]); err == nil {
				done(last)
			}
			if last, length = i, length+1; err == nil && length == runLength {
				err = finish()
			}
			if err != nil {
				return err
			}
		}
		return finish()
	}
}

// drive writes pairs from many callers and returns how long all of them and each
// one took.
func drive(ctx context.Context, write pairWriter, callers int, all []pair) (took time.Duration, each []float64, err error) {
	each = make([]float64, len(all))
	from := make([]time.Time, len(all))
	errs := make([]error, callers)
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	take := func() (int, bool) {
		i := int(next.Add(1)) - 1
		if i >= len(all) {
			return 0, false
		}
		from[i] = time.Now()
		return i, true
	}
	for c := range callers {
		wg.Go(func() {
			errs[c] = write(ctx, all, take, func(i int) { each[i] = float64(time.Since(from[i])) })
		})
	}
	wg.Wait()
	return time.Since(start), each, errors.Join(errs...)
}

// pairTable writes the sides beside the first of them.
func (b *ledgerBench) pairTable(callers int, sides []*side) {
	var rows [][]string
	for _, s := range sides {
		rate := spreadOf(s.rate)
		rows = append(rows, []string{
			s.name, fmt.Sprintf("%.0f (%.0f .. %.0f)", rate.median, rate.low, rate.high), ratio(spreadOf(ratios(s.rate, sides[0].rate))),
			duration(spreadOf(s.p50).median), duration(spreadOf(s.p99).median), b.cpuColumn(s.cpu), fmt.Sprintf("%.0f", math.Ceil(s.bytes)),
		})
	}
	head := "callers"
	if callers == 1 {
		head = "caller"
	}
	writeTable(b.w, []string{fmt.Sprintf("%d %s", callers, head), "pairs/s (p10 .. p90)", "times " + sides[0].name, "p50 of a pair", "p99", "CPU/pair", "bytes/pair"}, rows)
}

// stored is any ledger.
type stored struct{ ledger.Store }

func (s stored) Register(ctx context.Context, p *pair) error {
	return s.Store.Register(ctx, p.registration)
}

func (s stored) Commit(ctx context.Context, p *pair) error {
	verdict, err := s.Store.Commit(ctx, p.commitment)
	if err == nil && verdict != ledger.Applied {
		err = fmt.Errorf("a commit was kept as %v", verdict)
	}
	return err
}

func (s stored) CommitAndRegister(ctx context.Context, done, next *pair) error {
	verdict, err := s.Store.CommitAndRegister(ctx, done.commitment, next.registration)
	if err == nil && verdict != ledger.Applied {
		err = fmt.Errorf("a commit was kept as %v", verdict)
	}
	return err
}

// openEmbedded opens a fresh embedded ledger as package node does.
func (b *ledgerBench) openEmbedded() (keeper, func() (int64, error), error) {
	dir, err := b.fresh()
	if err != nil {
		return nil, nil, err
	}
	s, err := journal.Open(b.ctx, journal.Options{Dir: dir, Clock: time.Now, Boot: journal.HostBoot(), Signer: pairKey})
	return stored{s}, func() (int64, error) { return sizeOf(dir) }, err
}

// sizeOf adds up the files of a folder, which it removes.
func sizeOf(dir string) (n int64, err error) {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		info, err := os.Stat(filepath.Join(dir, f.Name()))
		if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, errors.Join(err, os.RemoveAll(dir))
}

const embeddedNotes = `
## Embedded journal

One pair is a register of 415 bytes and a commit of 400 with its receipt (510), evidence (450)
and request (120), signed beforehand; a response and a log recur. The raw log appends the same
bytes to one file and syncs it (fdatasync on Linux), group commit as in the journal: who waits
takes the turn and writes all that is queued. It looks nothing up, has no index and refuses
nothing. bbolt keeps the same bytes under a sequence and indexes by idempotency id and by run,
which each write looks up before; it has no index of objects, no leases, charges or checkpoints.
At 1 caller it uses Update, else Batch with a delay of 200 us, both of which suit it better than
its default of 10 ms. The journal is as a node opens it: WAL, synchronous=FULL, a checkpoint
signed every 1,024 entries. Every turn begins with a fresh store; sizes are after Close.
"In runs" a commit goes with the next register of its run, 20 effects a run, as the executor writes
them; so it does in the raw log of that name.
CPU time is that of this whole process, callers included, and of a server on this host.
`

// benchEmbedded compares the embedded journal with a bare log and with bbolt.
func (b *ledgerBench) benchEmbedded() (claims []claim, err error) {
	fmt.Fprint(b.w, embeddedNotes)
	least := map[int]float64{1: 0.9, 16: 0.6, 128: 0.2}
	all, err := newPairs(0, b.scaled(callerCounts[len(callerCounts)-1].pairs))
	if err != nil {
		return nil, err
	}
	for _, c := range b.callerCounts() {
		raw := &side{name: "raw log", open: b.openRaw}
		ours := &side{name: "journal", open: b.openEmbedded}
		bolt := &side{name: "bbolt", open: func() (keeper, func() (int64, error), error) { return b.openBolt(c.callers > 1) }}
		rawRuns := &side{name: "raw log, in runs", runs: true, open: b.openRaw}
		oursRuns := &side{name: "journal, in runs", runs: true, open: b.openEmbedded}
		sides := []*side{raw, ours, bolt, rawRuns, oursRuns}
		if err := b.comparePairs(c.callers, all[:b.scaled(c.pairs)], sides); err != nil {
			return nil, err
		}
		b.pairTable(c.callers, sides)
		claims = append(claims,
			claim{fmt.Sprintf("embedded pairs/s, %d callers: raw log's", c.callers), atLeast, least[c.callers], times, spreadOf(ratios(ours.rate, raw.rate))},
			claim{fmt.Sprintf("embedded pairs/s, %d callers: bbolt's", c.callers), atLeast, 1, times, spreadOf(ratios(ours.rate, bolt.rate))})
	}
	return claims, nil
}

func (b *ledgerBench) scaled(n int) int { return max(int(float64(n)*b.scale), 200) }
