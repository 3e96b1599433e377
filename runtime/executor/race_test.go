package executor_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// TestManyRunsOnOneLedger runs many runs at once in one Executor, whose effects
// share a few explicit keys: each key is invoked once, everybody gets the one
// receipt that stands, and exactly the invocations are charged.
func TestManyRunsOnOneLedger(t *testing.T) {
	const runs, keys = 24, 4
	clock := &testClock{}
	l, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Clock: clock.now, Boot: journal.HostBoot()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	objects, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	b := newBenchOn(t, clock, l, objects)
	b.config.NoWait = false
	pkg := b.load(packtest.Spec{IR: keyedIR, Modules: []packtest.Module{{Retry: "never"}}})
	proof := b.grant(pkg, func(_ *caps.Capability, s *caps.ToolCall) { s.MaxCalls = keys })
	e, err := executor.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	receipts := map[string]map[cid.Hash]int{}
	var wg sync.WaitGroup
	for i := range runs {
		key, id := fmt.Sprint("k", i%keys), fmt.Sprint("r", i/2) // two attempts at each run
		if i%2 == 1 {
			key = fmt.Sprint("k", (i-1)%keys)
		}
		wg.Go(func() {
			res, err := e.Run(t.Context(), pkg, executor.Request{RunID: id, Inputs: inputs("pay "+key, key), Proofs: []*caps.Chain{proof}})
			if err != nil {
				t.Errorf("run %s: %v", id, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if receipts[key] == nil {
				receipts[key] = map[cid.Hash]int{}
			}
			receipts[key][res.Effects[0].ReceiptID]++
		})
	}
	wg.Wait()
	for key, ids := range receipts {
		if len(ids) != 1 {
			t.Errorf("key %s has %d receipts", key, len(ids))
		}
	}
	b.wantCalls(len(receipts))
	kinds := map[ledger.Kind]int{}
	for rec, err := range l.Records(t.Context(), ledger.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds[rec.Kind]++
	}
	if kinds[ledger.KindRegister] != len(receipts) || kinds[ledger.KindCommit] != len(receipts) || kinds[ledger.KindRunRecord] != runs/2 {
		t.Errorf("the ledger holds %v", kinds)
	}
}

// meanwhile returns a config in which other happens once, right before a step.
func (b *bench) meanwhile(step string, other func()) executor.Config {
	c := b.config
	var once sync.Once
	c.Step = func(name string) {
		if name == step {
			once.Do(other)
		}
	}
	return c
}

// TestIdMovesOnBeforeRegister: between an effect's look-up and its register
// somebody else uses the id.
func TestIdMovesOnBeforeRegister(t *testing.T) {
	for name, c := range map[string]struct {
		theirs, ours string
		replayed     bool
		log          string
	}{
		"same request":    {"pay 10", "pay 10", true, "run_record run_record register commit run_seal run_seal"},
		"another request": {"pay 99", "pay 10", false, "run_record run_record register commit run_seal divergence"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pkg := b.load(packtest.Spec{IR: keyedIR})
			proof := b.grant(pkg, nil)
			req := func(id, payload string) executor.Request {
				return executor.Request{RunID: id, Inputs: inputs(payload, "k"), Proofs: []*caps.Chain{proof}}
			}
			e, err := executor.New(b.meanwhile("register", func() {
				if _, err := b.runWith(pkg, req("theirs", c.theirs)); err != nil {
					t.Error(err)
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			res, err := e.Run(t.Context(), pkg, req("ours", c.ours))
			if !c.replayed {
				wantCode(t, err, ledger.ErrConflict)
			} else if err != nil || !res.Effects[0].Replayed {
				t.Errorf("the outcome that stands was not taken: %v", err)
			}
			b.wantCalls(1)
			b.wantLog(c.log)
		})
	}
}

// TestPowerMustHoldAfterTheWait: a capability that expires while its effect waits
// for a lease is spent on nothing.
func TestPowerMustHoldAfterTheWait(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: keyedIR})
	req := func(id string, p *caps.Chain) executor.Request {
		return executor.Request{RunID: id, Inputs: inputs("pay", "k"), Proofs: []*caps.Chain{p}}
	}
	long := b.grant(pkg, nil)
	short := b.grant(pkg, func(c *caps.Capability, _ *caps.ToolCall) {
		c.ExpiresAt = b.clock.now().Add(time.Minute).UnixMicro()
	})
	b.config.NoWait = false
	b.config.OnWait = func(string, time.Time) { b.clock.advance(time.Hour) } // the lease is over then, too
	e, err := executor.New(b.meanwhile("invoke", func() {
		_, err := b.runWith(pkg, req("short", short))
		wantCode(t, err, caps.ErrExpired)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context(), pkg, req("long", long)); err != nil {
		t.Fatal(err)
	}
	b.wantCalls(1)
}
