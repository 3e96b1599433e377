//go:build unix

package executor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// TestChainsAreRememberedByEpoch: a verified chain is looked up by its bytes and the
// trust epoch, a refused one is not kept, and what is kept has a bound.
func TestChainsAreRememberedByEpoch(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: echoIR(1)})
	e, err := executor.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	run := func(id string, p *caps.Chain) error {
		_, err := e.Run(t.Context(), pkg, executor.Request{RunID: id, Proofs: []*caps.Chain{p}})
		return err
	}
	want := func(n int) {
		t.Helper()
		if got := executor.Remembered(e); got != n {
			t.Errorf("%d chains are remembered, want %d", got, n)
		}
	}
	good := b.grant(pkg, nil)
	for i := range 3 {
		if err := run(fmt.Sprint("r", i), good); err != nil {
			t.Fatal(err)
		}
	}
	want(1)
	raw := append([]byte{}, good.Raw()...)
	raw[len(raw)-1] ^= 1
	forged, err := caps.DecodeProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, run("forged", forged), caps.ErrSignature)
	want(1)
	e.TrustEpoch = cid.Sum([]byte("another"))
	if err := run("again", good); err != nil {
		t.Fatal(err)
	}
	want(2)
	for i := range 1100 {
		e.TrustEpoch = cid.Sum(fmt.Append(nil, i))
		if _, err := executor.Gates(e, pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{good}}, text("x")); err != nil {
			t.Fatal(err)
		}
	}
	want(1024)
}

// cpu runs the benchmark's loop and reports the CPU time of each round, which what
// waits for the disk does not count in.
func cpu(b *testing.B, round func(i int) error) {
	b.Helper()
	before, i := processTime(b), 0
	for b.Loop() {
		if err := round(i); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64((processTime(b)-before).Nanoseconds())/float64(b.N)/1000, "cpu-us/op")
}

// BenchmarkGates is all that stands between an effect and its register, the chains
// known: choosing the candidates, checking them, the ring policy.
func BenchmarkGates(b *testing.B) {
	for _, links := range []int{1, 3, 8} {
		b.Run(fmt.Sprintf("links=%d", links), func(b *testing.B) {
			x := newBenchOn(b, &testClock{}, journal.Memory(time.Now), nil)
			x.config.Objects = mustStore(b)
			x.config.Revocations = func() func(sig.AgentID) (*caps.RevocationList, error) {
				return func(sig.AgentID) (*caps.RevocationList, error) { return nil, nil }
			}
			pkg := x.load(packtest.Spec{IR: payIR})
			e, err := executor.New(x.config)
			if err != nil {
				b.Fatal(err)
			}
			proof := longProof(b, pkg.Manifest().Modules[0].ToolID, links)
			gates, err := executor.Gates(e, pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{proof}}, amount(can.AppendUint(nil, 250)))
			if err != nil {
				b.Fatal(err)
			}
			cpu(b, func(int) error { return gates(b.Context()) })
		})
	}
}

// BenchmarkSpend registers effects on the embedded journal, in turn without spending
// and spending of 1, 3 and 8 links, each on a ledger of its own: what the links add is
// what spending costs. It reports the CPU time of a register by the number of links.
func BenchmarkSpend(b *testing.B) {
	counts := []int{0, 1, 3, 8}
	ledgers, used := make([]*journal.SQLite, len(counts)), make([]time.Duration, len(counts))
	for i := range counts {
		l, err := journal.Open(b.Context(), journal.Options{Dir: b.TempDir(), Clock: time.Now, Boot: journal.HostBoot()})
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		ledgers[i] = l
	}
	spend := make([]ledger.Spend, 8)
	for i := range spend {
		spend[i] = ledger.Spend{CapID: cid.Sum(fmt.Append(nil, i)), Max: 1 << 31}
	}
	retry := uint8(ledger.Never)
	for round := 0; b.Loop(); round++ {
		for i, links := range counts {
			before := processTime(b)
			reg := ledger.Registration{Spend: spend[:links], LeaseFor: 1e6}
			key, err := ledger.ExplicitKey(cid.Hash{}, cid.Hash{}, fmt.Append(nil, round))
			if err != nil {
				b.Fatal(err)
			}
			x := ledger.Register{IdemID: ledger.IdemID(cid.Hash{}, key), LeaseExpiresAt: 1, IdempotencyKey: key, Retry: &retry}
			if _, err := reg.Sign(&x, executorKey); err != nil {
				b.Fatal(err)
			}
			if err := ledgers[i].Register(b.Context(), reg); err != nil {
				b.Fatal(err)
			}
			used[i] += processTime(b) - before
		}
	}
	for i, links := range counts {
		b.ReportMetric(float64(used[i].Nanoseconds())/float64(b.N)/1000, fmt.Sprintf("cpu-us@%d", links))
	}
}

func mustStore(b *testing.B) *local.Store {
	s, err := local.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// longProof is a chain of n links from the authority to the executor.
func longProof(b *testing.B, tool cid.Hash, n int) *caps.Chain {
	b.Helper()
	by := authorityKey
	var proof *caps.Chain
	for i := range n {
		to := sig.NewKey([32]byte{0x20, byte(i)}, "")
		if i == n-1 {
			to = executorKey
		}
		key, value := caps.Arg("/amount", caps.OpLe, can.AppendUint(nil, 500))
		scope := caps.ToolCall{ToolID: tool, MaxCalls: 1 << 31, Constraints: map[string]string{key: value, caps.ConstraintRingMax: "0"}}
		c := caps.Capability{
			Subject: to.Agent(), Delegable: i < n-1, Scope: caps.ScopeOf(&scope),
			NotBefore: time.Now().Add(-time.Hour).Truncate(24 * time.Hour).UnixMicro(), ExpiresAt: time.Now().Add(48 * time.Hour).Truncate(24 * time.Hour).UnixMicro(),
		}
		var err error
		if proof == nil {
			var raw []byte
			if raw, _, err = caps.Issue(c, by); err == nil {
				proof, err = caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
			}
		} else {
			proof, err = caps.Attenuate(proof, c, by)
		}
		if err != nil {
			b.Fatal(err)
		}
		by = to
	}
	return proof
}
