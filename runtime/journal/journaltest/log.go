package journaltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// RunLog is the acceptance suite of ledger.Log; open returns an empty log whose
// checkpoints Owner signs.
func RunLog(t *testing.T, open func(t *testing.T, clock *Clock) ledger.Log) {
	for name, test := range map[string]func(*testing.T, ledger.Log){
		"runs are covered": testCovered, "on demand": testOnDemand, "kept hashes": testKept,
	} {
		t.Run(name, func(t *testing.T) {
			log := open(t, NewClock())
			defer func() {
				if err := log.Close(); err != nil {
					t.Error(err)
				}
			}()
			test(t, log)
		})
	}
}

// SealedRun writes a run of that many effects by Owner, and its seal: twice as many
// entries and two.
func SealedRun(t testing.TB, s ledger.Store, name string, effects int) {
	t.Helper()
	sign := func(x sig.Object) ([]byte, cid.Hash) {
		raw, id, err := sig.Sign(x, Owner)
		must(t, err)
		return raw, id
	}
	record, id := sign(&evidence.RunRecord{RunID: name, Executor: Owner.Agent()})
	_, err := s.BeginRun(t.Context(), ledger.RunStart{RunID: name, Record: record, RecordID: id})
	must(t, err)
	for i := range effects {
		e := NewEffect(t, fmt.Sprint(name, "-", i), ledger.Pure)
		raw, register := e.Register(ledger.State{}, "request")
		must(t, s.Register(t.Context(), ledger.Registration{Body: raw, Run: id, LeaseFor: lease}))
		c := e.Commit(register, "request", fmt.Sprint("answer ", name, i))
		c.Run = id
		_, err := s.Commit(t.Context(), c)
		must(t, err)
	}
	root := cid.Sum([]byte(name))
	seal := &evidence.RunSeal{RunRecord: id, ReceiptCount: uint64(effects), ResultHash: &root}
	if effects > 0 {
		seal.ReceiptsRoot = &root
	}
	raw, _ := sign(seal)
	must(t, s.Seal(t.Context(), raw, id))
	if log, ok := s.(ledger.Log); ok { // which may sign beside its writes, for several seals at once
		if _, err := log.Newest(t.Context()); !errors.Is(err, ledger.ErrNoCheckpoint) {
			must(t, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantCheckpoints checks that a log has checkpoints of these sizes, each of the
// entries as they are and consistent with the one before.
func WantCheckpoints(t *testing.T, log ledger.Log, want ...uint64) {
	t.Helper()
	if got := Checkpoints(t, log); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("checkpoints of sizes %d, want %d", got, want)
	}
}

// Checkpoints returns the sizes of a log's checkpoints, having checked them.
func Checkpoints(t *testing.T, log ledger.Log) (sizes []uint64) {
	t.Helper()
	leaves := leavesOf(t, log)
	kept := logtree.Of(t.Context(), log)
	var tree tlog.Range
	var last tlog.Verified
	for c, err := range log.Checkpoints(t.Context(), 0) {
		must(t, err)
		v, err := tlog.Open(c.Note, []sig.AgentID{Owner.Agent()}, nil)
		must(t, err)
		if v.Size != c.Size || c.Size > uint64(len(leaves)) || v.Origin != logtree.Origin(leaves[0]) {
			t.Fatalf("the checkpoint of size %d of %d entries is %+v", c.Size, len(leaves), v)
		}
		for tree.Size() < c.Size {
			tree.Append(leaves[tree.Size()])
		}
		if tree.Root() != v.Root {
			t.Fatalf("the checkpoint of size %d has another root", c.Size)
		}
		growth, err := tlog.ProveConsistency(kept, last.Size, v.Size)
		must(t, err)
		if last.Size > 0 {
			must(t, tlog.CheckConsistency(growth, last.Size, v.Size, last.Root, v.Root))
		}
		index := v.Size - 1
		path, err := tlog.ProveInclusion(kept, index, v.Size)
		must(t, err)
		must(t, tlog.CheckInclusion(path, index, v.Size, leaves[index], v.Root))
		last, sizes = v, append(sizes, c.Size)
	}
	return sizes
}

// leavesOf hashes the entries of a log, which come in order and without a gap.
func leavesOf(t *testing.T, log ledger.Log) (leaves []cid.Hash) {
	t.Helper()
	for rec, err := range log.Entries(t.Context(), 0) {
		must(t, err)
		if rec.Index != uint64(len(leaves)) {
			t.Fatalf("entry %d stands at %d", len(leaves), rec.Index)
		}
		leaves = append(leaves, ledger.LeafHash(rec.Index, rec.Kind, rec.Body))
	}
	return leaves
}

func testCovered(t *testing.T, log ledger.Log) {
	s := suite{t: t, Store: log}
	_, err := log.Newest(t.Context())
	s.want(err, ledger.ErrNoCheckpoint)
	SealedRun(t, log, "one", 3)
	SealedRun(t, log, "two", 0)
	WantCheckpoints(t, log, 8, 10)
	c, err := log.Newest(t.Context())
	if s.ok(err); c.Size != 10 {
		t.Errorf("the newest is of size %d", c.Size)
	}
	for c, err := range log.Checkpoints(t.Context(), 9) {
		if s.ok(err); c.Size != 10 {
			t.Errorf("from size 9 there is one of size %d", c.Size)
		}
	}
	for rec, err := range log.Entries(t.Context(), 9) {
		if s.ok(err); rec.Index != 9 || rec.Kind != ledger.KindRunSeal || rec.Run.IsZero() || rec.Time == 0 {
			t.Errorf("the last entry is %+v", rec)
		}
	}
}

func testOnDemand(t *testing.T, log ledger.Log) {
	must(t, log.Checkpoint(t.Context())) // there is nothing to sign over
	WantCheckpoints(t, log)
	raw, _ := NewEffect(t, "k", ledger.Pure).Register(ledger.State{}, "request")
	must(t, log.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: lease}))
	WantCheckpoints(t, log)
	must(t, log.Checkpoint(t.Context()))
	must(t, log.Checkpoint(t.Context()))
	WantCheckpoints(t, log, 1)
}

// testKept reads kept hashes in pieces that no checkpoint knows of.
func testKept(t *testing.T, log ledger.Log) {
	SealedRun(t, log, "one", 1)
	SealedRun(t, log, "two", 140)
	SealedRun(t, log, "three", 2)
	leaves := leavesOf(t, log)
	for _, c := range [][2]uint64{{0, 1}, {0, 292}, {3, 5}, {4, 4}, {100, 290}, {286, 292}, {291, 292}} {
		got, err := log.Leaves(t.Context(), c[0], c[1])
		if must(t, err); fmt.Sprint(got) != fmt.Sprint(leaves[c[0]:c[1]]) {
			t.Errorf("kept hashes from %d up to %d are others", c[0], c[1])
		}
	}
	if got, err := log.Leaves(t.Context(), 290, 400); err != nil || len(got) != 2 {
		t.Errorf("%d hashes beyond the end, %v", len(got), err)
	}
	var want tlog.Range
	for _, leaf := range leaves[:256] {
		want.Append(leaf)
	}
	if got, err := log.Node(t.Context(), 8, 0); err != nil || got != want.Root() {
		t.Errorf("another node, %v", err)
	}
	_, err := log.Node(t.Context(), 8, 1)
	suite{t: t}.want(err, ledger.ErrCorrupt)
	WantCheckpoints(t, log, 4, 286, 292)
}
