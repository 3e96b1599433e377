package journaltest

import (
	"context"
	"fmt"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// testItems keeps items of any size, the same one twice and with two commits, and
// tells objects from receipts.
func testItems(s suite) {
	ctx := context.Background()
	sizes := []int{0, 1, 900, 1100, 4096, 64 << 10, 64 << 10}
	var all []ledger.Commitment
	for i := range 3 {
		e := NewEffect(s.t, fmt.Sprint("k", i), ledger.Pure)
		c := e.Commit(s.register(e), "request", "the same answer")
		for j, n := range sizes {
			data := make([]byte, n)
			for k := range data {
				data[k] = byte(k*7 + j + i%2) // the third effect has the first one's items
			}
			it := ledger.Item{CID: cid.Sum(data), Data: data}
			c.Items = append(c.Items, it, it)
		}
		s.commit(c, ledger.Applied)
		all = append(all, c)
	}
	for i, c := range all {
		for _, it := range c.Items {
			if got, err := s.Object(ctx, it.CID); err != nil || string(got) != string(it.Data) {
				s.t.Fatalf("commit %d: an item of %d bytes came back as %d, %v", i, len(it.Data), len(got), err)
			}
			_, err := s.Receipt(ctx, it.CID)
			s.want(err, ledger.ErrNoItem)
		}
		x, _, err := ledger.DecodeCommit(c.Body)
		s.ok(err)
		got, err := s.Receipt(ctx, x.ReceiptID)
		s.ok(err)
		if string(got) != string(c.Receipt) {
			s.t.Errorf("commit %d has another receipt", i)
		}
		_, err = s.Object(ctx, x.ReceiptID)
		s.want(err, ledger.ErrNoItem)
	}
}

// testOwn checks that Sign spares a verification for the bytes that it signed
// alone: whatever else stands in their place is verified.
func testOwn(s suite) {
	ctx := context.Background()
	e := NewEffect(s.t, "k", ledger.Pure)
	retry := uint8(ledger.Pure)
	x := ledger.Register{IdemID: e.Idem(), ToolID: e.Tool, RequestHash: cid.Sum([]byte("request")), IdempotencyKey: e.Key, Retry: &retry}
	reg := ledger.Registration{LeaseFor: lease}
	id, err := reg.Sign(&x, e.By)
	s.ok(err)
	forged := reg
	forged.Body = append([]byte{}, reg.Body...)
	forged.Body[len(forged.Body)-1] ^= 1
	s.want(s.Register(ctx, forged), sig.ErrInvalid)
	inPlace := reg
	inPlace.Body[len(inPlace.Body)-1] ^= 1
	s.want(s.Register(ctx, inPlace), sig.ErrInvalid)
	inPlace.Body[len(inPlace.Body)-1] ^= 1
	s.ok(s.Register(ctx, reg))

	c := e.Commit(id, "request", "answer")
	y, _, err := ledger.DecodeCommit(c.Body)
	s.ok(err)
	_, err = c.Sign(&y, sig.NewKey([32]byte{9}, "stranger"))
	s.ok(err)
	s.commit(c, ledger.Superseded) // well signed, but not by the register's owner
	y.Signature = sig.Signature{}
	_, err = c.Sign(&y, e.By)
	s.ok(err)
	bad := c
	bad.Body = append([]byte{}, c.Body...)
	bad.Body[len(bad.Body)-1] ^= 1
	s.commit(bad, ledger.Superseded)
	s.phase(e, ledger.Open)
	s.commit(c, ledger.Applied)
	s.phase(e, ledger.Committed)
}

func testRace(s suite) {
	const callers = 32
	var wg sync.WaitGroup
	errs := make([]error, callers)
	e := NewEffect(s.t, "k", ledger.Pure)
	for i := range callers {
		by := *e
		by.By = sig.NewKey([32]byte{2, byte(i)}, "")
		raw, _ := by.Register(ledger.State{}, "request")
		wg.Go(func() {
			errs[i] = s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: lease})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		s.want(err, ledger.ErrInProgress)
	}
	if won != 1 || s.count(ledger.KindRegister) != 1 {
		s.t.Errorf("%d registers won, %d stored, want 1", won, s.count(ledger.KindRegister))
	}
}

func testRecords(s suite) {
	run := cid.Sum([]byte("run"))
	const n = 1200
	for i := range n {
		e := NewEffect(s.t, fmt.Sprint("k", i), ledger.Pure)
		raw, _ := e.Register(ledger.State{}, "request")
		reg := ledger.Registration{Body: raw, LeaseFor: lease}
		if i%3 == 0 {
			reg.Run = run
		}
		if i%5 != 0 || i == 0 {
			continue
		}
		s.ok(s.Register(context.Background(), reg))
	}
	next := uint64(0)
	for rec, err := range s.Records(context.Background(), ledger.Filter{}) {
		s.ok(err)
		if rec.Index != next {
			s.t.Fatalf("index %d, want %d", rec.Index, next)
		}
		next++
	}
	inRun := 0
	for rec, err := range s.Records(context.Background(), ledger.Filter{Run: &run}) {
		s.ok(err)
		if rec.Run != run {
			s.t.Fatal("a record of another run")
		}
		inRun++
	}
	if next != n/5-1 || inRun != n/15-1 {
		s.t.Errorf("%d records, %d of the run", next, inRun)
	}
}
