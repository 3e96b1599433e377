package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// checkpoints returns the sizes of what was signed, each verified against the
// entries, consistent with the one before, and with a proof of its last entry.
func checkpoints(t *testing.T, s ledger.Log) (sizes []uint64) {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var tree []cid.Hash
	for rec, err := range s.Entries(t.Context(), 0) {
		ok(err)
		tree = append(tree, ledger.LeafHash(rec.Index, rec.Kind, rec.Body))
	}
	kept := logtree.Of(t.Context(), s)
	var r tlog.Range
	var last tlog.Verified
	for c, err := range s.Checkpoints(t.Context(), 0) {
		ok(err)
		v, err := tlog.Open(c.Note, []sig.AgentID{journaltest.Owner.Agent()}, nil)
		if err != nil || v.Size != c.Size || v.Origin != logtree.Origin(tree[0]) {
			t.Fatalf("%+v, %v", v, err)
		}
		for r.Size() < c.Size {
			r.Append(tree[r.Size()])
		}
		if r.Root() != v.Root {
			t.Fatalf("the checkpoint of size %d has another root", c.Size)
		}
		if last.Size > 0 {
			proof, err := tlog.ProveConsistency(kept, last.Size, v.Size)
			ok(err)
			ok(tlog.CheckConsistency(proof, last.Size, v.Size, last.Root, v.Root))
		}
		proof, err := tlog.ProveInclusion(kept, v.Size-1, v.Size)
		ok(err)
		ok(tlog.CheckInclusion(proof, v.Size-1, v.Size, tree[v.Size-1], v.Root))
		last, sizes = v, append(sizes, c.Size)
	}
	return sizes
}

// TestCheckpoints lets four executors write and seal at once, each signing.
func TestCheckpoints(t *testing.T) {
	o := fresh(t)
	o.Signer, o.OnSignFault = journaltest.Owner, func(err error) { t.Error(err) }
	var wg sync.WaitGroup
	var stores []*postgres.Store
	for i := range 4 {
		s := open(t, o)
		stores = append(stores, s)
		wg.Go(func() {
			for k := range 150 {
				if err := register(t, s, fmt.Sprint(i, " ", k)); err != nil {
					t.Error(err)
				}
				if k%40 == 39 {
					if err := s.Seal(t.Context(), fmt.Append(nil, "seal ", i, k), cid.Hash{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	const entries = 4*150 + 4*3
	s := open(t, o)
	sizes := checkpoints(t, s)
	if len(sizes) < 2 || sizes[len(sizes)-1] != entries {
		t.Errorf("checkpoints of sizes %d, want the last over %d entries", sizes, entries)
	}
	for _, from := range []uint64{0, 1, 300, entries - 1, entries, entries + 1} {
		n := uint64(0)
		for rec, err := range s.Entries(t.Context(), from) {
			if err != nil || rec.Index != from+n {
				t.Fatalf("entry %d is %d, %v", from+n, rec.Index, err)
			}
			n++
		}
		if want := entries - min(from, entries); n != want {
			t.Errorf("%d entries from %d on, want %d", n, from, want)
		}
	}
	admin(t, o, `ALTER TABLE leaf DISABLE TRIGGER append_only; UPDATE leaf SET hashes = overlay(hashes placing '\x0000' from length(hashes) - 5) WHERE first = (SELECT max(first) FROM leaf)`)
	altered := open(t, o)
	if err := register(t, altered, "more"); err != nil {
		t.Fatal(err)
	}
	want(t, altered.Checkpoint(t.Context()), ledger.ErrCorrupt)
	altered.Close()
}

// TestCopyKeepsCheckpoints copies a ledger that was signed and goes on signing.
func TestCopyKeepsCheckpoints(t *testing.T) {
	from, _ := embedded(t)
	if err := from.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := fresh(t)
	o.Signer = journaltest.Owner
	to := open(t, o)
	if _, err := postgres.Copy(t.Context(), from, to, nil); err != nil {
		t.Fatal(err)
	}
	if err := register(t, to, "more"); err != nil {
		t.Fatal(err)
	}
	if err := to.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := checkpoints(t, to); len(got) < 2 || got[len(got)-1] != 55 || got[len(got)-2] != 54 {
		t.Errorf("checkpoints of sizes %d", got)
	}
}
