package node_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// sharedLedger returns the address of a database to test with.
func sharedLedger(t *testing.T) string {
	t.Helper()
	url := os.Getenv("MYTHOS_TEST_POSTGRES")
	if url == "" {
		const how = "no PostgreSQL to test with: run the tests by scripts/postgres.sh, or set MYTHOS_TEST_POSTGRES"
		if os.Getenv("CI") == "true" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	return url
}

// manyIR calls echo ten times.
func manyIR() string {
	return "const greeting = text \"hello\"\ntool echo = demo/echo interface 1 (any) -> any\nfunc main() -> any {\n  const greeting, r0\n" +
		strings.Repeat("  effect echo, r0, r1, r2\n", 10) + "  ret r1\n}\ntask main = main() budget cpu_us=50000 io=10 writes=0\n"
}

// TestNobodyOverspends: one capability of 100 calls, passed on to eight executors of
// which each may spend all of them, on one ledger. They race until nothing is left; the
// modules, which say so themselves, were called exactly 100 times.
func TestNobodyOverspends(t *testing.T) {
	const executors, calls = 8, 100
	url := sharedLedger(t)
	authority, holder := sig.NewKey([32]byte{0xa, 1}, ""), sig.NewKey([32]byte{0xb, 1}, "")
	pkg := packtest.Build(t, packtest.Spec{IR: manyIR()})
	scope := caps.ScopeOf(&caps.ToolCall{ToolID: pkg.Manifest.Modules[0].ToolID, MaxCalls: calls})
	window := caps.Capability{
		Scope: scope, Delegable: true, Subject: holder.Agent(),
		NotBefore: time.Now().Add(-time.Hour).UnixMicro(), ExpiresAt: time.Now().Add(time.Hour).UnixMicro(),
	}
	raw, _, err := caps.Issue(window, authority)
	if err != nil {
		t.Fatal(err)
	}
	root, err := caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
	if err != nil {
		t.Fatal(err)
	}
	var invoked atomic.Int64
	var wg sync.WaitGroup
	for i := range executors {
		home := t.TempDir()
		n := node.New(node.Options{
			Paths: config.Paths{Config: home, Data: home, Cache: home + "/cache"},
			Clock: time.Now, Version: "0.1.0", Settings: config.Settings{Ledger: url},
		})
		t.Cleanup(func() { n.Close() })
		trust(t, n, sig.Publisher, packtest.Key().Agent())
		trust(t, n, sig.Authority, authority.Agent())
		key, err := n.ExecutorKey()
		if err != nil {
			t.Fatal(err)
		}
		leaf := window
		leaf.Subject, leaf.Delegable = key.Agent(), false
		proof, err := caps.Attenuate(root, leaf, holder)
		if err != nil {
			t.Fatal(err)
		}
		file, holderFile := write(t, "p.cap", proof.Raw()), keyFile(t, holder, sig.Operator)
		wg.Go(func() {
			for k := 0; ; k++ {
				_, err := n.Run(t.Context(), node.RunOptions{
					Package: pkg.Dir, RunID: fmt.Sprintf("%s-%d-%d", n.NewRunID(), i, k), Proofs: []string{file}, Key: holderFile,
					OnLog: func(_, _ string, log []byte) { invoked.Add(int64(strings.Count(string(log), "\n"))) },
				})
				if errors.Is(err, ledger.ErrExhausted) {
					return
				}
				if err != nil {
					t.Errorf("executor %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := invoked.Load(); got != calls {
		t.Errorf("the modules were called %d times, want exactly %d", got, calls)
	}
}
