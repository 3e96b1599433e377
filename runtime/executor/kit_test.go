package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	memstore "github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

var (
	executorKey  = sig.NewKey([32]byte{0xe}, "executor")
	authorityKey = sig.NewKey([32]byte{0xa}, "authority")
	policyKey    = sig.NewKey([32]byte{0xb}, "policy")
)

// counter is a runner that counts what really runs.
type counter struct {
	runner.Runner
	mu    sync.Mutex
	calls int
}

func (c *counter) Run(ctx context.Context, call runner.Call) (runner.Result, error) {
	c.mu.Lock()
	c.calls++
	c.mu.Unlock()
	return c.Runner.Run(ctx, call)
}

// bench is one executor over stores of its own.
type bench struct {
	t       testing.TB
	ledger  ledger.Store
	objects cas.Store
	engine  *counter
	clock   *testClock
	config  executor.Config

	hold          time.Duration // for how long commits wait; 0: as always
	authorityGone bool
	subject       sig.AgentID // of capabilities; zero: executorKey
}

// testClock is a wall clock that a test may move on.
type testClock struct {
	mu sync.Mutex
	by time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += d
}

func newBench(t *testing.T) *bench {
	clock := &testClock{}
	return newBenchOn(t, clock, journal.Memory(clock.now), memstore.New(memstore.Options{}))
}

func newBenchOn(t testing.TB, clock *testClock, l ledger.Store, objects cas.Store) *bench {
	t.Helper()
	engine, err := wasm.New(wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	b := &bench{t: t, ledger: l, objects: objects, engine: &counter{Runner: engine}, clock: clock}
	b.config = executor.Config{
		Ledger: l, Objects: objects, Runners: []runner.Runner{b.engine}, Key: executorKey, Clock: clock.now,
		Platform: "linux/amd64", NoWait: true,
		Authority: func(a sig.AgentID, _ *gate.Package) (cid.Hash, bool) {
			return a.KeyID(), a.Equal(authorityKey.Agent())
		},
		TrustedExecutor: executorKey.Agent().Equal,
	}
	return b
}

// load builds a package and takes it through the gate.
func (b *bench) load(s packtest.Spec) *gate.Package {
	b.t.Helper()
	return load(b.t, packtest.Build(b.t, s))
}

func load(t testing.TB, p packtest.Package) *gate.Package {
	t.Helper()
	return loadUnder(t, p, rings.Default(0))
}

// loadUnder takes a package through the gate under a policy for ring 0.
func loadUnder(t testing.TB, p packtest.Package, policy *rings.Policy) *gate.Package {
	t.Helper()
	trust, err := gate.NewTrust([]gate.TrustEntry{
		{Role: sig.Publisher, Keys: []sig.AgentID{p.Signer}},
		{Role: sig.Policy, Keys: []sig.AgentID{policyKey.Agent()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rings.Sign(policy, policyKey); err != nil {
		t.Fatal(err)
	}
	src, err := pack.Open(t.Context(), p.Dir, pack.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	pkg, err := gate.Load(t.Context(), src, gate.Options{
		Host: packtest.Host(), Trust: trust, Now: time.Now(), Kinds: []uint8{runner.KindWASM}, Policy: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// grant is the capability that a test hands to a run; edit changes it before it
// is signed.
func (b *bench) grant(pkg *gate.Package, edit func(*caps.Capability, *caps.ToolCall)) *caps.Chain {
	b.t.Helper()
	scope := caps.ToolCall{ToolID: pkg.Manifest().Modules[0].ToolID, MaxCalls: 100}
	now := b.clock.now()
	c := caps.Capability{Subject: b.holder(), NotBefore: now.Add(-time.Hour).UnixMicro(), ExpiresAt: now.Add(100 * time.Hour).UnixMicro()}
	if edit != nil {
		edit(&c, &scope)
	}
	c.Scope = caps.Scope{Kind: caps.KindToolCall, Payload: scope.AppendCAN(nil)}
	return b.issue(authorityKey, c)
}

// holder is whom capabilities are issued to.
func (b *bench) holder() sig.AgentID {
	if b.subject == (sig.AgentID{}) {
		return executorKey.Agent()
	}
	return b.subject
}

func (b *bench) issue(by sig.Key, c caps.Capability) *caps.Chain {
	b.t.Helper()
	raw, _, err := caps.Issue(c, by)
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) run(pkg *gate.Package, runID string, proofs ...*caps.Chain) (*executor.Result, error) {
	return b.runWith(pkg, executor.Request{RunID: runID, Proofs: proofs})
}

func (b *bench) runWith(pkg *gate.Package, req executor.Request) (*executor.Result, error) {
	b.t.Helper()
	return b.executor().Run(b.t.Context(), pkg, req)
}

func (b *bench) executor() *executor.Executor {
	b.t.Helper()
	e, err := executor.New(b.config)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.hold != 0 {
		executor.Hold(e, b.hold)
	}
	return e
}

// mustRun runs with a good capability and wants no fault.
func (b *bench) mustRun(pkg *gate.Package, runID string) *executor.Result {
	b.t.Helper()
	res, err := b.run(pkg, runID, b.grant(pkg, nil))
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

func (b *bench) wantCalls(n int) {
	b.t.Helper()
	if b.engine.calls != n {
		b.t.Errorf("the module ran %d times, want %d", b.engine.calls, n)
	}
}

// wantLog compares the ledger's kinds in order, as words.
func (b *bench) wantLog(want string) {
	b.t.Helper()
	var got []string
	for rec, err := range b.ledger.Records(b.t.Context(), ledger.Filter{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		got = append(got, rec.Kind.String())
	}
	if s := strings.Join(got, " "); s != want {
		b.t.Errorf("the ledger holds %s\nwant %s", s, want)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func text(s string) []byte { return can.AppendText(nil, s) }

// inputs is a LIST of TEXT.
func inputs(items ...string) []byte {
	raw := can.AppendList(nil, len(items))
	for _, s := range items {
		raw = can.AppendText(raw, s)
	}
	return raw
}

// echoIR calls echo n times with its own greeting, in a row.
func echoIR(n int) string {
	return fmt.Sprintf(`const greeting = text "hello"
tool echo = demo/echo interface 1 (any) -> any
func main() -> any {
  const greeting, r0
%s  ret r1
}
task main = main() budget cpu_us=50000 io=%d writes=0
`, strings.Repeat("  effect echo, r0, r1, r2\n", n), n)
}

// keyedIR calls echo with its first input under an explicit key, its second.
const keyedIR = `tool echo = demo/echo interface 1 (any) -> any
func main(any, any) -> any {
  effect echo, r0, r2, r3, r1
  ret r2
}
task main = main(0, 0) budget cpu_us=50000 io=1 writes=0
`

// ledgerID is a ledger of this id.
func ledgerID(id cid.Hash) func(context.Context) (cid.Hash, error) {
	return func(context.Context) (cid.Hash, error) { return id, nil }
}
